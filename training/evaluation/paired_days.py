"""How far a change of a sum would move with other days, from the difference on every day: Student's t.

A bootstrap over days (`training.resampling`) is too narrow for a handful of them: three days can be drawn in
ten ways. Here the fewer the days, the wider the interval, as it should be (W. S. Gosset, "The probable error
of a mean", Biometrika 6, 1908).
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import t

from training.days import Day
from training.resampling import LEVEL, UNKNOWN, Floats, Interval


def interval_over_days(after: Floats, before: Floats, days: Sequence[Day]) -> Interval:
    """Where a relative change of the sum lies with 95 % confidence; unknown from one day alone.

    The difference on every day is the observation, in absolute units, so that its mean is the change of the
    sum and a day counts with what it weighs. Exact where the differences are normal.

    Args:
        after, before: [rows], in the same unit, of the same hours.
        days: of each row.
    """
    place = {day: number for number, day in enumerate(dict.fromkeys(days))}
    of_row, count = [place[day] for day in days], len(place)
    sum_before = float(before.sum())
    if count < 2 or not sum_before > 0.0:
        return UNKNOWN
    differences = np.bincount(of_row, weights=after - before, minlength=count)
    middle = float(differences.sum())
    reach = float(t.ppf(LEVEL[1] / 100.0, count - 1) * np.std(differences, ddof=1) * np.sqrt(count))
    return (middle - reach) / sum_before, (middle + reach) / sum_before
