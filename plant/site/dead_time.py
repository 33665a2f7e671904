"""The seconds between what a slave is told and what its appliance does.

A heater's or charger's own controller acts on a new setpoint only after a while. The way to rest does not
wait for it: the slave's firmware opens its own power stage.
"""

from collections import deque
from random import Random

from plant.radio.slave_firmware import Firmware, Status

DEAD_TIMES_S = (1.0, 2.0, 3.0)
DEAD_TIME_SHARES = (0.30, 0.48, 0.22)
"""Together with the radio and the lag this gives the command ages that the controllers assume (mean 2 s)."""


class DeadTime:
    """One appliance behind one firmware. Not for instants that go back.

    Args:
        fixed_s: its dead time where that is known; else drawn anew for every frame.
    """

    def __init__(self, firmware: Firmware, rng: Random, fixed_s: float | None = None) -> None:
        self._firmware, self._rng, self._fixed_s = firmware, rng, fixed_s
        self._past: deque[tuple[float, float]] = deque()
        self._accepted = firmware.accepted
        self._delay_s = DEAD_TIMES_S[1]
        self._acting_w = 0.0

    def acting_w(self, at_s: float) -> float:
        """The setpoint that the appliance works with at this instant."""
        told_w = self._firmware.setpoint_w(at_s)
        if self._firmware.status(at_s) is not Status.FOLLOWING:
            self._past.clear()
            self._acting_w = min(self._acting_w, told_w)
            return self._acting_w
        if self._firmware.accepted != self._accepted:
            self._accepted = self._firmware.accepted
            self._delay_s = self._drawn_s()
        self._past.append((at_s, told_w))
        while self._past and self._past[0][0] <= at_s - self._delay_s:
            self._acting_w = self._past.popleft()[1]
        return self._acting_w

    def _drawn_s(self) -> float:
        return (
            self._rng.choices(DEAD_TIMES_S, DEAD_TIME_SHARES)[0] if self._fixed_s is None else self._fixed_s
        )
