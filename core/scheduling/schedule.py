"""Which staged slaves run. Pure, deterministic, and told by what is on air, not by what was meant.

A slave is switched on when that saves more than it costs on the filtered surplus: what would be exported
against what would be drawn from the grid, with the weights of J. In between lies the hysteresis. Minimum
times are kept (only rest breaks them), the most important slave is served first, equal ones take turns, and
one is started at a time. Modulating slaves hold still while a start collects the credit it needs.
A slave that the owner boosts is switched on whatever it costs, and moved to the most that it may be told.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import exp

from core.allocation import SHARES, interpolate_setpoints
from core.arrays import sum_in_order
from core.decision import Switch
from core.estimation.state_estimate import StateEstimate
from core.limits import CREDIT_MAX_S, ROUNDING_W, SWITCH_CREDIT_MAX_S
from core.metering import balance_phases
from core.scheduling.candidates import SwitchCandidates, free_capacity_w
from core.scheduling.orders import has_boosted, is_boosted
from core.scheduling.staged import (
    SchedulerState,
    Stage,
    StagedView,
    above,
    bare_surplus_w,
    drawn_w,
    modulating,
    spread_over_phases,
)
from core.site import ZERO, Metering, Phases, Site, Slave, per_phase
from core.slew import added_w, distance_w
from core.snapshot import METER_LOST_S, SlaveState, Snapshot, slave_capacity_w

FILTER_ALONE_S = 3.0
FILTER_BESIDE_S = 8.0
"""Time constants of the surplus that is judged. Where every slave is staged, each second of waiting costs;
beside modulating ones, which take the quick part, fewer switchings are worth more (docs/results)."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What the scheduler wants of this tick.

    `base_w` is the base of every slave. `before_w` and `after_w` are the bases per phase on air and now.
    `site` is the modulating part after the switching. While `waits`, a switching is wanted for which too
    little credit has been collected: then nothing else may move.
    """

    site: Site
    base_w: tuple[int, ...] = ()
    before_w: Phases = ZERO
    after_w: Phases = ZERO
    switch: Switch | None = None
    waits: bool = False

    @property
    def switches(self) -> bool:
        """Whether anything is switched in this tick."""
        return self.switch is not None


def schedule(
    site: Site,
    snapshot: Snapshot,
    estimate: StateEstimate,
    view: StagedView,
    state: SchedulerState,
    may_switch: Callable[[Phases], bool],
) -> tuple[Schedule, SchedulerState]:
    """Decide what is switched in this tick.

    Args:
        estimate: of the modulating part (`view`).
        may_switch: whether totals in W per phase would be allowed, but for the step from what is on air.

    Returns:
        The schedule, and the memory for the next tick. On a site without staged and boosted slaves, nothing.
    """
    if view.site is site:
        return Schedule(site), replace(state, stages=()) if state.stages else state
    surplus_w = _filtered(site, snapshot, estimate, view, state)
    at_s = snapshot.at_s if estimate.fresh else state.at_s
    state = replace(state, stages=view.stages, surplus_w=surplus_w, at_s=at_s)
    still = Schedule(view.site, view.base_w, view.base_action_w, view.base_action_w)
    if surplus_w is None or not estimate.fresh or snapshot.on_air.doubts:
        return still, state
    for switch in SwitchCandidates(site, snapshot, view, surplus_w).in_order():
        base_w = tuple(switch.to_w if place == switch.place else w for place, w in enumerate(view.base_w))
        after_w = spread_over_phases(base_w, site)
        part = modulating(site, base_w)
        if not may_switch(_least_w(after_w, estimate, part, site)):
            continue
        if not _has_credit(after_w, view, estimate, part, site, snapshot):
            return replace(still, waits=True), state
        return Schedule(part, base_w, view.base_action_w, after_w, switch), state
    if has_boosted(snapshot):
        return _boosted(still, site, snapshot, estimate, view, may_switch), state
    return still, state


def _boosted(
    still: Schedule,
    site: Site,
    snapshot: Snapshot,
    estimate: StateEstimate,
    view: StagedView,
    may_move: Callable[[Phases], bool],
) -> Schedule:
    """What moves freely of boosted slaves, on the way to the most that they may be told, as far as one step
    allows."""
    wanted_w = tuple(
        _boost_w(slave, state, base_w) if is_boosted(state) else base_w
        for slave, state, base_w in zip(site.slaves, snapshot.slaves, view.base_w, strict=True)
    )
    before_w = added_w(view.base_action_w, estimate.command_w)
    most_w = site.limits.step_max_w_per_s * min(snapshot.on_air.age_s, CREDIT_MAX_S) - ROUNDING_W
    for share in SHARES if wanted_w != view.base_w else ():
        base_w = interpolate_setpoints(view.base_w, wanted_w, share, site, snapshot)
        after_w, part = spread_over_phases(base_w, site), modulating(site, base_w)
        least_w = _least_w(after_w, estimate, part, site)
        if distance_w(least_w, before_w) <= most_w and may_move(least_w):
            return Schedule(part, base_w, view.base_action_w, after_w)
    return still


def _boost_w(slave: Slave, state: SlaveState, base_w: int) -> int:
    """Where a boosted slave is to go: as far as it can be told, but for what only a switching changes."""
    capacity_w = slave_capacity_w(slave, state)
    if slave.is_staged and (slave.levels_w or min(base_w, capacity_w) < slave.min_w):
        return base_w
    return capacity_w


def _filtered(
    site: Site, snapshot: Snapshot, estimate: StateEstimate, view: StagedView, state: SchedulerState
) -> Phases | None:
    """The surplus of the whole site, first-order filtered; begins anew after a gap."""
    if not estimate.fresh:
        return state.surplus_w
    raw_w = bare_surplus_w(estimate, site, snapshot, view.draw_w)
    step_s = snapshot.at_s - state.at_s
    if state.surplus_w is None or not 0.0 < step_s <= max(METER_LOST_S, 2.0 * site.period_s):
        return raw_w
    is_alone = all(slave.is_staged for slave in site.slaves)
    share = 1.0 - exp(-step_s / (FILTER_ALONE_S if is_alone else FILTER_BESIDE_S))
    return per_phase([old + share * (new - old) for old, new in zip(state.surplus_w, raw_w, strict=True)])


def _least_w(after_w: Phases, estimate: StateEstimate, part: Site, site: Site) -> Phases:
    """The totals right after a switching: the modulating part stays where it is, as far as there is room."""
    return per_phase([base + m for base, m in zip(after_w, _kept_w(after_w, estimate, site), strict=True)])


def _kept_w(after_w: Phases, estimate: StateEstimate, site: Site) -> Phases:
    cells = zip(estimate.command_w, after_w, strict=True)
    return per_phase([min(m, max(0.0, site.limits.phase_max_w - base)) for m, base in cells])


def _has_credit(
    after_w: Phases, view: StagedView, estimate: StateEstimate, part: Site, site: Site, snapshot: Snapshot
) -> bool:
    """Whether the switching alone fits the step."""
    before_w = per_phase([b + m for b, m in zip(view.base_action_w, estimate.command_w, strict=True)])
    step_w = distance_w(_least_w(after_w, estimate, part, site), before_w)
    return step_w <= reach_w(site, snapshot)


def reach_w(site: Site, snapshot: Snapshot) -> float:
    """How far a switching may move the action, with the rounding kept free."""
    air = snapshot.on_air
    credit_s = max(min(air.age_s, CREDIT_MAX_S), min(air.still_s, SWITCH_CREDIT_MAX_S))
    return site.limits.step_max_w_per_s * credit_s - ROUNDING_W


def feed_forward(
    site: Site, snapshot: Snapshot, estimate: StateEstimate, view: StagedView, plan: Schedule
) -> StateEstimate:
    """The estimate for the controllers: the surplus that will be left when what they do now has its
    effect."""
    if view.site is site:
        return estimate
    stages = _switched(view, plan.switch, snapshot.at_s)
    ahead_w = drawn_w(site, snapshot, stages, estimate.delay_s)
    coming_w = [ahead - now for ahead, now in zip(ahead_w, view.draw_w, strict=True)]
    capacity_w = _room_w(plan, site, snapshot)
    if not any(coming_w) and capacity_w == estimate.capacity_w:
        return estimate
    raw_w = bare_surplus_w(estimate, site, snapshot, ZERO)
    left_w = per_phase([raw - coming for raw, coming in zip(raw_w, coming_w, strict=True)])
    surplus_w = balance_phases(left_w, capacity_w, site.metering) if estimate.fresh else estimate.surplus_w
    return replace(estimate, surplus_w=surplus_w, capacity_w=capacity_w)


def _room_w(plan: Schedule, site: Site, snapshot: Snapshot) -> Phases:
    """What the modulating part can take on top of the bases."""
    most_w = free_capacity_w(plan.site, above(snapshot, plan.base_w))
    cells = zip(most_w, plan.after_w, strict=True)
    return per_phase([min(m, max(0.0, site.limits.phase_max_w - base)) for m, base in cells])


def _switched(view: StagedView, switch: Switch | None, at_s: float) -> tuple[Stage | None, ...]:
    """The stages as they will be once the switching of this tick is on air."""
    if switch is None:
        return view.stages
    return tuple(
        Stage(switch.to_w, switch.from_w, at_s) if place == switch.place else stage
        for place, stage in enumerate(view.stages)
    )


def made_room_w(action_w: Phases, estimate: StateEstimate, plan: Schedule, ahead: StateEstimate) -> Phases:
    """What the modulating slaves should do when a base changes, in the same moment.

    They give what the staged slave takes, on its own phases first, the rest where the meter bills the sum;
    and take what it gives, less what was drawn too much.

    Args:
        action_w: what they were allowed last.
        estimate, ahead: before the switching, and after it.
    """
    rise_w = [after - before for before, after in zip(plan.before_w, plan.after_w, strict=True)]
    cells = zip(action_w, rise_w, ahead.capacity_w, strict=True)
    moved = [_clipped(a - rise, most) for a, rise, most in cells]
    if plan.site.metering is Metering.NET:
        rest_w = (
            sum_in_order(action_w)
            - sum_in_order(rise_w)
            - max(0.0, -sum_in_order(estimate.surplus_w))
            - sum_in_order(moved)
        )
        for phase, most in enumerate(ahead.capacity_w):
            after = _clipped(moved[phase] + rest_w, most)
            rest_w -= after - moved[phase]
            moved[phase] = after
    return per_phase(moved)


def part_above(totals: Phases, base_w: Phases) -> Phases:
    """What the modulating slaves have of an action."""
    return per_phase([max(0.0, w - base) for w, base in zip(totals, base_w, strict=True)])


def _clipped(value_w: float, most_w: float) -> float:
    return min(max(0.0, value_w), most_w)
