"""A short form of the campaign on the judge."""

from random import Random

import pytest

from plant.site.trace import load_trace
from tests.campaigns.judging import Spans, lived, month, table_of_months, table_of_twins

FROM_S = 11 * 3600


def days_of(excess: float) -> list[Spans]:
    """Five days of five spans each, some better and some worse, so much worse in the mean."""
    rng = Random(3)
    days = []
    for _ in range(5):
        twin = tuple((wh, 1.5 * wh) for wh in (rng.uniform(50.0, 150.0) for _ in range(5)))
        share = [1.0 + excess + rng.choice((-0.1, 0.1)) for _ in twin]
        own = tuple((s * e, s * j) for s, (e, j) in zip(share, twin, strict=True))
        days.append(Spans(own, twin, 0))
    return days


@pytest.mark.parametrize(("excess", "rolled_back"), [(-0.1, 0), (0.0, 0), (0.5, 20)])
def test_months_end_where_a_policy_is_worse(excess: float, rolled_back: int) -> None:
    rng = Random(1)
    ends = [month(days_of(excess), (1.0, 1.0), 0.0, rng) for _ in range(20)]
    found = [day for day in ends if day is not None]
    assert len(found) == rolled_back
    assert all(day >= 3 for day in found)


@pytest.mark.slow
def test_a_day_is_lived_beside_its_twin() -> None:
    spans = lived(load_trace(), "slow PI", 0, 0.0, (FROM_S, FROM_S + 7260))
    tuned = lived(load_trace(), "tuned PI", 0, 0.0, (FROM_S, FROM_S + 7260))
    assert (len(spans.own), len(spans.twin), spans.at_once) == (1, 1, 0)
    assert tuned.own == tuned.twin
    assert spans.own[0][0] > 1.3 * tuned.own[0][0]
    assert spans.twin[0][0] == pytest.approx(tuned.own[0][0], rel=0.2)
    told = table_of_twins({("slow PI", 0.0): [spans], ("tuned PI", 0.0): [tuned]})
    assert "| slow PI | 0 | 1 |" in told


def test_the_table_scales_to_what_is_asked() -> None:
    rows = table_of_months({"policy": days_of(0.3)}, 5, 1).splitlines()
    assert [row.split("|")[2].strip() for row in rows[2:]] == ["-10%", "+0%", "+5%", "+10%", "+20%"]
    assert "| 100.00 % |" in rows[-1]
