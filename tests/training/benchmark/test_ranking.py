"""Rows of the comparison: means over seeds, spreads, export at equal import, and what is kept."""

from math import isnan
from pathlib import Path

import numpy as np
import pytest

from core.site import Metering
from safety.pi import PiGains
from tests.training.test_contest import FROM_S, SHIPPED
from training.batched.day_runs import DayScenario, ScenarioResult
from training.batched.laws import pi_law
from training.benchmark.ranking import (
    LATE,
    ON_TIME,
    Lived,
    RankingHours,
    live,
    live_pi,
    load,
    margin,
    rank,
    save,
)
from training.benchmark.ranking_table import TableRow, TrainingCost, as_markdown
from training.contest.relative_to_pi import MARGINS_W
from training.data.days import Day

HOURS = 6
DAYS = tuple(Day(Path(name), "val", "3ph") for name in ("one", "two"))
HEATS = tuple(DayScenario(DAYS[hour // 3], 3600 * hour, Metering.NET, 0, 0) for hour in range(HOURS))
MADE_UP = RankingHours(HEATS, HEATS, ())


def tally(export_wh: float, avoidable_wh: float, peak_w: float = 1000.0) -> ScenarioResult:
    """The same in every hour."""
    columns = dict.fromkeys(ScenarioResult._fields, np.zeros(HOURS))
    columns |= {
        "export_wh": np.full(HOURS, export_wh),
        "avoidable_wh": np.full(HOURS, avoidable_wh),
        "peak10s_export_w": np.full(HOURS, peak_w),
    }
    return ScenarioResult(**columns)


def lived(on_time: ScenarioResult, late: ScenarioResult) -> Lived:
    return {ON_TIME: on_time, LATE: late}


def reference() -> Lived:
    """A PI that exports 100 Wh and imports 100 Wh, and gives 1 Wh of export for 2 Wh of import."""
    shifts = np.linspace(-20.0, 20.0, len(MARGINS_W))
    sweep = {
        margin(margin_w): tally(100.0 - shift, 100.0 + 2.0 * shift)
        for margin_w, shift in zip(MARGINS_W, shifts, strict=True)
    }
    return {**lived(tally(100.0, 100.0), tally(300.0, 300.0)), **sweep}


def test_a_row_is_the_mean_over_the_seeds_with_their_spread() -> None:
    runs = [lived(tally(export_wh, 100.0), tally(150.0, 300.0)) for export_wh in (60.0, 80.0, 100.0)]
    pi, row = rank(MADE_UP, reference(), {"learner": runs})
    assert (row.seeds, row.hours) == (3, HOURS)
    assert row.figures["own_wh"] == pytest.approx(HOURS * 80.0)
    assert row.j.value == pytest.approx(130.0 / 150.0 - 1.0)
    assert row.j_spread == pytest.approx((110.0 / 150.0 - 1.0, 0.0))
    assert row.j.over_days == pytest.approx((row.j.value, row.j.value))  # every hour is alike
    assert row.export.value == pytest.approx(-0.2)
    assert row.late_j.value == pytest.approx(300.0 / 450.0 - 1.0)
    assert pi.j.value == pi.late_j.value == 0.0


def test_export_is_compared_with_a_pi_of_the_same_import() -> None:
    bought = lived(tally(90.0, 120.0), tally(1.0, 1.0))
    _, row = rank(MADE_UP, reference(), {"margin": [bought]})
    assert row.export.value == pytest.approx(0.0, abs=1e-9)  # less export, but the PI buys it for as much


def test_beyond_the_margins_of_the_pi_nothing_is_said_of_export() -> None:
    _, row = rank(MADE_UP, reference(), {"greedy": [lived(tally(0.0, 900.0), tally(1.0, 1.0))]})
    assert isnan(row.export.value)
    assert TableRow(row).as_json()["row"]["export"]["value"] is None
    (line,) = (text for text in as_markdown([TableRow(row)], "title").splitlines() if "greedy" in text)
    assert "| – |" in line


def test_the_table_says_what_a_learner_cost() -> None:
    runs = [lived(tally(60.0, 100.0), tally(1.0, 1.0))] * 2
    _, row = rank(MADE_UP, reference(), {"learner": runs})
    shown = as_markdown([TableRow(row, TrainingCost(4000.0, 3200.0, 41.0, None, ""))], "title")
    assert "| learner | 2 | 4,000 | 41 |" in shown
    assert "-26.7% [-26.7%, -26.7%]" in shown


def test_what_was_lived_is_read_again(tmp_path: Path) -> None:
    save(tmp_path / "x.npz", reference())
    again = load(tmp_path / "x.npz")
    assert set(again) == set(reference())
    for when, kept in again.items():
        assert all(np.array_equal(*pair) for pair in zip(reference()[when], kept, strict=True))


def test_the_pi_among_the_policies_is_the_pi_of_the_reference() -> None:
    heats = tuple(DayScenario(SHIPPED, FROM_S, Metering.NET, 0, delay_s) for delay_s in (0, 2))
    swept = tuple(DayScenario(SHIPPED, FROM_S, Metering.NET, 0, 0, margin_w) for margin_w in MARGINS_W)
    course = RankingHours(heats[:1], heats[1:], swept)
    pi = live_pi(course, PiGains(), 60)
    _, row = rank(course, pi, {"same": [live(course, pi_law(PiGains()), 60)]})
    assert row.j.value == pytest.approx(0.0, abs=1e-6)
    assert row.late_j.value == pytest.approx(0.0, abs=1e-6)
    assert len({float(pi[margin(margin_w)].avoidable_wh[0]) for margin_w in MARGINS_W}) == len(MARGINS_W)
