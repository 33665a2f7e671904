"""The hypotheses of a bank: dead times and lags, and where their sums of products stand."""

from collections.abc import Sequence
from functools import lru_cache
from math import exp, log
from typing import NamedTuple

from core.estimation.actuator_model import SPREAD

DEAD_TIMES_S = (
    0.1,
    0.3,
    0.5,
    0.75,
    1.0,
    1.25,
    1.5,
    2.0,
    2.5,
    3.0,
    3.5,
    4.0,
    4.5,
    5.0,
    5.5,
    6.0,
    6.5,
    7.0,
    8.0,
)
LAGS_S = (0.3, 0.8, 1.5, 2.5, 4.0, 6.5, 11.0)
SAMPLE_S = 1.0
"""Quicker meters are looked at once in so long: shorter changes are noise."""
HELD_MAX_S = 6.0
"""A reading that stays the same for longer tells nothing about what moved meanwhile."""


class Hypothesis(NamedTuple):
    """A dead time and a lag: `near` times the sample at place `at`, and `far` times the next, is the
    power."""

    dead_time_s: float
    log_lag: float
    at: int
    near: float
    far: float


class BankGrid(NamedTuple):
    """What follows from the period and from how much the dead time differs from command to command.

    `places` are the ages in ticks at which each history is sampled: those of plain commands, lag by lag, then
    those of spread ones. `spread` are shares of a spread command, by its age in ticks. `quick` are the
    samples of the quickest lag at every age.
    """

    ways: tuple[float, ...]
    places: tuple[tuple[int, ...], ...]
    spread: tuple[tuple[int, float], ...]
    hypotheses: tuple[Hypothesis, ...]
    quick: slice
    every: int
    held_max: int


@lru_cache(maxsize=16)
def bank_grid(period_s: float, spread_s: float = 0.0) -> BankGrid:
    """The hypotheses at a period.

    Args:
        spread_s: standard deviation of the dead time from command to command, in whole tenths. A quick answer
            has
            none: where the dead time is shorter than the spread reaches back, commands count as they are.
    """
    reach_s = -SPREAD[0][1] * spread_s
    plain = [dead_s for dead_s in DEAD_TIMES_S if spread_s <= 0.0 or dead_s < reach_s]
    spread = [dead_s - reach_s for dead_s in DEAD_TIMES_S if dead_s not in plain]
    plain_at, spread_at = _places(plain, period_s), _places(spread, period_s)
    first = len(plain_at) * len(LAGS_S)
    hypotheses = []
    for row, lag_s in enumerate(LAGS_S):
        for dead_s in DEAD_TIMES_S:
            if dead_s in plain:
                cells, at, shown_s = plain_at, row * len(plain_at), dead_s
            else:
                cells, at, shown_s = spread_at, first + row * len(spread_at), dead_s - reach_s
            whole = int(shown_s / period_s)
            near, far = _shares(shown_s / period_s - whole, period_s, lag_s)
            hypotheses.append(Hypothesis(dead_s, log(lag_s), at + cells.index(whole), near, far))
    return BankGrid(
        tuple(1.0 - exp(-period_s / lag_s) for lag_s in LAGS_S),
        (plain_at,) * len(LAGS_S) + (spread_at,) * (len(LAGS_S) if spread else 0),
        _spread_command(reach_s / period_s) if spread else (),
        tuple(hypotheses),
        slice(first, first + len(spread_at)) if spread else slice(0, len(plain_at)),
        max(1, round(SAMPLE_S / period_s)),
        max(1, round(HELD_MAX_S / period_s)),
    )


def _places(dead_times_s: Sequence[float], period_s: float) -> tuple[int, ...]:
    """The samples before and after every dead time."""
    wholes = {int(dead_s / period_s) for dead_s in dead_times_s}
    return tuple(sorted(wholes | {whole + 1 for whole in wholes}))


def _shares(part: float, period_s: float, lag_s: float) -> tuple[float, float]:
    """Of the newer and the older sample, where a dead time ends in such a part of a period."""
    left, old = exp(-period_s / lag_s), exp(-(1.0 - part) * period_s / lag_s)
    return (1.0 - old) / (1.0 - left), (old - left) / (1.0 - left)


def _spread_command(reach: float) -> tuple[tuple[int, float], ...]:
    """Three points of a normal distribution, each between two ticks."""
    ages: dict[int, float] = {}
    for place, (share, _) in enumerate(SPREAD):
        whole = int(place * reach)
        part = place * reach - whole
        ages[whole] = ages.get(whole, 0.0) + share * (1.0 - part)
        ages[whole + 1] = ages.get(whole + 1, 0.0) + share * part
    return tuple((age, share) for age, share in sorted(ages.items()) if share > 0.0)


def nearest(grid: BankGrid, dead_time_s: float, lag_s: float) -> int:
    """Place of the hypothesis nearest to a belief: half a second counts like a lag half as long again."""
    log_lag = log(lag_s)
    return min(
        range(len(grid.hypotheses)),
        key=lambda at: (
            ((grid.hypotheses[at].dead_time_s - dead_time_s) / 0.5) ** 2
            + ((grid.hypotheses[at].log_lag - log_lag) / 0.4) ** 2
        ),
    )
