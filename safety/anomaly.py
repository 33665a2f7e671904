"""What looks unlike the data the policy was trained on, in two tiers.

The flag tier counts z-scores beyond 3 (specification) and never trips: on 30 features of a healthy site it
fires thousands of times a day. The tripping tier works on numbers calibrated on the site's own days.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite

from core.arrays import sum_in_order
from core.decision import Anomaly
from core.site import Phases
from core.snapshot import Snapshot

STD_FLOOR = 1e-3
"""Least standard deviation, in the unit of the feature: one that stood still in training divides by this."""
TICKS_SEEN = 10
TICKS_BEYOND = 5
"""The tripping tier wants this many of the last ten ticks beyond its threshold."""
QUIET_S = 3600.0
"""No trip in the first hour after a start."""
HOURS = 24


class ZScoreDetector:
    """Flags values more than `threshold` standard deviations from their mean in training.

    Args:
        names: the features in their order, then the components of the action if it is to be judged too.
    """

    def __init__(
        self, names: Sequence[str], mean: Sequence[float], std: Sequence[float], threshold: float = 3.0
    ) -> None:
        beyond = [threshold * max(value, STD_FLOOR) for value in std]
        self._rows = tuple(zip(names, mean, beyond, strict=True))

    @property
    def cold(self) -> None:
        """Nothing is remembered."""

    def inspect(
        self, _snapshot: Snapshot, observation: Sequence[float], policy_action_w: Phases | None, _memory: None
    ) -> tuple[Anomaly, None]:
        """Name what is beyond; a value that is not a number is."""
        values = (*observation, *(policy_action_w or ()))
        flags = (
            name
            for (name, mean, beyond), value in zip(self._rows, values, strict=False)
            if not abs(value - mean) <= beyond
        )
        return Anomaly(flags=tuple(flags)), None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Numbers fitted on the site's own journals.

    `median` and `scale` have a row per hour of the local day, and a last one for an unknown hour;
    `precision` is the inverse of the shrunk covariance of the scores; `threshold` bounds the squared
    Mahalanobis distance.
    """

    names: tuple[str, ...]
    median: tuple[tuple[float, ...], ...]
    scale: tuple[tuple[float, ...], ...]
    precision: tuple[tuple[float, ...], ...]
    threshold: float

    def __post_init__(self) -> None:
        """Refuse numbers that do not fit together.

        Raises:
            ValueError: a wrong shape, a number that is not finite, a scale or threshold that is not > 0.
        """
        n = len(self.names)
        tables = ((self.median, HOURS + 1), (self.scale, HOURS + 1), (self.precision, n))
        if not all(len(table) == rows and all(len(row) == n for row in table) for table, rows in tables):
            raise ValueError(f"a table does not fit {n} features")
        if not all(isfinite(x) for table, _ in tables for row in table for x in row):
            raise ValueError("a number is not finite")
        if not all(0.0 < x < float("inf") for row in (*self.scale, (self.threshold,)) for x in row):
            raise ValueError("a scale or the threshold is not > 0")


@dataclass(frozen=True, slots=True)
class RecentTicks:
    """Whether each of the last ticks was beyond, oldest first, and when this run began."""

    beyond: tuple[bool, ...] = ()
    since_s: float | None = None


class CalibratedDetector:
    """Flags like the flag tier, and trips when the whole picture stays unlike the calibrated days.

    Args:
        flags: the flag tier.
        calibration: numbers for the features, in the order of the observation.
    """

    def __init__(self, flags: ZScoreDetector, calibration: Calibration) -> None:
        self._flags = flags
        self._calibration = calibration

    @property
    def cold(self) -> RecentTicks:
        """Nothing seen yet."""
        return RecentTicks()

    def inspect(
        self,
        snapshot: Snapshot,
        observation: Sequence[float],
        policy_action_w: Phases | None,
        memory: RecentTicks,
    ) -> tuple[Anomaly, RecentTicks]:
        """Judge one tick. Values that are not numbers are flagged but do not trip: blame the sensor."""
        since_s = snapshot.at_s if memory.since_s is None else memory.since_s
        distance = self._distance(observation, snapshot.hour)
        is_beyond = self._calibration.threshold < distance < float("inf")
        beyond = (*memory.beyond, is_beyond)[-TICKS_SEEN:]
        trip = sum(beyond) >= TICKS_BEYOND and snapshot.at_s - since_s >= QUIET_S
        anomaly, _ = self._flags.inspect(snapshot, observation, policy_action_w, None)
        return replace(anomaly, trip=trip), RecentTicks(beyond, since_s)

    def _distance(self, observation: Sequence[float], hour: int | None) -> float:
        """Squared Mahalanobis distance of the robust scores."""
        calibration = self._calibration
        row = hour if hour is not None and 0 <= hour < HOURS else HOURS
        table = zip(observation, calibration.median[row], calibration.scale[row], strict=True)
        scores = [(value - median) / scale for value, median, scale in table]
        return sum_in_order(
            score * sum_in_order(weight * other for weight, other in zip(weights, scores, strict=True))
            for score, weights in zip(scores, calibration.precision, strict=True)
        )
