"""What the site looked like at one instant. Everything uncertain enters a decision through here."""

from dataclasses import dataclass
from math import inf

from core.site import ZERO, Phases


@dataclass(frozen=True, slots=True)
class SlaveState:
    """What is known of one slave, in the order of `Site.slaves`.

    `available` is False once nothing was heard of it for longer than the offline limit.
    `power_w` is its own measurement, None when it never reported.
    """

    available: bool = True
    power_w: float | None = None
    report_age_s: float = inf


@dataclass(frozen=True, slots=True)
class OnAirState:
    """What the radio last accepted for transmission; zeros once the slaves' time-to-live has run out.

    While it is unknown what became of a frame, that frame is taken to be on air, with an age of 0 because it
    may have left only now, and `doubts` are what else may be on air.
    """

    action_w: Phases = ZERO
    setpoints_w: tuple[int, ...] = ()
    age_s: float = inf
    doubts: tuple["OnAirState", ...] = ()


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
