"""Bounds on a ratio: against sums by hand, against chance, and where they must say nothing."""

from math import exp, inf, log, sqrt
from random import Random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.evidence import (
    Bounds,
    PairedSums,
    day_bounds,
    day_excess,
    day_log_e_value,
    days_rule_out,
    log_e_value,
)

hours = st.lists(st.tuples(st.floats(0.0, 5000.0), st.floats(0.0, 5000.0)), max_size=40)


def of(pairs: list[tuple[float, float]]) -> PairedSums:
    account = PairedSums()
    for x_wh, y_wh in pairs:
        account = account.add(x_wh, y_wh)
    return account


def test_the_sums() -> None:
    account = of([(3.0, 2.0), (5.0, 4.0)])
    assert account == PairedSums(2, 8.0, 6.0, 34.0, 26.0, 20.0)
    assert account.excess == pytest.approx(1.0 / 3.0)
    assert of([(0.5, 0.5)]).excess == 0.0
    assert of([(3.0, 0.0)]).excess is None
    assert PairedSums().excess is None


@pytest.mark.parametrize("scale", [0.02, 1.0, 20.0, 300.0])
def test_the_worth_of_a_stake_is_its_mean_over_half_normal_stakes(scale: float) -> None:
    """By hand: 20,000 stakes of each spread, on a grid of quantiles."""
    account = of([(30.0 * scale, 20.0 * scale), (25.0 * scale, 22.0 * scale), (40.0 * scale, 28.0 * scale)])
    total, square = 25.0 * scale, (100.0 + 9.0 + 144.0) * scale**2
    grid = [NormalDist().inv_cdf(0.5 + 0.5 * (i + 0.5) / 20_000) for i in range(20_000)]
    worths = [
        sum(exp(s * t * total - 0.5 * (s * t) ** 2 * square) for t in grid) / len(grid)
        for s in (1.0, 0.1, 0.01, 0.001)
    ]
    assert log_e_value(account, 0.0) == pytest.approx(log(sum(worths) / len(worths)), rel=1e-3, abs=1e-6)


def test_years_of_one_kind_are_no_numbers_to_stumble_over() -> None:
    worse, better = of([(120.0, 60.0)] * 4000), of([(30.0, 60.0)] * 4000)
    assert 1000.0 < log_e_value(worse, 0.0) < inf
    assert log_e_value(better, 0.0) == -inf


def test_nothing_seen_says_nothing() -> None:
    assert log_e_value(PairedSums(), 0.0) == pytest.approx(0.0)
    assert day_bounds(PairedSums(), 0.025) == Bounds(-1.0, inf)
    assert day_bounds(days_of([(10.0, 0.0)] * 50), 0.025) == Bounds(-1.0, inf)  # a twin without export
    assert day_bounds(days_of([(10.0, 10.0)]), 0.025) == Bounds(-1.0, inf)  # one day proves nothing
    assert day_excess(PairedSums()) is None
    assert not days_rule_out(PairedSums(), 0.0, 0.5, above=True)


def test_looking_after_every_hour_is_wrong_no_more_often_than_promised() -> None:
    """Equal in the mean, 2,000 lives of 120 hours, looked at after each: alpha is 2.5 % a side."""
    rng, wrong = Random(7), 0
    for _ in range(2000):
        account = PairedSums()
        for _ in range(120):
            y_wh = rng.expovariate(1.0 / 60.0)
            account = account.add(y_wh * (1.0 + rng.choice((-0.3, 0.3))), y_wh)
            if log_e_value(account, 0.0) >= log(40.0):
                wrong += 1
                break
    assert 0 < wrong <= 2000 * 0.025


def days_of(pairs: list[tuple[float, float]]) -> PairedSums:
    account = PairedSums()
    for x_wh, y_wh in pairs:
        account = account.add_weighted(x_wh, y_wh)
    return account


def drawn_days(rng: Random, excess: float, days: int) -> list[tuple[float, float]]:
    costs = [rng.uniform(300.0, 900.0) for _ in range(days)]
    return [(y_wh * (1.0 + excess) + rng.gauss(0.0, 3.0) * sqrt(y_wh), y_wh) for y_wh in costs]


def test_the_worth_of_days_is_the_t_test_by_hand() -> None:
    """Of equal days it is the known closed form of Student's t with a normal effect of one day's spread."""
    days = days_of([(110.0, 100.0), (130.0, 100.0), (120.0, 100.0)])
    statistic = 20.0 / (10.0 / sqrt(3.0))  # mean over standard error
    n = 3.0
    by_hand = -0.5 * log(n + 1.0) + 0.5 * n * log(
        (1.0 + statistic**2 / (n - 1.0)) / (1.0 + statistic**2 / ((n - 1.0) * (n + 1.0)))
    )
    assert day_log_e_value(days, 0.0) == pytest.approx(by_hand)
    assert day_excess(days) == pytest.approx(0.2)


def test_the_days_estimate_is_the_ratio_of_their_totals() -> None:
    days = days_of([(500.0, 400.0), (90.0, 100.0), (1300.0, 1200.0)])
    assert day_excess(days) == pytest.approx(1890.0 / 1700.0 - 1.0)


def test_a_bound_of_days_is_where_they_rule_out() -> None:
    days = days_of(drawn_days(Random(3), 0.2, 14))
    found = day_bounds(days, 0.01)
    assert 0.0 < found.low < 0.2 < found.high < 0.5
    for bound, above, outward in ((found.low, True, -1.0), (found.high, False, 1.0)):
        assert day_log_e_value(days, bound) == pytest.approx(log(50.0), abs=1e-6)
        assert days_rule_out(days, bound + 1e-6 * outward, 0.01, above=above)
        assert not days_rule_out(days, bound - 1e-6 * outward, 0.01, above=above)
        assert not days_rule_out(days, bound + 1e-6 * outward, 0.01, above=not above)


def test_days_that_agree_to_the_last_bit_are_no_numbers_to_stumble_over() -> None:
    days = days_of([(120.0, 100.0)] * 6)
    assert days_rule_out(days, 0.0, 0.005, above=True)
    found = day_bounds(days, 0.01)
    assert found.low == pytest.approx(0.2, abs=1e-6)
    assert found.high == pytest.approx(0.2, abs=1e-6)


def test_looking_at_every_day_of_a_year_is_wrong_no_more_often_than_promised() -> None:
    """Equal in the mean, 1,500 sites of 100 days, looked at after each: alpha is 2.5 % a side."""
    rng, wrong = Random(11), 0
    for _ in range(1500):
        days = PairedSums()
        for x_wh, y_wh in drawn_days(rng, 0.0, 100):
            days = days.add_weighted(x_wh, y_wh)
            if days_rule_out(days, 0.0, 0.025, above=True):
                wrong += 1
                break
    assert 0 < wrong <= 1500 * 0.025


@given(hours, st.floats(0.001, 0.2))
def test_bounds_hold_what_was_seen_between_them(pairs: list[tuple[float, float]], alpha: float) -> None:
    days = days_of(pairs)
    found, seen = day_bounds(days, alpha), day_excess(days)
    assert -1.0 <= found.low <= found.high
    assert seen is None or found.low <= seen <= found.high
