"""Small accumulators for figures over time. Pure: the instant is an argument, nothing here reads a clock."""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite

from core.estimation.reversal import ReversalState, swing

MOVE_W = 100.0
"""A turn of a setpoint smaller than this is no reversal."""


@dataclass(slots=True)
class Histogram:
    """Counts of observations at or below each bound (seconds), and their sum."""

    bounds_s: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    sum_s: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds_s) + 1)

    def observe(self, value_s: float) -> None:
        """Count one observation; what is not a finite time >= 0 is left out."""
        if isfinite(value_s) and value_s >= 0.0:
            self.counts[bisect_left(self.bounds_s, value_s)] += 1
            self.sum_s += value_s

    def cumulative(self) -> list[tuple[str, float]]:
        """(upper bound as text, observations up to it), the last one unbounded."""
        rows, total = [], 0
        for bound, count in zip((*map(str, self.bounds_s), "+Inf"), self.counts, strict=True):
            total += count
            rows.append((bound, float(total)))
        return rows


@dataclass(slots=True)
class Recent:
    """The last observations, for quantiles."""

    values: deque[float] = field(default_factory=lambda: deque(maxlen=300))

    def observe(self, value: float) -> None:
        """Keep one observation if it is finite."""
        if isfinite(value):
            self.values.append(value)

    def quantiles(self, shares: Sequence[float]) -> tuple[float | None, ...]:
        """Nearest-rank quantiles; None while there is nothing."""
        ordered = sorted(self.values)
        if not ordered:
            return (None,) * len(shares)
        last = len(ordered) - 1
        return tuple(ordered[min(last, int(share * len(ordered)))] for share in shares)


@dataclass(slots=True)
class Rolling:
    """Sums over the last `slots x slot_s` seconds. Amounts are vectors of fixed width."""

    slot_s: float
    slots: int
    width: int
    _kept: deque[tuple[int, list[float]]] = field(default_factory=deque)

    def add(self, at_s: float, *amounts: float) -> None:
        """Add to the slot of this instant."""
        slot = int(at_s // self.slot_s)
        if not self._kept or self._kept[-1][0] != slot:
            self._kept.append((slot, [0.0] * self.width))
        latest = self._kept[-1][1]
        for at, amount in enumerate(amounts):
            latest[at] += amount
        self._forget(slot)

    def sums(self, at_s: float) -> tuple[float, ...]:
        """The sums as of `at_s`."""
        self._forget(int(at_s // self.slot_s))
        return (
            tuple(sum(column) for column in zip(*(kept for _, kept in self._kept), strict=True))
            or (0.0,) * self.width
        )

    def _forget(self, slot: int) -> None:
        while self._kept and self._kept[0][0] <= slot - self.slots:
            self._kept.popleft()


@dataclass(slots=True)
class Movement:
    """Changes and reversals of one phase's setpoint.

    A change is a step from the last counted value beyond the deadband, a reversal is that of
    `core.estimation.reversal`, by 100 W.
    """

    changed_from_w: float = 0.0
    swing: ReversalState = field(default_factory=ReversalState)

    def step(self, setpoint_w: float, deadband_w: float) -> tuple[bool, bool]:
        """Whether this setpoint is a change, and whether it is a reversal."""
        changed = abs(setpoint_w - self.changed_from_w) > deadband_w
        if changed:
            self.changed_from_w = setpoint_w
        self.swing, reversal = swing(self.swing, setpoint_w, MOVE_W)
        return changed, reversal
