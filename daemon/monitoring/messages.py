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

CAUSES: dict[str, str] = {
    Cause.STARTING: "it has just started and checks the meter first",
    Cause.METER_LATE: "the newest meter reading is missing",
    Cause.LATE_TICK: "the computer was too busy to be on time",
    Cause.METER_LOST: "the meter does not answer",
    Cause.RADIO_LOST: "the radio coordinator has not answered for too long",
    Cause.REST_ORDERED: "it was told to rest",
    Cause.TICK_ERROR: "an unforeseen error occurred",
    Cause.LOOP_DIVERGES: "the slaves do not do what they are told",
    Cause.METER_CONFIG: "the meter refuses what the daemon asks",
    Cause.METER_IDENTITY: "the meter is not the one that was set up",
    Cause.METER_SIGN: "the meter seems to count in the wrong direction",
    Cause.METER_PHASES: "the meter's phases seem to be swapped",
    Cause.FRAME_ROUND_TRIP: "a frame did not decode to what was decided",
    Cause.NO_FRAME_COUNTER: "no frame can be numbered: the counters are used up or cannot be stored",
    Cause.UNKNOWN_ALARM: "a device raised an alarm that is not known",
    Cause.RADIO_DOWN: "the radio coordinator does not answer",
    Cause.SLAVES_SILENT: "no slave answers",
    Cause.AIRTIME_LOST: "the radio channel has no room for setpoints",
    Cause.FALLBACK_ORDERED: "the configured mode says so",
    Cause.POLICY_LATE: "the learned policy took too long",
    Cause.STATE_UNWRITABLE: "the state cannot be saved",
    Cause.RESTART_STORM: "it was restarted too often",
    Cause.POLICY_FAULT: "the learned policy gave no usable answer",
    Cause.REENTRY: "the learned policy has to propose well for a minute first",
    Cause.VIOLATION: "the learned policy broke a safety rule in the last hour",
    Cause.ANOMALY: "the site looks unlike anything the policy was trained on",
    Cause.STATE_LOST: "the saved state was lost",
    Cause.DWELL: "the learned policy was told to give way less than 15 minutes ago",
    Cause.REPEATED_LATE_TICKS: "the computer was too busy again and again",
    Cause.REPEATED_VIOLATIONS: "the learned policy broke safety rules again and again",
    Cause.ROLLBACK: "the judge has taken the learned policy out of charge",
}
"""What a cause of the supervisor means. An unknown one is shown by its name."""
ENDED: dict[str, str] = {
    Cause.METER_LOST: "the meter did not answer",
    Cause.RADIO_LOST: "the radio coordinator had not answered for too long",
    Cause.REST_ORDERED: "it was told to rest",
    Cause.TICK_ERROR: "an unforeseen error occurred",
    Cause.LOOP_DIVERGES: "the slaves did not do what they were told",
    Cause.METER_CONFIG: "the meter refused what the daemon asked",
    Cause.NO_FRAME_COUNTER: "no frame could be numbered",
}
"""The same of a stop whose reason is over, while good samples are awaited."""
DEVIATIONS = {
    Deviation.DRAWS_LESS: "draws less than it is told",
    Deviation.DRAWS_MORE: "draws more than it is told",
    Deviation.APPLIES_OTHER: "does something else than it is told",
}
SILENT = "does not answer"
_AWAITED = f"control goes on after {GOOD_AFTER_STOP} good meter readings in a row"
LAWS = {"pi": "PI controller", "predictive": "predictive controller"}


@dataclass(frozen=True, slots=True)
class StatusMessage:
    """One sentence and how it is meant: ``good``, ``quiet``, ``watch`` or ``bad``."""

    text: str
    tone: str


def power(watts: float) -> str:
    """A magnitude as people write it: 340 W, 4.2 kW."""
    watts = abs(watts)
    return f"{watts:.0f} W" if watts < 999.5 else f"{watts / 1000.0:.1f} kW"


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


def cause(name: str) -> str:
    """A cause of the supervisor in words."""
    return CAUSES.get(name, name.replace("_", " "))


def headline(figures: Figures) -> StatusMessage:
    """The state of the site in one sentence."""
    decision, snapshot = figures.decision, figures.snapshot
    if decision is None or snapshot is None or decision.verdict.state is State.INIT:
        return StatusMessage("Starting: waiting for the first good meter readings", "quiet")
    if decision.verdict.state is State.SAFE_STOP:
        return _resting(figures, decision, snapshot)
    if Cause.RADIO_DOWN in decision.verdict.causes:
        return StatusMessage("The radio does not answer: the slaves return to 0 W by themselves", "watch")
    if Cause.SLAVES_SILENT in decision.verdict.causes:
        return StatusMessage(
            "No slave answers: look whether they have power, then after the coordinator", "bad"
        )
    if not figures.meter_known():
        return StatusMessage("The meter has not been read yet", "watch")
    return _flows(figures, decision, snapshot)


def _resting(figures: Figures, decision: Decision, snapshot: Snapshot) -> StatusMessage:
    if Cause.REST_ORDERED in decision.verdict.causes and not _has_ended(Cause.REST_ORDERED, figures):
        return StatusMessage(_paused(figures) or "Stopping: every slave goes to 0 W", "quiet")
    if Cause.RADIO_DOWN in decision.verdict.causes:
        return StatusMessage("Nothing can be told to the slaves: they return to 0 W by themselves", "bad")
    drawn_w = sum(heard_power_w(state) or 0.0 for state in snapshot.slaves)
    idle = missing_slaves(decision, snapshot, figures.radio.up)
    if drawn_w < NOTICEABLE_W and not idle:
        return StatusMessage("Every slave rests at 0 W for safety", "bad")
    verb = "fed in" if figures.site.role is Role.GENERATE else "drawn"
    still = f": {power(drawn_w)} still {verb}" if drawn_w >= NOTICEABLE_W else ""
    return StatusMessage(f"Every slave is told 0 W for safety{still}{f'; {idle}' if idle else ''}", "bad")


def _paused(figures: Figures) -> str:
    """The owner's own order; empty without one."""
    if not figures.pause.is_on:
        return ""
    until_unix_s, local = figures.pause.until_unix_s, figures.local
    if until_unix_s is None or local is None:
        return "Paused until somebody says otherwise: every slave rests"
    end = datetime.fromtimestamp(until_unix_s, local.tzinfo)
    day = "" if end.date() == local.date() else f"{end:%Y-%m-%d} "
    return f"Paused until {day}{end:%H:%M}: every slave rests"


def is_in_control(decision: Decision) -> bool:
    """Whether a controller acts, and nothing is held or rests."""
    return decision.verdict.source in (Source.POLICY, Source.FALLBACK)


def _boosted(figures: Figures, out_w: float, in_w: float) -> str:
    """The owner's own order, and what flows meanwhile."""
    names = _listed(list(figures.orders.boosts))
    flows = f"{power(in_w)} drawn from the grid" if in_w > EVEN_W else f"{power(out_w)} exported"
    return f"Boosted: {names}; {flows}"


def _flows(figures: Figures, decision: Decision, snapshot: Snapshot) -> StatusMessage:
    """Where the sun's power goes."""
    grid_w, metering = snapshot.grid_power_w, figures.site.metering
    out_w, in_w = exported_w(grid_w, metering), imported_w(grid_w, metering)
    surplus_w = 0.0 if figures.without_w is None else exported_w(figures.without_w, metering)
    if figures.orders.boosts:
        return StatusMessage(_boosted(figures, out_w, in_w), "quiet")
    if surplus_w < NOTICEABLE_W and out_w < NOTICEABLE_W:
        return StatusMessage(f"No solar surplus right now: {power(in_w)} drawn from the grid", "quiet")
    out = f"{power(out_w)} exported" if out_w > EVEN_W else "nothing exported"
    placed = power(sum(figures.placed_w))
    partly = out_w > max(NOTICEABLE_W, PARTLY * surplus_w)
    if figures.site.role is Role.GENERATE:
        return StatusMessage(
            f"{out[0].upper()}{out[1:]}, {placed} fed in by the slaves", "watch" if partly else "good"
        )
    if not partly and in_w > NOTICEABLE_W:
        return StatusMessage(
            f"More than the solar surplus is placed: {power(in_w)} drawn from the grid, {placed} placed",
            "watch",
        )
    if not partly:
        return StatusMessage(f"Solar surplus is being used: {out}, {placed} placed", "good")
    full = all(
        a >= 0.98 * c for a, c in zip(snapshot.on_air.action_w, decision.sight.capacity_w, strict=True)
    )
    idle = missing_slaves(decision, snapshot, figures.radio.up)
    if not any(decision.sight.capacity_w):
        away = figures.orders.holiday is not None
        said = "Holiday: no device may take anything" if away else "No slave can take anything"
    elif full:
        said = "The others are at their limit" if idle else "All slaves are at their limit"
    else:
        said = "Part of the solar surplus is being used"
    return StatusMessage(f"{said}: {out}, {placed} placed{f'; {idle}' if idle else ''}", "watch")


def slaves_astray(decision: Decision, snapshot: Snapshot) -> dict[int, str]:
    """By place in the site: why a slave does not take its full part."""
    deviating = {one.slave: DEVIATIONS[one.deviation] for one in decision.not_following}
    silent = {place: SILENT for place, state in enumerate(snapshot.slaves) if not state.available}
    return deviating | silent


def missing_slaves(decision: Decision, snapshot: Snapshot, radio_up: bool) -> str:
    """How many slaves do not answer or do not do what they are told; empty when all do."""
    silent = sum(is_silent(state, radio_up) for state in snapshot.slaves)
    deviating = sum(not is_silent(snapshot.slaves[one.slave], radio_up) for one in decision.not_following)
    total = len(snapshot.slaves)
    said = []
    if silent:
        said.append(f"{silent} of {total} slaves {'do' if silent > 1 else 'does'} not answer")
    if deviating:
        of = "" if said else f" of {total} slaves"
        said.append(
            f"{deviating}{of} {'do not do what they are' if deviating > 1 else 'does not do what it is'} told"
        )
    return ", ".join(said)


def who(figures: Figures) -> str:
    """Who the setpoints come from."""
    if figures.decision is None:
        return "Nobody yet"
    law = LAWS.get(figures.about.fallback_law, figures.about.fallback_law)
    return {
        Source.POLICY: "The learned policy",
        Source.FALLBACK: f"The {law}",
        Source.HOLD: "Holding the last setpoints",
        Source.REST: "All slaves rest",
    }[figures.decision.verdict.source]


def why(figures: Figures) -> str:
    """Why that one acts."""
    decision = figures.decision
    if decision is None:
        return "waiting for the first tick"
    swung = "" if decision.swinging is None else "; " + swinging(decision.swinging)
    names, state = decision.verdict.causes, faults.worst(decision.verdict.causes)
    if not names or (state is State.FALLBACK and Cause.FALLBACK_ORDERED in names):
        return _by_mode(figures.about.mode, decision) + swung  # whatever else speaks against the policy
    shown = [name for name in names if faults.cause(name).state is state]
    ended = [name for name in shown if _has_ended(name, figures)]
    reasons = [ENDED[name] if name in ended else cause(name) for name in shown]
    then = f"; {_AWAITED}" if len(ended) == len(shown) else ""
    return f"because {_listed(reasons)}{then}{swung}"


def _has_ended(name: str, figures: Figures) -> bool:
    """Whether the reason of a stop is over, and only the good samples after it are awaited.

    A stop outlasts its reason (`safety.supervisor`). An alarm is told in each snapshot that it holds for; the
    wiring is not judged at rest.
    """
    decision, snapshot = figures.decision, figures.snapshot
    if name not in ENDED or decision is None or snapshot is None or name in snapshot.alarms:
        return False
    still = {
        Cause.METER_LOST: not decision.sight.fresh,
        Cause.RADIO_LOST: Cause.RADIO_DOWN in snapshot.alarms,
        Cause.REST_ORDERED: decision.authority is Authority.REST,
    }
    return not still.get(Cause(name), False)


def swinging(found: Swinging) -> str:
    """That the loop swung, what is left of the gains, and what the slaves seem to be like."""
    return (
        f"with {100.0 * found.gain_share:.0f} % of its gains, because setpoints swung on phase "
        f"{PHASE_NAMES[found.phase]} as if slaves answered after {found.delay_s:.0f} s with a lag of "
        f"{found.lag_s:g} s"
    )


def _listed(reasons: list[str]) -> str:
    """One, two, or the first two of many."""
    more = len(reasons) - REASONS_MAX
    if more > 0:
        return ", ".join(reasons[:REASONS_MAX]) + f", and {more} more"
    return " and ".join(reasons)


def _by_mode(mode: Mode, decision: Decision) -> str:
    if decision.authority is Authority.REST:
        return "because the daemon is being stopped"
    chosen = "the policy" if decision.authority is Authority.POLICY else "the fallback"
    return {
        Mode.SHADOW: "in shadow mode: the policy is computed and recorded, not obeyed",
        Mode.AB: f"in a comparison: this quarter of an hour belongs to {chosen}",
        Mode.ROLLOUT: f"in rollout: this quarter of an hour belongs to {chosen}",
        Mode.PRODUCTION: "in production: every decision passes the safety gate",
    }[mode]
