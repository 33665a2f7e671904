"""Random radio links: how long a frame takes to reach each slave, and whether it does.

The ranges are assumptions about Zigbee networks of mains-powered routers, wide enough to train against. A
frame reaches slave i after 1 + common + hop_i + jitter_i whole seconds, at most five: `common` for all
slaves of the frame, a second more for slaves behind a hop, a rare second of jitter. Frames are lost per
slave, and for everybody in rare bursts.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Delays: TypeAlias = NDArray[np.int8]
"""[seconds, slaves]: whole seconds until a frame sent in that second is followed, or LOST."""

LOST = 127
LONGEST_S = 5
NOISE_W = 8.0
"""Standard deviation of one phase's reading (meter class 1 at household loads)."""
COMMON_SHARES = ((0.55, 0.30, 0.15), (0.25, 0.45, 0.30))
"""Chances of 0, 1, 2 s that all slaves wait: a quiet and a busy network, half of the sites each."""
HOP_CHANCES = (0.15, 0.30, 0.45)
LOSS_RANGE = (0.01, 0.05)
JITTER_CHANCE = 0.04
BURST_EVERY_S = 1200.0
BURST_S = (2, 4)


@dataclass(frozen=True, slots=True)
class Link:
    """The radio of one site: shares of common waiting, chance of a hop's second, loss per slave and frame."""

    common: tuple[float, float, float]
    hop: float
    loss: float
    jitter: float = JITTER_CHANCE
    burst_every_s: float = BURST_EVERY_S


PERFECT = Link((1.0, 0.0, 0.0), hop=0.0, loss=0.0, jitter=0.0, burst_every_s=np.inf)
"""Every frame arrives after one second."""


def draw_link(rng: Generator) -> Link:
    """A site's radio, drawn from the ranges above."""
    common = COMMON_SHARES[int(rng.integers(len(COMMON_SHARES)))]
    return Link(common, float(rng.choice(HOP_CHANCES)), float(rng.uniform(*LOSS_RANGE)))


def draw_delays(rng: Generator, link: Link, seconds: int, slaves: int, extra_delay_s: float = 0.0) -> Delays:
    """Delays of a frame sent in each second to each slave; column order as the slaves.

    `extra_delay_s` is added to every frame after the cut at five seconds; a fraction of a second is added
    as a whole second to that fraction of the frames. It is drawn last, so all else stays as without it.
    """
    shape = (seconds, slaves)
    common = rng.choice(len(link.common), size=(seconds, 1), p=link.common)
    delays = 1 + common + (rng.random(shape) < link.hop) + (rng.random(shape) < link.jitter)
    delays = np.minimum(delays, LONGEST_S)
    lost = rng.random(shape) < link.loss
    for start in np.flatnonzero(rng.random(seconds) < 1.0 / link.burst_every_s):
        lost[start : start + int(rng.integers(BURST_S[0], BURST_S[1] + 1))] = True
    whole = int(extra_delay_s)
    late = rng.random((seconds, 1)) < extra_delay_s - whole
    delays = np.minimum(delays + whole + late, LOST - 1)
    return np.where(lost, LOST, delays).astype(np.int8)


def draw_noise(rng: Generator, seconds: int, sigma_w: float = NOISE_W) -> NDArray[np.float64]:
    """Error of the meter's reading, [seconds, 3] in W."""
    return rng.normal(0.0, sigma_w, (seconds, 3))


def followed_ages(delays: Delays, oldest_s: int = 11) -> NDArray[np.int8]:
    """Age of the frame each slave follows in each second when a frame is sent every second.

    The newest frame that has arrived wins, and no older one afterwards; `oldest_s` where none arrived.
    """
    seconds = delays.shape[0]
    arrives = np.where(delays == LOST, np.iinfo(np.int64).max, np.arange(seconds)[:, None] + delays)
    ages = np.full(delays.shape, oldest_s, dtype=np.int8)
    for age in range(min(oldest_s, seconds - 1), 0, -1):
        arrived = np.zeros(delays.shape, dtype=bool)
        arrived[age:] = arrives[: seconds - age] <= np.arange(age, seconds)[:, None]
        ages[arrived] = age
    return ages
