"""One simulated appliance, step by step: from the reference of its firmware to the power it draws."""

from core.arrays import SCALAR
from plant.site import physics
from plant.site.actuators import Actuator, Thermostat


class Appliance:
    """Rating, steps, thermostat, gain and lag of one actuator, in steps of `step_s`.

    `power_w` is a magnitude, `temperature_c` that of its store (0 without one).
    """

    def __init__(self, actuator: Actuator, step_s: float) -> None:
        self.power_w = 0.0
        self._step_s = step_s
        self._max_w, self._gain = float(actuator.max_w), actuator.gain
        self._share = physics.lag_share(SCALAR, step_s, actuator.lag_s)
        self._steps_w = actuator.levels_w or ((actuator.min_w,) if actuator.min_w > 0.0 else ())
        self._is_free = not actuator.levels_w
        self._store = actuator.thermostat
        self.temperature_c = 0.0 if self._store is None else self._store.start_c
        self._is_closed = 1.0

    def step(self, reference_w: float) -> float:
        """Live one step with what the firmware lets through. Returns the power at its end."""
        if self._steps_w:
            reference_w = physics.worked_w(SCALAR, reference_w, self._steps_w, self._is_free)
        if self._store is not None:
            reference_w *= self._thermostat(self._store)
        self.power_w = physics.settled_w(
            SCALAR, self.power_w, reference_w, self._max_w, self._gain, self._share
        )
        return self.power_w

    def _thermostat(self, store: Thermostat) -> float:
        self.temperature_c = physics.stored_c(
            self.temperature_c,
            self.power_w,
            self._step_s,
            store.capacity_wh_per_k,
            store.loss_w_per_k,
            store.room_c,
        )
        self._is_closed = physics.closed_after(
            SCALAR, self._is_closed, self.temperature_c, store.open_c, store.close_c
        )
        return self._is_closed
