"""Whole days in batches: rows of day, billing, radio and delay, lived as `sunkeep simulate` would live them.

The far ends are drawn as `daemon.simulate.Scenario.far_end` draws them from the same seed, and a batch is
proven equal to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.site import Metering
from daemon.scoring import AVOIDABLE_WEIGHT, CHANGE_W, PEAK_WINDOW_S, REVERSAL_W
from daemon.simulate import HEATERS_PER_PHASE, SETTLE_S, default_site
from plant.actuators import draw_actuators
from plant.link import LOST, draw_delays, draw_link, draw_noise
from plant.stepped import bare_grid_w
from plant.trace import DAY_S
from training.batch import PLACES, Moment, Policy, Rig, age_weights, start, tick
from training.days import Day, daylight_s

BLOCK_S = 1800
"""Energies are also kept by block, for intervals."""

Energies = NDArray[np.float64]


@dataclass(frozen=True)
class Heat:
    """One row of a contest: a day under one billing, radio and delay that nobody is told of."""

    day: Day
    metering: Metering
    seed: int
    extra_delay_s: int
    margin_w: float = 0.0


class Swings(NamedTuple):
    """`daemon.scoring.Swing` for a batch: [n, 3]."""

    reference_w: Tensor
    direction: Tensor
    turns: Tensor


class Tally(NamedTuple):
    """Sums and maxima over the seconds that count, [n] each; blocks are [n, blocks] in Wh."""

    export_wh: Energies
    avoidable_wh: Energies
    peak10s_export_w: Energies
    changes_per_min: Energies
    reversals_per_min: Energies
    imbalance_w: Energies
    frames_per_min: Energies
    export_blocks_wh: Energies
    avoidable_blocks_wh: Energies

    @property
    def j_wh(self) -> NDArray[np.float64]:
        """Export + 0.5 avoidable import."""
        return self.export_wh + AVOIDABLE_WEIGHT * self.avoidable_wh

    @property
    def j_blocks_wh(self) -> NDArray[np.float64]:
        """The same by block."""
        return self.export_blocks_wh + AVOIDABLE_WEIGHT * self.avoidable_blocks_wh


class Rows(NamedTuple):
    """What all rows live through, in their common seconds."""

    rig: Rig
    bare_w: Tensor  # [seconds + 1, n, 3], from one second before the first tick
    noise_w: Tensor  # [seconds, n, 3]
    delays: Tensor  # [seconds, n, 3, PLACES]


def rows_of(heats: Sequence[Heat], from_s: int | None = None, to_s: int | None = None) -> Rows:
    """Draw every row's far end as `daemon.simulate.Scenario.far_end` does.

    By default from the first light of all days to the last, with a minute to settle before it.
    """
    lit = [daylight_s(day.load()) for day in {heat.day: None for heat in heats}]
    first_s = max(SETTLE_S + 1, min(a for a, _ in lit) if from_s is None else from_s) - SETTLE_S
    end_s = max(b for _, b in lit) if to_s is None else to_s
    bare: dict[Day, Energies] = {}
    gains, shares, noises, delays = [], [], [], []
    for heat in heats:
        if heat.day not in bare:
            trace = heat.day.load()
            bare[heat.day] = bare_grid_w(trace, heat.day.connection)[first_s - 1 : end_s]
        gain, share, noise_w, delay = _far_end(heat)
        gains.append(gain)
        shares.append(share)
        noises.append(noise_w[first_s:end_s])
        delays.append(delay[first_s:end_s])
    n, real = len(heats), torch.get_default_dtype()
    rig = Rig(
        torch.full((n, 3, 1), float(HEATERS_PER_PHASE)),
        torch.from_numpy(np.stack(gains)).to(real),
        torch.from_numpy(np.stack(shares)).to(real),
        torch.full((n, 3), 5000.0),
        torch.tensor([heat.metering is Metering.NET for heat in heats]),
        torch.zeros(n, dtype=torch.long),
    )
    bare_w = torch.from_numpy(np.stack([bare[heat.day] for heat in heats], 1)).to(real)
    return Rows(
        rig, bare_w, torch.from_numpy(np.stack(noises, 1)).to(real), torch.from_numpy(np.stack(delays, 1))
    )


def _far_end(heat: Heat) -> tuple[Energies, Energies, Energies, NDArray[np.int8]]:
    """Gain and share of the way per second by place, noise and delays of the whole day."""
    site = default_site(heat.metering)
    slaves, radio, meter = map(np.random.default_rng, np.random.SeedSequence(heat.seed).spawn(3))
    actuators = draw_actuators(slaves, site.slaves)
    drawn = draw_delays(radio, draw_link(radio), DAY_S, len(actuators), heat.extra_delay_s)
    delays = np.full((DAY_S, 3, PLACES), LOST, np.int8)
    delays[:, :, :HEATERS_PER_PHASE] = drawn.reshape(DAY_S, 3, HEATERS_PER_PHASE)
    gain, share = np.ones((3, PLACES)), np.ones((3, PLACES))
    for index, actuator in enumerate(actuators):
        gain[actuator.phase, index % HEATERS_PER_PHASE] = actuator.gain
        share[actuator.phase, index % HEATERS_PER_PHASE] = 1.0 - np.exp(-1.0 / actuator.lag_s)
    return gain, share, draw_noise(meter, DAY_S), delays


@torch.no_grad()
def run(rows: Rows, policy: Policy) -> Tally:
    """Live all rows; the first minute does not count."""
    rig, seconds = rows.rig, len(rows.noise_w)
    n = len(rig.capacity_w)
    site = start(rig, rows.bare_w[0], rows.noise_w[0])
    weights, memory = age_weights(rig.told_s), None
    blocks = torch.zeros(2, n, (seconds - SETTLE_S + BLOCK_S - 1) // BLOCK_S, dtype=torch.float64)
    recent_w = torch.zeros(PEAK_WINDOW_S, n)
    peak_w, changes, imbalance, frames = (torch.zeros(n) for _ in range(4))
    zero = torch.zeros(n, 3)
    swings = Swings(zero, zero, zero)
    for second in range(seconds):
        before_w = site.command_w
        moment = Moment(rows.bare_w[second + 1], rows.noise_w[second], rows.delays[second])
        site, memory, outcome = tick(rig, site, weights, moment, policy, memory)
        counted = second - SETTLE_S
        swings = _swing(swings, site.command_w, counted >= 0)
        if counted < 0:
            continue
        recent_w[counted % PEAK_WINDOW_S] = outcome.export_w
        peak_w = torch.maximum(peak_w, recent_w.mean(0))
        blocks[0, :, counted // BLOCK_S] += outcome.export_w
        blocks[1, :, counted // BLOCK_S] += outcome.avoidable_w
        changes += ((site.command_w - before_w).abs() > CHANGE_W).sum(1) / 3.0
        imbalance += site.grid_w.std(1, unbiased=False)
        frames += outcome.sends
    minutes = (seconds - SETTLE_S) / 60.0
    export, avoidable = (blocks / 3600.0).numpy()
    return Tally(
        export.sum(1),
        avoidable.sum(1),
        peak_w.double().numpy(),
        changes.double().numpy() / minutes,
        swings.turns.mean(1).double().numpy() / minutes,
        imbalance.double().numpy() / (seconds - SETTLE_S),
        frames.double().numpy() / minutes,
        export,
        avoidable,
    )


def _swing(swings: Swings, action_w: Tensor, counts: bool) -> Swings:
    away_w = action_w - swings.reference_w
    way = away_w.sign()
    is_far = away_w.abs() > REVERSAL_W
    turned = is_far & (swings.direction != 0.0) & (way != swings.direction)
    follows = is_far | ((way == swings.direction) & (way != 0.0))
    return Swings(
        torch.where(follows, action_w, swings.reference_w),
        torch.where(is_far, way, swings.direction),
        swings.turns + turned if counts else swings.turns,
    )
