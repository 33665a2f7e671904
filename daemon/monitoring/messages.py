"""Sentences for owners: status page and terminal view say the same."""

from dataclasses import dataclass
from datetime import datetime

from core.causes import Cause
from core.decision import Authority, Decision, Source, State
from core.estimation.following import Deviation
from core.estimation.swinging import Swinging
from core.metering import exported_w, imported_w
from core.modes import Mode
from core.roles import Role
from core.site import PHASE_NAMES
from core.snapshot import Snapshot
from daemon.monitoring.energy_check import Finding
from daemon.monitoring.figures import Figures
from daemon.monitoring.slave_power import heard_power_w, is_silent
from daemon.words.causes import CAUSES, ENDED
from daemon.words.translation import ENGLISH, Words
from safety import faults
from safety.supervisor import GOOD_AFTER_STOP

NOTICEABLE_W = 100.0
"""Below this a power is noise of meter and estimate, nothing to tell an owner about."""
EVEN_W = 5.0
"""Up to this a power at the meter is shown as nothing: here, on the page and in the terminal view."""
REASONS_MAX = 2
"""Reasons in one sentence; all of them are among the page's facts."""
PARTLY = 0.2
"""Share of the surplus that may be exported before it counts as only partly used."""

DEVIATIONS = {
    Deviation.DRAWS_LESS: "draws less than it is told",
    Deviation.DRAWS_MORE: "draws more than it is told",
    Deviation.APPLIES_OTHER: "does something else than it is told",
}
SILENT = "does not answer"
_AWAITED = "control goes on after {count} good meter readings in a row"
LAWS = {"pi": "PI controller", "predictive": "predictive controller"}


@dataclass(frozen=True, slots=True)
class StatusMessage:
    """One sentence and how it is meant: ``good``, ``quiet``, ``watch`` or ``bad``."""

    text: str
    tone: str


def power(watts: float, words: Words = ENGLISH) -> str:
    """A magnitude as people write it: 340 W, 4.2 kW."""
    watts = abs(watts)
    return f"{watts:.0f} W" if watts < 999.5 else f"{words.decimal(watts / 1000.0, 1)} kW"


def energy_check(found: Finding | None) -> str:
    """What a comparison of the meter's power with its energy counters came to."""
    if found is None:
        return "the meter's power could not be compared with its energy counters for a day"
    if found.agrees:
        return "the meter's power agrees with its energy counters again"
    return (
        f"the meter's power and its energy counters disagree: {found.integrated_wh:.0f} Wh by power, "
        f"{found.counted_wh:.0f} Wh counted"
    )


def cause(name: str, words: Words = ENGLISH) -> str:
    """A cause of the supervisor in words, as a clause after "because"."""
    return words(CAUSES[name]) if name in CAUSES else name.replace("_", " ")


def headline(figures: Figures, words: Words = ENGLISH) -> StatusMessage:
    """The state of the site in one sentence."""
    decision, snapshot = figures.decision, figures.snapshot
    if decision is None or snapshot is None or decision.verdict.state is State.INIT:
        return StatusMessage(words("Starting: waiting for the first good meter readings"), "quiet")
    if decision.verdict.state is State.SAFE_STOP:
        return _resting(figures, decision, snapshot, words)
    if Cause.RADIO_DOWN in decision.verdict.causes:
        return StatusMessage(
            words("The radio does not answer: the devices behind it return to 0 W by themselves"), "watch"
        )
    if Cause.SLAVES_SILENT in decision.verdict.causes:
        return StatusMessage(
            words("No device answers: look whether they have power, then after the radio stick"), "bad"
        )
    if not figures.meter_known():
        return StatusMessage(words("The meter has not been read yet"), "watch")
    return _flows(figures, decision, snapshot, words)


def _resting(figures: Figures, decision: Decision, snapshot: Snapshot, words: Words) -> StatusMessage:
    if Cause.REST_ORDERED in decision.verdict.causes and not _has_ended(Cause.REST_ORDERED, figures):
        return StatusMessage(_paused(figures, words) or words("Stopping: every device goes to 0 W"), "quiet")
    if Cause.RADIO_DOWN in decision.verdict.causes:
        return StatusMessage(
            words("Nothing can be told to the devices behind the radio: they return to 0 W by themselves"),
            "bad",
        )
    drawn_w = sum(heard_power_w(state) or 0.0 for state in snapshot.slaves)
    idle = missing_slaves(decision, snapshot, figures.radio.up, words)
    if drawn_w < NOTICEABLE_W and not idle:
        return StatusMessage(words("Every device rests at 0 W for safety"), "bad")
    said = words("Every device is told 0 W for safety")
    if drawn_w >= NOTICEABLE_W:
        feeds = figures.site.role is Role.GENERATE
        still = "{power} fed in when last heard" if feeds else "{power} drawn when last heard"
        said += ": " + words(still, power=power(drawn_w, words))
    return StatusMessage(f"{said}{f'; {idle}' if idle else ''}", "bad")


def _paused(figures: Figures, words: Words) -> str:
    """The owner's own order; empty without one."""
    if not figures.pause.is_on:
        return ""
    until_unix_s, local = figures.pause.until_unix_s, figures.local
    if until_unix_s is None or local is None:
        return words("Paused until somebody says otherwise: every device rests")
    end = datetime.fromtimestamp(until_unix_s, local.tzinfo)
    day = "" if end.date() == local.date() else f"{end:%Y-%m-%d} "
    return words("Paused until {time}: every device rests", time=f"{day}{end:%H:%M}")


def is_in_control(decision: Decision) -> bool:
    """Whether a controller acts, and nothing is held or rests."""
    return decision.verdict.source in (Source.POLICY, Source.FALLBACK)


def _boosted(figures: Figures, out_w: float, in_w: float, words: Words) -> str:
    """The owner's own order, and what flows meanwhile."""
    names = _listed(list(figures.orders.boosts), words)
    flows = _imported(in_w, words) if in_w > EVEN_W else _exported(out_w, words)
    return words("Boosted: {names}; {flows}", names=names, flows=flows)


def _imported(in_w: float, words: Words) -> str:
    return words("{power} drawn from the grid", power=power(in_w, words))


def _exported(out_w: float, words: Words) -> str:
    return words("{power} exported", power=power(out_w, words))


def _flows(figures: Figures, decision: Decision, snapshot: Snapshot, words: Words) -> StatusMessage:
    """Where the sun's power goes."""
    grid_w, metering = snapshot.grid_power_w, figures.site.metering
    out_w, in_w = exported_w(grid_w, metering), imported_w(grid_w, metering)
    surplus_w = 0.0 if figures.without_w is None else exported_w(figures.without_w, metering)
    if figures.orders.boosts:
        return StatusMessage(_boosted(figures, out_w, in_w, words), "quiet")
    if surplus_w < NOTICEABLE_W and out_w < NOTICEABLE_W:
        said = words("No solar surplus right now: {flow}", flow=_imported(in_w, words))
        return StatusMessage(said, "quiet")
    out = _exported(out_w, words) if out_w > EVEN_W else words("nothing exported")
    placed = power(sum(figures.placed_w), words)
    partly = out_w > max(NOTICEABLE_W, PARTLY * surplus_w)
    if figures.site.role is Role.GENERATE:
        said = words("{out}, {power} fed in by the devices", out=out[0].upper() + out[1:], power=placed)
        return StatusMessage(said, "watch" if partly else "good")
    into = words("{power} into the devices", power=placed)
    if not partly and in_w > NOTICEABLE_W:
        said = words("The devices take more than the solar surplus: {flow}", flow=_imported(in_w, words))
        return StatusMessage(f"{said}, {into}", "watch")
    if not partly:
        return StatusMessage(f"{words('Solar surplus is being used')}: {out}, {into}", "good")
    idle = missing_slaves(decision, snapshot, figures.radio.up, words)
    said = words(_why_partly(figures, decision, snapshot, is_one_away=bool(idle)))
    return StatusMessage(f"{said}: {out}, {into}{f'; {idle}' if idle else ''}", "watch")


def _why_partly(figures: Figures, decision: Decision, snapshot: Snapshot, *, is_one_away: bool) -> str:
    """Why a surplus is left, as the table of words has it."""
    if not any(decision.estimate.capacity_w):
        away = figures.orders.holiday is not None
        return "Holiday: no device may take anything" if away else "No device can take anything"
    on_air = zip(snapshot.on_air.action_w, decision.estimate.capacity_w, strict=True)
    if all(action_w >= 0.98 * capacity_w for action_w, capacity_w in on_air):
        return "The others are at their limit" if is_one_away else "All devices are at their limit"
    return "Part of the solar surplus is being used"


def slaves_astray(decision: Decision, snapshot: Snapshot) -> dict[int, str]:
    """By place in the site: why a slave does not take its full part."""
    deviating = {one.slave: DEVIATIONS[one.deviation] for one in decision.not_following}
    silent = {place: SILENT for place, state in enumerate(snapshot.slaves) if not state.available}
    return deviating | silent


def missing_slaves(decision: Decision, snapshot: Snapshot, radio_up: bool, words: Words = ENGLISH) -> str:
    """How many slaves do not answer or do not do what they are told; empty when all do."""
    silent = sum(is_silent(state, radio_up) for state in snapshot.slaves)
    deviating = sum(not is_silent(snapshot.slaves[one.slave], radio_up) for one in decision.not_following)
    total = len(snapshot.slaves)
    said = []
    if silent:
        many = (
            "{count} of {all} devices do not answer" if silent > 1 else "1 of {all} devices does not answer"
        )
        said.append(words(many, count=silent, all=total))
    if deviating:
        apart = "{count} of {all} devices do not do what they are told"
        if deviating == 1:
            apart = "1 of {all} devices does not do what it is told"
        said.append(words(apart, count=deviating, all=total))
    return ", ".join(said)


def who(figures: Figures, words: Words = ENGLISH) -> str:
    """Who the setpoints come from."""
    if figures.decision is None:
        return words("Nobody yet")
    return words(
        {
            Source.POLICY: "The learned policy",
            Source.FALLBACK: f"The {LAWS.get(figures.about.fallback_law, figures.about.fallback_law)}",
            Source.HOLD: "Holding the last setpoints",
            Source.REST: "All devices rest",
        }[figures.decision.verdict.source]
    )


def why(figures: Figures, words: Words = ENGLISH) -> str:
    """Why that one acts."""
    decision = figures.decision
    if decision is None:
        return words("waiting for the first decision")
    swung = "" if decision.swinging is None else "; " + swinging(decision.swinging, words)
    names, state = decision.verdict.causes, faults.worst(decision.verdict.causes)
    if not names or (state is State.FALLBACK and Cause.FALLBACK_ORDERED in names):
        return (
            words(_by_mode(figures.about.mode, decision)) + swung
        )  # whatever else speaks against the policy
    shown = [name for name in names if faults.cause(name).state is state]
    ended = [name for name in shown if _has_ended(name, figures)]
    reasons = [words(ENDED[name]) if name in ended else cause(name, words) for name in shown]
    then = f"; {words(_AWAITED, count=GOOD_AFTER_STOP)}" if len(ended) == len(shown) else ""
    return words("because {reasons}", reasons=_listed(reasons, words)) + then + swung


def _has_ended(name: str, figures: Figures) -> bool:
    """Whether the reason of a stop is over, and only the good samples after it are awaited.

    A stop outlasts its reason (`safety.supervisor`). An alarm is told in each snapshot that it holds for; the
    wiring is not judged at rest.
    """
    decision, snapshot = figures.decision, figures.snapshot
    if name not in ENDED or decision is None or snapshot is None or name in snapshot.alarms:
        return False
    still = {
        Cause.METER_LOST: not decision.estimate.fresh,
        Cause.RADIO_LOST: Cause.RADIO_DOWN in snapshot.alarms,
        Cause.REST_ORDERED: decision.authority is Authority.REST,
    }
    return not still.get(Cause(name), False)


def swinging(found: Swinging, words: Words = ENGLISH) -> str:
    """That the loop swung, what is left of the gains, and what the slaves seem to be like."""
    return words(
        "with {share} % of its gains, because setpoints swung on phase {phase} as if devices answered after "
        "{delay} s with a lag of {lag} s",
        share=f"{100.0 * found.gain_share:.0f}",
        phase=PHASE_NAMES[found.phase],
        delay=f"{found.delay_s:.0f}",
        lag=f"{found.lag_s:g}",
    )


def _listed(reasons: list[str], words: Words) -> str:
    """One, two, or the first two of many."""
    more = len(reasons) - REASONS_MAX
    if more > 0:
        return words("{reasons}, and {count} more", reasons=", ".join(reasons[:REASONS_MAX]), count=more)
    return words("{one} and {other}", one=reasons[0], other=reasons[1]) if len(reasons) == 2 else reasons[0]


def _by_mode(mode: Mode, decision: Decision) -> str:
    if decision.authority is Authority.REST:
        return "because the daemon is being stopped"
    if decision.authority is Authority.POLICY:
        chosen = {
            Mode.AB: "in a comparison: this quarter of an hour belongs to the learned policy",
            Mode.ROLLOUT: "in rollout: this quarter of an hour belongs to the learned policy",
        }
    else:
        chosen = {
            Mode.AB: "in a comparison: this quarter of an hour belongs to the fallback",
            Mode.ROLLOUT: "in rollout: this quarter of an hour belongs to the fallback",
        }
    always = {
        Mode.SHADOW: "in shadow mode: the policy is computed and recorded, not obeyed",
        Mode.PRODUCTION: "in production: every decision passes the safety gate",
    }
    return (chosen | always)[mode]
