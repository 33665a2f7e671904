"""The mapping from a wish to what can be asked."""

from math import isnan, nan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.limits import ImbalanceOf, Limits
from core.site import ZERO, Phases
from core.slew import distance_w, slew, spread_w
from tests.support.examples import GRID, actions, estimate, grids, site, snapshot


@given(actions)
def test_the_spread_is_the_population_standard_deviation(action_w: Phases) -> None:
    assert spread_w(action_w) == pytest.approx(float(np.std(action_w)), abs=1e-9)


def test_one_phase_alone_may_carry_4243_w() -> None:
    assert spread_w((2000.0 * 3 / sqrt(2), 0.0, 0.0)) == pytest.approx(2000.0)


@given(actions, actions)
def test_the_distance_is_the_norm_of_the_specification(one_w: Phases, other_w: Phases) -> None:
    expected = float(np.linalg.norm(np.subtract(one_w, other_w)))
    assert distance_w(one_w, other_w) == pytest.approx(expected)


def test_a_wish_within_every_limit_is_asked_as_it_is() -> None:
    at = estimate(snapshot((500.0, 500.0, 500.0)))
    assert slew((600.0, 400.0, 700.0), at, ZERO, Limits()) == (600.0, 400.0, 700.0)


def test_a_wish_that_is_no_number_is_left_for_safety_to_refuse() -> None:
    requested_action_w = slew((nan, 1.0, 1.0), estimate(snapshot()), ZERO, Limits())
    assert isnan(requested_action_w[0])


def test_the_box_is_bounded_by_limit_and_capacity() -> None:
    at = estimate(snapshot((2900.0, 2900.0, 2900.0), age_s=10.0), site())
    tight = Limits(phase_max_w=3000.0)
    assert slew((9000.0, -5.0, 3000.0), at, ZERO, tight)[0] <= 3000.0
    two = site(slaves=site().slaves[:2])
    at = estimate(snapshot(slaves=2, age_s=10.0), two)
    assert slew((900.0, 900.0, 900.0), at, ZERO, Limits()) == (900.0, 0.0, 0.0)


@pytest.mark.parametrize(("age_s", "reach_w"), [(1.0, 998.0), (0.5, 498.0), (2.0, 1998.0), (9.0, 1998.0)])
def test_the_step_grows_with_the_seconds_since_the_last_frame(age_s: float, reach_w: float) -> None:
    at = estimate(snapshot(age_s=age_s))
    requested_action_w = slew((5000.0, 5000.0, 5000.0), at, ZERO, Limits())
    assert distance_w(requested_action_w, ZERO) == pytest.approx(reach_w)


def test_without_credit_nothing_moves() -> None:
    at = estimate(snapshot((100.0, 200.0, 300.0), age_s=0.001))
    assert slew((5000.0, 0.0, 0.0), at, ZERO, Limits()) == (100.0, 200.0, 300.0)


def test_balancing_keeps_the_sum_where_capacity_allows() -> None:
    at = estimate(snapshot((4000.0, 100.0, 100.0), age_s=2.0))
    requested_action_w = slew((4700.0, 0.0, 0.0), at, ZERO, Limits())
    assert sum(requested_action_w) == pytest.approx(4700.0)
    assert spread_w(requested_action_w) == pytest.approx(1998.0)


def test_judged_on_the_grid_a_phase_alone_may_take_more() -> None:
    at = estimate(snapshot((4000.0, 0.0, 0.0), age_s=2.0, grid_power_w=(-1000.0, 0.0, 0.0)))
    requested_action_w = slew((5000.0, 0.0, 0.0), at, (-1000.0, 0.0, 0.0), GRID)
    assert requested_action_w == (5000.0, 0.0, 0.0)
    assert spread_w(requested_action_w) > 2000.0


def test_judged_on_the_grid_the_step_ends_where_the_grid_would_tilt() -> None:
    at = estimate(snapshot((4000.0, 0.0, 0.0), age_s=2.0, grid_power_w=(3500.0, 0.0, 0.0)))
    requested_action_w = slew((5000.0, 0.0, 0.0), at, (3500.0, 0.0, 0.0), GRID)
    assert 4000.0 < requested_action_w[0] < 4800.0
    assert spread_w((3500.0 + requested_action_w[0] - 4000.0, 0.0, 0.0)) == pytest.approx(1998.0, abs=0.01)


def test_the_default_rule_does_not_ask_how_the_grid_stands() -> None:
    tilted_w = (9000.0, 0.0, 0.0)
    at = estimate(snapshot((1000.0,) * 3, grid_power_w=tilted_w))
    assert slew((1500.0, 1000.0, 1000.0), at, tilted_w, Limits()) == (1500.0, 1000.0, 1000.0)
    assert slew((1500.0, 1000.0, 1000.0), at, tilted_w, GRID) == (1000.0, 1000.0, 1000.0)


@given(st.tuples(*[st.floats(-20_000.0, 20_000.0)] * 3), actions, grids, st.floats(0.0, 20.0), st.booleans())
def test_every_asked_action_keeps_every_limit(
    policy_action_w: Phases, air_w: Phases, grid_w: Phases, age_s: float, of_grid: bool
) -> None:
    limits = Limits(imbalance_of=ImbalanceOf.GRID if of_grid else ImbalanceOf.ACTION)
    at = estimate(snapshot(air_w, age_s, grid_w))
    requested_action_w = slew(policy_action_w, at, grid_w, limits)
    assert all(-1e-9 <= a <= 5000.0 + 1e-9 for a in requested_action_w)
    assert distance_w(requested_action_w, air_w) <= 1000.0 * min(age_s, 2.0) + 1e-6
    if of_grid:
        after_w = (
            grid_w[0] + requested_action_w[0] - air_w[0],
            grid_w[1] + requested_action_w[1] - air_w[1],
            grid_w[2] + requested_action_w[2] - air_w[2],
        )
        assert spread_w(after_w) <= max(2000.0, spread_w(grid_w)) + 1e-6
    else:
        assert spread_w(requested_action_w) <= max(2000.0, spread_w(air_w)) + 1e-6
