"""The rule by which a challenger takes the champion's place, clause by clause."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.site import Metering
from training.batched.day_runs import HOUR_S, DayScenario, ScenarioResult
from training.champion.own_days import FEWEST, JUDGE
from training.contest.bootstrap import Floats, Interval, change_of, draws_of
from training.contest.results import Field, standings
from training.data.days import Day
from training.evaluation.criteria import CriteriaAnswers, Criterion
from training.evaluation.succession import Rival, Succession, succession

HOURS, DAYS = 4, 5
KEPT = (Criterion("peak", "", 0.0, "", True), Criterion("imbalance", "", 0.0, "", False))


def constructed(ratio: Any, late: float = 0.98) -> Succession:
    """A challenger with this share of the champion's J, by hours."""
    return settle(ratio, late, KEPT, 0, CriteriaAnswers(0, 0, 0))


def settle(
    ratio: Any,
    late: float,
    mine: tuple[Criterion, ...],
    violations: int,
    answers: CriteriaAnswers,
    days: int = DAYS,
) -> Succession:
    heats = tuple(
        DayScenario(Day(Path(f"{day}"), JUDGE, "3ph"), HOUR_S * hour, Metering.NET, 0, delay_s)
        for delay_s in (0, 2)
        for day in range(days)
        for hour in range(HOURS)
    )
    half = HOURS * days
    base = np.tile(np.linspace(50.0, 150.0, half), 2)
    scale = np.concatenate([np.broadcast_to(np.asarray(ratio, float), half), np.full(half, late)])
    zero = np.zeros(2 * half)

    def tally(own_wh: Any, broken: int = 0) -> ScenarioResult:
        columns = dict.fromkeys(ScenarioResult._fields, zero) | {
            "export_wh": own_wh,
            "peak10s_export_w": own_wh,
        }
        return ScenarioResult(**(columns | {"violations": zero + broken / 2.0 / half}))

    tallies = {"pi": tally(base * 2.0), "old 1": tally(base), "new 2": tally(base * scale)}
    field = Field(dict.fromkeys(tallies, heats), tallies)
    rows = standings(field)
    if violations:
        rows = [replace(row, violations=violations) if row.controller == "new 2" else row for row in rows]
    champion = Rival("old 1", CriteriaAnswers(0, 0, 0), KEPT)
    return succession(field, rows, Metering.NET, champion, Rival("new 2", answers, mine))


NOISE = 1.0 + 0.2 * np.repeat([-1.0, 1.0, -1.0, 1.0, -0.6], HOURS)
LOST = (replace(KEPT[0], holds=False), KEPT[1])
CLEAN = CriteriaAnswers(0, 0, 0)


@pytest.mark.parametrize(
    ("what", "ratio", "late", "mine", "violations", "answers", "holding"),
    [
        ("better on every day", 0.95, 0.98, KEPT, 0, CLEAN, (True, True, True, True)),
        ("worse", 1.05, 0.98, KEPT, 0, CLEAN, (False, True, True, True)),
        ("the same", 1.0, 1.0, KEPT, 0, CLEAN, (False, True, True, True)),
        ("better by chance of the days", NOISE, 0.98, KEPT, 0, CLEAN, (False, True, True, True)),
        ("loses a criterion", 0.95, 0.98, LOST, 0, CLEAN, (True, False, True, True)),
        ("worse when late", 0.95, 1.001, KEPT, 0, CLEAN, (True, True, False, True)),
        ("breaks a limit once", 0.95, 0.98, KEPT, 1, CLEAN, (True, True, True, False)),
        ("an unsafe frame", 0.95, 0.98, KEPT, 0, CriteriaAnswers(0, 0, 1), (True, True, True, False)),
        ("no number once", 0.95, 0.98, KEPT, 0, CriteriaAnswers(1, 0, 0), (True, True, True, False)),
        ("nothing known", float("nan"), float("nan"), KEPT, 0, CLEAN, (False, True, False, True)),
    ],
)
def test_one_clause_that_does_not_hold_keeps_the_champion(
    what: str,
    ratio: Any,
    late: float,
    mine: tuple[Criterion, ...],
    violations: int,
    answers: CriteriaAnswers,
    holding: tuple[bool, ...],
) -> None:
    found = settle(ratio, late, mine, violations, answers)
    assert tuple(clause.holds for clause in found.clauses) == holding, what
    assert found.challenger_wins is all(holding)


def test_the_changes_are_those_of_the_same_hours() -> None:
    found = constructed(0.9, 0.8)
    assert found.j_change.value == pytest.approx(-0.1)
    assert found.late_j_change.value == pytest.approx(-0.2)
    assert "peak" in settle(0.9, 0.9, LOST, 0, CLEAN).clauses[1].found


# the interval

NULLS = 2000
CHANCE_MAX = 0.025
"""Of a challenger that is no better, by one side of an interval of 95 %."""
CHANCE_ERROR = 3.0 * (CHANCE_MAX * (1.0 - CHANCE_MAX) / NULLS) ** 0.5
"""Three standard errors of a share that is counted over so many: 0.010."""


def over_days(after: Floats, before: Floats, days: Sequence[Day]) -> Interval:
    """Of changes of sums, with the days of each row."""
    rows = [DayScenario(day, 0, Metering.NET, 0, 0) for day in days]
    with np.errstate(invalid="ignore", divide="ignore"):
        return change_of(lambda weights: weights @ after / (weights @ before) - 1.0, draws_of(rows)).over_days


@pytest.mark.parametrize("days", [FEWEST[JUDGE], FEWEST[JUDGE] + 1, 6, 10])
@pytest.mark.parametrize("spread", [0.0, 0.5], ids=["days alike", "some days weigh more"])
def test_challengers_that_are_no_better_win_as_seldom_as_is_said(days: int, spread: float) -> None:
    """A day adds 2 % of noise that its eight hours share, and each hour 1 % of its own.

    With the bootstrap over days 12 % of 1000 won with three days, 10 % with four, 5 % with ten (seed 25).
    """
    rng, wins = np.random.default_rng(25), 0
    of_row = [Day(Path(f"{row // 8}"), JUDGE, "3ph") for row in range(8 * days)]
    for _ in range(NULLS):
        base = np.repeat(100.0 * np.exp(spread * rng.normal(size=days)), 8)
        shared = np.repeat(rng.normal(0.0, 0.02, days), 8)
        mine = base * (1.0 + shared + rng.normal(0.0, 0.01, 8 * days))
        wins += over_days(mine, base, of_row)[1] < 0.0
    assert wins / NULLS <= CHANCE_MAX + CHANCE_ERROR


def test_the_interval_is_students_t_of_the_days_changes() -> None:
    """Changes of -6, -3 and 0 %: mean -3, standard error 3 / sqrt(3), t(2) = 4.303."""
    days = [Day(Path(name), JUDGE, "3ph") for name in "aabbcc"]
    before = np.full(6, 50.0)
    after = before - np.array([4.0, 2.0, 0.0, 3.0, 1.0, -1.0])
    low, high = over_days(after, before, days)
    reach = 4.3027 * 3.0 / 3.0**0.5
    assert (low, high) == pytest.approx(((-3.0 - reach) / 100.0, (-3.0 + reach) / 100.0), rel=1e-4)


@pytest.mark.parametrize("base", [0.0, float("nan"), 50.0], ids=["nothing before", "no number", "one day"])
def test_what_cannot_be_known_is_no_interval(base: float) -> None:
    days = [Day(Path("a" if base == 50.0 else name), JUDGE, "3ph") for name in "ab"]
    assert not np.isfinite(over_days(np.full(2, 1.0), np.full(2, base), days)).any()


def test_the_rule_asks_students_t() -> None:
    """Over hours, this challenger of chance would win."""
    days = np.repeat([0.96, 0.995, 1.0], HOURS)
    found = settle(days, 0.98, KEPT, 0, CLEAN, days=FEWEST[JUDGE])
    assert found.j_change.over_hours[1] < 0.0 < found.j_change.over_days[1]
    assert not found.clauses[0].holds


def test_what_is_better_by_the_same_share_on_every_day_wins_whatever_the_days_weigh() -> None:
    """By differences in Wh it would not: three days of 10, 100 and 1000 Wh."""
    days = [Day(Path(name), JUDGE, "3ph") for name in "abc"]
    before = np.array([10.0, 100.0, 1000.0])
    assert over_days(0.8 * before, before, days) == pytest.approx((-0.2, -0.2))


def test_a_challenger_that_is_better_on_most_days_and_worse_in_all_loses() -> None:
    """Better on dull days, worse on those that weigh most."""
    count = 100
    ratio = 0.986 + 0.1 * np.linspace(-1.0, 1.0, HOURS * count)
    found = settle(ratio, 0.98, KEPT, 0, CLEAN, days=count)
    assert found.j_change.over_days[1] < 0.0 < found.j_change.value
    assert not found.clauses[0].holds
