"""The rule by which a challenger takes the champion's place, clause by clause."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.site import Metering
from training.day_runs import HOUR_S, Heat, Tally
from training.days import Day
from training.evaluation.criteria import Answers, Criterion
from training.evaluation.succession import Rival, Succession, succession
from training.own_days import (
    JUDGE,
)
from training.standings import Field, standings

HOURS, DAYS = 4, 5
KEPT = (Criterion("peak", "", 0.0, "", True), Criterion("imbalance", "", 0.0, "", False))


def constructed(ratio: Any, late: float = 0.98) -> Succession:
    """A challenger with this share of the champion's J, by hours."""
    return settle(ratio, late, KEPT, 0, Answers(0, 0, 0))


def settle(
    ratio: Any, late: float, mine: tuple[Criterion, ...], violations: int, answers: Answers
) -> Succession:
    heats = tuple(
        Heat(Day(Path(f"{day}"), JUDGE, "3ph"), HOUR_S * hour, Metering.NET, 0, delay_s)
        for delay_s in (0, 2)
        for day in range(DAYS)
        for hour in range(HOURS)
    )
    half = HOURS * DAYS
    base = np.tile(np.linspace(50.0, 150.0, half), 2)
    scale = np.concatenate([np.broadcast_to(np.asarray(ratio, float), half), np.full(half, late)])
    zero = np.zeros(2 * half)

    def tally(own_wh: Any, broken: int = 0) -> Tally:
        columns = dict.fromkeys(Tally._fields, zero) | {"export_wh": own_wh, "peak10s_export_w": own_wh}
        return Tally(**(columns | {"violations": zero + broken / 2.0 / half}))

    tallies = {"pi": tally(base * 2.0), "old 1": tally(base), "new 2": tally(base * scale)}
    field = Field(dict.fromkeys(tallies, heats), tallies)
    rows = standings(field)
    if violations:
        rows = [replace(row, violations=violations) if row.controller == "new 2" else row for row in rows]
    champion = Rival("old 1", Answers(0, 0, 0), KEPT)
    return succession(field, rows, Metering.NET, champion, Rival("new 2", answers, mine))


NOISE = 1.0 + 0.2 * np.repeat([-1.0, 1.0, -1.0, 1.0, -0.6], HOURS)
LOST = (replace(KEPT[0], holds=False), KEPT[1])
CLEAN = Answers(0, 0, 0)


@pytest.mark.parametrize(
    ("what", "ratio", "late", "mine", "violations", "answers", "holding"),
    [
        ("better on every day", 0.95, 0.98, KEPT, 0, CLEAN, (True, True, True, True)),
        ("worse", 1.05, 0.98, KEPT, 0, CLEAN, (False, True, True, True)),
        ("the same", 1.0, 1.0, KEPT, 0, CLEAN, (False, True, True, True)),
        ("better by luck of the days", NOISE, 0.98, KEPT, 0, CLEAN, (False, True, True, True)),
        ("loses a criterion", 0.95, 0.98, LOST, 0, CLEAN, (True, False, True, True)),
        ("worse when late", 0.95, 1.001, KEPT, 0, CLEAN, (True, True, False, True)),
        ("breaks a limit once", 0.95, 0.98, KEPT, 1, CLEAN, (True, True, True, False)),
        ("an unsafe frame", 0.95, 0.98, KEPT, 0, Answers(0, 0, 1), (True, True, True, False)),
        ("no number once", 0.95, 0.98, KEPT, 0, Answers(1, 0, 0), (True, True, True, False)),
        ("nothing known", float("nan"), float("nan"), KEPT, 0, CLEAN, (False, True, False, True)),
    ],
)
def test_one_clause_that_does_not_hold_keeps_the_champion(
    what: str,
    ratio: Any,
    late: float,
    mine: tuple[Criterion, ...],
    violations: int,
    answers: Answers,
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
