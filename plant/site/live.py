"""A site in real time: the plant's physics at the far end of the virtual meter and radio."""

from collections import deque
from collections.abc import Callable, Sequence
from math import floor

from core.metering import exported_w, imported_w
from core.site import ZERO, Metering, Phases, per_phase
from plant.site import physics
from plant.site.actuators import Actuator
from plant.site.appliance import Appliance
from plant.site.stepped import bare_grid_w
from plant.site.trace import DAY_S, Trace

STEP_S = 0.1
"""Short against the slaves' lag (1 s and more) and their ramps."""
ROUNDING = 1e-6
"""Of a step: an instant that is a whole number of steps away counts as reached."""
LONGEST_CATCH_UP = 600
"""Steps. After a longer pause (the machine slept) only its end is lived: the slaves have settled by then."""
LONGEST_PAST_S = 120.0
"""Power of the past that a slow or late meter may show."""
VOLTAGE_V = 230.0
LINE_OHM = 0.3
"""Resistance of a house connection up to the transformer: 5 kW on a phase lower the voltage by 6.5 V."""


class LiveSite:
    """Lives a measured day from a given time of day on, whatever the wall clock says; it wraps at the end.

    Args:
        trace: the day.
        actuators: the slaves as they really are.
        reference_w: what a slave's firmware tells its power electronics: slot and instant to W.
        sign: +1 for absorbing slaves, -1 for generating.
        started_at_s: the monotonic instant at which the day stands at `start_s`.
        connection: how the inverter feeds the phases, a key of `physics.PHASE_SHARES`.
        start_s: second of the day.
        metering: how exported energy is counted.
    """

    def __init__(
        self,
        trace: Trace,
        actuators: Sequence[Actuator],
        reference_w: Callable[[int, float], float],
        *,
        sign: float,
        started_at_s: float,
        connection: str = "3ph",
        start_s: float = 11 * 3600.0,
        metering: Metering = Metering.NET,
    ) -> None:
        self.reference_w = reference_w
        self.exported_wh = self.imported_wh = 0.0
        self.exported_without_wh = 0.0
        self._bare_w: list[list[float]] = bare_grid_w(trace, connection).tolist()
        self._actuators = tuple(actuators)
        self._appliances = [Appliance(actuator, STEP_S) for actuator in actuators]
        self._index = {actuator.slot: at for at, actuator in enumerate(self._actuators)}
        self._sign, self._metering = sign, metering
        self._start_s, self._started_at_s = start_s, started_at_s
        self._steps = 0
        self._slaves_w = ZERO
        self._past: deque[Phases] = deque(maxlen=round(LONGEST_PAST_S / STEP_S))

    def advance(self, at_s: float) -> None:
        """Live up to an instant, in steps of 0.1 s; an instant in the past changes nothing."""
        steps = floor((at_s - self._started_at_s) / STEP_S + ROUNDING)
        self._steps = max(self._steps, steps - LONGEST_CATCH_UP)
        while self._steps < steps:
            self._steps += 1
            self._step(self._started_at_s + self._steps * STEP_S)

    def clock_s(self, at_s: float) -> float:
        """The time of the measured day at an instant, in seconds since its midnight."""
        return (self._start_s + at_s - self._started_at_s) % DAY_S

    def grid_power_w(self, at_s: float) -> Phases:
        """Power at the meter now, per phase, + import."""
        self.advance(at_s)
        return self._grid_w(at_s)

    def mean_power_w(self, at_s: float, over_s: float, delay_s: float = 0.0) -> Phases:
        """Mean power at the meter over the `over_s` that ended `delay_s` ago; 0 for the power then.

        As far back as `LONGEST_PAST_S`.
        """
        self.advance(at_s)
        end = len(self._past) - round(delay_s / STEP_S)
        rows = list(self._past)[max(0, end - max(1, round(over_s / STEP_S))) : max(1, end)]
        if not rows:
            return self._grid_w(at_s)
        return per_phase([sum(column) / len(rows) for column in zip(*rows, strict=True)])

    def bare_power_w(self, at_s: float) -> Phases:
        """What the meter would show now if there were no slaves."""
        a, b, c = self._bare_w[int(self.clock_s(at_s))]
        return (a, b, c)

    def slave_power_w(self, slot: int) -> float:
        """Power of one slave, a magnitude. Raises KeyError for an unknown slot."""
        return self._appliances[self._index[slot]].power_w

    def temperature_c(self, slot: int) -> float:
        """Of one slave's store, 0 without one. Raises KeyError for an unknown slot."""
        return self._appliances[self._index[slot]].temperature_c

    def voltage_v(self, at_s: float) -> Phases:
        """Voltage of each phase: import lowers it, export raises it."""
        return per_phase([VOLTAGE_V - LINE_OHM * power_w / VOLTAGE_V for power_w in self.grid_power_w(at_s)])

    def _grid_w(self, at_s: float) -> Phases:
        cells = zip(self.bare_power_w(at_s), self._slaves_w, strict=True)
        return per_phase([physics.grid_w(bare_w, 0.0, slaves_w, self._sign) for bare_w, slaves_w in cells])

    def _step(self, at_s: float) -> None:
        totals = [0.0, 0.0, 0.0]
        for actuator, appliance in zip(self._actuators, self._appliances, strict=True):
            power_w = appliance.step(self.reference_w(actuator.slot, at_s)) / len(actuator.phases)
            for phase in actuator.phases:
                totals[phase] += power_w
        self._slaves_w = per_phase(totals)
        hours = STEP_S / 3600.0
        grid_w = self._grid_w(at_s)
        self._past.append(grid_w)
        self.exported_wh += exported_w(grid_w, self._metering) * hours
        self.imported_wh += imported_w(grid_w, self._metering) * hours
        self.exported_without_wh += exported_w(self.bare_power_w(at_s), self._metering) * hours
