"""Who may act: a pure step from causes to a state, with time as an argument. Can only lower authority."""

from dataclasses import dataclass, field, replace
from typing import TypeAlias

from core.causes import Cause
from core.decision import Authority, State, SupervisorDecision
from core.estimation.state_estimate import StateEstimate
from core.parts import PolicyHealth
from core.snapshot import METER_LOST_S, Snapshot
from safety.faults import LATE_S, SEVERITY, cause, worst
from safety.timers import PersistentFaults, acknowledge, advance, latch, start, start_violation
from safety.wiring_monitor import WiringMonitorState, check_wiring

GOOD_AT_START = 10
"""Good samples in a row before anything but rest."""
GOOD_AFTER_STOP = 30
"""Good samples in a row before a stop that does not latch ends."""
CLEAN_PROPOSALS = 60
"""Clean proposals of the policy in a row, unapplied, before it may act."""
RADIO_LOST_S = 5.0
"""Longest time without the radio before the site rests until it is known again."""
POLICY_LATENCY_MAX_S = 0.010
"""A policy that took longer has not answered in time."""
SUSPICIONS, SUSPICIONS_S = 3, 600.0
"""So many stops by a diverging loop within this time are a turned sign (`meter_sign`): where it is dangerous
it is met again some 45 s after each of them. Clouds over a large generator, on slaves that answer later than
is known, look like one up to eight times a day, never three times in 17 minutes
(docs/results/safety-campaigns.md).
"""
LATE_TICKS = 3
"""So many late ticks within `LATE_S` are no chance any more: the machine is too busy for the policy."""


Causes: TypeAlias = tuple[str, ...]
"""Names of causes, those unknown to this release among them."""


@dataclass(frozen=True, slots=True)
class SupervisorState:
    """What the supervisor remembers.

    `good` counts good samples in a row, `clean` clean proposals in a row (both up to what is asked of
    them), `stopped` are the causes of a stop that waits for good samples. `ordered` is who was last told to
    act (the way to the end of the process is no such order), `late_at_s` when the last late ticks were,
    `diverged_at_s` when the last stops by a diverging loop began.
    """

    state: State = State.INIT
    standing: PersistentFaults = field(default_factory=PersistentFaults)
    good: int = 0
    clean: int = 0
    stopped: tuple[str, ...] = ()
    radio_down_s: float = 0.0
    loop: WiringMonitorState = field(default_factory=WiringMonitorState)
    ordered: Authority = Authority.FALLBACK
    late_at_s: tuple[float, ...] = ()
    diverged_at_s: tuple[float, ...] = ()


class ModeSupervisor:
    """The state machine that says who may act; its causes are in `safety.faults`.

    Args:
        standing: what `safety.timers.restore` found to stand after the restart.
    """

    def __init__(self, standing: PersistentFaults | None = None) -> None:
        self._standing = standing or PersistentFaults()

    @property
    def cold(self) -> SupervisorState:
        """The memory at start: everything has to be shown first."""
        return SupervisorState(standing=self._standing)

    @property
    def warm(self) -> SupervisorState:
        """The memory of a site that has run well for a while, for simulation."""
        return SupervisorState(State.FALLBACK, self._standing, GOOD_AFTER_STOP, CLEAN_PROPOSALS)

    def step(
        self,
        snapshot: Snapshot,
        estimate: StateEstimate,
        authority: Authority,
        findings: PolicyHealth,
        memory: SupervisorState,
    ) -> tuple[SupervisorDecision, SupervisorState]:
        """Take in one tick: collect its causes, latch what outlasts it, resolve all into a state.

        Total: every combination of flags and memory has exactly one answer.
        """
        raised, memory = _collect(snapshot, estimate, authority, findings, memory)
        raised, memory = _latch(snapshot, estimate, findings, raised, memory)
        return _resolve(estimate, authority, findings, raised, memory)


def _collect(
    snapshot: Snapshot,
    estimate: StateEstimate,
    authority: Authority,
    findings: PolicyHealth,
    memory: SupervisorState,
) -> tuple[Causes, SupervisorState]:
    """The causes that this tick raises, and what is remembered of this tick to raise them by."""
    before_s = snapshot.at_s if memory.standing.at_s is None else memory.standing.at_s
    is_down = Cause.RADIO_DOWN in snapshot.alarms
    radio_down_s = memory.radio_down_s + max(0.0, snapshot.at_s - before_s) if is_down else 0.0
    wiring, loop = _wiring(snapshot, estimate, memory)
    alarms = (Cause.UNKNOWN_ALARM if name == Cause.STARTING else name for name in snapshot.alarms)
    raised = (*alarms, *wiring)
    late_at_s, diverged_at_s = memory.late_at_s, memory.diverged_at_s
    if Cause.LATE_TICK in raised:
        late_at_s = (*late_at_s, snapshot.at_s)[-LATE_TICKS:]
    if Cause.LOOP_DIVERGES in raised and memory.state is not State.SAFE_STOP:
        diverged_at_s = (*diverged_at_s, snapshot.at_s)[-SUSPICIONS:]
    memory = replace(
        memory, radio_down_s=radio_down_s, late_at_s=late_at_s, diverged_at_s=diverged_at_s, loop=loop
    )
    return (*raised, *_shown(snapshot, estimate, authority, findings, memory)), memory


def _latch(
    snapshot: Snapshot,
    estimate: StateEstimate,
    findings: PolicyHealth,
    raised: Causes,
    memory: SupervisorState,
) -> tuple[Causes, SupervisorState]:
    """What outlasts this tick: stops, latches and running fallbacks. Adds `STARTING` where it holds."""
    stopping = tuple(name for name in raised if cause(name).state is State.SAFE_STOP)
    good = min(memory.good + 1, GOOD_AFTER_STOP) if estimate.fresh and not stopping else 0
    stopped = tuple(sorted({*memory.stopped, *stopping})) if good < GOOD_AFTER_STOP else ()
    standing = advance(memory.standing, snapshot.at_s)
    standing = latch(acknowledge(standing, snapshot.acknowledged), raised)
    if memory.state is State.INIT and (good < GOOD_AT_START or Cause.RADIO_DOWN in snapshot.alarms):
        raised = (*raised, Cause.STARTING)
    standing = _start_penalties(standing, (*raised, *stopped), findings, estimate)
    return raised, replace(memory, standing=standing, good=good, stopped=stopped)


def _resolve(
    estimate: StateEstimate,
    authority: Authority,
    findings: PolicyHealth,
    raised: Causes,
    memory: SupervisorState,
) -> tuple[SupervisorDecision, SupervisorState]:
    """The state that all active causes allow, the worst of them first."""
    active = {*raised, *memory.stopped, *memory.standing.latched, *_running(memory.standing)}
    state = worst(tuple(active))
    causes = tuple(sorted(active, key=lambda name: (-SEVERITY.index(cause(name).state), name)))
    clean = _clean(memory.clean, findings, estimate, state)
    ordered = memory.ordered if authority is Authority.REST else authority
    return SupervisorDecision(state, causes), replace(memory, state=state, clean=clean, ordered=ordered)


def _wiring(
    snapshot: Snapshot, estimate: StateEstimate, memory: SupervisorState
) -> tuple[tuple[Cause, ...], WiringMonitorState]:
    """What the loop shows. At rest it shows nothing: the slaves' own fast ramp is not what is believed."""
    if memory.state is State.SAFE_STOP:
        return (), WiringMonitorState()
    if not estimate.fresh:
        return (), memory.loop
    return check_wiring(snapshot.at_s, estimate.model_w, snapshot.grid_power_w, estimate.sign, memory.loop)


def _shown(
    snapshot: Snapshot,
    estimate: StateEstimate,
    authority: Authority,
    findings: PolicyHealth,
    memory: SupervisorState,
) -> tuple[Cause, ...]:
    """The causes that this tick shows. Before the first good samples neither meter nor radio can be lost."""
    is_running = memory.state is not State.INIT
    is_ordered = authority is Authority.FALLBACK
    flags = {
        Cause.REST_ORDERED: authority is Authority.REST,
        Cause.FALLBACK_ORDERED: is_ordered,
        Cause.DWELL: is_ordered and memory.ordered is Authority.POLICY,
        Cause.REPEATED_LATE_TICKS: _is_repeated(memory.late_at_s, snapshot.at_s, LATE_TICKS, LATE_S),
        Cause.METER_SIGN: _is_repeated(memory.diverged_at_s, snapshot.at_s, SUSPICIONS, SUSPICIONS_S),
        Cause.METER_LATE: not estimate.fresh,
        Cause.METER_LOST: is_running and not snapshot.meter_age_s <= METER_LOST_S,
        Cause.RADIO_LOST: is_running and not memory.radio_down_s <= RADIO_LOST_S,
        Cause.POLICY_FAULT: not findings.policy_answered,
        Cause.POLICY_LATE: not snapshot.policy_latency_s <= POLICY_LATENCY_MAX_S,
        Cause.REENTRY: memory.clean < CLEAN_PROPOSALS,
    }
    return tuple(name for name, is_raised in flags.items() if is_raised)


def _is_repeated(times_at_s: tuple[float, ...], now_s: float, times: int, within_s: float) -> bool:
    """Whether the newest of them is now and as many as count lie within this time."""
    return len(times_at_s) == times and times_at_s[-1] == now_s and not now_s - times_at_s[0] > within_s


def _start_penalties(
    standing: PersistentFaults, others: tuple[str, ...], findings: PolicyHealth, estimate: StateEstimate
) -> PersistentFaults:
    """Start the fallbacks that this tick earned.

    Violations count only against a policy that would act now: a shadow run is counted, not punished, and
    a running fallback is not extended by what the policy proposes meanwhile.
    """
    running = (*others, *standing.latched, *_running(standing))
    if findings.violations and worst(running) is State.RL_ACTIVE:
        standing = start_violation(standing)
    for name in others:
        if cause(name).least_s > 0.0:
            standing = start(standing, name)
    return start(standing, Cause.ANOMALY) if findings.anomaly.trip and estimate.fresh else standing


def _running(standing: PersistentFaults) -> Causes:
    """Causes whose time runs."""
    return tuple(name for name, _ in standing.left_s)


def _clean(clean: int, findings: PolicyHealth, estimate: StateEstimate, state: State) -> int:
    """Clean proposals in a row; a missed sample neither adds nor breaks the row."""
    faulty = findings.violations or findings.anomaly.trip or not findings.policy_answered
    if faulty or state in (State.INIT, State.SAFE_STOP):
        return 0
    return min(clean + 1, CLEAN_PROPOSALS) if estimate.fresh else clean
