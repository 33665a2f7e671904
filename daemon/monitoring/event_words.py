"""What happened, in words for owners: a sentence, and what to do where somebody has to do something."""

from collections.abc import Mapping
from typing import Any

from daemon.monitoring import messages
from daemon.words.translation import ENGLISH, Words

ADVICE = {
    "meter_lost": "Look whether the meter has power and its cable sits.",
    "meter_late": "If it happens often: look after the meter's cable or network.",
    "meter_identity": "Another meter answers. If it was exchanged, remove meter-identity and start again.",
    "meter_sign": "Look at the direction of the current transformers, then acknowledge.",
    "meter_phases": "Look at the order of the phases at the meter, then acknowledge.",
    "radio_lost": "Look whether the radio stick sits in its socket.",
    "radio_down": "Look whether the radio stick sits in its socket.",
    "slaves_silent": "Look whether the devices have power, then after the radio stick.",
    "airtime_lost": "Another radio fills the channel: move Wi-Fi or choose another channel.",
    "state_unwritable": "The disk is full or worn out.",
    "restart_storm": "Look into the log, then acknowledge.",
    "tick_error": "Look into the log; report it if it comes again.",
    "late_tick": "The computer has too much to do, or its disk is slow.",
}
"""By cause; the others pass by themselves."""
EVENTS: dict[str, tuple[str, str]] = {
    "started": ("Sunkeep was started", ""),
    "stopped": ("Sunkeep was stopped", ""),
    "configuration_reloaded": ("The configuration was taken over", ""),
    "configuration_refused": (
        "The configuration was refused, the one before stays in force: {reason}",
        "Correct the file and save it.",
    ),
    "policy_swap_refused": ("A policy was refused: {reason}", "Look at `sunkeep model list`."),
    "rollback": ("The learned policy was taken out of charge: it did worse than the other controller", ""),
    "restart_storm": ("Sunkeep was restarted too often", "Look into the log, then acknowledge."),
    "slave_silent": ("{slave} does not answer", "Look whether it has power."),
    "slave_not_following": ("{slave} {why}", "Look whether it is full, hot or switched off by hand."),
    "slave_follows_again": ("{slave} is back", ""),
    "meter_energy_mismatch": (
        "The meter's power and its energy counters disagree",
        "Look whether the meter's profile is the right one.",
    ),
    "meter_energy_mismatch_over": ("The meter's power and its energy counters agree again", ""),
    "frame_counters_near_end": ("The radio's counters are nearly used up", "Make a new site key."),
    "loop_swings": (
        "Devices were told to go up and down again and again, so the controller became gentler",
        "If it comes again: `sunkeep commission` measures how the devices answer.",
    ),
    "gains_restored": ("The controller is as quick as before", ""),
    "policy_stuck": ("The learned policy said the same for ten minutes", "Look into the log."),
    "policy_self_test_failed": (
        "The learned policy was damaged in memory and is loaded anew",
        "If it comes again: the computer's memory may be failing.",
    ),
    "bus_contention": (
        "Somebody else speaks on the meter's serial line",
        "Only one device may ask the meter: look for a second master on its cable.",
    ),
    "mode_leap_forced": ("A step of the plan was left out by order", ""),
    "rollout_ready": (
        "The learned policy is ready for its next step",
        "`sunkeep rollout advance` confirms it.",
    ),
    "rollout_held": ("The plan for the learned policy was stopped", "Look at `sunkeep rollout status`."),
    "rollout_back": ("The learned policy was taken back to the shadow", "Look at `sunkeep rollout status`."),
    "paused": ("The site was paused", ""),
    "resumed": ("The site is controlled again", ""),
    "boosted": ("{slave} gets power although there is no surplus", ""),
    "boost_ended": ("{slave} takes part as usual again ({why})", ""),
    "priorities_ordered": ("Another order of the devices counts", ""),
    "holiday_ordered": ("Devices rest while you are away", ""),
    "holiday_ended": ("The holiday is over, every device takes part again", ""),
    "history_damaged": ("The history was damaged and was begun {begun}", "Look after the disk."),
    "acknowledged": ("A fault was acknowledged", ""),
}
"""By the name that journal and log use. What is not here is no news to an owner."""
STATES = {
    "safe_stop": "Every device was told 0 W",
    "hold": "The last orders were held",
    "fallback": "The simple controller took over",
    "pi_fallback": "The simple controller took over",  # as version 0.1 called it
    "rl_active": "The learned policy acts",
}


def event_words(name: str, detail: Mapping[str, Any], words: Words = ENGLISH) -> tuple[str, str] | None:
    """(what happened, what to do); the second may be empty. None for what is no news."""
    if name == "state":
        return _state(detail, words)
    if name not in EVENTS:
        return None
    text, advice = map(words, EVENTS[name])
    known = {key: words(str(value)) for key, value in detail.items()}
    try:
        return text.format_map(known), advice
    except KeyError:  # written by another version
        return text.split(" {")[0].split(": {")[0], advice


def _state(detail: Mapping[str, Any], words: Words) -> tuple[str, str] | None:
    text, causes = STATES.get(str(detail.get("state"))), detail.get("causes") or []
    if text is None:
        return None
    advice = next((words(ADVICE[str(one)]) for one in causes if str(one) in ADVICE), "")
    if not causes:
        return words(text), advice
    reason = messages.cause(str(causes[0]), words)
    return words("{what} because {reason}", what=words(text), reason=reason), advice
