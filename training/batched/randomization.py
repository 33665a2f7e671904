"""How far ends of windows are drawn: slaves, radio, meter, and what the site was told of them.

What a batch with ticks of 1 s can be of the family of sites (`plant/members`): quick and late frames, lags
from 0.2 to 10 s, gains from 0.7 to 1.25, meters that hold, average and come late. Everything is drawn apart,
so that a window may be slow, late and behind such a meter at once.
"""

from dataclasses import dataclass, replace
from math import log
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from core.limits import PHASE_CAP_W
from plant.radio.link import LOST, draw_delays, draw_link, draw_noise
from plant.site.physics import GAIN_RANGE, LAG_RANGE_S
from training.batched.simulator import PLACES, SLAVE_W, BatchMeter, MeasuredActuators, PlantParameters

Floats = NDArray[np.float64]

QUICK_LAG_S, SLOW_LAG_S = (0.2, 1.0), (2.0, 10.0)
"""Wired heaters, and appliances with a controller of their own."""
SITE_GAIN = (0.7, 1.25)
"""Watts drawn per watt told on a whole site, beside what its slaves differ by."""
LATE_S = (1, 5)
"""Whole seconds more on every frame of a late site."""
METER_PERIODS_S, METER_LATE_S = (1, 2, 5), (0, 1, 2)
METER_STEPS_W = (0.0, 10.0)
LOSSY_RANGE = (0.05, 0.15)
WRONG = (0.8, 1.25)
"""What a number that was measured badly is multiplied with."""
TOLD_LAG_S, TOLD_GAIN = (0.05, 60.0), (0.5, 1.5)
"""As `core.estimation.actuator_model` believes them."""


@dataclass(frozen=True)
class DomainRandomization:
    """Shares of the far ends. Delays are extra whole seconds on every frame.

    A share `measured` is told its numbers, of these `wrong` with an error and `stale` those of another site;
    the others know nothing of it, or an extra delay (`told_nothing`, `told_right`, else a random one).
    """

    net: float = 0.7
    extra_s: tuple[float, ...] = (0.7, 0.15, 0.15)
    told_nothing: float = 0.6
    told_right: float = 0.25
    other_slaves: float = 0.25
    dead_slave: float = 0.04
    lossy: float = 0.1
    measured: float = 0.0
    wrong: float = 0.0
    stale: float = 0.0
    quick: float = 0.0
    late: float = 0.0
    quick_lag: float = 0.0
    slow_lag: float = 0.0
    other_gain: float = 0.0
    other_meter: float = 0.0


FAMILY = DomainRandomization(
    measured=0.7,
    wrong=0.25,
    stale=0.05,
    quick=0.15,
    late=0.15,
    quick_lag=0.12,
    slow_lag=0.18,
    other_gain=0.25,
    other_meter=0.3,
)
"""What the policy that ships learns from. Only sites that were measured differ from the usual ones."""
JUDGED = DomainRandomization(
    extra_s=(0.7, 0.15, 0.15), told_nothing=1.0, told_right=0.0, other_slaves=0.0, dead_slave=0.0, lossy=0.0
)
"""Far ends that choices are made on: the usual site, mostly with the usual delay, never told otherwise."""
JUDGED_FAMILY = replace(
    FAMILY,
    extra_s=JUDGED.extra_s,
    told_nothing=1.0,
    told_right=0.0,
    other_slaves=0.0,
    dead_slave=0.0,
    lossy=0.0,
)
"""The same with the family beside it."""


class FarEnds(NamedTuple):
    """Of n windows: what does not change, the meter's error [n, seconds, 3], a frame's delays [n, seconds, 3,
    PLACES], and the extra delay [n]."""

    rig: PlantParameters
    noise_w: torch.Tensor
    delays: torch.Tensor
    extra_s: torch.Tensor


class _Actuators(NamedTuple):
    """Slaves as they are, [n, 3, PLACES]."""

    lag_s: Floats
    gain: Floats
    dead_time_s: Floats
    dead_time_sd_s: Floats


def draw_far_ends(rng: Generator, count: int, seconds: int, chances: DomainRandomization) -> FarEnds:
    """Draw one for each of `count` windows of so many seconds."""
    extra_s = rng.choice(len(chances.extra_s), size=count, p=chances.extra_s)
    is_measured = rng.random(count) < chances.measured
    is_late = is_measured & (rng.random(count) < chances.late)
    extra_s = np.where(is_late, rng.integers(LATE_S[0], LATE_S[1] + 1, count), extra_s)
    is_quick = is_measured & ~is_late & (rng.random(count) < chances.quick)
    delays = np.stack(
        [_delays(rng, seconds, int(s), quick, chances) for s, quick in zip(extra_s, is_quick, strict=True)]
    )
    meter, late_s = _meter(rng, is_measured, chances)
    noise_w = np.stack([_noise(rng, seconds, int(p)) for p in meter.period_s])
    slaves = _counts(rng, count, chances)
    actuators = _actuators(rng, is_measured, delays, late_s, chances)
    told_s = _told_s(rng, extra_s, chances)
    rig = PlantParameters(
        _real(slaves[:, :, None]),
        _real(actuators.gain),
        _real(1.0 - np.exp(-1.0 / actuators.lag_s)),
        _real(np.minimum(slaves * SLAVE_W, PHASE_CAP_W)),
        torch.from_numpy(rng.random(count) < chances.net),
        torch.from_numpy(told_s),
        _told(rng, is_measured, actuators, chances),
        meter,
    )
    return FarEnds(rig, _real(noise_w), torch.from_numpy(delays), torch.from_numpy(extra_s))


def _delays(
    rng: Generator, seconds: int, extra_s: int, is_quick: bool, chances: DomainRandomization
) -> NDArray[np.int8]:
    """Of a radio, or of a network whose frames arrive within the second."""
    link = draw_link(rng)
    if rng.random() < chances.lossy:
        link = replace(link, loss=float(rng.uniform(*LOSSY_RANGE)))
    delays = draw_delays(rng, link, seconds, 3 * PLACES, extra_s)
    if is_quick:
        drawn = rng.integers(0, 2, delays.shape, dtype=np.int8)
        delays = np.where(delays == LOST, np.int8(LOST), drawn)
    return delays.reshape(seconds, 3, PLACES)


def _noise(rng: Generator, seconds: int, period_s: int) -> Floats:
    """One error for each reading."""
    return np.repeat(draw_noise(rng, seconds // period_s + 1), period_s, axis=0)[:seconds]


def _meter(
    rng: Generator, is_measured: NDArray[np.bool_], chances: DomainRandomization
) -> tuple[BatchMeter, Floats]:
    """The meters, and how late their readings are on average in s."""
    count = len(is_measured)
    is_other = is_measured & (rng.random(count) < chances.other_meter)
    period_s = np.where(is_other, rng.choice(METER_PERIODS_S, count), 1)
    late_s = np.where(is_other, rng.choice(METER_LATE_S, count), 0)
    averages = np.where(is_other, rng.random(count) < 0.5, True)
    resolution_w = np.where(is_other, rng.choice(METER_STEPS_W, count), 0.0)
    mean_s = late_s + (period_s - 1.0) / 2.0 + np.where(averages, period_s / 2.0, 0.0)
    kinds = (period_s, late_s, averages, resolution_w, np.zeros_like(period_s))
    period, late, is_mean, step, offset = (torch.from_numpy(kind) for kind in kinds)
    return BatchMeter(period, late, is_mean, step.to(torch.get_default_dtype()), offset), mean_s


def _counts(rng: Generator, count: int, chances: DomainRandomization) -> NDArray[np.int64]:
    others = rng.random((count, 1)) < chances.other_slaves
    return np.where(others, rng.integers(2, PLACES + 1, (count, 3)), 3)


def _actuators(
    rng: Generator,
    is_measured: NDArray[np.bool_],
    delays: NDArray[np.int8],
    late_s: Floats,
    chances: DomainRandomization,
) -> _Actuators:
    count = len(is_measured)
    shape = (count, 3, PLACES)
    kind = np.where(is_measured, rng.random(count), 1.0)
    is_quick, is_slow = kind < chances.quick_lag, (kind - chances.quick_lag < chances.slow_lag)
    usual_s = rng.uniform(*LAG_RANGE_S, shape)
    quick_s = rng.uniform(*QUICK_LAG_S, (count, 1, 1)) * rng.uniform(0.8, 1.2, shape)
    low, high = map(log, SLOW_LAG_S)
    slow_s = np.exp(rng.uniform(low, high, (count, 1, 1))) * rng.uniform(0.85, 1.15, shape)
    lag_s = np.where(is_slow[:, None, None], slow_s, usual_s)
    lag_s = np.where(is_quick[:, None, None], quick_s, lag_s)
    gain = rng.uniform(*GAIN_RANGE, shape)
    is_other = is_measured & (rng.random(count) < chances.other_gain)
    gain *= np.where(is_other, rng.uniform(*SITE_GAIN, count), 1.0)[:, None, None]
    heard = np.ma.masked_equal(delays, LOST)
    mean_s = heard.mean(axis=1).filled(0.0) + late_s[:, None, None]
    spread_s = heard.std(axis=1).filled(0.0)
    dead = rng.random(count) < chances.dead_slave
    gain[dead, rng.integers(0, 3, count)[dead], 0] = 0.0
    return _Actuators(lag_s, gain, mean_s, spread_s)


def _told(
    rng: Generator, is_measured: NDArray[np.bool_], true: _Actuators, chances: DomainRandomization
) -> MeasuredActuators:
    """What the sites were told: the truth, the truth with an error, or the truth of another site."""
    count = len(is_measured)
    fate = rng.random(count)
    is_stale = fate < chances.stale
    is_wrong = ~is_stale & (fate < chances.stale + chances.wrong)
    source = np.where(is_stale, rng.permutation(count), np.arange(count))
    wrong = np.where(is_wrong, rng.uniform(*WRONG, (3, count)), 1.0)[:, :, None, None]
    # a slave that draws nothing is measured as one that follows: the sums of its phase hide it
    gain = np.where(true.gain > 0.0, true.gain, 1.0)[source]
    return MeasuredActuators(
        torch.from_numpy(is_measured),
        _real(true.dead_time_s[source] * wrong[0]),
        _real(true.dead_time_sd_s[source]),
        _real((true.lag_s[source] * wrong[1]).clip(*TOLD_LAG_S)),
        _real((gain * np.sqrt(wrong[2])).clip(*TOLD_GAIN)),
    )


def _told_s(rng: Generator, extra_s: NDArray[np.int64], chances: DomainRandomization) -> NDArray[np.int64]:
    """The extra delay that sites without measured numbers believe in."""
    told = rng.integers(0, len(chances.extra_s), len(extra_s))
    drawn = rng.random(len(extra_s))
    told = np.where(drawn < chances.told_nothing + chances.told_right, extra_s, told)
    return np.where(drawn < chances.told_nothing, 0, told)


def _real(values: NDArray[np.generic]) -> torch.Tensor:
    return torch.from_numpy(values).to(torch.get_default_dtype())
