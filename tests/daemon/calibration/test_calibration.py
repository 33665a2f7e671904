"""The fit of the tripping tier: scores, covariance, tail."""

from dataclasses import replace

import numpy as np
import pytest

from daemon.calibration import fit as fitting
from daemon.calibration.fit import (
    Days,
    Numbers,
    fit,
    fit_picture,
    fit_tail,
    ledoit_wolf,
    persistent,
    precision_of,
)
from safety.anomaly import HOURS, CalibratedDetector, RecentTicks, ZScoreDetector
from tests.support.calibrations import MAGNITUDE, site_fit, wandering
from tests.support.examples import snapshot


@pytest.fixture(scope="module")
def fitted() -> fitting.Fit:
    return site_fit()


def distances(fitted: fitting.Fit, days: Days) -> Numbers:
    numbers = fitted.calibration
    picture = fitting.RobustModel(*map(np.array, (numbers.median, numbers.scale, numbers.precision)))
    return picture.distances(days)


def test_at_most_one_false_trip_in_thirty_days_of_the_same_kind(fitted: fitting.Fit) -> None:
    beyond = np.flatnonzero(
        persistent(distances(fitted, wandering(30, seed=2))) > fitted.calibration.threshold
    )
    assert np.count_nonzero(np.diff(beyond) > 100) + bool(len(beyond)) <= 1


def test_a_picture_unlike_the_site_trips_within_ten_ticks(fitted: fitting.Fit) -> None:
    day = wandering(1, seed=3)
    strange = day.features.copy()
    strange[2000:] *= 10.0
    trips = persistent(distances(fitted, replace(day, features=strange))) > fitted.calibration.threshold
    assert not trips[:2000].any()
    assert trips[2010:2100].mean() > 0.9


def test_arrays_and_the_detector_agree_tick_by_tick(fitted: fitting.Fit) -> None:
    day = wandering(1, seed=4)
    day = Days(day.features[:400] * np.float32(3.0), day.hour[:400].copy(), day.period_s)
    day.hour[::7] = -1
    squared = distances(fitted, day)
    level = float(np.quantile(squared, 0.7)) * 1.0001
    detector = CalibratedDetector(ZScoreDetector((), (), ()), replace(fitted.calibration, threshold=level))
    memory, trips = RecentTicks(since_s=-1e6), []
    for tick, (row, hour) in enumerate(zip(day.features.tolist(), day.hour.tolist(), strict=True)):
        seen = replace(snapshot(at_s=float(tick)), hour=None if hour < 0 else hour)
        anomaly, memory = detector.inspect(seen, row, None, memory)
        assert memory.beyond[-1] == (squared[tick] > level)
        trips.append(anomaly.trip)
    assert trips == (persistent(squared) > level).tolist()
    assert 0 < sum(trips) < 400


def test_hours_have_their_own_medians(fitted: fitting.Fit) -> None:
    median = np.array(fitted.calibration.median) / MAGNITUDE
    assert len(median) == HOURS + 1
    assert np.mean(median[6]) > 0.7
    assert np.mean(median[18]) < -0.7
    assert abs(np.mean(median[HOURS])) < 0.2


def test_an_hour_without_ticks_is_judged_like_the_whole_day() -> None:
    day = wandering(4, seed=5, period_s=10.0)
    keep = day.hour >= 6
    picture = fit_picture(Days(day.features[keep], day.hour[keep], 10.0))
    assert picture.median[2].tolist() == picture.median[HOURS].tolist()


def test_shrinkage_is_the_one_of_the_paper() -> None:
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((40, 5)) * np.array([1.0, 2.0, 3.0, 1.0, 1.0])
    sample = sum(np.outer(row, row) for row in scores) / 40
    m = np.trace(sample) / 5
    d2 = np.sum((sample - m * np.eye(5)) ** 2) / 5
    b2 = min(d2, sum(np.sum((np.outer(row, row) - sample) ** 2) for row in scores) / 40**2 / 5)
    expected = b2 / d2 * m * np.eye(5) + (1 - b2 / d2) * sample
    assert np.allclose(ledoit_wolf(scores), expected)
    assert 0.0 < b2 < d2
    assert np.allclose(ledoit_wolf(np.ones((9, 1))), 1.0)


def test_a_direction_that_stood_still_is_no_evidence() -> None:
    precision = precision_of(np.diag([1.0, 1.0, 1e-9]))
    floor = fitting.VARIANCE_FLOOR * 2.0 / 3.0
    assert np.allclose(np.diag(precision), [1.0, 1.0, 1.0 / floor], rtol=1e-6)


def test_the_level_of_a_known_tail() -> None:
    maxima = np.exp(np.random.default_rng(0).exponential(0.4, 20_000))
    maxima = maxima[np.argsort(np.random.default_rng(1).random(20_000))]
    tail = fit_tail(maxima, 1.0 / 24.0)
    exact = np.exp(0.4 * np.log(24 * 60))  # once in 60 days of 24 blocks
    assert tail.level_of(60.0) == pytest.approx(exact, rel=0.15)
    assert tail.level_of(600.0) > tail.level_of(60.0)
    assert tail.level_of(1e-6) == tail.level


def test_neighbouring_extremes_are_one_event() -> None:
    alone = np.concatenate([np.tile([1.0, 1.1, 1.2, 1.05], 45), [9.0, 9.5, 9.9], [1.0] * 5])
    tail = fit_tail(alone, 1.0)
    assert tail.events_per_day < 20 / len(alone)


def test_blocks_that_are_all_alike_have_no_tail() -> None:
    for maxima in (np.ones(50), np.zeros(50)):
        with pytest.raises(ValueError, match="alike"):
            fit_tail(maxima, 1.0)


@pytest.mark.parametrize("count", [0, 19])
def test_a_tail_needs_blocks(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} blocks"):
        fit_tail(np.ones(count), 1.0)


def test_numbers_that_are_none_are_refused() -> None:
    days = wandering(1, seed=0)
    days.features[5, 5] = np.nan
    with pytest.raises(ValueError, match="not a number"):
        fit(days)


def test_persistence_is_the_fifth_of_ten() -> None:
    values = np.random.default_rng(3).random(300)
    expected = [sorted([0.0] * 9 + values[: i + 1].tolist())[-10:][5] for i in range(10)]
    windows = [sorted(values[i - 9 : i + 1])[5] for i in range(10, 300)]
    assert persistent(values)[10:].tolist() == windows
    assert persistent(values)[:10].tolist() == expected
