"""The electrical side of the simulated slaves, as they really are (which nobody tells the controller)."""

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.random import Generator

from core.site import Slave
from plant.site.physics import GAIN_RANGE, LAG_RANGE_S, RAMP_W_PER_S


@dataclass(frozen=True, slots=True)
class Thermostat:
    """A store of heat whose thermostat opens when it is full, and closes again when it has cooled down.

    Temperatures in degrees Celsius. `loss_w_per_k` goes to a room of `room_c`.
    """

    capacity_wh_per_k: float
    loss_w_per_k: float
    room_c: float
    start_c: float
    open_c: float
    close_c: float


@dataclass(frozen=True, slots=True)
class Actuator:
    """One heater, charger or inverter: phases 0..2, rating in W, power per watt of setpoint, lag.

    `min_w` and `levels_w` are as in `core.site.Slave`; told less than its minimum it rests, told something
    between two levels it takes the lower one. `dead_time_s` passes before it acts on what it heard.
    """

    slot: int
    phase: int
    max_w: float
    gain: float = 1.0
    lag_s: float = 1.5
    is_three_phase: bool = False
    min_w: float = 0.0
    levels_w: tuple[float, ...] = ()
    dead_time_s: float = 0.0
    ramp_w_per_s: float = RAMP_W_PER_S
    thermostat: Thermostat | None = None

    @property
    def phases(self) -> tuple[int, ...]:
        """Where it draws, alike from each."""
        return (0, 1, 2) if self.is_three_phase else (self.phase,)


def sample_actuators(rng: Generator, slaves: Sequence[Slave]) -> tuple[Actuator, ...]:
    """An actuator for every slave, in order, with gain and lag drawn from the ranges of
    `plant.site.physics`."""
    return tuple(
        Actuator(
            s.slot,
            s.phase,
            s.max_w,
            float(rng.uniform(*GAIN_RANGE)),
            float(rng.uniform(*LAG_RANGE_S)),
            s.is_three_phase,
            float(s.min_w),
            tuple(map(float, s.levels_w)),
        )
        for s in slaves
    )
