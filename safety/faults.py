"""Everything that lowers authority, as data: what it leads to and when it clears.

A cause is a flag: absent means nothing is wrong. The worst active cause decides the state. Causes reach the
supervisor as names in ``Snapshot.alarms`` (from the edges), as `Authority`, or from what the tick itself
showed. A name that is not in the table is treated like the worst kind that clears by itself, so that a
misspelt alarm stops the site rather than passing unseen; warnings without a reaction belong into the log.
"""

from dataclasses import dataclass
from enum import Enum

from core.causes import Cause
from core.decision import State

VIOLATION_S = 3600.0
"""Least time with the fallback after a safety violation (specification: 1 h)."""
ANOMALY_S = 86400.0
"""Least time with the fallback after an anomaly trip (specification: 24 h)."""
DWELL_S = 890.0
"""Least time without the policy once it was ordered to give way: 15 minutes, as long as a block of
`core.modes`, less 10 s, because blocks follow the wall clock and its corrections must not hold them back."""
RESTART_STORM_S = 3600.0
"""Time with the fallback after several ends that nobody ordered: as long as for a lost record."""
LATE_S = 60.0
"""Least time with the fallback after the last of many late ticks: as long as they are counted."""
AIRTIME_S = 60.0
"""Least time with the fallback after setpoints had no airtime: twice as long as refusals are counted."""


class Clears(Enum):
    """When a cause stops counting, once it is no longer raised."""

    AT_ONCE = "at once"
    GOOD_SAMPLES = "after 30 good samples"
    CLEAN_PROPOSALS = "after 60 clean proposals of the policy"
    TIME = "when its time has run out"
    ACKNOWLEDGED = "when an operator acknowledges it"


SEVERITY = (State.RL_ACTIVE, State.FALLBACK, State.HOLD, State.SAFE_STOP, State.INIT)
"""States by rising severity: the later one wins."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One cause of lower authority: the state it leads to at least, and when it clears.

    `least_s` belongs to `Clears.TIME`.
    """

    state: State
    clears: Clears
    least_s: float = 0.0


_HOLD = Fault(State.HOLD, Clears.AT_ONCE)
_STOP = Fault(State.SAFE_STOP, Clears.GOOD_SAMPLES)
_STOP_LATCHED = Fault(State.SAFE_STOP, Clears.ACKNOWLEDGED)
_FALLBACK = Fault(State.FALLBACK, Clears.AT_ONCE)
_FALLBACK_LATCHED = Fault(State.FALLBACK, Clears.ACKNOWLEDGED)
_FALLBACK_UNTIL_CLEAN = Fault(State.FALLBACK, Clears.CLEAN_PROPOSALS)

FAULTS: dict[str, Fault] = {
    Cause.STARTING: Fault(State.INIT, Clears.AT_ONCE),
    # sensor and shell: hold what is on air, then rest
    Cause.METER_LATE: _HOLD,
    Cause.LATE_TICK: _HOLD,
    Cause.METER_LOST: _STOP,
    Cause.RADIO_LOST: _STOP,
    Cause.REST_ORDERED: _STOP,
    Cause.TICK_ERROR: _STOP,
    Cause.LOOP_DIVERGES: _STOP,
    Cause.METER_CONFIG: _STOP,
    Cause.METER_IDENTITY: _STOP_LATCHED,
    Cause.METER_SIGN: _STOP_LATCHED,
    Cause.METER_PHASES: _STOP_LATCHED,
    Cause.FRAME_ROUND_TRIP: _STOP_LATCHED,
    Cause.NO_FRAME_COUNTER: _STOP,
    Cause.UNKNOWN_ALARM: _STOP,
    # model: the fallback reads the same good meter
    Cause.RADIO_DOWN: _FALLBACK,
    Cause.SLAVES_SILENT: _FALLBACK,
    Cause.AIRTIME_LOST: Fault(State.FALLBACK, Clears.TIME, AIRTIME_S),
    Cause.FALLBACK_ORDERED: _FALLBACK,
    Cause.POLICY_LATE: _FALLBACK,
    Cause.STATE_UNWRITABLE: _FALLBACK,
    Cause.RESTART_STORM: Fault(State.FALLBACK, Clears.TIME, RESTART_STORM_S),
    Cause.POLICY_FAULT: _FALLBACK_UNTIL_CLEAN,
    Cause.REENTRY: _FALLBACK_UNTIL_CLEAN,
    Cause.VIOLATION: Fault(State.FALLBACK, Clears.TIME, VIOLATION_S),
    Cause.ANOMALY: Fault(State.FALLBACK, Clears.TIME, ANOMALY_S),
    Cause.STATE_LOST: Fault(State.FALLBACK, Clears.TIME, VIOLATION_S),
    Cause.DWELL: Fault(State.FALLBACK, Clears.TIME, DWELL_S),
    Cause.REPEATED_LATE_TICKS: Fault(State.FALLBACK, Clears.TIME, LATE_S),
    Cause.REPEATED_VIOLATIONS: _FALLBACK_LATCHED,
    Cause.ROLLBACK: _FALLBACK_LATCHED,
}


def cause(name: str) -> Fault:
    """The row of a cause."""
    return FAULTS.get(name, FAULTS[Cause.UNKNOWN_ALARM])


def worst(names: tuple[str, ...]) -> State:
    """The state that these causes allow."""
    return max((cause(name).state for name in names), key=SEVERITY.index, default=State.RL_ACTIVE)
