"""Plausibility of readings: tables at the limits, and properties over anything a meter could say."""

import math
import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drivers.meters.plausibility import Plausibility, PlausibilityMemory
from drivers.ports import Reading

RULES = Plausibility(fuse_a=63.0)
FRESH = PlausibilityMemory()
GOOD = Reading(
    grid_power_w=(1000.0, -2000.0, 300.0),
    total_power_w=-700.0,
    voltage_v=(230.0, 231.0, 229.0),
    current_a=(4.40, 8.70, 1.35),
    frequency_hz=50.0,
    raw=(1, 2, 3),
    power_factor=(0.99, -0.995, 0.97),
)


def causes(reading: Reading, at_s: float = 0.0, memory: PlausibilityMemory = FRESH) -> tuple[str, ...]:
    return RULES.check(reading, at_s, memory)[0]


def test_a_good_reading_has_no_cause() -> None:
    assert causes(GOOD) == ()
    bare = replace(GOOD, voltage_v=None, current_a=None, frequency_hz=None, power_factor=None)
    assert causes(bare) == ()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "field",
    ["grid_power_w", "total_power_w", "voltage_v", "current_a", "frequency_hz", "power_factor"],
)
def test_what_is_no_number_never_passes(field: str, bad: float) -> None:
    value = getattr(GOOD, field)
    broken: Any = (value[0], bad, value[2]) if isinstance(value, tuple) else bad
    assert causes(replace(GOOD, **{field: broken})) == ("nonfinite",)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"voltage_v": (180.0, 260.0, 230.0), "current_a": None}, ()),
        ({"voltage_v": (179.9, 230.0, 230.0), "current_a": None}, ("voltage",)),
        ({"voltage_v": (260.1, 230.0, 230.0), "current_a": None}, ("voltage",)),
        ({"voltage_v": (2300.0, 2310.0, 2290.0), "current_a": None}, ("voltage",)),
        ({"frequency_hz": 45.0}, ()),
        ({"frequency_hz": 44.9}, ("frequency",)),
        ({"frequency_hz": 5.0}, ("frequency",)),
        ({"frequency_hz": 500.0}, ("frequency",)),
        ({"total_power_w": -820.0}, ()),  # within 10 % + 50 W
        ({"total_power_w": -850.0}, ("sum",)),
        ({"total_power_w": 700.0}, ("sum",)),
        ({"current_a": (4.0, 8.0, 1.2)}, ()),
        ({"current_a": (0.44, 0.87, 0.135)}, ("apparent",)),
        ({"current_a": (44.0, 87.0, 13.5)}, ("apparent",)),
        ({"power_factor": (0.1, -0.1, 0.1)}, ("apparent",)),
        ({"power_factor": (99.0, -99.5, 97.0)}, ("apparent",)),
        ({"power_factor": None, "current_a": (0.44, 0.87, 0.135)}, ("apparent",)),
        ({"power_factor": None, "current_a": (44.0, 87.0, 13.5)}, ()),  # reactive power may explain it
        ({"voltage_v": None, "current_a": (0.44, 0.87, 0.135)}, ("apparent",)),
    ],
)
def test_cross_checks(change: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert causes(replace(GOOD, **change)) == expected


def bare(*power_w: float) -> Reading:
    a, b, c = power_w
    return Reading((a, b, c), a + b + c, None, None, None, (int(abs(a)) + 1,))


@pytest.mark.parametrize(
    ("power_w", "expected"),
    [
        ((17_388.0, 0.0, 0.0), ()),  # 1.2 x 63 A x 230 V
        ((17_389.0, 0.0, 0.0), ("range",)),
        ((0.0, -17_389.0, 0.0), ("range",)),
        ((8.6e9, 1.0, 1.0), ("range",)),
        ((-4e-23, 200.0, 200.0), ("range",)),
    ],
)
def test_range(power_w: tuple[float, ...], expected: tuple[str, ...]) -> None:
    assert causes(bare(*power_w)) == expected


def test_the_zeros_of_an_empty_cache_are_no_measurement() -> None:
    zeros = Reading((0.0,) * 3, 0.0, (0.0,) * 3, (0.0,) * 3, 0.0, (0,) * 10)
    assert "zero" in causes(zeros)
    assert causes(replace(zeros, voltage_v=None, current_a=None, frequency_hz=None)) == ("zero",)
    alive = replace(zeros, voltage_v=(230.0,) * 3, frequency_hz=50.0, raw=(0, 0, 17254))
    assert causes(alive) == ()


def lived(readings: list[Reading], memory: PlausibilityMemory = FRESH) -> list[tuple[str, ...]]:
    """The causes of readings that come once a second."""
    found = []
    for second, reading in enumerate(readings):
        told, memory = RULES.check(reading, float(second), memory)
        found.append(told)
    return found


def test_a_jump_that_no_load_makes_is_not_believed_sooner_because_it_lasts() -> None:
    found = lived(
        [bare(0.0, 100.0, 0.0)] + [bare(16_000.0 + 1.7 * second, 100.0, 0.0) for second in range(70)]
    )
    assert found[1:61] == [("step",)] * 60
    assert found[61] == ()  # after a minute: whatever made it, it is there


def test_a_glitch_is_over_with_the_next_good_sample() -> None:
    calm, jump = bare(0.0, 100.0, 0.0), bare(16_000.0, 100.0, 0.0)
    assert lived([calm, jump, calm, jump, jump, calm, calm]) == [
        (),
        ("step",),
        (),
        ("step",),
        ("step",),
        (),
        (),
    ]


HOUSE = ((-1500.0, 320.0, -800.0), (900.0, 400.0, 250.0), (-140.0, 0.0, 110.0), (3000.0, -1900.0, 20.0))


@pytest.mark.parametrize("power_w", HOUSE)
@pytest.mark.parametrize("scale", [10.0, 1000.0])
def test_a_meter_whose_scale_changes_is_not_accepted_for_a_minute(
    power_w: tuple[float, float, float], scale: float
) -> None:
    """Also while the slaves let go, and power with them: a scale that stays is not mistaken for that."""
    stays = [bare(*(scale * (p + min(second, 4) * 600.0) for p in power_w)) for second in range(58)]
    found = lived([bare(*power_w)] * 3 + stays)
    assert found[:3] == [(), (), ()]
    assert all(found[3:])


@pytest.mark.parametrize(
    ("before_w", "after_w"),
    [
        ((200.0, 200.0, 200.0), (2000.0, 2000.0, 2000.0)),  # a heater on three phases
        ((300.0, 200.0, 250.0), (2100.0, 2000.0, 2050.0)),
        ((500.0, 30.0, -20.0), (5000.0, 30.0, -20.0)),  # a kettle and an oven
        ((-1500.0, 320.0, -800.0), (-1500.0, 3200.0, -800.0)),
        ((-9000.0, -300.0, 100.0), (-900.0, -30.0, 110.0)),  # a cloud, and small phases that say nothing
        ((10.0, -20.0, 30.0), (100.0, -200.0, 300.0)),
    ],
)
def test_loads_that_are_switched_are_no_change_of_scale(
    before_w: tuple[float, ...], after_w: tuple[float, ...]
) -> None:
    assert lived([bare(*before_w), bare(*after_w)]) == [(), ()]


def test_a_switched_load_between_two_fast_reads_is_no_jump() -> None:
    _, memory = RULES.check(bare(0.0, 100.0, 0.0), 10.0, FRESH)
    assert causes(bare(9000.0, 100.0, 0.0), 10.1, memory) == ()


def frozen_at(reading: Reading, period_s: float, ticks: int) -> int | None:
    memory = FRESH
    for tick in range(1, ticks + 1):
        found, memory = RULES.check(reading, tick * period_s, memory)
        if found:
            assert found == ("frozen",)
            return tick
    return None


def test_the_same_words_again_and_again() -> None:
    assert frozen_at(bare(500.0, 0.0, 0.0), 1.0, 30) == 10
    assert frozen_at(bare(-100.1, 0.0, 0.0), 1.0, 30) == 10
    assert frozen_at(bare(50.0, -100.0, 30.0), 1.0, 30) is None  # a quiet house
    assert frozen_at(bare(500.0, 0.0, 0.0), 0.1, 80) is None  # read faster than the meter measures
    assert frozen_at(bare(500.0, 0.0, 0.0), 0.1, 200) == 86
    assert frozen_at(bare(500.0, 0.0, 0.0), 2.5, 30) == 5
    assert frozen_at(bare(500.0, 0.0, 0.0), 4.25, 30) == 5


@pytest.mark.parametrize("power_w", [(0.0, 0.0, 0.0), (12.5, -3.0, 0.0), (900.0, 0.0, 0.0)])
def test_a_voltage_that_stands_still_is_frozen_whatever_the_power(power_w: tuple[float, ...]) -> None:
    a, b, c = power_w
    told = Reading((a, b, c), a + b + c, (230.1, 231.0, 229.0), None, 50.0, (1, 2, 3))
    assert frozen_at(told, 1.0, 30) == 10


@pytest.mark.parametrize(
    ("power_w", "frozen"),
    [
        ((500.3, -20.0, 0.0), True),
        ((-3200.0, 1800.0, 10.5), True),
        ((5000.0, 3011.0, -2007.0), True),  # a meter of whole watts
        ((90.4, 0.0, -12.3), False),  # a quiet house
        ((650.0, 0.0, 120.0), False),  # whole watts: a constant load may keep its last digit
        ((640.0, 0.0, 120.0), False),  # tens of watts: so much the more
        ((9000.0, 4000.0, 120.0), False),
    ],
)
def test_power_that_stands_still_while_the_voltage_lives(power_w: tuple[float, ...], frozen: bool) -> None:
    """A measuring part that has stopped, behind registers that still tell the voltage of the line."""
    a, b, c = power_w
    memory, found = FRESH, []
    for tick in range(20):
        volts = (230.0 + tick % 7 / 10.0, 231.0, 229.0)
        told, memory = RULES.check(
            Reading((a, b, c), a + b + c, volts, None, 50.0, (tick,)), float(tick), memory
        )
        found.append(told)
    assert (("frozen",) in found) is frozen
    if frozen:
        assert found.index(("frozen",)) == 9  # after ten reads
        moved, _ = RULES.check(
            Reading((a + 1.7, b, c), a + b + c + 1.7, volts, None, 50.0, (9,)), 20.0, memory
        )
        assert moved == ()


def test_whole_volts_may_stand_still_in_a_quiet_house() -> None:
    coarse = Reading((0.0, 0.0, 0.0), 0.0, (230.0, 231.0, 229.0), None, 50.0, (1, 2, 3))
    assert frozen_at(coarse, 1.0, 60) is None


def test_a_quiet_meter_that_measures_is_not_frozen() -> None:
    """A night at 0 W: only the voltage moves, by 0.1 V every few seconds."""
    memory = FRESH
    for tick in range(200):
        tenths = 2301 + (tick // 7) % 2
        quiet = Reading((0.0,) * 3, 0.0, (tenths / 10.0, 231.0, 229.0), None, 50.0, (0, 0, 0, tenths))
        found, memory = RULES.check(quiet, float(tick), memory)
        assert found == ()


def test_voltage_from_another_block_says_nothing_about_the_words_of_power() -> None:
    """A meter that tells power every second, and voltage every fifth: its zeros may stand still."""
    quiet = Reading((0.0,) * 3, 0.0, None, None, None, (0, 0, 0, 1))
    memory = FRESH
    for tick in range(60):
        volts = (230.1, 231.2, 229.3) if tick % 5 == 0 else None
        found, memory = RULES.check(replace(quiet, voltage_v=volts), float(tick), memory)
        assert found == ()


def test_frozen_ends_with_the_first_new_words() -> None:
    memory = FRESH
    for tick in range(20):
        found, memory = RULES.check(bare(500.0, 0.0, 0.0), float(tick), memory)
    assert found == ("frozen",)
    found, memory = RULES.check(bare(501.0, 0.0, 0.0), 20.0, memory)
    assert found == ()


numbers = st.floats(allow_nan=True, allow_infinity=True)
triples = st.tuples(numbers, numbers, numbers)
anything = st.builds(
    Reading,
    grid_power_w=triples,
    total_power_w=numbers,
    voltage_v=st.none() | triples,
    current_a=st.none() | triples,
    frequency_hz=st.none() | numbers,
    raw=st.tuples(st.integers(0, 0xFFFF)),
    power_factor=st.none() | triples,
)


@given(readings=st.lists(anything, max_size=6))
def test_whatever_is_said_only_the_possible_is_accepted(readings: list[Reading]) -> None:
    memory = FRESH
    for tick, reading in enumerate(readings):
        found, memory = RULES.check(reading, float(tick), memory)
        if not found:
            assert all(abs(p) <= 1.2 * 63.0 * 230.0 for p in reading.grid_power_w)
            assert abs(sum(reading.grid_power_w) - reading.total_power_w) <= 6000.0
            assert reading.voltage_v is None or all(180.0 <= v <= 260.0 for v in reading.voltage_v)
        assert memory.accepted_w is None or all(map(math.isfinite, memory.accepted_w))


house = st.tuples(*[st.floats(-14_000.0, 14_000.0)] * 3)
reactive = st.floats(-3000.0, 3000.0)


def measured(power_w: tuple[float, ...], var: float) -> Reading:
    """A reading of a real meter with V, I and power factor of the same moment."""
    a, b, c = power_w
    apparent = [max(1.0, math.hypot(p, var)) for p in power_w]
    i, j, k = (s / 230.0 for s in apparent)
    x, y, z = (p / s for p, s in zip(power_w, apparent, strict=True))
    return Reading((a, b, c), a + b + c, (230.0,) * 3, (i, j, k), 50.0, (1,), (x, y, z))


@given(power_w=house, var=reactive)
def test_a_true_reading_is_accepted_whatever_the_reactive_power(
    power_w: tuple[float, ...], var: float
) -> None:
    reading = measured(power_w, var)
    if all(p == 0.0 or abs(p) >= 1e-6 for p in power_w):
        assert causes(reading) == ()
        assert causes(replace(reading, power_factor=None)) == ()


@given(power_w=house.filter(lambda p: max(map(abs, p)) > 60.0), var=reactive)
def test_ten_times_the_power_is_caught(power_w: tuple[float, ...], var: float) -> None:
    true = measured(power_w, var)
    a, b, c = (10.0 * p for p in power_w)
    assert causes(replace(true, grid_power_w=(a, b, c), total_power_w=a + b + c))


def swapped(value: float, how: str) -> float:
    data = struct.pack(">f", value)
    turned = data[2:] + data[:2] if how == "words" else data[::-1]
    return float(struct.unpack(">f", turned)[0])


@pytest.mark.parametrize("how", ["words", "bytes"])
@given(power_w=house.filter(lambda p: min(map(abs, p)) > 100.0), var=reactive)
@example(power_w=(643.06640625,) * 3, var=0.0)
def test_a_wrong_order_of_words_or_bytes_is_caught(how: str, power_w: tuple[float, ...], var: float) -> None:
    true = measured(power_w, var)
    a, b, c = (swapped(p, how) for p in true.grid_power_w)
    sizes = [(abs(x), abs(p)) for x, p in zip((a, b, c), power_w, strict=True)]
    if all(abs(x - p) <= 0.1 * max(x, p) + 50.0 for x, p in sizes):
        return  # as large as voltage times current says: one reading cannot tell, moves of the slaves do
    assert causes(replace(true, grid_power_w=(a, b, c), total_power_w=a + b + c))
