"""A site in accelerated time: one-second steps, frames that travel through a drawn radio."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.arrays import SCALAR
from core.site import ZERO, Phases
from plant import physics
from plant.actuators import Actuator
from plant.link import LOST
from plant.trace import Trace


def bare_grid_w(trace: Trace, connection: str) -> NDArray[np.float64]:
    """Grid power of a day without any slave, [86400, 3] in W, + import."""
    pv = np.column_stack(physics.pv_phases_w(trace.pv_w, connection))
    return np.asarray(physics.grid_w(trace.load_w, pv, 0.0, 1.0))


class SteppedSite:
    """The far end of `sunkeep simulate`.

    In second t the controller reads `meter_w` (the interval t - 1, with noise), may `transmit`, and `step`
    lives the second. A frame reaches slave i after `delays[t, i]` s, or never; a slave never goes back to
    an older frame. Power is taken as constant over each second.

    Args:
        bare_w: grid power without slaves, [seconds, 3] in W.
        actuators: the slaves as they really are, in the order of the setpoints.
        delays: seconds until a frame sent in each second reaches each slave, or `link.LOST`.
        noise_w: error of the reading of each second, [seconds, 3].
        sign: +1 for absorbing slaves, -1 for generating.
        start_s: first second lived.
    """

    def __init__(
        self,
        bare_w: NDArray[np.float64],
        actuators: Sequence[Actuator],
        delays: NDArray[np.int8],
        noise_w: NDArray[np.float64],
        sign: float,
        start_s: int = 0,
        ttl_s: float = physics.TTL_S,
    ) -> None:
        count = len(actuators)
        self.now_s = start_s
        self._bare: list[list[float]] = bare_w.T.tolist()  # one list per phase: few objects to keep
        self._noise: list[list[float]] = noise_w.T.tolist()
        self._delays = delays
        self._sign, self._ttl_s = sign, ttl_s
        self._phases = [actuator.phase for actuator in actuators]
        self._max_w = [float(actuator.max_w) for actuator in actuators]
        self._gain = [actuator.gain for actuator in actuators]
        self._share = [physics.lag_share(SCALAR, 1.0, actuator.lag_s) for actuator in actuators]
        self._setpoint_w = [0.0] * count
        self._sent_at_s = [-1] * count
        self._heard_at_s = [-1.0e9] * count
        self._reference_w = [0.0] * count
        self._power_w = [0.0] * count
        self._due: dict[int, list[tuple[int, int, float]]] = {}
        self.slaves_w: Phases = ZERO
        self.grid_w: Phases = self._bare_at(max(0, start_s - 1))

    @property
    def meter_w(self) -> Phases:
        """The newest reading: the second before now, with the meter's error."""
        (a, b, c), (x, y, z), now_s = self.grid_w, self._noise, self.now_s
        return (a + x[now_s], b + y[now_s], c + z[now_s])

    @property
    def bare_w(self) -> Phases:
        """Grid power of the last second lived, had there been no slaves."""
        return self._bare_at(max(0, self.now_s - 1))

    def slave_power_w(self, index: int) -> float:
        """Power of one slave at the end of the last second."""
        return self._power_w[index]

    def transmit(self, setpoints_w: Sequence[int]) -> None:
        """Put one frame on air in this second."""
        now_s = self.now_s
        for index, delay_s in enumerate(self._delays[now_s].tolist()):
            if delay_s != LOST:
                arrival = (index, now_s, float(setpoints_w[index]))
                self._due.setdefault(now_s + delay_s, []).append(arrival)

    def step(self) -> None:
        """Live one second."""
        now_s = self.now_s
        for index, sent_at_s, setpoint_w in self._due.pop(now_s, ()):
            if sent_at_s > self._sent_at_s[index]:
                self._sent_at_s[index] = sent_at_s
                self._setpoint_w[index] = setpoint_w
                self._heard_at_s[index] = now_s
        for index in range(len(self._power_w)):
            self._move(index, now_s - self._heard_at_s[index])
        a, b, c = physics.phase_sums_w(self._power_w, self._phases)
        self.slaves_w = (a, b, c)
        x, y, z = self._bare_at(now_s)
        sign = self._sign
        self.grid_w = (
            physics.grid_w(x, 0.0, a, sign),
            physics.grid_w(y, 0.0, b, sign),
            physics.grid_w(z, 0.0, c, sign),
        )
        self.now_s = now_s + 1

    def _move(self, index: int, silence_s: float) -> None:
        goal_w = physics.wanted_w(SCALAR, self._setpoint_w[index], silence_s, self._ttl_s)
        reach_w = physics.ramp_w_per_s(SCALAR, silence_s, self._ttl_s)  # times one second
        reference_w = physics.slewed_w(SCALAR, self._reference_w[index], goal_w, reach_w)
        self._reference_w[index] = reference_w
        self._power_w[index] = physics.settled_w(
            SCALAR,
            self._power_w[index],
            reference_w,
            self._max_w[index],
            self._gain[index],
            self._share[index],
        )

    def _bare_at(self, second: int) -> Phases:
        a, b, c = self._bare
        return (a[second], b[second], c[second])
