"""Whether a reading can be true. Pure: time and memory are arguments.

Every rule accepts what satisfies it; what cannot be compared (NaN) is never accepted.
"""

from dataclasses import dataclass, replace
from math import inf, isfinite

from core.site import Phases
from drivers.ports import Reading

VOLTAGE_V = (180.0, 260.0)
"""Wider than EN 50160 (230 V +/- 10 %), narrower than any mistaken scale."""
FREQUENCY_HZ = (45.0, 65.0)
TOLERANCE = 0.10
TOLERANCE_W = 50.0
"""Two ways to measure the same power agree within 10 % + 50 W."""
STEP_MAX_W_PER_S = 15_000.0
STEP_SHORTEST_S = 1.0
"""A load may switch between two reads however close they are."""
FROZEN_READS = 5
FROZEN_S = 8.5
"""A meter that measures anew only every few seconds is slow, not frozen; ten reads at one per second are."""
FROZEN_ABOVE_W = 100.0
"""A site that draws or feeds this much never measures the same power for so long: 0.1 V more on the line are
0.1 W more of a load of 100 W."""
SMALLEST_W = 1e-6
"""Closer to zero without being zero is a number read with its bytes in the wrong order, not a power."""


@dataclass(frozen=True, slots=True)
class PlausibilityMemory:
    """The last accepted power, and for how long the registers have been the same.

    `restless`: all that time they told voltages, which never stand still to the last digit.
    """

    accepted_w: Phases | None = None
    accepted_at_s: float = -inf
    raw: tuple[int, ...] = ()
    same_reads: int = 0
    same_since_s: float = -inf
    restless: bool = False


@dataclass(frozen=True, slots=True)
class Plausibility:
    """The rules for one site. `fuse_a` is the main fuse per phase; 1.2 times that is the most it carries."""

    fuse_a: float = 63.0
    nominal_v: float = 230.0

    def check(
        self, reading: Reading, at_s: float, memory: PlausibilityMemory
    ) -> tuple[tuple[str, ...], PlausibilityMemory]:
        """Judge one reading.

        Args:
            at_s: monotonic instant of the reading.
            memory: what the previous call returned; a fresh one at start.

        Returns:
            The causes for which the reading must not be used (none: it may), and the memory for the next.
        """
        memory = _watch(reading, at_s, memory)
        if not _finite(reading):
            return ("nonfinite",), memory
        rules = (
            ("zero", _alive(reading)),
            ("range", self._in_range(reading)),
            ("voltage", _all_between(reading.voltage_v, VOLTAGE_V)),
            ("frequency", _all_between((reading.frequency_hz,), FREQUENCY_HZ)),
            ("sum", _agree(sum(reading.grid_power_w), reading.total_power_w)),
            ("apparent", _apparent_fits(reading)),
            ("step", _step_fits(reading, at_s, memory)),
            ("frozen", not _frozen(reading, at_s, memory)),
        )
        causes = tuple(name for name, accepted in rules if not accepted)
        if not causes:
            memory = replace(memory, accepted_w=reading.grid_power_w, accepted_at_s=at_s)
        return causes, memory

    def _in_range(self, reading: Reading) -> bool:
        most_w = 1.2 * self.fuse_a * self.nominal_v
        return all(p == 0.0 or SMALLEST_W <= abs(p) <= most_w for p in reading.grid_power_w)


def _finite(reading: Reading) -> bool:
    numbers = [*reading.grid_power_w, reading.total_power_w]
    for values in (reading.voltage_v, reading.current_a, reading.power_factor, (reading.frequency_hz,)):
        numbers += [x for x in values or () if x is not None]
    return all(map(isfinite, numbers))


def _alive(reading: Reading) -> bool:
    """Not the zeros of a gateway whose cache was cleared: exact zero power needs a living voltage."""
    if any(p != 0.0 for p in (*reading.grid_power_w, reading.total_power_w)):
        return True
    if reading.voltage_v is None and reading.frequency_hz is None:
        return any(reading.raw)
    return _all_between(reading.voltage_v, VOLTAGE_V) and _all_between((reading.frequency_hz,), FREQUENCY_HZ)


def _all_between(values: tuple[float | None, ...] | None, bounds: tuple[float, float]) -> bool:
    """Whether those that are told lie within the bounds."""
    low, high = bounds
    return all(x is None or low <= x <= high for x in values or ())


def _agree(one_w: float, other_w: float) -> bool:
    return abs(one_w - other_w) <= TOLERANCE * max(abs(one_w), abs(other_w)) + TOLERANCE_W


def _apparent_fits(reading: Reading) -> bool:
    """Power against voltage times current: equal with the power factor, at most as large without it.

    Only the size of the power factor counts: meters use its sign for direction, or for lag and lead.
    """
    if reading.current_a is None:
        return True
    voltages_v = reading.voltage_v or (VOLTAGE_V[1],) * 3
    factors = (reading.voltage_v and reading.power_factor) or (None, None, None)
    phases = zip(reading.grid_power_w, voltages_v, reading.current_a, factors, strict=True)
    for power_w, voltage_v, current_a, factor in phases:
        apparent_va = voltage_v * abs(current_a)  # some meters give current the sign of the power
        if factor is None:
            fits = abs(power_w) <= (1.0 + TOLERANCE) * apparent_va + TOLERANCE_W
        else:
            fits = abs(factor) <= 1.0 + TOLERANCE and _agree(abs(power_w), apparent_va * abs(factor))
        if not fits:
            return False
    return True


def _step_fits(reading: Reading, at_s: float, memory: PlausibilityMemory) -> bool:
    if memory.accepted_w is None:
        return True
    reach_w = STEP_MAX_W_PER_S * max(at_s - memory.accepted_at_s, STEP_SHORTEST_S)
    return all(
        abs(new - old) <= reach_w for new, old in zip(reading.grid_power_w, memory.accepted_w, strict=True)
    )


def _watch(reading: Reading, at_s: float, memory: PlausibilityMemory) -> PlausibilityMemory:
    restless = _tells_fractions_of_a_volt(reading)
    if reading.raw == memory.raw:
        restless = restless and memory.restless
        return replace(memory, same_reads=memory.same_reads + 1, restless=restless)
    return replace(memory, raw=reading.raw, same_reads=1, same_since_s=at_s, restless=restless)


def _tells_fractions_of_a_volt(reading: Reading) -> bool:
    return any(voltage_v % 1.0 != 0.0 for voltage_v in reading.voltage_v or ())


def _frozen(reading: Reading, at_s: float, memory: PlausibilityMemory) -> bool:
    """The same words again and again, from a meter or of a power that cannot stand still.

    The voltage of a line moves by tenths of a volt every second, whatever the site draws. A meter that tells
    power alone, or voltage in another block than power, may rest on the same words in a quiet house.
    """
    flowing = any(abs(p) > FROZEN_ABOVE_W for p in reading.grid_power_w)
    still = memory.same_reads >= FROZEN_READS and at_s - memory.same_since_s >= FROZEN_S
    return still and (memory.restless or flowing) and bool(reading.raw)
