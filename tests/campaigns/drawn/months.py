"""Months of many sites for the judge, drawn by themselves: no measured day and no simulated slave is in them.

Weather that lasts, hours that resemble each other, heavy tails, stores that fill, days without a record. A
policy costs more or less than the fallback in the same span, by a ratio that hangs on weather and chance
and comes to a chosen excess in the long run. Everything is drawn at once for all sites.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from safety.policy_comparison import SPAN_S

Energies = NDArray[np.float64]
Flags = NDArray[np.bool_]
Luck = np.random.Generator

DAYS = 30
SPANS = round(86400.0 / SPAN_S)
"""Of a day, night included."""
DAYLIGHT_H = (6.0, 20.0)
SPAN_WH = 120.0
"""Export that a controller could have placed, of a middling span at noon: the fallback leaves 0.5 to 1 kWh a
day, as at the measured sites."""
LASTS, RESEMBLES = 0.6, 0.5
"""Correlation of the weather from day to day, and of randomness from span to span of one day."""
DAY_LOG_SD, SPAN_LOG_SD = 0.7, 0.5
"""Of the fallback's cost: days vary by 0.8 of their mean, as days under broken cloud do."""
TAIL_DF, TAIL_MAX = 3.0, 5.0
"""Degrees of freedom of Student's t, and where it ends: now and then a span costs ten times the usual."""
OVERCAST = -1.3
"""Weather below this has no surplus: a day in ten."""
IMPORT_SHARE, IMPORT_LOG_SD = 0.3, 0.3
"""J less export, as a part of export: half of the import that the slaves cause."""
FULL_AFTER = (0.3, 1.5)
"""Stores are full after so much of a middling day's sun."""
NORMING_SITES = 2000


@dataclass(frozen=True)
class MonthWorld:
    """What the months are like.

    `excess` is what the policy costs more than the fallback in the long run, `day_spread` and `span_spread`
    the standard deviation of the logarithm of its ratio over days and over the spans of a day; `by_weather`
    is the correlation of a day's ratio with how costly the day is. The twin is off by `twin_spread` (standard
    deviation) in every span and by `twin_bias` (too cheap by this share) always.

    On 40 measured days the policy that ships had a ratio that spread by 0.12 over days and by 0.17 over
    hours, a PI of half the gains by 0.11 and 0.16, one of a third by 0.14 and 0.20.
    """

    excess: float = 0.0
    day_spread: float = 0.1
    span_spread: float = 0.12
    by_weather: float = 0.3
    twin_spread: float = 0.05
    twin_bias: float = 0.0
    has_stores: bool = False
    missing_share: float = 0.0


@dataclass(frozen=True)
class Months:
    """Costs in Wh, [site, day, span, quantity], of export and J: the policy's, the fallback's, and those of
    the twin that stands for either. `measured` is whether there is a record of a day, [site, day]."""

    policy_wh: Energies
    fallback_wh: Energies
    policy_twin_wh: Energies
    fallback_twin_wh: Energies
    measured: Flags


def drawn(world: MonthWorld, sites: int, seed: int, days: int = DAYS) -> Months:
    """Months of so many sites."""
    rng = np.random.default_rng(seed)
    norm = _norm(world, np.random.default_rng([seed, 1]))
    fallback, ratio = _costs(world, rng, sites, days)
    policy = fallback * ratio * (1.0 + world.excess) / norm
    measured = rng.random((sites, days)) >= world.missing_share
    return Months(policy, fallback, _twin_of(policy, world, rng), _twin_of(fallback, world, rng), measured)


def _norm(world: MonthWorld, rng: Luck) -> Energies:
    """What the ratio comes to in the long run, per quantity."""
    cost, ratio = _costs(world, rng, NORMING_SITES, DAYS)
    long_run: Energies = (cost * ratio).sum(axis=(0, 1, 2)) / cost.sum(axis=(0, 1, 2))
    return long_run


def _costs(world: MonthWorld, rng: Luck, sites: int, days: int) -> tuple[Energies, Energies]:
    """The fallback's costs, and the policy's beside them."""
    weather = _lasting(rng.standard_normal((sites, days)), LASTS)
    tails = np.clip(rng.standard_t(TAIL_DF, (sites, days, SPANS)), -TAIL_MAX, TAIL_MAX)
    level = DAY_LOG_SD * weather[..., None] + SPAN_LOG_SD * _lasting(tails, RESEMBLES)
    sun = _sun()
    export = SPAN_WH * sun * np.exp(level) * (weather > OVERCAST)[..., None]
    if world.has_stores:
        full_after = rng.uniform(*FULL_AFTER, (sites, 1, 1)) * sun.sum()
        export = export * (np.cumsum(sun * np.exp(0.5 * weather[..., None]), axis=2) <= full_after)
    imported = IMPORT_SHARE * export * np.exp(IMPORT_LOG_SD * rng.standard_normal(export.shape))
    own_rng = rng.standard_normal((sites, days))
    by_day = world.by_weather * weather + np.sqrt(1.0 - world.by_weather**2) * own_rng
    by_span = _lasting(rng.standard_normal(export.shape), RESEMBLES)
    ratio = np.exp(world.day_spread * by_day[..., None] + world.span_spread * by_span)
    cost = np.stack((export, export + imported), axis=-1)
    return cost, np.repeat(ratio[..., None], 2, axis=-1)


def _twin_of(cost: Energies, world: MonthWorld, rng: Luck) -> Energies:
    off = world.twin_spread * rng.standard_normal(cost.shape[:-1])
    seen: Energies = cost * (1.0 - world.twin_bias) * np.exp(off - 0.5 * world.twin_spread**2)[..., None]
    return seen


def _sun() -> Energies:
    """Of the middle of each span, 1 at its highest."""
    hours = (np.arange(SPANS) + 0.5) * 24.0 / SPANS
    first, last = DAYLIGHT_H
    return np.where((hours > first) & (hours < last), np.sin(np.pi * (hours - first) / (last - first)), 0.0)


def _lasting(shocks: Energies, correlation: float) -> Energies:
    """An autoregression of the first order along the last axis, of unit variance."""
    out = np.empty_like(shocks)
    out[..., 0] = shocks[..., 0]
    for at in range(1, shocks.shape[-1]):
        out[..., at] = correlation * out[..., at - 1] + np.sqrt(1.0 - correlation**2) * shocks[..., at]
    return out
