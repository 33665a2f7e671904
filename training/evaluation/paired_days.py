"""How far a change would move with other days, from the change on every day: Student's t.

A bootstrap over days (`training.contest.bootstrap`) is too narrow for a handful of them: three days can be
drawn in ten ways. Here the fewer the days, the wider the interval, as it should be (W. S. Gosset, "The
probable error of a mean", Biometrika 6, 1908).
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import t

from training.contest.bootstrap import LEVEL, UNKNOWN, Floats, Interval
from training.data.days import Day


def interval_over_days(after: Floats, before: Floats, days: Sequence[Day]) -> Interval:
    """Where the mean of the days' relative changes lies with 95 % confidence.

    The relative change on every day is the observation. Differences in absolute units would spread with the
    weather: a policy that is a fifth better on every day differs most where there is most to differ in.
    Exact where the changes are independent and normal. Unknown from one day alone, and when nothing was there
    on a day before.

    Args:
        after, before: [rows], in the same unit, of the same hours.
        days: of each row.
    """
    place = {day: number for number, day in enumerate(dict.fromkeys(days))}
    of_row, count = [place[day] for day in days], len(place)
    sums_after, sums_before = (np.bincount(of_row, weights=rows, minlength=count) for rows in (after, before))
    if count < 2 or not (sums_before > 0.0).all():
        return UNKNOWN
    changes = sums_after / sums_before - 1.0
    middle = float(changes.mean())
    reach = float(t.ppf(LEVEL[1] / 100.0, count - 1) * np.std(changes, ddof=1) / np.sqrt(count))
    return middle - reach, middle + reach
