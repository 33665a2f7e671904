"""Bounds on a ratio: against sums by hand, against luck, and where they must say nothing."""

from math import exp, inf, log, sqrt
from random import Random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.evidence import Bounds, PairedSums, bounds, log_e_value

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
    assert log_e_value(better, 0.0, above=False) > 1000.0
    assert bounds(better, 0.01).high < -0.4


def test_what_is_far_beyond_reason_has_a_bound_up_to_a_hundred_times() -> None:
    assert 79.0 < bounds(of([(81.0, 1.0)] * 500), 0.01).high < 85.0
    assert bounds(of([(101.0, 1.0)] * 5000), 0.01).high == inf


def test_nothing_is_less_than_nothing() -> None:
    assert bounds(of([(1000.0, 60.0)] + [(0.0, 60.0)] * 200), 0.025).low == -1.0


def test_evidence_for_less_is_that_for_more_with_both_exchanged() -> None:
    one, other = of([(30.0, 20.0), (25.0, 22.0)]), of([(20.0, 30.0), (22.0, 25.0)])
    assert log_e_value(one, 0.0) == pytest.approx(log_e_value(other, 0.0, above=False))
    assert log_e_value(one, 0.0, above=False) == pytest.approx(log_e_value(other, 0.0))


def test_nothing_seen_says_nothing() -> None:
    assert log_e_value(PairedSums(), 0.0) == pytest.approx(0.0)
    assert bounds(PairedSums(), 0.025) == Bounds(-1.0, inf)
    assert bounds(of([(10.0, 0.0)] * 50), 0.025) == Bounds(-1.0, inf)  # a twin without export
    assert bounds(of([(10.0, 10.0)]), 0.025) == Bounds(-1.0, inf)  # one hour proves nothing


def test_bounds_close_in_on_a_steady_ratio() -> None:
    luck = Random(3)
    pairs = [(y * luck.gauss(1.2, 0.1), y) for y in (luck.uniform(20.0, 100.0) for _ in range(400))]
    wide, narrow = bounds(of(pairs[:40]), 0.025), bounds(of(pairs), 0.025)
    assert wide.low < narrow.low < 0.2 < narrow.high < wide.high
    assert narrow.high - narrow.low < 0.06


def test_a_bound_is_where_the_evidence_reaches_its_level() -> None:
    account = of([(60.0, 50.0), (45.0, 50.0), (58.0, 50.0)] * 12)
    found = bounds(account, 0.025)
    assert log_e_value(account, found.low) == pytest.approx(log(40.0), abs=1e-6)
    assert log_e_value(account, found.high, above=False) == pytest.approx(log(40.0), abs=1e-6)


def test_a_smaller_alpha_gives_wider_bounds() -> None:
    account = of([(60.0, 50.0), (45.0, 50.0)] * 30)
    often, seldom = bounds(account, 0.1), bounds(account, 0.001)
    assert seldom.low < often.low < often.high < seldom.high


def test_looking_after_every_hour_is_wrong_no_more_often_than_promised() -> None:
    """Equal in the mean, 2,000 lives of 120 hours, looked at after each: alpha is 2.5 % a side."""
    luck, wrong = Random(7), 0
    for _ in range(2000):
        account = PairedSums()
        for _ in range(120):
            y_wh = luck.expovariate(1.0 / 60.0)
            account = account.add(y_wh * (1.0 + luck.choice((-0.3, 0.3))), y_wh)
            if log_e_value(account, 0.0) >= log(40.0):
                wrong += 1
                break
    assert 0 < wrong <= 2000 * 0.025


@given(hours, st.floats(0.001, 0.2))
def test_bounds_hold_what_was_seen_between_them(pairs: list[tuple[float, float]], alpha: float) -> None:
    account = of(pairs)
    found = bounds(account, alpha)
    assert -1.0 <= found.low <= found.high
    if account.excess is not None and account.y > 1e-3:
        assert found.low <= account.excess + 1e-9 * sqrt(1.0 + abs(account.excess))
        assert found.high >= min(account.excess, 100.0) - 1e-9
