"""What the controller believes."""

from dataclasses import replace
from math import exp, inf, nan

import pytest

from core.estimation.actuator_model import (
    AGE_SHARES,
    MEAN_AGE_S,
    delayed_command,
    first_order_lag,
    response_groups,
)
from core.estimation.state_estimate import EstimatorState, capacity_w, estimate_state
from core.roles import SAFE_SETPOINT_W, Role, grid_effect_w, sign
from core.site import ZERO, Metering, Phases, Slave
from core.snapshot import OnAirState, SlaveState
from tests.support.examples import site, snapshot

PER_PHASE = replace(site(), metering=Metering.PER_PHASE)


def test_roles_and_signs() -> None:
    assert (sign(Role.ABSORB), sign(Role.GENERATE)) == (1.0, -1.0)
    assert grid_effect_w(Role.ABSORB, 300.0) == 300.0
    assert grid_effect_w(Role.GENERATE, 300.0) == -300.0
    assert SAFE_SETPOINT_W == 0


def test_the_shares_are_a_distribution_with_the_published_mean() -> None:
    assert sum(AGE_SHARES) == pytest.approx(1.0)
    assert pytest.approx(2.07) == MEAN_AGE_S


@pytest.mark.parametrize(
    ("extra_s", "period_s", "expected"),
    [
        (0.0, 1.0, 0.26 * 1 + 0.45 * 2 + 0.25 * 3 + 0.04 * 4),
        (2.0, 1.0, 0.26 * 3 + 0.45 * 4 + 0.25 * 5 + 0.04 * 6),
        (9.0, 1.0, 7.0),  # beyond the history the oldest stands for all
        (0.0, 2.0, 0.26 * 0 + 0.45 * 1 + 0.25 * 2 + 0.04 * 2),
        (0.0, 0.5, 0.26 * 2 + 0.45 * 4 + 0.25 * 6 + 0.04 * 7),
    ],
)
def test_what_is_heard_is_a_mix_of_older_commands(extra_s: float, period_s: float, expected: float) -> None:
    sent = tuple(float(n) for n in range(8))
    assert delayed_command(sent, extra_s, period_s) == pytest.approx(expected)


def test_slaves_follow_with_a_lag() -> None:
    assert first_order_lag(0.0, 1000.0, 1.5) == pytest.approx(1000.0 * (1.0 - exp(-1.0)))
    assert first_order_lag(500.0, 500.0, 1.0) == 500.0
    assert first_order_lag(0.0, 1000.0, 1.0, lag_s=0.5) == pytest.approx(1000.0 * (1.0 - exp(-2.0)))


def test_capacity_counts_available_slaves_up_to_the_limit() -> None:
    slaves = (Slave(0, "a", 0, 3000), Slave(1, "b", 0, 3000), Slave(2, "c", 2, 700))
    seen = snapshot(slaves=3)
    assert capacity_w(site(slaves), seen) == (5000.0, 0.0, 700.0)
    gone = replace(seen, slaves=(SlaveState(), SlaveState(available=False), SlaveState()))
    assert capacity_w(site(slaves), gone) == (3000.0, 0.0, 700.0)
    with pytest.raises(ValueError, match="zip"):
        capacity_w(site(slaves), snapshot(slaves=2))


@pytest.mark.parametrize(
    ("age_s", "grid_w", "fresh"),
    [
        (0.0, ZERO, True),
        (0.999, ZERO, True),
        (1.0, ZERO, False),
        (inf, ZERO, False),
        (nan, ZERO, False),
        (0.1, (nan, 0.0, 0.0), False),
        (0.1, (0.0, 0.0, -inf), False),
    ],
)
def test_a_sample_is_fresh_within_its_tick_and_if_it_is_one(
    age_s: float, grid_w: Phases, fresh: bool
) -> None:
    seen, belief = estimate_state(site(), snapshot(grid_power_w=grid_w, meter_age_s=age_s), EstimatorState())
    assert seen.fresh is fresh
    assert belief.started is fresh
    assert seen.surplus_w == ZERO


@pytest.mark.parametrize(("role", "toward"), [(Role.ABSORB, 1.0), (Role.GENERATE, -1.0)])
def test_the_first_look_takes_what_is_on_air_as_being_followed(role: Role, toward: float) -> None:
    at = replace(site(role=role), metering=Metering.PER_PHASE)
    grid_w = (-300.0, 0.0, 50.0)
    seen, belief = estimate_state(at, snapshot((500.0, 600.0, 700.0), 1.25, grid_w), EstimatorState())
    assert seen.model_w == seen.command_w == (500.0, 600.0, 700.0)
    assert seen.surplus_w == (500.0 + toward * 300.0, 600.0, 700.0 - toward * 50.0)
    assert seen.meter_w == pytest.approx(grid_w)
    assert (seen.credit_s, seen.delay_s, seen.sign) == (1.25, MEAN_AGE_S, toward)
    assert belief == EstimatorState(
        ((500.0, 600.0, 700.0),) * 8,
        seen.model_w,
        seen.surplus_w,
        seen.meter_w,
        1000.0,
        True,
        response_groups(at),
    )


def test_the_belief_moves_on_with_what_is_on_air() -> None:
    before = EstimatorState(((1000.0,) * 3,) * 8, (400.0,) * 3, ZERO, ZERO, 999.0, started=True)
    seen, belief = estimate_state(PER_PHASE, snapshot((2000.0,) * 3, grid_power_w=(100.0,) * 3), before)
    expected_w = 400.0 + (1.0 - exp(-1 / 1.5)) * 600.0
    assert seen.model_w == pytest.approx((expected_w,) * 3)
    assert seen.surplus_w == pytest.approx((expected_w - 100.0,) * 3)
    assert belief.sent_w == ((2000.0,) * 3, *((1000.0,) * 3,) * 7)


def test_an_estimated_delay_shifts_the_belief() -> None:
    sent = tuple((float(1000 * n),) * 3 for n in range(1, 9))
    before = EstimatorState(sent, ZERO, ZERO, ZERO, 999.0, started=True)
    at = snapshot(ZERO)
    now, _ = estimate_state(PER_PHASE, at, before)
    later, _ = estimate_state(PER_PHASE, replace(at, extra_delay_s=2.0), before)
    assert later.model_w[0] > now.model_w[0]
    assert later.delay_s == pytest.approx(MEAN_AGE_S + 2.0)


def test_a_missed_sample_repeats_the_estimate() -> None:
    _, belief = estimate_state(PER_PHASE, snapshot(grid_power_w=(-500.0, 0.0, 0.0)), EstimatorState())
    stale = snapshot(grid_power_w=(-900.0, 0.0, 0.0), at_s=1001.0, meter_age_s=1.05)
    seen, after = estimate_state(PER_PHASE, stale, belief)
    assert (seen.fresh, seen.surplus_w, seen.meter_w) == (False, (500.0, 0.0, 0.0), (-500.0, 0.0, 0.0))
    assert after.started


@pytest.mark.parametrize(
    ("step_s", "starts_anew"), [(2.5, False), (2.6, True), (0.0, True), (-1.0, True), (nan, True)]
)
def test_after_a_gap_the_belief_starts_anew(step_s: float, starts_anew: bool) -> None:
    before = EstimatorState(((1000.0,) * 3,) * 8, (400.0,) * 3, ZERO, ZERO, 1000.0, started=True)
    seen, _ = estimate_state(site(), snapshot((2000.0,) * 3, at_s=1000.0 + step_s), before)
    assert (seen.model_w == (2000.0,) * 3) is starts_anew


def test_slow_ticks_have_longer_gaps_and_shorter_histories() -> None:
    slow = replace(site(), period_s=4.0)
    _, belief = estimate_state(slow, snapshot(), EstimatorState())
    assert len(belief.sent_w) == 2
    before = replace(belief, model_w=(400.0,) * 3)
    seen, _ = estimate_state(
        slow, replace(snapshot(at_s=1008.0), on_air=OnAirState((2000.0,) * 3, (), 1.0)), before
    )
    assert seen.model_w != (2000.0,) * 3
    seen, _ = estimate_state(
        slow, replace(snapshot(at_s=1008.1), on_air=OnAirState((2000.0,) * 3, (), 1.0)), before
    )
    assert seen.model_w == (2000.0,) * 3
    assert len(estimate_state(replace(slow, period_s=20.0), snapshot(), EstimatorState())[1].sent_w) == 1


def test_a_netting_meter_sees_the_sum_shared_out() -> None:
    seen, _ = estimate_state(site(), snapshot(grid_power_w=(-900.0, 600.0, 0.0)), EstimatorState())
    assert sum(seen.surplus_w) == pytest.approx(300.0)
    assert sum(seen.meter_w) == pytest.approx(-300.0)
    assert min(seen.surplus_w) >= 0.0
