"""Hours of measured days in batches, run as `sunkeep simulate` runs a part of a day.

Every row begins with the minute to settle that a part of a day begins with there, and a batch on usual far
ends is proven equal to it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.limits import CREDIT_MAX_S, IMBALANCE_CAP_W, PHASE_CAP_W, STEP_CAP_W_PER_S
from core.metering import AVOIDABLE_WEIGHT
from core.site import Metering
from daemon.simulation.score import CHANGE_W, PEAK_WINDOW_S, REVERSAL_W
from daemon.simulation.simulate import SETTLE_S
from plant.site.stepped import bare_grid_w
from training.batched.scenarios import FamilyMember, FaultScenario, SiteDay, far_end, member_end
from training.batched.simulator import (
    PLACES,
    SLAVE_W,
    BatchMeter,
    Disturbance,
    MeasuredActuators,
    PlantParameters,
    Policy,
    believed,
    start,
    tick,
)
from training.batched.windows import SURPLUS_W
from training.data.days import Day, daylight_s

HOUR_S = 3600
SINGLE_W = 0.01
"""For rounding in single precision; actions on air are whole watts."""
SUNNY_W = SURPLUS_W[0]
"""Mean surplus of an hour that is worth living."""

Energies = NDArray[np.float64]


@dataclass(frozen=True)
class DayScenario:
    """One row: an hour of a day under one billing, far end, and delay that nobody is told of.

    `margin_w` is for the contest's PI, which has a row for each of its margins.
    """

    day: Day
    from_s: int
    metering: Metering
    seed: int
    extra_delay_s: int
    margin_w: float = 0.0
    trouble: FaultScenario = FaultScenario.NONE
    member: FamilyMember | None = None

    def far_end(self) -> SiteDay:
        """Its slaves, radio and meter."""
        if self.member is None:
            return far_end(self.seed, self.extra_delay_s, self.trouble)
        return member_end(self.member, self.seed, self.extra_delay_s)


class Swings(NamedTuple):
    """`daemon.simulation.score.Swing` for a batch: [n, 3]."""

    reference_w: Tensor
    direction: Tensor
    turns: Tensor


class ScenarioResult(NamedTuple):
    """Figures of every row, [n] each, by the definitions of `daemon.simulation.score`.

    `beyond_wh` is the part of the export that remains when every slave takes all it can: no controller's
    doing. J leaves it out. `moves_per_min` counts the seconds in which the action on air changed at all, in
    whatever phase. `violations` counts the seconds in which it broke a limit.
    """

    export_wh: Energies
    beyond_wh: Energies
    avoidable_wh: Energies
    peak_export_w: Energies
    peak10s_export_w: Energies
    moves_per_min: Energies
    changes_per_min: Energies
    reversals_per_min: Energies
    imbalance_w: Energies
    frames_per_min: Energies
    violations: Energies

    @property
    def own_wh(self) -> Energies:
        """Export that a controller could have placed."""
        return self.export_wh - self.beyond_wh

    def rows(self, at: slice | list[int]) -> "ScenarioResult":
        """Some of the rows."""
        return ScenarioResult(*(column[at] for column in self))

    @property
    def j_wh(self) -> Energies:
        """That + 0.5 avoidable import."""
        return self.own_wh + AVOIDABLE_WEIGHT * self.avoidable_wh


class DayBatch(NamedTuple):
    """What all rows live through, second by second, a minute to settle before what counts."""

    rig: PlantParameters
    bare_w: Tensor  # [seconds + 1, n, 3], from one second before the first tick
    noise_w: Tensor  # [seconds, n, 3]
    delays: Tensor  # [seconds, n, 3, PLACES]


def lit_hours(day: Day) -> tuple[int, ...]:
    """First seconds of the whole known hours that have light from begin to end."""
    trace = day.load()
    first_s, end_s = daylight_s(trace)
    return tuple(known_hours(bare_grid_w(trace, day.connection), first_s, end_s))


def known_hours(bare_w: Energies, first_s: int, end_s: int) -> Iterator[int]:
    """First seconds of whole hours, one after the other, that are known with the minute before them.

    Args:
        bare_w: of a day, [86400, 3], NaN where nothing is known.
        first_s: first second an hour may begin at.
        end_s: where the last one ends at the latest.
    """
    begin = max(first_s, SETTLE_S + 1)
    while begin + HOUR_S <= end_s:
        gaps = np.flatnonzero(~np.isfinite(bare_w[begin - SETTLE_S - 1 : begin + HOUR_S]).all(axis=1))
        if len(gaps):
            begin += int(gaps[-1]) + 1
            continue
        yield begin
        begin += HOUR_S


def is_sunny(bare_w: Energies, begin_s: int) -> bool:
    """Whether an hour, with the minute before it, has surplus on average.

    Args:
        bare_w: of a day, [86400, 3]; the hour is known.
        begin_s: first second of the hour, as `known_hours` gives it.
    """
    lived_w = bare_w[begin_s - SETTLE_S - 1 : begin_s + HOUR_S]
    return -float(lived_w.sum(1).mean()) >= SUNNY_W


def measured_w(day: Day) -> Energies:
    """Grid power of a day without any slave, [86400, 3] in W."""
    return bare_grid_w(day.load(), day.connection)


def rows_of(
    heats: Sequence[DayScenario], seconds: int = HOUR_S, bare_of: Callable[[Day], Energies] = measured_w
) -> DayBatch:
    """Draw every row's far end; `bare_of` gives a day's grid power without slaves, [86400, 3] in W."""
    bare_w = {heat.day: np.zeros(0) for heat in heats}
    for day in bare_w:
        bare_w[day] = bare_of(day)
    ends = [heat.far_end() for heat in heats]
    spans = [slice(heat.from_s - SETTLE_S, heat.from_s + seconds) for heat in heats]
    before = [slice(span.start - 1, span.stop) for span in spans]
    bare = np.stack([bare_w[heat.day][span] for heat, span in zip(heats, before, strict=True)], 1)
    noise = np.stack([end.noise_w[span] for end, span in zip(ends, spans, strict=True)], 1)
    delays = np.stack([end.delays[span] for end, span in zip(ends, spans, strict=True)], 1)
    return DayBatch(_rig(heats, ends), _real(bare), _real(noise), torch.from_numpy(delays))


def _rig(heats: Sequence[DayScenario], ends: Sequence[SiteDay]) -> PlantParameters:
    slaves = _real(np.stack([end.slaves for end in ends]))
    return PlantParameters(
        slaves[:, :, None],
        _real(np.stack([end.gain for end in ends])),
        _real(np.stack([end.share for end in ends])),
        (slaves * SLAVE_W).clamp(max=PHASE_CAP_W),
        torch.tensor([heat.metering is Metering.NET for heat in heats]),
        torch.tensor([end.told_s for end in ends]),
        _told(ends),
        _meter(heats, ends),
    )


def _told(ends: Sequence[SiteDay]) -> MeasuredActuators:
    nothing = np.ones((4, 3, PLACES))
    numbers = np.stack([nothing if end.told is None else end.told for end in ends], 1)
    is_told = torch.tensor([end.told is not None for end in ends])
    return MeasuredActuators(is_told, *map(_real, numbers))


def _meter(heats: Sequence[DayScenario], ends: Sequence[SiteDay]) -> BatchMeter:
    paces = [end.pace for end in ends]
    return BatchMeter(
        torch.tensor([pace.reading_steps for pace in paces]),
        torch.tensor([pace.late_steps for pace in paces]),
        torch.tensor([pace.averages for pace in paces]),
        _real(np.array([pace.resolution_w for pace in paces])),
        torch.tensor([heat.from_s - SETTLE_S for heat in heats]),
    )


def _real(values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(values).to(torch.get_default_dtype())


@torch.no_grad()
def run(rows: DayBatch, policy: Policy) -> ScenarioResult:
    """Live all rows; the first minute does not count."""
    rig, seconds = rows.rig, len(rows.noise_w)
    n, counted = len(rig.capacity_w), seconds - SETTLE_S
    site = start(rig, rows.bare_w[0], rows.noise_w[0])
    belief, memory = believed(rig), None
    sums = torch.zeros(7, n, dtype=torch.float64)
    recent_w, peak_w, peak10s_w = torch.zeros(PEAK_WINDOW_S, n), torch.zeros(n), torch.zeros(n)
    zero = torch.zeros(n, 3)
    swings = Swings(zero, zero, zero)
    for second in range(seconds):
        before = site
        moment = Disturbance(rows.bare_w[second + 1], rows.noise_w[second], rows.delays[second])
        site, memory, outcome = tick(rig, site, belief, moment, policy, memory)
        swings = _swing(swings, site.command_w, second >= SETTLE_S)
        if second < SETTLE_S:
            continue
        recent_w[second % PEAK_WINDOW_S] = outcome.export_w
        peak_w = torch.maximum(peak_w, outcome.export_w)
        peak10s_w = torch.maximum(peak10s_w, recent_w.mean(0))
        moved_w = (site.command_w - before.command_w).abs()
        sums[0] += outcome.export_w
        sums[1] += outcome.avoidable_w
        sums[2] += (moved_w > 0.0).any(1)
        sums[3] += (moved_w > CHANGE_W).sum(1)
        sums[4] += site.grid_w.std(1, unbiased=False)
        sums[5] += outcome.sends
        sums[6] += breaks_limit(site.command_w, before.command_w, before.age_s, rig.capacity_w)
    minutes = counted / 60.0
    export_ws, avoidable_ws, moves, changes, imbalance, frames, violations = sums.numpy()
    return ScenarioResult(
        export_ws / 3600.0,
        beyond_ws(rows).numpy() / 3600.0,
        avoidable_ws / 3600.0,
        peak_w.double().numpy(),
        peak10s_w.double().numpy(),
        moves / minutes,
        changes / 3.0 / minutes,
        swings.turns.double().mean(1).numpy() / minutes,
        imbalance / counted,
        frames / minutes,
        violations,
    )


def breaks_limit(action_w: Tensor, before_w: Tensor, elapsed_s: Tensor, capacity_w: Tensor) -> Tensor:
    """`daemon.simulation.score.unsafe_reasons` for a batch: whether the action on air breaks a limit, [n].

    Written so that what is not a number breaks them all.
    """
    in_box = ((action_w >= 0.0) & (action_w <= capacity_w)).all(1)
    reach_w = STEP_CAP_W_PER_S * elapsed_s.clamp(max=CREDIT_MAX_S) + SINGLE_W
    in_reach = (action_w - before_w).square().sum(1).sqrt() <= reach_w
    balanced = action_w.std(1, unbiased=False) <= IMBALANCE_CAP_W + SINGLE_W
    return ~(in_box & in_reach & balanced)


def beyond_ws(rows: DayBatch) -> Tensor:
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
