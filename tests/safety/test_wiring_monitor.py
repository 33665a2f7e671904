"""Is the loop wired as commissioned: right wirings stay silent, wrong ones are found."""

import random
from dataclasses import replace
from itertools import permutations
from math import exp, inf, nan, nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.causes import Cause
from core.site import ZERO, Phases
from core.snapshot import METER_LOST_S
from safety.wiring_monitor import (
    BELIEVABLE_W,
    MOVE_S,
    PROVEN_W,
    SHARE,
    SUSPECTED_W,
    TENFOLD,
    WINDOW_S,
    WiringMonitorState,
    check_wiring,
)

Wiring = tuple[tuple[int, float], ...]
"""What each channel of the meter shows: (phase, factor)."""
RIGHT: Wiring = ((0, 1.0), (1, 1.0), (2, 1.0))
ALL_TURNED: Wiring = ((0, -1.0), (1, -1.0), (2, -1.0))
KEEP = 1.0 - 1.0 / WINDOW_S
UP, DOWN, CROSSED, TENFOLD_AT = slice(0, 4), slice(4, 8), slice(8, 13), 13
"""Places of the evidence: a, b, c and all turned, in moves up and down; exchanges acb ... cba; tenfold."""


def wired(wiring: Wiring, power_w: list[float]) -> Phases:
    a, b, c = (factor * power_w[phase] for phase, factor in wiring)
    return (a, b, c)


def told(
    models_w: list[Phases], grids_w: list[Phases], sign: float = 1.0, period_s: float = 1.0
) -> tuple[list[tuple[Cause, ...]], WiringMonitorState]:
    """The verdict after each sample, and the last memory."""
    memory, found = WiringMonitorState(), []
    for index, (model_w, grid_w) in enumerate(zip(models_w, grids_w, strict=True)):
        causes, memory = check_wiring(index * period_s, model_w, grid_w, sign, memory)
        found.append(causes)
    return found, memory


def run(wiring: Wiring, sign: float = 1.0, size_w: float = 1500.0) -> set[str]:
    """Causes in two minutes in which slaves jump at random, the meter reads them with some noise."""
    rng = random.Random(7)
    power_w, models_w, grids_w = [0.0, 0.0, 0.0], [], []
    for second in range(120):
        if second % 3 == 0:
            power_w[rng.randrange(3)] = rng.uniform(0.0, size_w)
        true_w = [sign * (p - 1000.0 + rng.gauss(0.0, 20.0)) for p in power_w]
        models_w.append((power_w[0], power_w[1], power_w[2]))
        grids_w.append(wired(wiring, true_w))
    return {cause for causes in told(models_w, grids_w, sign)[0] for cause in causes}


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_right_wiring_is_silent(sign: float) -> None:
    assert run(RIGHT, sign) == set()


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("turned", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_turned_phase_is_found(turned: tuple[int, ...], sign: float) -> None:
    wiring = tuple((phase, -1.0 if phase in turned else 1.0) for phase in range(3))
    found = run(wiring, sign)
    assert Cause.METER_SIGN in found
    assert Cause.METER_PHASES not in found


@pytest.mark.parametrize("order", list(permutations((0, 1, 2)))[1:])
def test_exchanged_phases_are_found(order: tuple[int, ...]) -> None:
    assert run(tuple((phase, 1.0) for phase in order)) == {Cause.METER_PHASES}


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_ten_times_the_power_is_suspected(sign: float) -> None:
    assert run(((0, 10.0), (1, 10.0), (2, 10.0)), sign) == {Cause.LOOP_DIVERGES}


def test_small_moves_say_nothing() -> None:
    assert run(ALL_TURNED, size_w=40.0) == set()


def ramp(seconds: int, slope_w_per_s: float) -> list[Phases]:
    return [(slope_w_per_s * second,) * 3 for second in range(seconds)]


def test_a_loop_that_runs_away_is_suspected_within_seconds_and_proven_on_its_way_back() -> None:
    """A turned sign from rest: all phases are driven up, 577 W/s each (1000 W/s together), then to rest."""
    up = ramp(9, 577.0)
    found, _ = told(up, [wired(ALL_TURNED, [*model_w]) for model_w in up])
    assert found.index((Cause.LOOP_DIVERGES,)) == 3
    assert not any(Cause.METER_SIGN in causes for causes in found)
    there_and_back = [*up, *up[::-1]]
    found, _ = told(there_and_back, [wired(ALL_TURNED, [*model_w]) for model_w in there_and_back])
    assert found.index((Cause.METER_SIGN, Cause.LOOP_DIVERGES)) <= 12


watts = st.floats(-5000.0, 5000.0)
phases = st.tuples(watts, watts, watts)
moves = st.lists(st.tuples(phases, phases), max_size=25)


@given(moves=moves, sign=st.sampled_from([1.0, -1.0]))
def test_evidence_never_exceeds_the_movement_it_was_gathered_from(
    moves: list[tuple[Phases, Phases]], sign: float
) -> None:
    """So one jump of the surplus, however large, is worth no more than the slaves moved meanwhile."""
    _, memory = told([model_w for model_w, _ in moves], [grid_w for _, grid_w in moves], sign)
    for told_w, moved_w in zip(memory.told_w, memory.moved_w, strict=True):
        assert abs(told_w) <= moved_w * (1.0 + 1e-9) + 1e-6


@given(moves=moves, model_w=phases)
def test_slaves_that_stand_still_prove_nothing(moves: list[tuple[Phases, Phases]], model_w: Phases) -> None:
    assert set(told([model_w] * len(moves), [grid_w for _, grid_w in moves])[0]) <= {()}


@given(moves=moves, surplus_w=phases)
def test_what_moves_as_foretold_is_never_suspected(
    moves: list[tuple[Phases, Phases]], surplus_w: Phases
) -> None:
    models_w = [model_w for model_w, _ in moves]
    grids_w = [wired(RIGHT, [m - x for m, x in zip(model_w, surplus_w, strict=True)]) for model_w in models_w]
    assert set(told(models_w, grids_w)[0]) <= {()}


rises = st.lists(st.tuples(*[st.floats(0.0, 2000.0)] * 3), max_size=25)


@given(rises=rises, grids_w=st.lists(phases, min_size=25, max_size=25), way=st.sampled_from([1.0, -1.0]))
def test_moves_in_one_direction_never_prove_a_turned_sign(
    rises: list[Phases], grids_w: list[Phases], way: float
) -> None:
    """Whatever the surplus does meanwhile: a cloud's edge looks like that."""
    models_w, total_w = [], [0.0, 0.0, 0.0]
    for rise_w in rises:
        total_w = [old + way * new for old, new in zip(total_w, rise_w, strict=True)]
        models_w.append((total_w[0], total_w[1], total_w[2]))
    found, _ = told(models_w, grids_w[: len(rises)])
    assert not any(Cause.METER_SIGN in causes for causes in found)


@given(moves=moves)
def test_a_generator_is_judged_as_an_absorber_whose_meter_is_read_the_other_way(
    moves: list[tuple[Phases, Phases]],
) -> None:
    models_w, grids_w = [model_w for model_w, _ in moves], [grid_w for _, grid_w in moves]
    turned_w = [wired(ALL_TURNED, [*grid_w]) for grid_w in grids_w]
    one, other = told(models_w, grids_w), told(models_w, turned_w, -1.0)
    assert one[0] == other[0]
    assert one[1].told_w == other[1].told_w


def test_evidence_is_weighed_with_what_the_wirings_foretell_differently() -> None:
    """One second after a move of 100, 40, 0 W that the meter answered with 70, 0, -50 W."""
    _, memory = told([ZERO, (100.0, 40.0, 0.0)], [ZERO, (70.0, 0.0, -50.0)])
    passed = exp(-1.0 / MOVE_S)
    assert memory.slow_model_w == pytest.approx((100.0 * (1.0 - passed), 40.0 * (1.0 - passed), 0.0))
    assert memory.slow_grid_w == pytest.approx((70.0 * (1.0 - passed), 0.0, -50.0 * (1.0 - passed)))
    weight = passed / MOVE_S  # one second
    squared = (
        (200.0**2, 30.0**2, 170.0**2),  # a turned: apart, right, wrong
        (80.0**2, 40.0**2, 40.0**2),
        (0.0, 50.0**2, 50.0**2),
        (200.0**2 + 80.0**2, 30.0**2 + 40.0**2 + 50.0**2, 170.0**2 + 40.0**2 + 50.0**2),
    )
    apart = [weight * a**0.5 for a, _, _ in squared]
    assert memory.moved_w[UP] == (*map(pytest.approx, (apart[0], apart[1], 0.0, apart[3])),)
    assert memory.moved_w[DOWN] == pytest.approx((0.0, 0.0, 0.0, 0.0))
    expected = [size * (r - w) / (r + w) for size, (_, r, w) in zip(apart, squared, strict=True)]
    assert memory.told_w[UP] == pytest.approx(expected)
    right_w2 = squared[3][1]
    orders = list(permutations((100.0, 40.0, 0.0)))[1:]
    for place, order in enumerate(orders):
        apart_w = sum((x - y) ** 2 for x, y in zip(order, (100.0, 40.0, 0.0), strict=True)) ** 0.5
        wrong_w2 = sum((x - y) ** 2 for x, y in zip(order, (70.0, 0.0, -50.0), strict=True))
        assert memory.moved_w[CROSSED][place] == pytest.approx(weight * apart_w)
        vote = (right_w2 - wrong_w2) / (right_w2 + wrong_w2)
        assert memory.told_w[CROSSED][place] == pytest.approx(weight * apart_w * vote)
    apart_w = 9.0 * (100.0**2 + 40.0**2) ** 0.5
    wrong_w2 = 930.0**2 + 400.0**2 + 50.0**2
    assert memory.moved_w[TENFOLD_AT] == pytest.approx(weight * apart_w)
    assert memory.told_w[TENFOLD_AT] == pytest.approx(
        weight * apart_w * (right_w2 - wrong_w2) / (right_w2 + wrong_w2)
    )


def test_moves_down_have_a_place_of_their_own() -> None:
    _, up = told([ZERO, (100.0, 40.0, 0.0)], [ZERO, (70.0, 0.0, -50.0)])
    _, down = told([ZERO, (-100.0, -40.0, 0.0)], [ZERO, (-70.0, 0.0, 50.0)])
    assert down.told_w[DOWN] == up.told_w[UP]
    assert down.moved_w[DOWN] == up.moved_w[UP]
    assert down.told_w[UP] == down.moved_w[UP] == (0.0,) * 4
    assert down.told_w[CROSSED] == up.told_w[CROSSED]


def test_a_tenth_of_a_watt_tells_as_much_for_its_size() -> None:
    _, small = told([ZERO, (0.1, 0.0, 0.0)], [ZERO, (-0.1, 0.0, 0.0)])
    _, large = told([ZERO, (1000.0, 0.0, 0.0)], [ZERO, (-1000.0, 0.0, 0.0)])
    assert [1e4 * told_w for told_w in small.told_w] == pytest.approx(large.told_w)
    assert small.told_w[0] > 0.0


def test_moves_that_cancel_have_one_place() -> None:
    _, memory = told([ZERO, (100.0, -100.0, 0.0)], [ZERO, ZERO])
    assert memory.moved_w[3] == 0.0
    assert memory.moved_w[7] > 0.0


def test_evidence_fades_and_moves_do() -> None:
    _, memory = told([ZERO, (100.0, 40.0, 0.0)], [ZERO, (70.0, 0.0, -50.0)])
    _, faded = check_wiring(2.0, memory.slow_model_w, memory.slow_grid_w, 1.0, memory)
    assert faded.told_w == pytest.approx([KEEP * told_w for told_w in memory.told_w])
    assert faded.moved_w == pytest.approx([KEEP * moved_w for moved_w in memory.moved_w])
    _, half = check_wiring(1.5, memory.slow_model_w, memory.slow_grid_w, 1.0, memory)
    assert half.told_w == pytest.approx([(1.0 - 0.5 / WINDOW_S) * told_w for told_w in memory.told_w])


def test_the_period_of_the_samples_hardly_matters() -> None:
    slow = ramp(9, 577.0)
    fast = ramp(17, 288.5)
    one = told(slow, [wired(ALL_TURNED, [*w]) for w in slow])[1]
    two = told(fast, [wired(ALL_TURNED, [*w]) for w in fast], period_s=0.5)[1]
    assert two.told_w[3] == pytest.approx(one.told_w[3], rel=0.3)


def test_the_thresholds_are_those_found_on_measured_days() -> None:
    assert (MOVE_S, WINDOW_S, SHARE) == (2.0, 30.0, 0.5)
    assert (SUSPECTED_W, PROVEN_W, TENFOLD) == (2600.0, 800.0, 10.0)
    assert (METER_LOST_S, BELIEVABLE_W) == (2.5, 1e6)


def exactly(power_w: float) -> float:
    """What fades to this power in one second."""
    near = power_w / KEEP
    return next(x for x in (near, nextafter(near, 0.0), nextafter(near, inf)) if KEEP * x == power_w)


def verdict(told_w: dict[int, float], moved_w: dict[int, float] | None = None) -> tuple[str, ...]:
    """What is said when nothing moves and the evidence at these places has faded to these powers."""
    memory = WiringMonitorState(
        at_s=0.0,
        told_w=tuple(exactly(told_w[p]) if p in told_w else 0.0 for p in range(14)),
        moved_w=tuple(
            exactly((moved_w or told_w)[p]) if p in (moved_w or told_w) else 0.0 for p in range(14)
        ),
    )
    return check_wiring(1.0, ZERO, ZERO, 1.0, memory)[0]


ENOUGH, LITTLE = PROVEN_W, PROVEN_W - 0.001


@pytest.mark.parametrize("place", range(4))
def test_a_turned_sign_needs_enough_evidence_from_both_directions(place: int) -> None:
    assert verdict({place: ENOUGH, place + 4: ENOUGH}) == (Cause.METER_SIGN,)
    assert verdict({place: ENOUGH, place + 4: LITTLE}) == ()
    assert verdict({place: LITTLE, place + 4: ENOUGH}) == ()
    assert verdict({place: ENOUGH, (place + 1) % 4 + 4: ENOUGH}) == ()
    both = {place: ENOUGH, place + 4: ENOUGH}
    assert verdict(both, {place: ENOUGH / SHARE, place + 4: ENOUGH / SHARE}) == (Cause.METER_SIGN,)
    assert verdict(both, {place: ENOUGH / SHARE + 0.01, place + 4: ENOUGH}) == ()
    assert verdict(both, {place: ENOUGH, place + 4: ENOUGH / SHARE + 0.01}) == ()


@pytest.mark.parametrize("place", range(8, 13))
def test_exchanged_phases_need_enough_evidence(place: int) -> None:
    assert verdict({place: ENOUGH}) == (Cause.METER_PHASES,)
    assert verdict({place: LITTLE}) == ()
    assert verdict({place: ENOUGH}, {place: ENOUGH / SHARE}) == (Cause.METER_PHASES,)
    assert verdict({place: ENOUGH}, {place: ENOUGH / SHARE + 0.01}) == ()


def test_tenfold_power_needs_enough_evidence() -> None:
    assert verdict({TENFOLD_AT: SUSPECTED_W}) == (Cause.LOOP_DIVERGES,)
    assert verdict({TENFOLD_AT: SUSPECTED_W - 0.001}) == ()
    assert verdict({TENFOLD_AT: SUSPECTED_W}, {TENFOLD_AT: SUSPECTED_W / SHARE}) == (Cause.LOOP_DIVERGES,)
    assert verdict({TENFOLD_AT: SUSPECTED_W}, {TENFOLD_AT: SUSPECTED_W / SHARE + 0.01}) == ()


@pytest.mark.parametrize("place", range(4))
def test_a_suspicion_takes_both_directions_together(place: int) -> None:
    assert verdict({place: SUSPECTED_W}) == (Cause.LOOP_DIVERGES,)
    assert verdict({place + 4: SUSPECTED_W}) == (Cause.LOOP_DIVERGES,)
    assert verdict({place: SUSPECTED_W - 0.001}) == ()
    assert verdict({place: SUSPECTED_W - 700.0, place + 4: 700.0}) == (Cause.LOOP_DIVERGES,)
    assert verdict({place: SUSPECTED_W - 700.0, (place + 1) % 4 + 4: 700.0}) == ()
    moved_w = SUSPECTED_W / SHARE - 700.0
    assert verdict({place: SUSPECTED_W}, {place: moved_w, place + 4: 700.0}) == (Cause.LOOP_DIVERGES,)
    assert verdict({place: SUSPECTED_W}, {place: moved_w + 0.01, place + 4: 700.0}) == ()


@pytest.mark.parametrize(
    ("at_s", "is_kept"), [(0.0, False), (-1.0, False), (METER_LOST_S, True), (2.6, False)]
)
def test_a_gap_starts_anew(at_s: float, is_kept: bool) -> None:
    before = WiringMonitorState(at_s=0.0, told_w=(1e9,) * 14)
    causes, after = check_wiring(at_s, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), 1.0, before)
    assert (causes != ()) is is_kept
    assert after.at_s == at_s
    if not is_kept:
        assert after == WiringMonitorState(at_s, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("bad_w", [nan, inf, -inf, BELIEVABLE_W * 1.001, -1e300])
def test_what_is_no_power_starts_anew(place: int, bad_w: float) -> None:
    before = WiringMonitorState(at_s=0.0, told_w=(1e9,) * 14)
    numbers = [BELIEVABLE_W if at != place else bad_w for at in range(6)]
    model_w, grid_w = (numbers[0], numbers[1], numbers[2]), (numbers[3], numbers[4], numbers[5])
    assert check_wiring(1.0, model_w, grid_w, 1.0, before) == ((), WiringMonitorState())
    good = (BELIEVABLE_W,) * 3
    assert check_wiring(1.0, good, good, 1.0, before)[0] != ()


@pytest.mark.parametrize("at_s", [nan, inf])
def test_an_instant_that_is_none_starts_anew(at_s: float) -> None:
    assert check_wiring(at_s, ZERO, ZERO, 1.0, WiringMonitorState(at_s=0.0, told_w=(1e9,) * 14))[0] == ()


def test_memory_begins_without_evidence() -> None:
    assert WiringMonitorState() == replace(
        WiringMonitorState(), at_s=-inf, told_w=(0.0,) * 14, moved_w=(0.0,) * 14
    )
