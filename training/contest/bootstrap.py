"""How far a figure would move with other hours, by bootstrap, and with other days, by Student's t.

Hours of one day resemble each other, so an interval over hours alone is too narrow for a statement about
days. A bootstrap over days is too narrow as well for a handful of them: three days can be drawn in ten ways.
With Student's t the interval is the wider the fewer the days, as it should be (W. S. Gosset, "The probable
error of a mean", Biometrika 6, 1908).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

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
    """How often each row counts in a resample of hours, [RESAMPLES, rows], and on a day, [days, rows]."""

    hours: Floats
    by_day: Floats


def draws_of(rows: Sequence[DayScenario], seed: int = 0) -> Draws:
    """Resamples of rows. Rows of one hour (other radios) stay together; the same rows give the same draws."""
    days = _numbers([row.day for row in rows])
    hours = _numbers([(row.day, row.from_s) for row in rows])
    count = int(hours.max()) + 1
    rng = np.random.default_rng(seed)
    by_hour = rng.multinomial(count, np.full(count, 1.0 / count), RESAMPLES).astype(float)
    by_day = np.arange(int(days.max()) + 1)[:, None] == days
    return Draws(by_hour[:, hours], by_day.astype(float))


def change_of(statistic: Callable[[Floats], Floats], draws: Draws) -> Change:
    """A change with its intervals; `statistic` maps weights [r, rows] to values [r]."""
    value = float(statistic(np.ones((1, draws.hours.shape[1])))[0])
    return Change(value, interval(statistic(draws.hours)), interval_over_days(statistic(draws.by_day)))


def interval_over_days(changes: Floats) -> Interval:
    """Where the mean of the days' relative changes lies with 95 % confidence, by Student's t.

    The relative change on every day is the observation. Differences in absolute units would spread with the
    weather: a policy that is a fifth better on every day differs most where there is most to differ in.
    Exact where the changes are independent and normal. Unknown from one day alone, and when the change of
    any day is.

    Args:
        changes: of every day, [days].
    """
    count = len(changes)
    if count < 2 or not np.isfinite(changes).all():
        return UNKNOWN
    middle = float(changes.mean())
    reach = float(t.ppf(LEVEL[1] / 100.0, count - 1) * np.std(changes, ddof=1) / np.sqrt(count))
    return middle - reach, middle + reach


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
