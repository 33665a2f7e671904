"""What does not change while the daemon runs: phases, slaves, metering, radio limits."""

from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from core.limits import Limits
from core.roles import Role

Phases: TypeAlias = tuple[float, float, float]
"""One value for each of the phases a, b, c."""

ZERO: Phases = (0.0, 0.0, 0.0)
PHASE_NAMES = ("a", "b", "c")
ALL_PHASES = (0, 1, 2)
SUNKEEP = "sunkeep"
"""The driver of slaves that are told together, in a broadcast; every other one speaks to one device."""
DEFAULT_PRIORITY = 5
"""Of 1, served first, to 9."""


class Metering(Enum):
    """How the site's meter bills the phases."""

    NET = "net"
    PER_PHASE = "per_phase"


@dataclass(frozen=True, slots=True)
class Slave:
    """One controllable device. `slot` is its place in the setpoint frame, `phase` 0, 1 or 2.

    One that `is_three_phase` draws a third of its power from each phase; its `phase` means nothing then.
    It takes any power from 0 to `max_w`, or from `min_w` once it is on, or only the powers of `levels_w`
    (rising, the last is `max_w`). `min_on_s` and `min_off_s` are what it endures. `priority` 1 is served
    first. What was measured on the site is None until then: `dead_time_s` from a command to its first
    effect (`dead_time_sd_s` is by how much that differs from command to command, `dead_time_high_s` the most
    that its mean may be), `lag_s` of first order after that, `gain` in watts drawn per watt told. One that
    not `may_draw` is told nothing but 0 W: nobody has proven that it lets go by itself when nobody speaks
    to it.
    """

    slot: int
    name: str
    phase: int
    max_w: int
    min_w: int = 0
    is_three_phase: bool = False
    levels_w: tuple[int, ...] = ()
    min_on_s: float = 0.0
    min_off_s: float = 0.0
    priority: int = DEFAULT_PRIORITY
    driver: str = SUNKEEP
    may_draw: bool = True
    dead_time_s: float | None = None
    dead_time_sd_s: float = 0.0
    dead_time_high_s: float | None = None
    lag_s: float | None = None
    gain: float | None = None

    @property
    def phases(self) -> tuple[int, ...]:
        """Where it draws, alike from each."""
        return ALL_PHASES if self.is_three_phase else (self.phase,)

    @property
    def phase_name(self) -> str:
        """One letter, or all three."""
        return "".join(PHASE_NAMES[phase] for phase in self.phases)

    @property
    def steps_w(self) -> tuple[int, ...]:
        """Powers that it is switched to, rising; none where it moves freely from 0 W on."""
        return self.levels_w or ((self.min_w,) if self.min_w > 0 else ())

    @property
    def is_staged(self) -> bool:
        """Whether the scheduler switches it (`core.scheduling.schedule`)."""
        return bool(self.steps_w)

    @property
    def flexible_w(self) -> int:
        """How far it moves freely, above its minimum where it has one."""
        return 0 if self.levels_w else self.max_w - self.min_w

    def takes(self, setpoint_w: float) -> bool:
        """Whether it can do exactly that."""
        if self.levels_w:
            return setpoint_w == 0 or setpoint_w in self.levels_w
        return setpoint_w == 0 or self.min_w <= setpoint_w <= self.max_w


@dataclass(frozen=True, slots=True)
class Airtime:
    """What the radio may use of the shared air (reference: Silicon Labs, 8 broadcasts in 9 s).

    A vector of setpoints for many slaves takes several frames; all is counted in vectors. `window_frames` is
    how many fit into any 9 s.
    """

    frames_per_s: float = 0.5
    burst_frames: float = 3.0
    deadband_w: float = 50.0
    keep_alive_s: float = 3.0
    window_frames: int = 8


@dataclass(frozen=True, slots=True)
class Site:
    """The site as commissioned.

    `meter_delay_s` is how much later than the power its readings are, on average (half of the window of a
    meter that averages, half of the time that a slow one shows the same reading).
    """

    slaves: tuple[Slave, ...]
    role: Role = Role.ABSORB
    metering: Metering = Metering.NET
    period_s: float = 1.0
    airtime: Airtime = field(default_factory=Airtime)
    limits: Limits = field(default_factory=Limits)
    meter_delay_s: float = 0.0


def per_phase(values: list[float]) -> Phases:
    """Three values as phases."""
    a, b, c = values
    return (a, b, c)
