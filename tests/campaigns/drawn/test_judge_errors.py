"""A short form of the campaign on drawn months."""

from dataclasses import replace

import numpy as np
import pytest

from tests.campaigns.drawn.judge_errors import HALF, PLAN, WORLDS, fates, reached, row
from tests.campaigns.drawn.measured_days import DayCosts, by_span
from tests.campaigns.drawn.months import DAYS, SPANS, MonthWorld, drawn

SITES = 12


@pytest.mark.parametrize("excess", [-0.1, 0.0, 0.2])
def test_the_long_run_is_what_was_asked_for(excess: float) -> None:
    months = drawn(MonthWorld(excess=excess), 1500, seed=4)
    ratio = months.policy_wh.sum(axis=(0, 1, 2)) / months.fallback_wh.sum(axis=(0, 1, 2))
    assert ratio == pytest.approx(1.0 + excess, abs=0.02)


def test_weather_lasts_stores_fill_and_days_go_missing() -> None:
    plain, stores = (drawn(MonthWorld(has_stores=full), 400, seed=5) for full in (False, True))
    days = plain.fallback_wh[..., 0].sum(axis=2)
    assert days.shape == (400, DAYS)
    assert plain.fallback_wh.shape == (400, DAYS, SPANS, 2)
    logs = np.log(days + 1.0)
    assert 0.3 < np.corrcoef(logs[:, :-1].ravel(), logs[:, 1:].ravel())[0, 1] < 0.8
    assert stores.fallback_wh.sum() < 0.8 * plain.fallback_wh.sum()
    assert plain.measured.all()
    gaps = drawn(MonthWorld(missing_share=0.2), 400, seed=5).measured
    assert 0.77 < gaps.mean() < 0.83


def test_a_twin_that_is_too_cheap_is_so_in_every_span() -> None:
    months = drawn(MonthWorld(twin_bias=0.1, twin_spread=0.0), 5, seed=6)
    assert months.fallback_twin_wh == pytest.approx(0.9 * months.fallback_wh)
    assert months.policy_twin_wh == pytest.approx(0.9 * months.policy_wh)


def test_the_same_controller_is_neither_rolled_back_nor_found_better() -> None:
    found = fates(replace(WORLDS["the same controller"], twin_spread=0.01), SITES, 7)
    assert [one.rolled_back for one in found] == [None] * SITES


def test_much_better_goes_through_the_plan_and_much_worse_does_not() -> None:
    better = fates(MonthWorld(excess=-0.4, day_spread=0.05), SITES, 8)
    worse = fates(MonthWorld(excess=0.6, day_spread=0.05), SITES, 8)
    assert all(one.rolled_back is not None and one.reached is None for one in worse)
    least_days = sum(PLAN.rules[place].least_s for place in range(3)) / 86400.0
    assert HALF.value == "share_50"
    assert all(one.reached is None or one.reached >= least_days for one in better)
    assert sum(one.reached is not None for one in better) > SITES // 2


def test_without_a_record_no_step_is_taken() -> None:
    months = drawn(MonthWorld(excess=-0.4, missing_share=1.0), 1, seed=9)
    assert reached(months, 0) is None


def test_a_row_gives_shares_and_medians_over_all_sites() -> None:
    found = fates(MonthWorld(excess=0.6, day_spread=0.05), SITES, 8)
    cells = [cell.strip() for cell in row("bad", MonthWorld(excess=0.6), found).split("|")]
    assert cells[1:4] == ["bad", "+60%", "100.0 %"]
    assert 1 <= int(cells[4]) <= DAYS
    assert cells[5:7] == ["0.0 %", "–"]


def test_measured_days_are_scaled_to_the_long_run_and_drawn() -> None:
    hours = np.array([[10.0, 12.0], [30.0, 33.0], [20.0, 21.0]])
    own = by_span(["a", "a", "b"], [28_800, 32_400, 36_000], hours)
    assert own.shape == (2, SPANS, 2)
    assert own[0, 4].tolist() == [40.0, 45.0]
    assert own[1, 5].tolist() == [20.0, 21.0]
    known = DayCosts(own, 2.0 * own)
    months = known.months(0.1, 50, seed=1)
    assert months.policy_wh == pytest.approx(1.1 * months.fallback_wh)
    assert months.measured.all()
    assert known.spread() == pytest.approx(0.0)
