"""Windows of measured days: randomised for training, unchanged for evaluation.

A site's surplus is load and sun, and no action changes either, so they may be mixed: another day's load, a
shifted hour, a larger roof, exchanged phases. That multiplies a handful of measured days. What is drawn
here is everything a batch of sites needs: grid power without slaves, and a far end with its randomness.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from plant.site.physics import PHASE_SHARES
from training.batched.randomization import DomainRandomization, draw_far_ends
from training.batched.simulator import Disturbance, PlantParameters
from training.data.days import Day, daylight_s

Floats = NDArray[np.float32]

SURPLUS_W = (300.0, 13_000.0)
"""Mean surplus of a window: something to place, and hardly more than all slaves can take."""
TRIES = 40
ROUGH_S = 10
"""Windows that change more within ten seconds teach more: of `CANDIDATES`, mostly the roughest is taken."""
CANDIDATES = 3
ROUGHEST_SHARE = 0.6
PV_SCALE = (0.6, 1.5)
LOAD_SCALE = (0.7, 1.3)
LOAD_SHIFT_S = 3600
MIX_SHARE = 0.5
"""Windows whose load is another day's."""
CONNECTIONS = {"3ph": 0.7, "A": 0.3}
"""Of the PV, where it is drawn; the phases are exchanged afterwards."""


class SolarDay(NamedTuple):
    """One measured day in W: load [86400, 3], PV [86400], its connection, first and last second of light."""

    load_w: Floats
    pv_w: Floats
    connection: str
    lit_s: tuple[int, int]


class RolloutWindow(NamedTuple):
    """Windows with their far ends, as tensors. `bare_w` begins one second before the first tick."""

    rig: PlantParameters
    bare_w: Tensor  # [n, seconds + 1, 3]
    noise_w: Tensor  # [n, seconds, 3]
    delays: Tensor  # [n, seconds, 3, PLACES]
    extra_s: Tensor  # [n]

    @property
    def seconds(self) -> int:
        """Length of the windows."""
        return self.noise_w.shape[1]

    def moment(self, second: int) -> Disturbance:
        """What nobody controls in one second."""
        return Disturbance(self.bare_w[:, second + 1], self.noise_w[:, second], self.delays[:, second])


def read_days(days: Sequence[Day]) -> tuple[SolarDay, ...]:
    """Load days that have light. Raises plant.site.trace.TraceError."""
    read = []
    for day in days:
        trace = day.load()
        sunshine = SolarDay(
            trace.load_w.astype(np.float32), trace.pv_w.astype(np.float32), day.connection, daylight_s(trace)
        )
        read.append(sunshine)
    return tuple(read)


def surplus_of(pv_w: Floats, load_w: Floats, connection: str) -> Floats:
    """[seconds, 3] in W."""
    return np.asarray(pv_w[:, None] * np.array(PHASE_SHARES[connection], np.float32) - load_w, np.float32)


def varied(days: Sequence[SolarDay], seconds: int, rng: Generator) -> Floats:
    """One window of mixed and scaled days, [seconds, 3] of surplus in W; the roughest of some, mostly."""
    found = candidates(days, seconds, rng)
    if rng.random() >= ROUGHEST_SHARE:
        return found[0]
    return max(found, key=roughness_w)


def candidates(days: Sequence[SolarDay], seconds: int, rng: Generator) -> list[Floats]:
    """Some windows of mixed and scaled days to choose from."""
    return [_varied(days, seconds, rng) for _ in range(CANDIDATES)]


def roughness_w(window: Floats) -> float:
    """Mean size of the change of a phase's surplus within `ROUGH_S`, of [seconds, 3] in W."""
    return float(np.abs(window[ROUGH_S:] - window[:-ROUGH_S]).mean())


def _varied(days: Sequence[SolarDay], seconds: int, rng: Generator) -> Floats:
    window = np.zeros((seconds, 3), np.float32)
    for _ in range(TRIES):
        sun = days[int(rng.integers(len(days)))]
        house = days[int(rng.integers(len(days)))] if rng.random() < MIX_SHARE else sun
        first_s, end_s = sun.lit_s
        start_s = int(rng.integers(first_s, max(first_s + 1, end_s - seconds)))
        load_s = int(np.clip(start_s + rng.integers(-LOAD_SHIFT_S, LOAD_SHIFT_S), 0, len(sun.pv_w) - seconds))
        connection = (
            sun.connection
            if house is sun
            else str(rng.choice(list(CONNECTIONS), p=list(CONNECTIONS.values())))
        )
        pv_w = sun.pv_w[start_s : start_s + seconds] * np.float32(rng.uniform(*PV_SCALE))
        load_w = house.load_w[load_s : load_s + seconds] * np.float32(rng.uniform(*LOAD_SCALE))
        drawn = surplus_of(pv_w, load_w, connection)[:, rng.permutation(3)]
        if np.isfinite(drawn).all():
            window = drawn
        if _is_sunny(drawn):
            break
    return window


def measured(days: Sequence[SolarDay], seconds: int) -> list[Floats]:
    """All sunny windows of the days as they were, one after the other, without those of unknown seconds."""
    found = []
    for day in days:
        first_s, end_s = day.lit_s
        surplus_w = surplus_of(day.pv_w, day.load_w, day.connection)
        cuts = (surplus_w[at : at + seconds] for at in range(first_s, end_s - seconds, seconds))
        found += [window for window in cuts if _is_sunny(window)]
    return found


def _is_sunny(window: Floats) -> bool:
    return SURPLUS_W[0] <= float(window.sum(1).mean()) <= SURPLUS_W[1]


def reel_of(windows: Sequence[Floats], rng: Generator, chances: DomainRandomization) -> RolloutWindow:
    """Give every window a far end of its own."""
    ends = draw_far_ends(rng, len(windows), len(windows[0]) - 1, chances)
    bare_w = torch.from_numpy(-np.stack(windows)).to(torch.get_default_dtype())
    return RolloutWindow(ends.rig, bare_w, ends.noise_w, ends.delays, ends.extra_s)
