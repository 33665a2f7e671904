"""What can be asked of a site now: per phase, the totals that pass slew and gate as they stand.

A phase's range holds while the other two stay at what is on air: availability and capability bound it, then
the step since the last frame and the imbalance rule. Moving several phases at once costs more of the step,
which is common to all; `core.slew` shortens such an action on the straight way.
"""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from core.estimation.state_estimate import StateEstimate
from core.limits import CREDIT_MAX_S, ROUNDING_W, ImbalanceOf, Limits
from core.site import Phases
from core.slew import spread_w

Mask = NDArray[np.bool_]


def ranges_w(estimate: StateEstimate, grid_power_w: Phases, limits: Limits) -> tuple[Phases, Phases]:
    """Lowest and highest total of each phase, in W; what is on air is always inside."""
    reach_w = max(0.0, limits.step_max_w_per_s * min(estimate.credit_s, CREDIT_MAX_S) - ROUNDING_W)
    low, high = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    for phase, (command_w, capacity_w) in enumerate(
        zip(estimate.command_w, estimate.capacity_w, strict=True)
    ):
        down_w, up_w = _balanced(phase, estimate, grid_power_w, limits)
        box_w = min(limits.phase_max_w, capacity_w)
        low[phase] = min(command_w, max(0.0, command_w - reach_w, command_w + down_w))
        high[phase] = max(command_w, min(box_w, command_w + reach_w, command_w + up_w))
        if command_w > box_w:  # slaves fell silent: only downwards
            high[phase] = command_w
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def _balanced(
    phase: int, estimate: StateEstimate, grid_power_w: Phases, limits: Limits
) -> tuple[float, float]:
    """How far a phase may move down and up before the imbalance rule binds, the others standing still.

    With m the mean of the other two values and q half their difference, the population variance of x, m + q,
    m - q is 2/9 (x - m)^2 + 2/3 q^2.
    """
    is_action = limits.imbalance_of is ImbalanceOf.ACTION
    values_w = estimate.command_w if is_action else grid_power_w
    others = [values_w[p] for p in range(3) if p != phase]
    mean, half = 0.5 * sum(others), 0.5 * (others[0] - others[1])
    limit_w = max(limits.imbalance_max_w - ROUNDING_W, spread_w(values_w))
    room = sqrt(max(0.0, 4.5 * (limit_w**2 - half**2 * 2.0 / 3.0)))
    away = values_w[phase] - mean
    down, up = -room - away, room - away
    flips = not is_action and estimate.sign < 0.0  # a generator that feeds more lowers the grid's power
    down, up = (-up, -down) if flips else (down, up)
    return min(0.0, down), max(0.0, up)


def level_masks(low_w: Phases, high_w: Phases, levels_w: NDArray[np.float64]) -> Mask:
    """Which levels of each phase lie in its range, [3, levels]; at least the one nearest to it."""
    low, high = np.asarray(low_w)[:, None], np.asarray(high_w)[:, None]
    mask = (levels_w >= low) & (levels_w <= high)
    beyond = np.maximum(low - levels_w, levels_w - high)
    mask[np.arange(len(mask)), beyond.argmin(axis=1)] = True
    return np.asarray(mask)
