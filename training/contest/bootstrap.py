"""Bootstrap intervals over hours, and over days: how far a figure would move with other hours or other days.

Hours of one day resemble each other, so an interval over hours alone is too narrow for a statement about
days; the one over days draws whole days first and then hours within each. With a handful of days it is wide
and rough: five days can be drawn in 126 ways only. A choice that rests on so few asks
`training.evaluation.paired_days` instead.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.batched.day_runs import DayScenario

RESAMPLES = 1000
LEVEL = (2.5, 97.5)
"""95 % intervals."""
UNKNOWN_MAX = 0.1
"""More resamples than this without a value leave an interval unknown."""

Floats: TypeAlias = NDArray[np.float64]
Interval: TypeAlias = tuple[float, float]
UNKNOWN: Interval = (float("nan"), float("nan"))


@dataclass(frozen=True)
class Change:
    """A relative change, -0.25 is a quarter less, with 95 % intervals; NaN where it is not known."""

    value: float
    over_hours: Interval
    over_days: Interval


@dataclass(frozen=True)
class Draws:
    """How often each row counts in each resample, [RESAMPLES, rows]."""

    hours: Floats
    days: Floats


def draws_of(rows: Sequence[DayScenario], seed: int = 0) -> Draws:
    """Resamples of rows. Rows of one hour (other radios) stay together; the same rows give the same draws."""
    days = _numbers([row.day for row in rows])
    hours = _numbers([(row.day, row.from_s) for row in rows])
    _, first = np.unique(hours, return_index=True)
    day_of_hour = days[first]
    luck = np.random.default_rng(seed)
    count = len(first)
    by_hour = luck.multinomial(count, np.full(count, 1.0 / count), RESAMPLES).astype(float)
    by_day = np.zeros_like(by_hour)
    found = int(days.max()) + 1
    taken = luck.multinomial(found, np.full(found, 1.0 / found), RESAMPLES)
    for day in range(found):
        (places,) = np.nonzero(day_of_hour == day)
        chances = np.full(len(places), 1.0 / len(places))
        by_day[:, places] = luck.multinomial(taken[:, day] * len(places), chances)
    return Draws(by_hour[:, hours], by_day[:, hours])


def change_of(statistic: Callable[[Floats], Floats], draws: Draws) -> Change:
    """A change with its intervals; `statistic` maps weights [r, rows] to values [r]."""
    value = float(statistic(np.ones((1, draws.hours.shape[1])))[0])
    return Change(value, interval(statistic(draws.hours)), interval(statistic(draws.days)))


def interval(values: Floats) -> Interval:
    """95 % of the values; unknown where too many of them are."""
    there = values[np.isfinite(values)]
    if len(there) < (1.0 - UNKNOWN_MAX) * len(values):
        return UNKNOWN
    low, high = np.percentile(there, LEVEL)
    return float(low), float(high)


def _numbers(keys: Sequence[Any]) -> NDArray[np.intp]:
    """0, 1, 2 ... in the order in which different keys first appear."""
    order: dict[Any, int] = {}
    return np.array([order.setdefault(key, len(order)) for key in keys])
