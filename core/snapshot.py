"""The process image of one tick. Everything that is uncertain enters a decision through it."""

from dataclasses import dataclass, field
from enum import Enum
from math import inf

from core.site import ZERO, Phases, Slave

METER_LOST_S = 2.5
"""A sample older than this says nothing of now: two reads of one second were missed, and half a second is for
jitter. What is on air is held no longer, and nothing that follows the samples goes on across such a gap."""


class DeviceOrder(Enum):
    """What the owner said of one device: power without a surplus, or none (`core.scheduling.orders`)."""

    BOOST = "boost"
    REST = "rest"


@dataclass(frozen=True, slots=True)
class SlaveState:
    """What is known of one slave, in the order of `Site.slaves`.

    `available` is False once nothing was heard of it for longer than the offline limit.
    `power_w` is its own measurement, None when it never reported. `applied_w` is the setpoint that its newest
    report echoes and `told_w` what the frame that it answers told it, None where nobody knows. `limit_w` is
    the most that it may be told now, None for what the site says. `order` is what the owner said of it, and
    `priority` the owner's, None for that of the site.
    """

    available: bool = True
    power_w: float | None = None
    report_age_s: float = inf
    applied_w: int | None = None
    told_w: int | None = None
    limit_w: int | None = None
    order: DeviceOrder | None = None
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class GroupOnAir:
    """What one delivery group follows: slaves that are told in one message, all of them or none.

    `slaves` are places in `Site.slaves`. What they may follow lies between `low_w` and `high_w` per phase:
    one value, or more while it is unknown what became of a message (`unconfirmed`). `age_s` counts from
    the newest message that was accepted or may have been. `may_rest` is whether their time-to-live may be
    over before a message that is sent now arrives.
    """

    slaves: tuple[int, ...]
    age_s: float
    low_w: Phases
    high_w: Phases
    unconfirmed: bool = False
    may_rest: bool = False


@dataclass(frozen=True, slots=True)
class OnAirState:
    """What the radio last accepted for transmission; zeros once the slaves' time-to-live has run out.

    While it is unknown what became of a frame, that frame is taken to be on air, with an age of 0 because it
    may have left only now, and `doubts` are what else may be on air. Where one vector of setpoints takes
    several messages, `groups` are what each of them told; then there are no `doubts`, and `age_s` is that of
    the newest message. Without `groups` all slaves are told in one.
    `still_s` is for how long nothing that is on air has changed.
    """

    action_w: Phases = ZERO
    setpoints_w: tuple[int, ...] = ()
    age_s: float = inf
    doubts: tuple["OnAirState", ...] = ()
    groups: tuple[GroupOnAir, ...] = ()
    still_s: float = field(default=0.0, compare=False)  # of the past, not of what is there


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The process image of one tick.

    `at_s` is monotonic and counts through suspension (CLOCK_BOOTTIME). `grid_power_w` is the newest
    valid sample and `meter_age_s` its age, infinite before the first. `alarms` are causes raised at the
    edges since the last tick, `acknowledged` the latched causes an operator has cleared.
    `policy_latency_s` is how long the policy took on the previous tick. `hour` is that of the site's local
    day, None while the wall clock is not synchronised.
    """

    tick: int
    at_s: float
    grid_power_w: Phases
    meter_age_s: float
    slaves: tuple[SlaveState, ...]
    on_air: OnAirState = OnAirState()
    alarms: tuple[str, ...] = ()
    acknowledged: tuple[str, ...] = ()
    extra_delay_s: float = 0.0
    link_loss_rate: float = 0.0
    policy_latency_s: float = 0.0
    hour: int | None = None


def slave_capacity_w(slave: Slave, state: SlaveState) -> int:
    """The most that a slave can be told now; 0 when it is silent, may not draw, or works only from more."""
    if not (state.available and slave.may_draw):
        return 0
    capacity_w = slave.max_w if state.limit_w is None else min(state.limit_w, slave.max_w)
    if slave.levels_w:
        return max((level_w for level_w in slave.levels_w if level_w <= capacity_w), default=0)
    return capacity_w if capacity_w >= slave.min_w else 0
