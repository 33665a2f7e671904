"""Limits a proposed action to what can be reached in this tick, before the gate sees it.

Safety checks the result with code of its own (`safety.gate`); a proposal that still breaks a rule after
this mapping is a fault of the policy.
"""

from dataclasses import dataclass, replace
from math import hypot, isfinite, sqrt

from core.arrays import sum_in_order
from core.estimation.state_estimate import StateEstimate
from core.limits import CREDIT_MAX_S, ROUNDING_W, ImbalanceOf, Limits
from core.site import ZERO, Phases, per_phase

_ALIKE_W = 1e-6
"""Phases that differ by this are alike: the last bits of 5000 W in double precision, and plenty to spare."""
_HALVINGS = 20
"""Bisection to a millionth of the step."""


def spread_w(values_w: Phases) -> float:
    """Population standard deviation over the phases."""
    a, b, c = values_w
    mean = (a + b + c) / 3.0
    return hypot(a - mean, b - mean, c - mean) / sqrt(3.0)


def distance_w(one_w: Phases, other_w: Phases) -> float:
    """L2 norm of the difference."""
    return hypot(*(x - y for x, y in zip(one_w, other_w, strict=True)))


def between_w(start_w: Phases, end_w: Phases, share: float) -> Phases:
    """The point at `share` of the way from start to end."""
    return per_phase([s + share * (e - s) for s, e in zip(start_w, end_w, strict=True)])


@dataclass(frozen=True, slots=True)
class Floor:
    """What staged slaves are switched to, per phase, on air and from now on; see `core.scheduling.staged`."""

    before_w: Phases = ZERO
    after_w: Phases = ZERO

    @property
    def switches(self) -> bool:
        """Whether that changes."""
        return self.before_w != self.after_w


NO_FLOOR = Floor()


def slew(
    policy_action_w: Phases,
    estimate: StateEstimate,
    grid_power_w: Phases,
    limits: Limits,
    floor: Floor = NO_FLOOR,
) -> Phases:
    """Bring a proposed action into reach: box, then balance (keeping the sum), then the step.

    Args:
        policy_action_w: what a controller wants of the modulating slaves; returned unchanged when not finite,
            for safety to refuse.
        estimate: gives what is on air, the capacity and the credit of the step.
        grid_power_w: the newest reading, for limits that judge the grid.
        limits: limits in force.
        floor: what staged slaves are switched to beneath.

    Returns:
        The totals, staged slaves included: the nearest action on the straight way from what is on air that
        keeps every limit.
    """
    if not all(map(isfinite, policy_action_w)):
        return policy_action_w
    command_w = added_w(estimate.command_w, floor.before_w)
    bounds = [
        f + min(limits.phase_max_w - f, c) for c, f in zip(estimate.capacity_w, floor.after_w, strict=True)
    ]
    target = per_phase(
        [min(max(0.0, w) + f, b) for w, b, f in zip(policy_action_w, bounds, floor.after_w, strict=True)]
    )
    spread, limit_w = spread_w(target), _imbalance_w(limits)
    if limits.imbalance_of is ImbalanceOf.ACTION and spread > limit_w:
        mean = sum_in_order(target) / 3.0
        cells = zip(target, bounds, floor.after_w, strict=True)
        target = per_phase([max(f, min(mean + (t - mean) * limit_w / spread, b)) for t, b, f in cells])
    start_w = command_w
    if floor.switches:
        start_w = added_w(floor.after_w, _kept_w(estimate.command_w, bounds, floor))
    else:
        credit_s = min(estimate.credit_s, CREDIT_MAX_S)
        reach_w = max(0.0, limits.step_max_w_per_s * credit_s - ROUNDING_W)
        step_w = distance_w(target, command_w)
        if step_w > reach_w:
            target = between_w(command_w, target, reach_w / step_w)
    before = replace(estimate, command_w=command_w) if floor is not NO_FLOOR else estimate

    def keeps(point_w: Phases) -> bool:
        if floor.switches and distance_w(point_w, command_w) > _switching_reach_w(
            estimate, limits, start_w, command_w
        ):
            return False
        return balanced(point_w, before, grid_power_w, limits)

    if keeps(target):
        return target
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if keeps(between_w(start_w, target, middle)):
            low = middle
        else:
            high = middle
    return between_w(start_w, target, low)


def added_w(one_w: Phases, other_w: Phases) -> Phases:
    """Phase by phase."""
    return per_phase([x + y for x, y in zip(one_w, other_w, strict=True)])


def _kept_w(command_w: Phases, bounds: list[float], floor: Floor) -> Phases:
    """The modulating part right after a switching: where it is, as far as there is room."""
    return per_phase([min(c, b - f) for c, b, f in zip(command_w, bounds, floor.after_w, strict=True)])


def _switching_reach_w(estimate: StateEstimate, limits: Limits, start_w: Phases, command_w: Phases) -> float:
    """What the scheduler found enough for the switching alone, or the usual step, whichever is more."""
    credit_s = min(estimate.credit_s, CREDIT_MAX_S)
    usual_w = limits.step_max_w_per_s * credit_s - ROUNDING_W
    return max(usual_w, distance_w(start_w, command_w))


def balanced(action_w: Phases, estimate: StateEstimate, grid_power_w: Phases, limits: Limits) -> bool:
    """Whether an action keeps the imbalance rule; what is over the limit may stay, never grow."""
    limit_w = _imbalance_w(limits)
    if limits.imbalance_of is ImbalanceOf.ACTION:
        return spread_w(action_w) <= max(limit_w, spread_w(estimate.command_w))
    changes = zip(grid_power_w, action_w, estimate.command_w, strict=True)
    after_w = per_phase([g + estimate.sign * (a - c) for g, a, c in changes])
    return spread_w(after_w) <= max(limit_w, spread_w(grid_power_w))


def _imbalance_w(limits: Limits) -> float:
    """The imbalance that may be asked for. A limit within the rounding to whole watts leaves phases alike."""
    return max(_ALIKE_W, limits.imbalance_max_w - ROUNDING_W)
