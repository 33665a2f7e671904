"""A site in accelerated time: short steps, frames that travel through a drawn radio."""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.arrays import SCALAR
from core.site import ZERO, Phases, per_phase
from plant.radio.link import LOST
from plant.site import physics
from plant.site.actuators import Actuator
from plant.site.appliance import Appliance
from plant.site.trace import Trace


def bare_grid_w(trace: Trace, connection: str) -> NDArray[np.float64]:
    """Grid power of a day without any slave, [86400, 3] in W, + import."""
    pv = np.column_stack(physics.pv_phases_w(trace.pv_w, connection))
    return np.asarray(physics.grid_w(trace.load_w, pv, 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class Pace:
    """Steps of the simulated time, and what is counted in them.

    A controller ticks every `tick_steps`. The meter makes a new reading every `reading_steps`, of power
    that is `late_steps` old: the mean since the reading before when it `averages`, else that of one step.
    What it shows is rounded to `resolution_w`, 0 for none.
    """

    step_s: float = 1.0
    tick_steps: int = 1
    reading_steps: int = 1
    late_steps: int = 0
    averages: bool = True
    resolution_w: float = 0.0


EVERY_SECOND = Pace()


class SteppedSite:
    """The far end of `sunkeep simulate`.

    Before a step the controller reads `meter_w` (with noise), may `transmit`, and `step` lives on. A frame
    of tick t reaches slave i after `delays[t, i]` steps, or never; a slave never goes back to an older
    frame. Power is taken as constant over each step.

    Args:
        bare_w: grid power without slaves, one row per second, [seconds, 3] in W.
        actuators: the slaves as they really are, in the order of the setpoints.
        delays: steps until a frame sent in each tick reaches each slave, or `link.LOST`.
        noise_w: error of each of the meter's readings, [readings, 3].
        sign: +1 for absorbing slaves, -1 for generating.
        start_s: first second lived.
        pace: steps, ticks and readings.
    """

    def __init__(
        self,
        bare_w: NDArray[np.float64],
        actuators: Sequence[Actuator],
        delays: NDArray[np.integer],
        noise_w: NDArray[np.float64],
        sign: float,
        start_s: int = 0,
        ttl_s: float = physics.TTL_S,
        pace: Pace = EVERY_SECOND,
    ) -> None:
        count = len(actuators)
        self.step_s, self.tick_steps, self._pace = pace.step_s, pace.tick_steps, pace
        self._now = int(start_s / pace.step_s)
        self._bare: list[list[float]] = bare_w.T.tolist()  # one list per phase: few objects to keep
        self._noise: list[list[float]] = noise_w.T.tolist()
        self._delays = delays
        self._sign, self._ttl_s = sign, ttl_s
        self._phases = [actuator.phases for actuator in actuators]
        self._ramp_w_per_s = [actuator.ramp_w_per_s for actuator in actuators]
        self._dead = [round(actuator.dead_time_s / pace.step_s) for actuator in actuators]
        self._appliances = [Appliance(actuator, pace.step_s) for actuator in actuators]
        self._setpoint_w = [0.0] * count
        self._sent_at = [-1] * count
        self._heard_at_s = [-1.0e9] * count
        self._reference_w = [0.0] * count
        self._due: dict[int, list[tuple[int, int, float]]] = {}
        self.slaves_w: Phases = ZERO
        self.grid_w: Phases = self._bare_at(max(0, self._now - 1))
        self._past = deque([self.grid_w], maxlen=2 * pace.reading_steps + pace.late_steps)

    @property
    def now_s(self) -> float:
        """The time of the day."""
        return self._now * self.step_s

    @property
    def second(self) -> int:
        """Of the day, that is lived next."""
        return int((self._now + 0.5) * self.step_s)

    @property
    def meter_w(self) -> Phases:
        """The newest reading, with the meter's error. Every second, it is that of the second before now."""
        pace, now = self._pace, self._now
        reading = now // pace.reading_steps
        error_w = [column[reading] for column in self._noise]
        back = now - reading * pace.reading_steps + pace.late_steps + 1
        if pace.averages and pace.reading_steps > 1:
            power_w = self._mean(back, pace.reading_steps)
        else:
            power_w = self._past[-min(back, len(self._past))]
        shown_w = [power + error for power, error in zip(power_w, error_w, strict=True)]
        if pace.resolution_w > 0.0:
            shown_w = [round(w / pace.resolution_w) * pace.resolution_w for w in shown_w]
        return per_phase(shown_w)

    @property
    def bare_w(self) -> Phases:
        """Grid power of the last step lived, had there been no slaves."""
        return self._bare_at(max(0, self._now - 1))

    def slave_power_w(self, index: int) -> float:
        """Power of one slave at the end of the last step."""
        return self._appliances[index].power_w

    def setpoint_w(self, index: int) -> float:
        """What one slave heard last."""
        return self._setpoint_w[index]

    def temperature_c(self, index: int) -> float:
        """Of one slave's store; 0 without one."""
        return self._appliances[index].temperature_c

    def transmit(self, setpoints_w: Sequence[int], places: Collection[int] | None = None) -> None:
        """Put setpoints on air in this tick, for all slaves or for those at these places."""
        now = self._now
        for index, delay in enumerate(self._delays[now // self._pace.tick_steps].tolist()):
            if delay != LOST and (places is None or index in places):
                arrival = (index, now, float(setpoints_w[index]))
                self._due.setdefault(now + delay + self._dead[index], []).append(arrival)

    def step(self) -> None:
        """Live one step."""
        now, now_s = self._now, self.now_s
        for index, sent_at, setpoint_w in self._due.pop(now, ()):
            if sent_at > self._sent_at[index]:
                self._sent_at[index] = sent_at
                self._setpoint_w[index] = setpoint_w
                self._heard_at_s[index] = now_s
        totals = [0.0, 0.0, 0.0]
        for index, phases in enumerate(self._phases):
            power_w = self._move(index, now_s - self._heard_at_s[index]) / len(phases)
            for phase in phases:
                totals[phase] += power_w
        self.slaves_w = per_phase(totals)
        cells = zip(self._bare_at(now), totals, strict=True)
        self.grid_w = per_phase([physics.grid_w(bare_w, 0.0, w, self._sign) for bare_w, w in cells])
        self._past.append(self.grid_w)
        self._now = now + 1

    def _move(self, index: int, silence_s: float) -> float:
        goal_w = physics.wanted_w(SCALAR, self._setpoint_w[index], silence_s, self._ttl_s)
        slope = physics.ramp_w_per_s(SCALAR, silence_s, self._ttl_s, self._ramp_w_per_s[index])
        reference_w = physics.slewed_w(SCALAR, self._reference_w[index], goal_w, slope * self.step_s)
        self._reference_w[index] = reference_w
        return self._appliances[index].step(reference_w)

    def _mean(self, back: int, count: int) -> Phases:
        """Over `count` steps, the newest of which is `back` steps ago (1: the last step lived)."""
        past, end = list(self._past), max(1, len(self._past) - back + 1)
        rows = past[max(0, end - count) : end]
        return per_phase([sum(column) / len(rows) for column in zip(*rows, strict=True)])

    def _bare_at(self, step: int) -> Phases:
        second = int((step + 0.5) * self.step_s)
        a, b, c = self._bare
        return (a[second], b[second], c[second])
