"""Anytime-valid confidence sequence for a cost ratio: its bounds hold whenever they are read.

Pairs (x, y) arrive one by one: the cost of a controller in a span of time, and that of its twin. For any
excess e take the differences d = x - (1 + e) y, their sum S and the sum V of their squares. Where they fall
symmetrically about zero, exp(t S - t² V / 2) is a supermartingale (de la Peña 1999), and so is its mean over
half-normal t > 0. By Ville's inequality that mean reaches 1 / alpha with a chance of alpha at most, however
often one looks. The excesses that it does not rule out are a confidence sequence (Howard et al. 2021, the
normal mixture). Differences that lean to one side are not quite covered: docs/operate/rollback.md measures
how often that matters.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import erfc, exp, inf, log, sqrt

from core.arrays import sum_in_order

SPREADS_PER_WH = (1.0, 0.1, 0.01, 0.001)
"""Of the stakes t: spans that differ by a watt-hour, as in a flat, up to a kilowatt-hour."""
_HALVINGS = 50
_EXCESS_MAX = 100.0
"""Hundred times the twin's: nobody asks for more."""


@dataclass(frozen=True, slots=True)
class PairedSums:
    """Sums over the spans so far: their number, of x and y in Wh, and of their products."""

    spans: int = 0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    yy: float = 0.0

    def add(self, x_wh: float, y_wh: float) -> "PairedSums":
        """The sums with one more span."""
        return PairedSums(
            self.spans + 1,
            self.x + x_wh,
            self.y + y_wh,
            self.xx + x_wh * x_wh,
            self.xy + x_wh * y_wh,
            self.yy + y_wh * y_wh,
        )

    @property
    def excess(self) -> float | None:
        """x / y - 1 as far as seen; None where the twin cost nothing."""
        return self.x / self.y - 1.0 if self.y > 0.0 else None


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where x / y - 1 lies; each bound is wrong with a chance of alpha at most, whenever it is read."""

    low: float = -1.0
    high: float = inf


def log_e_value(pairs: PairedSums, excess: float, *, above: bool = True) -> float:
    """Log e-value against "x / y - 1 is at most (at least) this excess"."""
    share = 1.0 + excess
    total = pairs.x - share * pairs.y
    square = max(0.0, pairs.xx - 2.0 * share * pairs.xy + share * share * pairs.yy)
    total = total if above else -total
    worths = [_log_mixture_wealth(total, square, spread) for spread in SPREADS_PER_WH]
    highest = max(worths)
    if highest == -inf:
        return -inf
    return highest + log(sum_in_order(exp(worth - highest) for worth in worths) / len(worths))


def _log_mixture_wealth(total: float, square: float, spread: float) -> float:
    """Log of the mean of exp(t S - t² V / 2) over half-normal stakes."""
    width = 1.0 + spread * spread * square
    score = spread * total / sqrt(width)
    wins = erfc(-score / sqrt(2.0))  # twice the normal share below the score, exact far below, too
    return log(wins) + 0.5 * score * score - 0.5 * log(width) if wins > 0.0 else -inf


def bounds(pairs: PairedSums, alpha: float) -> Bounds:
    """Confidence bounds of x / y - 1: the excesses that the pairs do not rule out, `alpha` for each side."""
    middle, wanted = pairs.excess, log(1.0 / alpha)
    if middle is None:
        return Bounds()
    low, high = -1.0, inf
    if log_e_value(pairs, -1.0) >= wanted:
        low = _edge(lambda e: log_e_value(pairs, e) >= wanted, -1.0, middle)
    if log_e_value(pairs, _EXCESS_MAX, above=False) >= wanted:
        high = _edge(lambda e: log_e_value(pairs, e, above=False) >= wanted, _EXCESS_MAX, middle)
    return Bounds(low, high)


def _edge(is_out: Callable[[float], bool], out: float, inside: float) -> float:
    """The border between an excess that is ruled out and one that is not."""
    for _ in range(_HALVINGS):
        middle = 0.5 * (out + inside)
        out, inside = (middle, inside) if is_out(middle) else (out, middle)
    return inside
