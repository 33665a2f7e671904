"""Fits the tripping tier of `safety.anomaly` to a site's own days.

Robust scores per feature and hour, a shrunk covariance of the scores, and a threshold from extreme value
theory. The threshold is set on days that did not take part in the fit of the rest (folds of whole days), so
that it holds for days to come. The quantity whose tail is fitted is the one that trips: the distance that
`TICKS_BEYOND` of the last `TICKS_SEEN` ticks exceed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.features import FEATURE_NAMES
from safety.anomaly import HOURS, TICKS_BEYOND, TICKS_SEEN, Calibration

FALSE_TRIP_DAYS = 30.0
"""At most one false trip in so many days is accepted."""
CAUTION = 2.0
"""The level is set for so many times that span: the tail is known from two weeks only."""
FOLDS = 7
"""Pieces of consecutive days, each judged by a picture of the others (two days each of two weeks)."""
BLOCK_S = 3600.0
"""Maxima are taken over blocks of this length; neighbours that are both extreme count as one event."""
TAIL_SHARE = 0.10
"""Share of the blocks that counts as the tail."""
TAIL_LEAST = 10
"""Fewest events that a tail is fitted to; the largest ones of all blocks when there are fewer."""
SHAPE_MAX = 0.5
"""Of the tail of the logarithm; beyond it the estimate is worthless, and so would be the threshold."""
THIN_TICKS = 5
"""Neighbouring ticks tell the same: every fifth is enough for medians, spreads and covariance."""
HOUR_LEAST_S = 18 * 3600.0
"""An hour of the day that has less, its neighbours included, is judged like the day as a whole."""
SCORE_MAX = 8.0
"""Scores are bounded here for the covariance, so that single events do not shape it."""
VARIANCE_FLOOR = 0.5
"""Least variance of any direction, of the mean one: a direction that stood still on the calibrated days (the
headroom is what the commands leave of the capacity, until a slave falls silent) is no evidence by itself."""
ROWS_AT_ONCE = 65536
"""Bounds the memory: two weeks of ticks are 145 MB as they are, and many times that as scores."""
NORMAL_999 = 6.18
"""Between the 0.1 % and the 99.9 % quantile of the normal distribution, in standard deviations."""
MAD_TO_STD = 1.4826

_LEAST_SCALE = {
    "surplus_hat_w": 50.0,
    "surplus_change_1s_w": 25.0,
    "slope_fast_w_s": 10.0,
    "slope_slow_w_s": 5.0,
    "log_volatility": 0.25,
    "command_minus_surplus_w": 50.0,
    "in_flight_w": 50.0,
    "max_10s_minus_now_w": 50.0,
    "last_step_decayed_w": 50.0,
    "delay_estimate_s": 0.5,
    "link_loss_rate": 0.1,
    "capacity_headroom_w": 200.0,
}
"""Least scale per feature, in its unit: noise of a meter, one retry of the radio, a small appliance."""

Rows = NDArray[np.float32]
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Days:
    """What was observed in normal control, in order: features [n, 30] in SI units, hour [n] (-1 unknown)."""

    features: Rows
    hour: NDArray[np.int8]
    period_s: float = 1.0

    @property
    def days(self) -> float:
        """How many days of ticks there are."""
        return len(self.hour) * self.period_s / 86400.0


@dataclass(frozen=True, slots=True)
class Tail:
    """The fitted tail of the logarithm of the tripping distance: a generalised Pareto distribution.

    `events_per_day` exceed `level` (a squared distance); `shape` and `scale` are those of the logarithm.
    """

    level: float
    events_per_day: float
    shape: float
    scale: float

    def level_of(self, days: float) -> float:
        """The squared distance that is exceeded once in so many days."""
        expected = max(1.0, self.events_per_day * days)
        growth = np.log(expected) if self.shape == 0.0 else (expected**self.shape - 1.0) / self.shape
        return float(self.level * np.exp(self.scale * growth))


@dataclass(frozen=True, slots=True)
class Fit:
    """A calibration, and what it was judged by."""

    calibration: Calibration
    tail: Tail
    days: float


@dataclass(frozen=True, slots=True)
class RobustModel:
    """Medians and scales per hour [25, 30], and the precision [30, 30] of the scores."""

    median: Numbers
    scale: Numbers
    precision: Numbers

    def distances(self, days: Days) -> Numbers:
        """Squared Mahalanobis distance of every tick, as `CalibratedDetector` computes it."""
        found = np.empty(len(days.hour))
        for begin in range(0, len(found), ROWS_AT_ONCE):
            part = slice(begin, begin + ROWS_AT_ONCE)
            row = _row(days.hour[part])
            scores = (days.features[part] - self.median[row]) / self.scale[row]
            found[part] = np.sum((scores @ self.precision) * scores, axis=1)
        return found


def fit(days: Days) -> Fit:
    """Fit everything to these days.

    Raises:
        ValueError: too little data for any tail, or numbers that are not finite.
    """
    if not np.isfinite(days.features).all():
        raise ValueError("a feature is not a number")
    tail = fit_tail(_held_out_maxima(days), BLOCK_S / 86400.0)
    picture = fit_picture(days)
    threshold = tail.level_of(CAUTION * FALSE_TRIP_DAYS)
    calibration = Calibration(
        FEATURE_NAMES,
        _tuples(picture.median),
        _tuples(picture.scale),
        _tuples(picture.precision),
        threshold,
    )
    return Fit(calibration, tail, days.days)


def fit_picture(days: Days) -> RobustModel:
    """Medians, scales and precision of days."""
    thin = Days(days.features[::THIN_TICKS], days.hour[::THIN_TICKS], days.period_s)
    rows = [_centre(thin.features)] * (HOURS + 1)
    for hour in range(HOURS):
        near = np.isin(thin.hour, [(hour + shift) % HOURS for shift in (-1, 0, 1)])
        if np.count_nonzero(near) * THIN_TICKS * days.period_s >= HOUR_LEAST_S:
            rows[hour] = _centre(thin.features[near])
    median, scale = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    row = _row(thin.hour)
    scores = np.clip((thin.features - median[row]) / scale[row], -SCORE_MAX, SCORE_MAX)
    return RobustModel(median, scale, precision_of(ledoit_wolf(scores)))


def ledoit_wolf(scores: Numbers) -> Numbers:
    """Covariance around zero, shrunk towards a multiple of the identity.

    O. Ledoit and M. Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", Journal
    of Multivariate Analysis 88 (2004), 365-411, lemmas 3.1 to 3.4.

    Args:
        scores: [n, p], centred.
    """
    n, p = scores.shape
    sample = scores.T @ scores / n
    mean_variance = np.trace(sample) / p
    target = mean_variance * np.eye(p)
    distance = np.sum((sample - target) ** 2) / p
    noise = (np.sum(np.sum(scores**2, axis=1) ** 2) / n - np.sum(sample**2)) / (n * p)
    share = min(noise, distance) / distance if distance > 0.0 else 1.0
    return np.asarray(share * target + (1.0 - share) * sample)


def precision_of(covariance: Numbers) -> Numbers:
    """The inverse, with no direction's variance below `VARIANCE_FLOOR` of the mean."""
    variances, directions = np.linalg.eigh(covariance)
    variances = np.maximum(variances, VARIANCE_FLOOR * np.mean(variances))
    inverse = (directions / variances) @ directions.T
    return np.asarray(0.5 * (inverse + inverse.T))


def persistent(distances: Numbers) -> Numbers:
    """For every tick the distance that `TICKS_BEYOND` of the last `TICKS_SEEN` ticks reach."""
    padded = np.concatenate([np.zeros(TICKS_SEEN - 1), distances])
    windows = np.lib.stride_tricks.sliding_window_view(padded, TICKS_SEEN)
    place = TICKS_SEEN - TICKS_BEYOND
    parts = [
        np.partition(windows[i : i + ROWS_AT_ONCE], place, axis=1)[:, place]
        for i in range(0, len(windows), ROWS_AT_ONCE)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def fit_tail(maxima: Numbers, block_days: float) -> Tail:
    """Peaks over a high level, clusters of neighbouring blocks as one event, generalised Pareto by PWM.

    J. R. M. Hosking and J. R. Wallis, "Parameter and quantile estimation for the generalized Pareto
    distribution", Technometrics 29 (1987), 339-349. The logarithm is fitted, because the squared distance of
    heavy-tailed features has no moments; a shape below 0 (an end of the tail) is not believed.

    Args:
        maxima: of consecutive blocks.
        block_days: length of a block.

    Raises:
        ValueError: fewer blocks than a tail needs, or no tail.
    """
    if len(maxima) < 2 * TAIL_LEAST:
        raise ValueError(f"{len(maxima)} blocks of an hour are there, {2 * TAIL_LEAST} are needed")
    count = max(TAIL_LEAST, round(TAIL_SHARE * len(maxima)))
    level = float(np.sort(maxima)[-count - 1])
    beyond = maxima > level
    if not (level > 0.0 and beyond.any()):
        raise ValueError("all blocks are alike")
    starts = np.flatnonzero(beyond & ~np.concatenate([[False], beyond[:-1]]))
    peaks = [np.max(maxima[start:][: np.argmin(np.append(beyond[start:], False))]) for start in starts]
    excess = np.sort(np.log(np.array(peaks) / level))
    n = len(excess)
    first = float(np.mean(excess))
    second = float(np.mean((1.0 - (np.arange(1, n + 1) - 0.35) / n) * excess))
    shape = 2.0 - first / (first - 2.0 * second) if first > 2.0 * second else 0.0
    shape = float(np.clip(shape, 0.0, SHAPE_MAX))
    scale = first * (1.0 - shape)
    return Tail(level, n / (len(maxima) * block_days), shape, scale)


def _held_out_maxima(days: Days) -> Numbers:
    """Maxima per block of the tripping distance, each tick judged by a picture that did not see its days."""
    count = len(days.hour)
    distances = np.zeros(count)
    for number in range(FOLDS):
        begin, end = count * number // FOLDS, count * (number + 1) // FOLDS
        rest = np.r_[0:begin, end:count]
        if end > begin and len(rest):
            picture = fit_picture(Days(days.features[rest], days.hour[rest], days.period_s))
            distances[begin:end] = picture.distances(
                Days(days.features[begin:end], days.hour[begin:end], days.period_s)
            )
    ticks = max(1, round(BLOCK_S / days.period_s))
    whole = count // ticks
    blocks = persistent(distances)[: whole * ticks].reshape(whole, ticks)
    return np.asarray(blocks.max(axis=1)) if whole else np.zeros(0)


def _centre(values: Rows) -> tuple[Numbers, Numbers]:
    """Median and scale of each feature."""
    low, median, high = np.quantile(values, (0.001, 0.5, 0.999), axis=0)
    deviation = MAD_TO_STD * np.median(np.abs(values - median), axis=0)
    least = np.array([_LEAST_SCALE[_kind(name)] for name in FEATURE_NAMES])
    return median, np.maximum(np.maximum(deviation, (high - low) / NORMAL_999), least)


def _kind(name: str) -> str:
    return name if name in _LEAST_SCALE else name[:-2]


def _row(hour: NDArray[np.int8]) -> NDArray[np.intp]:
    """The row of the tables for each hour."""
    return np.where((hour >= 0) & (hour < HOURS), hour, HOURS).astype(np.intp)


def _tuples(table: Numbers) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(x) for x in row) for row in table)
