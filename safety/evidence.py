"""Anytime-valid confidence sequence for a cost ratio: its bounds hold whenever they are read.

Pairs (x, y) arrive one by one: the cost of a controller in a span of time, and that of its twin. For any
excess e take the differences d = x - (1 + e) y, their sum S and the sum V of their squares. Where they fall
symmetrically about zero, exp(t S - t² V / 2) is a supermartingale (de la Peña 1999), and so is its mean over
half-normal t > 0. By Ville's inequality that mean reaches 1 / alpha with a chance of alpha at most, however
often one looks (Howard et al. 2021, the normal mixture).

Spans of one day resemble each other, so that they are fewer pieces of evidence than spans. Whole days have a
sequence of their own, and the bounds that people see are from it: the excesses that it does not rule out.
docs/results/judge-errors.md measures how often either is wrong.
"""

from dataclasses import dataclass
from math import erfc, exp, inf, log, log1p, sqrt

from core.arrays import sum_in_order

SPREADS_PER_WH = (1.0, 0.1, 0.01, 0.001)
"""Of the stakes t: spans that differ by a watt-hour, as in a flat, up to a kilowatt-hour."""
LEAST_DAY_WH = 10.0
"""A day that cost the twin less weighs no more than one that cost this."""
LEAST_DAYS = 2
"""One day has no spread."""
_ROUNDING = 1e-12


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

    def add_weighted(self, x_wh: float, y_wh: float) -> "PairedSums":
        """The sums with a day whose spread grows with the square root of what it cost the twin."""
        scale = sqrt(max(y_wh, LEAST_DAY_WH))
        return self.add(x_wh / scale, y_wh / scale)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where x / y - 1 lies; each bound is wrong with a chance of alpha at most, whenever it is read."""

    low: float = -1.0
    high: float = inf


def log_e_value(pairs: PairedSums, excess: float) -> float:
    """Log e-value against "x / y - 1 is at most this excess"."""
    share = 1.0 + excess
    total = pairs.x - share * pairs.y
    square = max(0.0, pairs.xx - 2.0 * share * pairs.xy + share * share * pairs.yy)
    worths = [_log_mixture_wealth(total, square, spread) for spread in SPREADS_PER_WH]
    highest = max(worths)
    if highest == -inf:
        return -inf
    return highest + log(sum_in_order(exp(worth - highest) for worth in worths) / len(worths))


def day_log_e_value(days: PairedSums, excess: float) -> float:
    """Log e-value, to either side, against "x / y - 1 is this excess", from days of `add_weighted`.

    Spans of one day resemble each other, whole days much less. For normal differences of unknown spread this
    is the sequential t-test: the spread is integrated out with its invariant prior, the effect with a normal
    one of the spread of one day (Lai 1976; Wang and Ramdas 2024). Unlike the sums above it needs no symmetry
    of single days against their squares: a few days that agree closely say much, others say little.
    """
    n, share = days.spans, 1.0 + excess
    total = days.xy - share * days.yy
    square = days.xx - 2.0 * share * days.xy + share * share * days.yy
    if n < LEAST_DAYS or not days.yy > 0.0 or not square > 0.0:
        return 0.0
    explained = total * total * n / ((n + 1.0) * days.yy * square)
    return -0.5 * log(n + 1.0) - 0.5 * n * log1p(-min(max(explained, 0.0), 1.0 - _ROUNDING))


def day_excess(days: PairedSums) -> float | None:
    """x / y - 1 over whole days as far as seen; None where the twin cost nothing."""
    return days.xy / days.yy - 1.0 if days.yy > 0.0 else None


def days_rule_out(days: PairedSums, excess: float, alpha: float, *, above: bool) -> bool:
    """Whether days say beyond doubt that x / y - 1 lies above (below) this, `alpha` for this side."""
    seen = day_excess(days)
    if seen is None or seen == excess or (seen > excess) is not above:
        return False
    return day_log_e_value(days, excess) >= log(0.5 / alpha)


def day_bounds(days: PairedSums, alpha: float) -> Bounds:
    """The excesses that `days_rule_out` does not rule out, `alpha` for each side."""
    n, seen = days.spans, day_excess(days)
    if seen is None or n < LEAST_DAYS:
        return Bounds()
    least = 1.0 - exp(-2.0 / n * (0.5 * log(n + 1.0) + log(0.5 / alpha)))
    part = least * (n + 1.0) / n
    if part >= 1.0:
        return Bounds()  # so few days that nothing could be ruled out
    left = max(0.0, days.xx - days.xy * days.xy / days.yy)
    reach = sqrt(part / (1.0 - part) * left / days.yy)
    return Bounds(max(-1.0, seen - reach), seen + reach)


def _log_mixture_wealth(total: float, square: float, spread: float) -> float:
    """Log of the mean of exp(t S - t² V / 2) over half-normal stakes."""
    width = 1.0 + spread * spread * square
    score = spread * total / sqrt(width)
    wins = erfc(-score / sqrt(2.0))  # twice the normal share below the score, exact far below, too
    return log(wins) + 0.5 * score * score - 0.5 * log(width) if wins > 0.0 else -inf
