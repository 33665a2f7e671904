"""Both fallbacks: tables of cycles, bounds, and hand-over in a closed loop."""

from collections.abc import Callable
from dataclasses import replace
from math import exp, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.arrays import SCALAR
from core.estimation.state_estimate import EstimatorState, StateEstimate, estimate_state
from core.limits import Limits
from core.roles import Role
from core.site import ZERO, Phases
from core.slew import slew
from safety.pi import PiFallback, PiGains, PiMemory
from safety.predictive import PredictiveFallback, PredictiveGains, TrendState, step
from tests.support.examples import estimate, site, snapshot

PI = PiFallback(site())
PREDICTIVE = PredictiveFallback(site())
AT_REST = estimate(snapshot())
CAPACITY: Phases = (5000.0, 5000.0, 5000.0)


def seen(**changes: Any) -> StateEstimate:
    return replace(AT_REST, **{"capacity_w": CAPACITY, **changes})


def all_phases(value: float) -> Phases:
    return (value, value, value)


class TestPi:
    def test_a_table_of_cycles(self) -> None:
        """kp 0.7, ki 0.25, margin 10 W, by hand."""
        law, memory = PiFallback(site(), PiGains(0.7, 0.25, 10.0)), PI.cold
        expected_w = 0.0
        for meter_w, change_w in [
            (-990.0, 0.25 * 1000.0),  # no change of the error at first
            (-990.0, 0.25 * 1000.0),
            (-490.0, 0.7 * -500.0 + 0.25 * 500.0),
            (10.0, 0.7 * -500.0),
            (10.0, 0.0),
            (110.0, 0.7 * -100.0 - 0.25 * 100.0),
        ]:
            action_w, memory = law.propose(seen(meter_w=all_phases(meter_w)), memory)
            expected_w = max(0.0, expected_w + change_w)
            assert action_w == pytest.approx(all_phases(expected_w))
            memory = law.track(memory, AT_REST, action_w)

    def test_the_defaults_are_used(self) -> None:
        assert PiGains() == PiGains(0.7, 0.25, 10.0)
        assert PI.propose(seen(meter_w=all_phases(-990.0)), PI.cold)[0] == pytest.approx(all_phases(250.0))

    def test_a_generating_site_moves_the_other_way_with_the_same_margin(self) -> None:
        law = PiFallback(site(role=Role.GENERATE), PiGains(0.0, 0.5, 10.0))
        at = seen(sign=-1.0, command_w=all_phases(1000.0))
        assert law.propose(replace(at, meter_w=all_phases(210.0)), law.cold)[0] == all_phases(1100.0)
        assert law.propose(replace(at, meter_w=all_phases(10.0)), law.cold)[0] == all_phases(1000.0)
        assert law.propose(replace(at, meter_w=all_phases(-190.0)), law.cold)[0] == all_phases(900.0)

    def test_phases_do_not_mix(self) -> None:
        law = PiFallback(site(), PiGains(1.0, 0.5, 0.0))
        memory = PiMemory((10.0, 20.0, 30.0), (0.0, 100.0, 200.0))
        action_w, after = law.propose(seen(meter_w=(-100.0, -200.0, -300.0)), memory)
        assert action_w == (10.0 + 100.0 + 50.0, 20.0 + 100.0 + 100.0, 30.0 + 100.0 + 150.0)
        assert after == PiMemory((10.0, 20.0, 30.0), (100.0, 200.0, 300.0))

    @pytest.mark.parametrize(("period_s", "change_w"), [(0.5, 50.0), (1.0, 100.0), (4.0, 400.0)])
    def test_the_integral_counts_seconds_not_ticks(self, period_s: float, change_w: float) -> None:
        law = PiFallback(replace(site(), period_s=period_s), PiGains(0.0, 0.1, 0.0))
        assert law.propose(seen(meter_w=all_phases(-1000.0)), law.cold)[0] == pytest.approx(
            all_phases(change_w)
        )

    def test_it_starts_from_what_is_on_air(self) -> None:
        action_w, memory = PI.propose(seen(meter_w=all_phases(10.0), command_w=(7.0, 8.0, 9.0)), PI.cold)
        assert action_w == (7.0, 8.0, 9.0)
        assert memory == PiMemory((7.0, 8.0, 9.0), ZERO)

    def test_without_a_sample_it_stays(self) -> None:
        memory = PiMemory(all_phases(500.0), all_phases(40.0))
        stale = seen(fresh=False, meter_w=all_phases(-900.0), command_w=all_phases(300.0))
        assert PI.propose(stale, memory) == (all_phases(500.0), memory)
        assert PI.propose(stale, PI.cold) == (all_phases(300.0), PiMemory(all_phases(300.0)))

    def test_it_continues_from_what_was_allowed(self) -> None:
        memory = PI.track(PiMemory(all_phases(4000.0), all_phases(5.0)), AT_REST, all_phases(100.0))
        assert memory == PiMemory(all_phases(100.0), all_phases(5.0))

    def test_hours_at_a_bound_leave_nothing_to_unwind(self) -> None:
        at = seen(meter_w=all_phases(-5000.0), capacity_w=all_phases(2000.0))
        memory = PI.cold
        for _ in range(3600):
            action_w, memory = PI.propose(at, memory)
            assert action_w[0] <= 2000.0
            memory = PI.track(memory, at, action_w)
        action_w, _ = PI.propose(replace(at, meter_w=all_phases(1000.0)), memory)
        assert action_w == ZERO  # one step: 0.7 * -6000 W of change alone takes it down

    def test_the_limit_of_the_site_bounds_it(self) -> None:
        law = PiFallback(site(limits=Limits(phase_max_w=800.0)))
        assert law.propose(seen(meter_w=all_phases(-50_000.0)), law.cold)[0] == all_phases(800.0)

    def test_a_reading_that_is_no_number_gives_rest(self) -> None:
        assert PI.propose(seen(meter_w=(nan, 10.0, 10.0)), PI.cold)[0] == ZERO


class TestPredictive:
    def test_a_table_of_cycles(self) -> None:
        """k 0.9 up and 0.5 down, trend 0.9 s, slope share 0.25 up to 200 W/s, lead 1.1, by hand."""
        cell, gains = TrendState(), PredictiveGains()
        for surplus_w, filtered_w, slope, action_w in [
            (1000.0, 1000.0, 0.0, 1000.0),
            (1100.0, 1090.0, 25.0, 1090.0 + 22.5 + 99.0),
            (1600.0, 1549.0, 68.75, 1549.0 + 0.9 * 68.75 + 1.1 * 459.0),
            (1549.0, 1549.0, 38.8125, 1549.0 + 0.9 * 38.8125),
            (549.0, 1049.0, -20.890625, 1049.0 - 0.9 * 20.890625 - 1.1 * 500.0),
        ]:
            found_w, cell = step(cell, surplus_w, gains, SCALAR)
            assert found_w == pytest.approx(action_w)
            assert cell == pytest.approx((filtered_w, slope, surplus_w, 1.0))

    def test_a_gap_just_above_zero_is_believed_at_once(self) -> None:
        gains = PredictiveGains(trend_s=0.0, lead=0.0)
        for gap_w, action_w in [(0.5, 100.45), (-0.5, 99.75)]:
            found_w, _ = step(TrendState(100.0, 0.0, 100.0, 1.0), 100.0 + gap_w, gains, SCALAR)
            assert found_w == pytest.approx(action_w)

    def test_the_margin_is_added(self) -> None:
        assert step(TrendState(), 100.0, PredictiveGains(margin_w=7.0), SCALAR)[0] == 107.0

    def test_for_generating_slaves_fast_and_slow_swap_and_the_margin_turns(self) -> None:
        gains = PredictiveGains(margin_w=7.0)
        assert gains.for_sign(1.0) is gains
        assert gains.for_sign(-1.0) == replace(gains, k_up=0.5, k_down=0.9, margin_w=-7.0)
        law = PredictiveFallback(site(role=Role.GENERATE), gains)
        action_w, _ = law.propose(seen(sign=-1.0, surplus_w=all_phases(100.0)), law.cold)
        assert action_w == all_phases(93.0)

    @given(st.lists(st.floats(-5000.0, 8000.0), min_size=1, max_size=20))
    def test_arrays_run_the_very_same_law(self, surpluses_w: list[float]) -> None:
        gains = PredictiveGains(margin_w=3.0)
        cell = TrendState()
        cells = TrendState(*(np.zeros(4) for _ in TrendState._fields))
        for surplus_w in surpluses_w:
            one_w, cell = step(cell, surplus_w, gains, SCALAR)
            many_w, cells = step(cells, np.full(4, surplus_w), gains, np)
            assert many_w.tolist() == [one_w] * 4
        assert [field.tolist() for field in cells] == [[value] * 4 for value in cell]

    def test_bounds_are_those_of_slaves_and_site(self) -> None:
        at = seen(surplus_w=(9000.0, -50.0, 9000.0), capacity_w=(3000.0, 3000.0, 9000.0))
        assert PREDICTIVE.propose(at, PREDICTIVE.cold)[0] == (3000.0, 0.0, 5000.0)

    def test_phases_do_not_mix(self) -> None:
        _, memory = PREDICTIVE.propose(seen(surplus_w=(1.0, 2.0, 3.0)), PREDICTIVE.cold)
        action_w, after = PREDICTIVE.propose(seen(surplus_w=(1.0, 2.0, 3.0)), memory)
        assert action_w == (1.0, 2.0, 3.0)
        assert [cell.before_w for cell in after.cells] == [1.0, 2.0, 3.0]

    def test_without_a_sample_it_stays(self) -> None:
        stale = seen(fresh=False, command_w=all_phases(300.0), surplus_w=all_phases(900.0))
        assert PREDICTIVE.propose(stale, PREDICTIVE.cold) == (all_phases(300.0), PREDICTIVE.cold)
        memory = PREDICTIVE.track(PREDICTIVE.cold, AT_REST, all_phases(200.0))
        assert PREDICTIVE.propose(stale, memory) == (all_phases(200.0), memory)


@given(
    st.tuples(*[st.floats(-1e6, 1e6)] * 3),
    st.tuples(*[st.floats(0.0, 5000.0)] * 3),
    st.tuples(*[st.floats(0.0, 5000.0)] * 3),
    st.sampled_from([1.0, -1.0]),
)
def test_proposals_stay_within_capacity(
    reading_w: Phases, capacity_w: Phases, base_w: Phases, sign: float
) -> None:
    at = seen(meter_w=reading_w, surplus_w=reading_w, capacity_w=capacity_w, sign=sign)
    found_w, memory = PI.propose(at, PiMemory(base_w, base_w))
    again_w, _ = PI.propose(at, memory)
    predicted_w, cells = PREDICTIVE.propose(at, PREDICTIVE.cold)
    predicted_again_w, _ = PREDICTIVE.propose(at, cells)
    for action_w in (found_w, again_w, predicted_w, predicted_again_w):
        assert all(0.0 <= a <= c for a, c in zip(action_w, capacity_w, strict=True))


def closed_loop(law: Any, role: Role, other: Callable[[int], Phases]) -> tuple[list[Phases], list[Phases]]:
    """120 s with another controller in charge, then 120 s with the law; a second of delay, slaves lag 1.5 s.

    Returns actions and grid powers of every second.
    """
    at = site(role=role)
    toward = 1.0 if role is Role.ABSORB else -1.0
    surplus_w = (1500.0, 900.0, 300.0)
    power_w = on_air_w = late_w = other(0)
    memory, belief = law.cold, EstimatorState()
    actions, grids = [], []
    for second in range(240):
        power_w = tuple(p + (1.0 - exp(-1 / 1.5)) * (c - p) for p, c in zip(power_w, late_w, strict=True))  # type: ignore[assignment]
        a, b, c = (toward * (p - s) for p, s in zip(power_w, surplus_w, strict=True))
        view, belief = estimate_state(at, snapshot(on_air_w, 1.0, (a, b, c), at_s=1000.0 + second), belief)
        fallback_action_w, memory = law.propose(view, memory)
        policy_action_w = other(second) if second < 120 else fallback_action_w
        safe_action_w = slew(policy_action_w, view, (a, b, c), at.limits)
        memory = law.track(memory, view, safe_action_w)
        late_w, on_air_w = on_air_w, safe_action_w
        actions.append(safe_action_w)
        grids.append((a, b, c))
    return actions, grids


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("make", [PiFallback, PredictiveFallback])
def test_taking_over_at_steady_state_bumps_by_less_than_100_w(make: Any, role: Role) -> None:
    law = make(site(role=role))
    actions, grids = closed_loop(law, role, lambda _: (1450.0, 940.0, 310.0))  # 50, 40, 10 W off
    before_w, after_w = actions[119], actions[120]
    assert max(abs(x - y) for x, y in zip(before_w, after_w, strict=True)) <= 100.0
    assert max(abs(sum(grid)) for grid in grids[119:140]) <= 71.0
    assert abs(sum(grids[-1])) <= 60.0


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("make", [PiFallback, PredictiveFallback])
def test_it_brings_the_site_to_its_aim_from_rest(make: Any, role: Role) -> None:
    actions, grids = closed_loop(make(site(role=role)), role, lambda _: ZERO)
    assert abs(sum(grids[119])) == pytest.approx(2700.0)
    assert abs(sum(grids[-1])) <= 60.0
    assert all(a >= 0.0 for action in actions for a in action)
