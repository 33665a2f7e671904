"""How likely each hypothesis of a bank is, by the sums that it has kept."""

from math import exp, log
from typing import TypeAlias

from core.arrays import sum_in_order
from core.estimation.response_bank import BankSums
from core.estimation.response_grid import BankGrid

GAIN_RANGE = (0.4, 1.6)
TEMPER = 4.0
"""The log likelihood is divided by this: the noise is not quite what is assumed."""
Mean: TypeAlias = tuple[float, float, float]
"""Mean dead time, mean log of the lag, and the standard deviation of the dead time."""


def added(sums: BankSums, new: BankSums, kept: float) -> BankSums:
    """Remembered and new; rounded, so that a checkpoint stays small."""
    pairs = zip(sums[:3], new[:3], strict=True)
    xx, xn, xy = (
        tuple([round(kept * a + b, 4) for a, b in zip(old, one, strict=True)]) for old, one in pairs
    )
    return BankSums(xx, xn, xy, round(kept * sums.yy + new.yy, 4))


def log_likelihoods(
    grid: BankGrid, sums: BankSums, gain: float, lag_s: float, information: float
) -> tuple[list[float], list[float]]:
    """Of every hypothesis, up to a constant, and the gain that suits it best. A lag far from the first belief
    costs: a swing is one frequency and fixes only one phase."""
    low, high = GAIN_RANGE
    first, log_lag, yy = gain, log(lag_s), sums.yy
    xx, xn, xy = sums.xx, sums.xn, sums.xy
    likely, gains = [], []
    for _, lag, at, near, far in grid.hypotheses:
        own = near * near * xx[at] + 2.0 * near * far * xn[at] + far * far * xx[at + 1]
        seen = near * xy[at] + far * xy[at + 1]
        gain = min(max((seen + information * first) / (own + information), low), high)
        left = yy - 2.0 * gain * seen + gain * gain * own + information * (gain - first) ** 2
        likely.append(-0.5 * left / TEMPER - 0.5 * (lag - log_lag) ** 2)
        gains.append(gain)
    return likely, gains


def evidence(grid: BankGrid, sums: BankSums, place: int) -> tuple[float, float]:
    """How much has moved by a hypothesis, as a multiple of the noise, and the gain that the data alone
    tell."""
    _, _, at, near, far = grid.hypotheses[place]
    own = near * near * sums.xx[at] + 2.0 * near * far * sums.xn[at] + far * far * sums.xx[at + 1]
    seen = near * sums.xy[at] + far * sums.xy[at + 1]
    return own, seen / own if own > 0.0 else 0.0


def mean_of(grid: BankGrid, likely: list[float]) -> Mean:
    """Of the hypotheses, each as likely as it is."""
    most = max(likely)
    parts = [exp(one - most) for one in likely]
    total = sum_in_order(parts)
    cells = list(zip(parts, grid.hypotheses, strict=True))
    dead_s = sum_in_order(part * one.dead_time_s for part, one in cells) / total
    log_lag = sum_in_order(part * one.log_lag for part, one in cells) / total
    variance = sum_in_order(part * (one.dead_time_s - dead_s) ** 2 for part, one in cells) / total
    return dead_s, log_lag, variance**0.5
