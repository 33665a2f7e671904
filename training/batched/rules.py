"""What `core` does for one site in floats, done for a batch in tensors: sharing, slew, whole watts, airtime.

The laws of cells (physics, estimator, features, predictive law) need no twin; they are written for any
namespace. These four branch on a whole site, so they are written again, and tests hold each against its
original. Powers are [batch, 3] in W. Gradients pass everywhere but through the choice to send.
"""

from typing import cast

import torch
from torch import Tensor

from core.arrays import Namespace
from core.limits import CREDIT_MAX_S, ROUNDING_W, Limits
from core.site import Airtime

TORCH = cast(Namespace, torch)
"""torch as the namespace of the cell laws."""
_TINY = 1e-6
"""Keeps the slope of a square root finite at rest."""


def balance_phases(surplus_w: Tensor, capacity_w: Tensor, is_net: Tensor) -> Tensor:
    """`core.metering.balance_phases`: what each phase should place; `is_net` is [batch], where sums are
    billed."""
    total = surplus_w.sum(1, keepdim=True)
    room = capacity_w.sum(1, keepdim=True)
    placed = torch.where(total <= 0.0, total / 3.0, _shifted(surplus_w, capacity_w, total))
    placed = torch.where(total >= room, capacity_w + (total - room) / 3.0, placed)
    return torch.where(is_net[:, None], placed, surplus_w)


def _shifted(surplus_w: Tensor, capacity_w: Tensor, total: Tensor) -> Tensor:
    """All phases shifted by one amount so that, bounded by 0 and capacity, they sum to `total`.

    The corners next to the solution say which phases lie inside their bounds; those share the rest.
    """
    with torch.no_grad():
        corners = torch.cat([-surplus_w, capacity_w - surplus_w], 1)
        at_corners = surplus_w[:, None] + corners[:, :, None]
        sums = torch.minimum(at_corners.clamp(min=0.0), capacity_w[:, None]).sum(2)
        below = sums <= total
        low = torch.where(below, corners, -torch.inf).amax(1, keepdim=True)
        high = torch.where(below, torch.inf, corners).amin(1, keepdim=True)
        shifted = surplus_w + 0.5 * (low + high)
        is_full = shifted >= capacity_w
        is_inside = (shifted > 0.0) & ~is_full
        inside = is_inside.sum(1, keepdim=True).clamp(min=1)
    full_w = torch.where(is_full, capacity_w, 0.0)
    share = (total - full_w.sum(1, keepdim=True) - (is_inside * surplus_w).sum(1, keepdim=True)) / inside
    return torch.where(is_inside, surplus_w + share, full_w)


def slew(
    policy_action_w: Tensor, command_w: Tensor, capacity_w: Tensor, credit_s: Tensor, limits: Limits
) -> Tensor:
    """`core.slew.slew` for limits that judge the action: box, balance, step.

    What is on air keeps the balance, hence so does every point on the straight way from there; the search of
    the original for a shorter way is not needed where every phase has at least one slave.
    """
    bounds = capacity_w.clamp(max=limits.phase_max_w)
    target = torch.minimum(policy_action_w.clamp(min=0.0), bounds)
    mean = target.mean(1, keepdim=True)
    away = target - mean
    spread = (away * away).mean(1, keepdim=True).clamp(min=_TINY).sqrt()
    limit_w = limits.imbalance_max_w - ROUNDING_W
    kept = torch.minimum(mean + away * (limit_w / spread), bounds)
    target = torch.where(spread > limit_w, kept, target)
    reach_w = limits.step_max_w_per_s * credit_s.clamp(max=CREDIT_MAX_S) - ROUNDING_W
    step = target - command_w
    step_w = (step * step).sum(1, keepdim=True).clamp(min=_TINY).sqrt()
    return command_w + step * (reach_w.clamp(min=0.0)[:, None] / step_w).clamp(max=1.0)


def whole(values: Tensor) -> Tensor:
    """Whole watts, rounded down; the gradient passes as if nothing were rounded."""
    return values + (torch.floor(values) - values).detach()


def split(totals_w: Tensor, slaves: Tensor) -> Tensor:
    """`core.allocation.allocate` for equal slaves: [batch, 3, places] totals to what each place is told.

    Args:
        totals_w: whole watts of the phase, repeated for every place.
        slaves: how many places of the phase are in use, [batch, 3, 1]; the first ones are.
    """
    place = torch.arange(totals_w.shape[2], device=totals_w.device)
    share = whole((totals_w + (slaves - 1.0 - place)) / slaves)
    return torch.where(place < slaves, share, 0.0)


def choose_send(
    action_w: Tensor, command_w: Tensor, age_s: Tensor, tokens: Tensor, airtime: Airtime
) -> tuple[Tensor, Tensor]:
    """`core.airtime.choose_send` for ticks of 1 s and a controller that never rests.

    Returns:
        Whether a frame goes out, [batch], and the tokens left.
    """
    with torch.no_grad():
        tokens = (tokens + airtime.frames_per_s).clamp(max=airtime.burst_frames)
        moved = ((action_w - command_w).abs() > airtime.deadband_w).any(1)
        sends = (moved | (age_s >= airtime.keep_alive_s - 0.5)) & (tokens >= 1.0)
        return sends, tokens - sends.to(tokens.dtype)
