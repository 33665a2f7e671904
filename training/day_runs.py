"""Hours of measured days in batches, lived as `sunkeep simulate` lives a part of a day.

The far ends are drawn as `daemon.simulate.Scenario.far_end` draws them from the same seed, every row begins
with the minute to settle that a part of a day begins with there, and a batch is proven equal to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.limits import PHASE_CAP_W
from core.site import Metering
from daemon.scoring import AVOIDABLE_WEIGHT, CHANGE_W, PEAK_WINDOW_S, REVERSAL_W
from daemon.simulate import HEATERS_PER_PHASE, SETTLE_S, default_site
from plant.actuators import draw_actuators
from plant.link import LOST, draw_delays, draw_link, draw_noise
from plant.stepped import bare_grid_w
from plant.trace import DAY_S
from training.batch import PLACES, Moment, Policy, Rig, age_weights, start, tick
from training.days import Day, daylight_s

HOUR_S = 3600

Energies = NDArray[np.float64]


@dataclass(frozen=True)
class Heat:
    """One row: an hour of a day under one billing, radio and delay that nobody is told of."""

    day: Day
    from_s: int
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
    """Figures of every row, [n] each, by the definitions of `daemon.scoring`.

    `beyond_wh` is the part of the export that remains when every slave takes all it can: no controller's
    doing. J leaves it out.
    """

    export_wh: Energies
    beyond_wh: Energies
    avoidable_wh: Energies
    peak10s_export_w: Energies
    changes_per_min: Energies
    reversals_per_min: Energies
    imbalance_w: Energies
    frames_per_min: Energies

    @property
    def own_wh(self) -> Energies:
        """Export that a controller could have placed."""
        return self.export_wh - self.beyond_wh

    @property
    def j_wh(self) -> Energies:
        """That + 0.5 avoidable import."""
        return self.own_wh + AVOIDABLE_WEIGHT * self.avoidable_wh


class Rows(NamedTuple):
    """What all rows live through, second by second, a minute to settle before what counts."""

    rig: Rig
    bare_w: Tensor  # [seconds + 1, n, 3], from one second before the first tick
    noise_w: Tensor  # [seconds, n, 3]
    delays: Tensor  # [seconds, n, 3, PLACES]


class _FarEnd(NamedTuple):
    gain: Energies
    share: Energies
    noise_w: Energies
    delays: NDArray[np.int8]


def lit_hours(day: Day) -> tuple[int, ...]:
    """First seconds of the whole hours that have light from begin to end."""
    first_s, end_s = daylight_s(day.load())
    return tuple(range(max(first_s, SETTLE_S + 1), end_s - HOUR_S + 1, HOUR_S))


def rows_of(heats: Sequence[Heat], seconds: int = HOUR_S) -> Rows:
    """Draw every row's far end as `daemon.simulate.Scenario.far_end` does."""
    bare_w = {heat.day: np.zeros(0) for heat in heats}
    for day in bare_w:
        bare_w[day] = bare_grid_w(day.load(), day.connection)
    ends = [_far_end(heat.seed, heat.extra_delay_s) for heat in heats]
    spans = [slice(heat.from_s - SETTLE_S, heat.from_s + seconds) for heat in heats]
    before = [slice(span.start - 1, span.stop) for span in spans]
    n, real = len(heats), torch.get_default_dtype()
    rig = Rig(
        torch.full((n, 3, 1), float(HEATERS_PER_PHASE)),
        torch.from_numpy(np.stack([end.gain for end in ends])).to(real),
        torch.from_numpy(np.stack([end.share for end in ends])).to(real),
        torch.full((n, 3), PHASE_CAP_W),
        torch.tensor([heat.metering is Metering.NET for heat in heats]),
        torch.zeros(n, dtype=torch.long),
    )
    bare = np.stack([bare_w[heat.day][span] for heat, span in zip(heats, before, strict=True)], 1)
    noise = np.stack([end.noise_w[span] for end, span in zip(ends, spans, strict=True)], 1)
    delays = np.stack([end.delays[span] for end, span in zip(ends, spans, strict=True)], 1)
    return Rows(
        rig, torch.from_numpy(bare).to(real), torch.from_numpy(noise).to(real), torch.from_numpy(delays)
    )


@lru_cache(maxsize=16)
def _far_end(seed: int, extra_delay_s: int) -> _FarEnd:
    """A whole day's luck; the day itself and its billing have no part in it."""
    site = default_site()
    slaves, radio, meter = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(3))
    actuators = draw_actuators(slaves, site.slaves)
    drawn = draw_delays(radio, draw_link(radio), DAY_S, len(actuators), extra_delay_s)
    delays = np.full((DAY_S, 3, PLACES), LOST, np.int8)
    delays[:, :, :HEATERS_PER_PHASE] = drawn.reshape(DAY_S, 3, HEATERS_PER_PHASE)
    gain, share = np.ones((3, PLACES)), np.ones((3, PLACES))
    for index, actuator in enumerate(actuators):
        gain[actuator.phase, index % HEATERS_PER_PHASE] = actuator.gain
        share[actuator.phase, index % HEATERS_PER_PHASE] = 1.0 - np.exp(-1.0 / actuator.lag_s)
    return _FarEnd(gain, share, draw_noise(meter, DAY_S), delays)


@torch.no_grad()
def run(rows: Rows, policy: Policy) -> Tally:
    """Live all rows; the first minute does not count."""
    rig, seconds = rows.rig, len(rows.noise_w)
    n, counted = len(rig.capacity_w), seconds - SETTLE_S
    site = start(rig, rows.bare_w[0], rows.noise_w[0])
    weights, memory = age_weights(rig.told_s), None
    export_ws, avoidable_ws, imbalance, frames, changes = torch.zeros(5, n, dtype=torch.float64)
    recent_w, peak_w = torch.zeros(PEAK_WINDOW_S, n), torch.zeros(n)
    zero = torch.zeros(n, 3)
    swings = Swings(zero, zero, zero)
    for second in range(seconds):
        before_w = site.command_w
        moment = Moment(rows.bare_w[second + 1], rows.noise_w[second], rows.delays[second])
        site, memory, outcome = tick(rig, site, weights, moment, policy, memory)
        swings = _swing(swings, site.command_w, second >= SETTLE_S)
        if second < SETTLE_S:
            continue
        recent_w[second % PEAK_WINDOW_S] = outcome.export_w
        peak_w = torch.maximum(peak_w, recent_w.mean(0))
        export_ws += outcome.export_w
        avoidable_ws += outcome.avoidable_w
        changes += ((site.command_w - before_w).abs() > CHANGE_W).sum(1)
        imbalance += site.grid_w.std(1, unbiased=False)
        frames += outcome.sends
    minutes = counted / 60.0
    return Tally(
        export_ws.numpy() / 3600.0,
        beyond_ws(rows).numpy() / 3600.0,
        avoidable_ws.numpy() / 3600.0,
        peak_w.double().numpy(),
        changes.numpy() / 3.0 / minutes,
        swings.turns.double().mean(1).numpy() / minutes,
        imbalance.numpy() / counted,
        frames.numpy() / minutes,
    )


def beyond_ws(rows: Rows) -> Tensor:
    """Surplus of the counted seconds that exceeds all slaves, as billed, [n] in Ws."""
    surplus_w = -rows.bare_w[1 + SETTLE_S :].double()
    room_w = rows.rig.capacity_w.double()
    net_w = (surplus_w.sum(2) - room_w.sum(1)).clamp(min=0.0)
    phases_w = (surplus_w - room_w).clamp(min=0.0).sum(2)
    return torch.where(rows.rig.is_net, net_w, phases_w).sum(0)


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
