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


class Metering(Enum):
    """How the site's meter bills the phases."""

    NET = "net"
    PER_PHASE = "per_phase"


@dataclass(frozen=True, slots=True)
class Slave:
    """One controllable device. `slot` is its place in the setpoint frame, `phase` 0, 1 or 2."""

    slot: int
    name: str
    phase: int
    max_w: int
    min_w: int = 0


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
    """The site as commissioned."""

    slaves: tuple[Slave, ...]
    role: Role = Role.ABSORB
    metering: Metering = Metering.NET
    period_s: float = 1.0
    airtime: Airtime = field(default_factory=Airtime)
    limits: Limits = field(default_factory=Limits)


def per_phase(values: list[float]) -> Phases:
    """Three values as phases."""
    a, b, c = values
    return (a, b, c)
