"""Is the loop wired as commissioned: right wirings stay silent, wrong ones are found."""

import random
from dataclasses import replace
from itertools import permutations
from math import inf, nextafter

import pytest

from core.site import ZERO, Phases
from safety.sensor import (
    AWAY,
    CORRECTION_W,
    DIVERGING_STEPS,
    EXCITATION_W2,
    FAR_BETTER,
    GAP_MAX_S,
    WINDOW_S,
    LoopMemory,
    watch_loop,
)

RIGHT = ((0, 1.0), (1, 1.0), (2, 1.0))


def run(
    wiring: tuple[tuple[int, float], ...], sign: float = 1.0, seconds: int = 60, size_w: float = 1500.0
) -> list[tuple[str, ...]]:
    """Slaves jump at random; each meter channel shows (phase, factor) of the wiring, with some noise."""
    rng = random.Random(7)
    memory, power_w, found = LoopMemory(), [0.0, 0.0, 0.0], []
    for second in range(seconds):
        if second % 3 == 0:
            power_w[rng.randrange(3)] = rng.uniform(0.0, size_w)
        surplus_w = [1000.0 + rng.gauss(0.0, 20.0) for _ in range(3)]
        true_w = [sign * (p - s) for p, s in zip(power_w, surplus_w, strict=True)]
        a, b, c = (factor * true_w[phase] for phase, factor in wiring)
        causes, memory = watch_loop(float(second), (*power_w,), (a, b, c), sign, memory)  # type: ignore[arg-type]
        found.append(causes)
    return found


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_right_wiring_is_silent(sign: float) -> None:
    assert set(run(RIGHT, sign)) == {()}


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("turned", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_turned_phase_is_found(turned: tuple[int, ...], sign: float) -> None:
    wiring = tuple((phase, -1.0 if phase in turned else 1.0) for phase in range(3))
    found = run(wiring, sign)
    assert any("meter_sign" in causes for causes in found)
    assert not any("meter_phases" in causes for causes in found)


@pytest.mark.parametrize("order", list(permutations((0, 1, 2)))[1:])
def test_exchanged_phases_are_found(order: tuple[int, ...]) -> None:
    found = run(tuple((phase, 1.0) for phase in order))
    assert any("meter_phases" in causes for causes in found)
    assert not any("meter_sign" in causes for causes in found)


def test_small_moves_say_nothing() -> None:
    assert set(run(tuple((phase, -1.0) for phase in range(3)), size_w=100.0)) == {()}


def steps(
    *moves: tuple[Phases, Phases], sign: float = 1.0, start: LoopMemory | None = None
) -> tuple[tuple[str, ...], LoopMemory]:
    """Moves of the slaves and of the meter, one second each, after a first sample."""
    model_w, grid_w = list(ZERO), list(ZERO)
    causes, memory = watch_loop(0.0, ZERO, ZERO, sign, start or LoopMemory())
    for second, (model_step_w, grid_step_w) in enumerate(moves, 1):
        model_w = [old + new for old, new in zip(model_w, model_step_w, strict=True)]
        grid_w = [old + new for old, new in zip(grid_w, grid_step_w, strict=True)]
        causes, memory = watch_loop(float(second), (*model_w,), (*grid_w,), sign, memory)  # type: ignore[arg-type]
    return causes, memory


MOVE = (CORRECTION_W, 0.0, 0.0)


def answer(share: float) -> Phases:
    return (share * CORRECTION_W, 0.0, 0.0)


def test_steps_that_the_meter_answers_the_wrong_way_diverge() -> None:
    wrong = (MOVE, answer(-AWAY))
    assert "loop_diverges" not in steps(*[wrong] * (DIVERGING_STEPS - 1))[0]
    assert "loop_diverges" in steps(*[wrong] * DIVERGING_STEPS)[0]
    down = ((-CORRECTION_W, 0.0, 0.0), answer(AWAY))
    assert "loop_diverges" in steps(*[down] * DIVERGING_STEPS)[0]
    assert "loop_diverges" in steps(*[(MOVE, answer(AWAY))] * DIVERGING_STEPS, sign=-1.0)[0]


@pytest.mark.parametrize(
    "between",
    [
        (MOVE, answer(-AWAY + 0.01)),
        (MOVE, answer(1.0)),
        ((CORRECTION_W - 0.1, 0.0, 0.0), answer(-1.0)),
        (ZERO, answer(-1.0)),
        ((0.0, CORRECTION_W, 0.0), (0.0, -CORRECTION_W, 0.0)),
    ],
)
def test_one_step_that_does_not_breaks_the_row(between: tuple[Phases, Phases]) -> None:
    wrong = (MOVE, answer(-AWAY))
    rows = [wrong] * (DIVERGING_STEPS - 1)
    _, memory = steps(*rows, between, *rows)
    assert memory.diverging[0] == DIVERGING_STEPS - 1


@pytest.mark.parametrize("phase", [0, 1, 2])
def test_one_phase_is_enough(phase: int) -> None:
    move = tuple(CORRECTION_W if p == phase else 0.0 for p in range(3))
    back = tuple(-x for x in move)
    assert "loop_diverges" not in steps(*[(move, back)] * (DIVERGING_STEPS - 1))[0]  # type: ignore[arg-type]
    assert "loop_diverges" in steps(*[(move, back)] * DIVERGING_STEPS)[0]  # type: ignore[arg-type]


def test_evidence_is_a_sum_of_squares_that_fades() -> None:
    _, memory = steps(((100.0, 10.0, 0.0), (70.0, 0.0, 5.0)))
    assert memory.right_w2 == (900.0, 100.0, 25.0)
    assert memory.turned_w2 == (170.0**2, 100.0, 25.0)
    assert memory.turned_moved_w2 == (10_000.0, 100.0, 0.0)
    # exchanges in the order acb, bac, bca, cab, cba
    assert memory.crossed_w2[0] == 30.0**2 + 0.0 + 5.0**2
    assert memory.crossed_w2[1] == 60.0**2 + 100.0**2 + 5.0**2
    assert memory.crossed_moved_w2[0] == 0.0 + 2 * 10.0**2
    assert memory.crossed_moved_w2[1] == 2 * 90.0**2
    _, faded = watch_loop(2.0, memory.model_w, memory.grid_power_w, 1.0, memory)
    assert faded.right_w2[0] == pytest.approx(900.0 * (1.0 - 1.0 / 60.0))
    assert faded.crossed_w2[1] == pytest.approx(memory.crossed_w2[1] * (1.0 - 1.0 / 60.0))


def test_the_thresholds_are_those_found_on_measured_days() -> None:
    assert (WINDOW_S, EXCITATION_W2, FAR_BETTER) == (60.0, 1e6, 0.4)
    assert (CORRECTION_W, AWAY, DIVERGING_STEPS, GAP_MAX_S) == (300.0, 0.8, 4, 2.5)


def exactly(w2: float) -> float:
    """What fades to w2 in one second."""
    keep, near = 1.0 - 1.0 / WINDOW_S, w2 / (1.0 - 1.0 / WINDOW_S)
    return next(x for x in (near, nextafter(near, 0.0), nextafter(near, inf)) if keep * x == w2)


@pytest.mark.parametrize(("moved_w2", "is_enough"), [(1e6, True), (1e6 - 1.0, False)])
def test_enough_movement_is_needed_and_an_explanation_that_is_far_better(
    moved_w2: float, is_enough: bool
) -> None:
    moved_w2 = exactly(moved_w2)
    turned = LoopMemory(at_s=0.0, turned_moved_w2=(0.0, 0.0, moved_w2))
    assert watch_loop(1.0, ZERO, ZERO, 1.0, turned)[0] == (("meter_sign",) if is_enough else ())
    crossed = LoopMemory(at_s=0.0, crossed_moved_w2=(0.0, 0.0, moved_w2, 0.0, 0.0))
    assert watch_loop(1.0, ZERO, ZERO, 1.0, crossed)[0] == (("meter_phases",) if is_enough else ())
    better = replace(turned, right_w2=(9.0, 9.0, 100.0), turned_w2=(9.0, 9.0, 39.9))
    assert watch_loop(1.0, ZERO, ZERO, 1.0, better)[0] == (("meter_sign",) if is_enough else ())
    worse = replace(better, turned_w2=(9.0, 9.0, 40.1))
    assert watch_loop(1.0, ZERO, ZERO, 1.0, worse)[0] == ()
    better = replace(crossed, right_w2=(20.0, 40.0, 40.0), crossed_w2=(99.0, 99.0, 39.9, 99.0, 99.0))
    assert watch_loop(1.0, ZERO, ZERO, 1.0, better)[0] == (("meter_phases",) if is_enough else ())
    worse = replace(better, crossed_w2=(99.0, 99.0, 40.1, 99.0, 99.0))
    assert watch_loop(1.0, ZERO, ZERO, 1.0, worse)[0] == ()


@pytest.mark.parametrize(("at_s", "is_kept"), [(0.0, False), (-1.0, False), (GAP_MAX_S, True), (2.6, False)])
def test_a_gap_starts_anew(at_s: float, is_kept: bool) -> None:
    before = LoopMemory(at_s=0.0, right_w2=(1.0, 1.0, 1.0), diverging=(9, 9, 9))
    causes, after = watch_loop(at_s, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), 1.0, before)
    assert causes == ()
    assert (after.right_w2 != ZERO) is is_kept
    assert (after.at_s, after.model_w, after.grid_power_w) == (at_s, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
