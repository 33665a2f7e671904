"""The electrical side of the simulated slaves, as they really are (which nobody tells the controller)."""

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.random import Generator

from core.site import Slave
from plant.physics import GAIN_RANGE, LAG_RANGE_S


@dataclass(frozen=True, slots=True)
class Actuator:
    """One heater, charger or inverter: phase 0..2, rating in W, power per watt of setpoint, lag."""

    slot: int
    phase: int
    max_w: float
    gain: float = 1.0
    lag_s: float = 1.5


def draw_actuators(luck: Generator, slaves: Sequence[Slave]) -> tuple[Actuator, ...]:
    """An actuator for every slave, in order, with gain and lag drawn from the ranges of `plant.physics`."""
    return tuple(
        Actuator(
            s.slot, s.phase, s.max_w, float(luck.uniform(*GAIN_RANGE)), float(luck.uniform(*LAG_RANGE_S))
        )
        for s in slaves
    )
