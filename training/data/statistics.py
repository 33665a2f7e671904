"""Mean, spread and range of columns, gathered piece by piece: what a policy's normalisation is made of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.features import FEATURE_NAMES
from models.manifest import FeatureStatistics, Normalization, Range

Column = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Count, mean, sum of squared deviations, lowest and highest of several columns."""

    count: int
    mean: Column
    squares: Column
    low: Column
    high: Column

    @classmethod
    def of(cls, rows: NDArray[np.float32]) -> "Moments":
        """Those of [n, columns], in double precision; rows that are not finite do not count."""
        exact = rows[np.isfinite(rows).all(axis=1)].astype(np.float64)
        if not len(exact):
            nothing = np.zeros(rows.shape[1])
            return cls(0, nothing, nothing, nothing + np.inf, nothing - np.inf)
        mean = exact.mean(axis=0)
        return cls(len(exact), mean, ((exact - mean) ** 2).sum(axis=0), exact.min(axis=0), exact.max(axis=0))

    def __add__(self, other: "Moments") -> "Moments":
        """Those of both together (Chan, Golub, LeVeque 1979: exact, whatever the order of size)."""
        count = self.count + other.count
        if not count:
            return self
        away = other.mean - self.mean
        share = other.count / count
        return Moments(
            count,
            self.mean + share * away,
            self.squares + other.squares + away**2 * self.count * share,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )

    @property
    def std(self) -> Column:
        """Population standard deviation."""
        return np.asarray(np.sqrt(self.squares / max(self.count, 1)))


def normalization_of(moments: Moments) -> Normalization:
    """`normalization_params.json` from the 30 features followed by the three actions."""
    columns = [
        FeatureStatistics(mean=m, std=s)
        for m, s in zip(moments.mean.tolist(), moments.std.tolist(), strict=True)
    ]
    a, b, c = columns[len(FEATURE_NAMES) :]
    return Normalization(features=dict(zip(FEATURE_NAMES, columns, strict=False)), action_w=(a, b, c))


def ranges_of(moments: Moments) -> dict[str, Range]:
    """Lowest and highest value of every feature."""
    pairs = zip(FEATURE_NAMES, moments.low.tolist(), moments.high.tolist(), strict=False)
    return {name: Range(low=low, high=high) for name, low, high in pairs}
