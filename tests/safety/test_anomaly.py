"""Two tiers: flags by z-score, trips by calibrated numbers."""

from dataclasses import replace
from math import inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.decision import Anomaly
from safety.anomaly import CalibratedDetector, Calibration, RecentTicks, ZScoreDetector
from tests.support.examples import snapshot

FLAGS = ZScoreDetector(("x", "y"), (0.0, 10.0), (1.0, 2.0))


def flags(*values: float, policy_action_w: tuple[float, float, float] | None = None) -> tuple[str, ...]:
    anomaly, memory = FLAGS.inspect(snapshot(), values, policy_action_w, FLAGS.cold)
    assert memory is None
    assert anomaly.trip is False
    return anomaly.flags


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.0, 10.0), ()),
        ((3.0, 16.0), ()),
        ((-3.0, 4.0), ()),
        ((3.001, 10.0), ("x",)),
        ((-3.001, 10.0), ("x",)),
        ((0.0, 16.001), ("y",)),
        ((9.0, 99.0), ("x", "y")),
        ((nan, 10.0), ("x",)),
        ((0.0, inf), ("y",)),
        ((0.0, -inf), ("y",)),
    ],
)
def test_flags(values: tuple[float, float], expected: tuple[str, ...]) -> None:
    assert flags(*values) == expected


def test_the_threshold_is_the_one_given() -> None:
    strict = ZScoreDetector(("x",), (0.0,), (1.0,), threshold=1.0)
    assert strict.inspect(snapshot(), (1.5,), None, None)[0].flags == ("x",)


def test_components_of_the_action_are_judged_where_they_have_numbers() -> None:
    names = ("x", "action_a", "action_b", "action_c")
    detector = ZScoreDetector(names, (0.0, 100.0, 100.0, 100.0), (1.0, 10.0, 10.0, 10.0))
    assert detector.inspect(snapshot(), (0.0,), (100.0, 131.0, nan), None)[0].flags == (
        "action_b",
        "action_c",
    )
    assert detector.inspect(snapshot(), (0.0,), None, None)[0].flags == ()
    assert flags(0.0, 10.0, policy_action_w=(1e9, 1e9, 1e9)) == ()


@pytest.mark.parametrize(("value", "expected"), [(5.0029, ()), (5.0031, ("x",)), (4.9969, ("x",))])
def test_a_feature_that_never_moved_divides_by_the_floor(value: float, expected: tuple[str, ...]) -> None:
    detector = ZScoreDetector(("x",), (5.0,), (0.0,))
    assert detector.inspect(snapshot(), (value,), None, None)[0].flags == expected


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        ZScoreDetector(("x", "y"), (0.0,), (1.0, 1.0))


def calibration(**changes: Any) -> Calibration:
    """Two features; at midnight and in the morning, hour 6, the first one is higher."""
    median = tuple(({0: 50.0, 6: 100.0}.get(hour, 0.0), 0.0) for hour in range(25))
    values: dict[str, Any] = {
        "names": ("x", "y"),
        "median": median,
        "scale": ((1.0, 2.0),) * 25,
        "precision": ((1.0, 0.5), (0.5, 1.0)),
        "threshold": 9.0,
    }
    return Calibration(**{**values, **changes})


DETECTOR = CalibratedDetector(FLAGS, calibration())
START_S = 1000.0


def trips(
    ticks: list[tuple[float, float]],
    hour: int | None = 12,
    after_s: float = 3600.0,
    memory: RecentTicks | None = None,
) -> list[bool]:
    memory = memory or RecentTicks(since_s=START_S)
    found = []
    for tick, values in enumerate(ticks):
        seen = replace(snapshot(at_s=START_S + after_s + tick), hour=hour)
        anomaly, memory = DETECTOR.inspect(seen, values, None, memory)
        found.append(anomaly.trip)
    return found


FAR, NEAR = (4.0, 0.0), (0.0, 0.0)


def test_five_of_the_last_ten_ticks_trip() -> None:
    assert trips([FAR] * 6) == [False] * 4 + [True] * 2
    assert trips([FAR, NEAR] * 5) == [False] * 8 + [True] * 2
    assert trips([FAR, NEAR, NEAR] * 10) == [False] * 30
    assert trips([FAR] * 4 + [NEAR] * 5 + [FAR]) == [False] * 9 + [True]
    assert trips([FAR] * 4 + [NEAR] * 6 + [FAR]) == [False] * 11


def test_nothing_trips_in_the_first_hour() -> None:
    assert not any(trips([FAR] * 20, after_s=3580.0))
    assert trips([FAR] * 2, after_s=3599.0, memory=RecentTicks((True,) * 5, START_S)) == [False, True]


def test_the_first_tick_starts_the_hour() -> None:
    _, memory = DETECTOR.inspect(snapshot(at_s=7.0), NEAR, None, DETECTOR.cold)
    assert memory == RecentTicks((False,), 7.0)
    _, memory = DETECTOR.inspect(snapshot(at_s=8.0), NEAR, None, memory)
    assert memory == RecentTicks((False, False), 7.0)


@pytest.mark.parametrize(
    ("values", "hour", "is_beyond"),
    [
        ((3.0, 0.0), 12, False),  # exactly at the threshold
        ((3.01, 0.0), 12, True),
        ((-3.01, 0.0), 12, True),
        ((0.0, 6.02), 12, True),
        ((0.0, 5.98), 12, False),
        ((2.0, 4.0), 12, True),  # 4 + 2 * 0.5 * 4 + 4 = 12: both together
        ((2.0, -4.0), 12, False),  # 4 - 4 + 4: as they usually go
        ((100.0, 0.0), 6, False),
        ((50.0, 0.0), 0, False),
        ((50.0, 0.0), 1, True),
        ((100.0, 0.0), 7, True),
        ((100.0, 0.0), None, True),
        ((0.0, 0.0), None, False),
        ((0.0, 0.0), 24, False),
        ((0.0, 0.0), -1, False),
        ((100.0, 0.0), 99, True),
        ((nan, 0.0), 12, False),
        ((inf, 0.0), 12, False),
        ((inf, 1.0), 12, False),
    ],
)
def test_distance(values: tuple[float, float], hour: int | None, is_beyond: bool) -> None:
    seen = replace(snapshot(), hour=hour)
    anomaly, memory = DETECTOR.inspect(seen, values, None, DETECTOR.cold)
    assert memory.beyond == (is_beyond,)
    assert anomaly == Anomaly(flags=FLAGS.inspect(seen, values, None, None)[0].flags)


@given(st.tuples(st.floats(-50.0, 50.0), st.floats(-50.0, 50.0)))
def test_the_distance_is_the_squared_mahalanobis_distance(values: tuple[float, float]) -> None:
    scores = np.array(values) / (1.0, 2.0)
    distance = scores @ np.array(((1.0, 0.5), (0.5, 1.0))) @ scores
    if abs(distance - 9.0) > 1e-6:
        _, memory = DETECTOR.inspect(replace(snapshot(), hour=3), values, None, DETECTOR.cold)
        assert memory.beyond == (bool(distance > 9.0),)


@pytest.mark.parametrize(
    "changes",
    [
        {"median": ((0.0, 0.0),) * 24},
        {"median": ((0.0,),) * 25},
        {"median": ((0.0, nan),) * 25},
        {"scale": ((1.0, 1.0),) * 26},
        {"scale": ((1.0, 0.0),) * 25},
        {"scale": ((-1.0, 1.0),) * 25},
        {"scale": ((inf, 1.0),) * 25},
        {"precision": ((1.0, 0.0),)},
        {"precision": ((1.0, 0.0), (0.0,))},
        {"precision": ((1.0, 0.0), (0.0, -inf))},
        {"threshold": 0.0},
        {"threshold": -1.0},
        {"threshold": nan},
        {"threshold": inf},
        {"names": ("x",)},
    ],
)
def test_a_calibration_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    reasons = r"a table does not fit \d features|a number is not finite|a scale or the threshold is not > 0"
    with pytest.raises(ValueError, match=f"^({reasons})$"):
        calibration(**changes)


def test_an_observation_of_other_features_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        DETECTOR.inspect(snapshot(), (0.0, 0.0, 0.0), None, DETECTOR.cold)
