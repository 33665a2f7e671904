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
JUMP_S = 60.0
"""A jump that no load makes is believed once it is so old; until then it is a fault of the meter."""
GLITCH_S, GLITCH_BACK_W = 2.5, 500.0
"""A jump after which power is back so soon and so near was a glitch. Later the slaves have let go of what
they had, and a wrong scale could pass for that."""
SCALES = (10.0, 100.0, 1000.0, 0.1, 0.01, 0.001)
"""Of a transformer ratio, or of kilowatts for watts."""
SCALE_TOLERANCE, SCALE_TOLERANCE_W = 0.1, 50.0
SCALE_LEAST_W, SCALE_APART = 100.0, 1.5
"""Two phases of at least this much, of opposite sign or one so much larger than the other: a scale multiplies
both alike; a load on all phases adds the same to each, and no two loads multiply both by chance."""
SCALE_WITHIN_S = 5.0
"""Only a sample so soon after the last accepted one is compared with it."""
DIGITS = 1000.0
"""A power of so many of the meter's digits does not keep the last of them for long: 0.1 V more on the line is
0.1 % more of a resistive load."""
SMALLEST_W = 1e-6
"""Closer to zero without being zero is a number read with its bytes in the wrong order, not a power."""


@dataclass(frozen=True, slots=True)
class PlausibilityMemory:
    """The last accepted power, and for how long the registers have been the same, and the power alone.

    `restless`: all that time they told voltages, which never stand still to the last digit. `jumped_at_s` is
    when power jumped away from what was accepted last, as no load does.
    """

    accepted_w: Phases | None = None
    accepted_at_s: float = -inf
    raw: tuple[int, ...] = ()
    same_reads: int = 0
    same_since_s: float = -inf
    restless: bool = False
    power_w: Phases | None = None
    same_power_reads: int = 0
    same_power_since_s: float = -inf
    jumped_at_s: float | None = None


@dataclass(frozen=True, slots=True)
class Plausibility:
    """What a reading must satisfy on one site.

    `fuse_a` is the main fuse per phase; 1.2 times that is the most it carries.
    """

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
            ("scale", not _is_scaled(reading, at_s, memory)),
            ("frozen", not _frozen(reading, at_s, memory)),
        )
        causes = tuple(name for name, accepted in rules if not accepted)
        if not causes:
            memory = replace(memory, accepted_w=reading.grid_power_w, accepted_at_s=at_s, jumped_at_s=None)
        elif memory.jumped_at_s is None and ("step" in causes or "scale" in causes):
            memory = replace(memory, jumped_at_s=at_s)
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
    """Whether a load can have made the change. That time passes after a jump does not make it possible."""
    if memory.accepted_w is None:
        return True
    if memory.jumped_at_s is None:
        reach_w = STEP_MAX_W_PER_S * max(at_s - memory.accepted_at_s, STEP_SHORTEST_S)
    elif at_s - memory.jumped_at_s <= GLITCH_S:
        reach_w = GLITCH_BACK_W
    else:
        return at_s - memory.jumped_at_s >= JUMP_S
    return all(
        abs(new - old) <= reach_w for new, old in zip(reading.grid_power_w, memory.accepted_w, strict=True)
    )


def _is_scaled(reading: Reading, at_s: float, memory: PlausibilityMemory) -> bool:
    """Whether every phase is what was accepted last times the same power of ten, and that is no chance."""
    if memory.accepted_w is None or not at_s - memory.accepted_at_s <= SCALE_WITHIN_S:
        return False
    pairs = list(zip(reading.grid_power_w, memory.accepted_w, strict=True))
    _, second_w, first_w = sorted(abs(old) for _, old in pairs)
    large = [old for _, old in pairs if abs(old) >= second_w]
    telling = first_w >= SCALE_APART * second_w or min(large) < 0.0 < max(large)
    return telling and any(
        second_w >= SCALE_LEAST_W * max(1.0, 1.0 / scale)
        and all(
            abs(new - scale * old) <= SCALE_TOLERANCE * abs(scale * old) + SCALE_TOLERANCE_W * scale
            for new, old in pairs
        )
        for scale in SCALES
    )


def _watch(reading: Reading, at_s: float, memory: PlausibilityMemory) -> PlausibilityMemory:
    if reading.grid_power_w == memory.power_w:
        memory = replace(memory, same_power_reads=memory.same_power_reads + 1)
    else:
        memory = replace(memory, power_w=reading.grid_power_w, same_power_reads=1, same_power_since_s=at_s)
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
    power alone, or voltage in another block than power, may rest on the same words in a quiet house. Where
    voltages live on and power does not, the meter's measuring part has stopped, or a gateway repeats it.
    """
    flowing = any(abs(p) > FROZEN_ABOVE_W for p in reading.grid_power_w)
    still = memory.same_reads >= FROZEN_READS and at_s - memory.same_since_s >= FROZEN_S
    if still and (memory.restless or flowing) and reading.raw:
        return True
    power_still = memory.same_power_reads >= FROZEN_READS and at_s - memory.same_power_since_s >= FROZEN_S
    return power_still and any(abs(p) > _telling_w(reading.grid_power_w) for p in reading.grid_power_w)


def _telling_w(power_w: Phases) -> float:
    """Power that cannot stand still to the last digit that this meter seems to tell."""
    digit_w = next((digit for digit in (10.0, 1.0) if all(p % digit == 0.0 for p in power_w)), 0.1)
    return DIGITS * digit_w
