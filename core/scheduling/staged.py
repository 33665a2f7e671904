"""Staged slaves: those that are switched (levels, or a minimum power), seen beside the modulating ones.

What a staged slave is switched to is its *base*: a level, or its minimum. What it moves freely above its
minimum is part of what the modulating slaves can do. So a policy or a fallback sees a site of modulating
slaves alone: what staged ones draw is part of the house's load. The same holds for a slave of any kind while
the owner boosts it: all that it is told is its base then.
"""

from dataclasses import dataclass, replace
from math import exp, inf

from core.arrays import sum_in_order
from core.estimation.actuator_model import AGE_SHARES, SLAVE_LAG_S
from core.estimation.state_estimate import StateEstimate, capacity_w
from core.roles import sign
from core.scheduling.orders import has_boosted, is_boosted
from core.site import ZERO, Phases, Site, Slave, per_phase
from core.snapshot import SlaveState, Snapshot

REPORT_TRUSTED_S = 15.0
"""A report older than this says nothing about what a slave draws now."""
SETTLED_LAGS = 4.0
"""After so many lags a slave draws what it was switched to, within 2 %."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One staged slave: its base on air, since when, and the base before."""

    base_w: int = 0
    before_w: int = 0
    changed_at_s: float = -inf


@dataclass(frozen=True, slots=True)
class SchedulerState:
    """Memory of the scheduler. `stages` are in the order of `Site.slaves`, empty on a site without staged
    ones.

    `surplus_w` is the filtered surplus of the whole site per phase, None before the first sample, `at_s` its
    instant. `action_w` is what the modulating slaves were allowed last.
    """

    stages: tuple[Stage | None, ...] = ()
    surplus_w: Phases | None = None
    at_s: float = -inf
    action_w: Phases = ZERO


@dataclass(frozen=True, slots=True)
class StagedView:
    """A site apart: `site` and `snapshot` with the modulating part alone, and what the staged ones do.

    `base_w` are their bases on air, slave by slave, `base_action_w` the same per phase, `draw_w` what they
    are believed to draw now.
    """

    site: Site
    snapshot: Snapshot
    stages: tuple[Stage | None, ...] = ()
    base_w: tuple[int, ...] = ()
    base_action_w: Phases = ZERO
    draw_w: Phases = ZERO


def has_staged(site: Site) -> bool:
    """Whether there is anything to switch."""
    return any(slave.is_staged for slave in site.slaves)


def view_apart(site: Site, snapshot: Snapshot, state: SchedulerState) -> StagedView:
    """Tell the modulating part of a site from the staged and boosted one, by what is on air."""
    if not (has_staged(site) or has_boosted(snapshot)):
        return StagedView(site, snapshot)
    told_w = snapshot.on_air.setpoints_w or (0,) * len(site.slaves)
    before = state.stages or (None,) * len(site.slaves)
    cells = zip(site.slaves, snapshot.slaves, told_w, before, strict=True)
    stages = tuple(
        _followed(slave, is_boosted(seen), told, stage, snapshot.at_s) for slave, seen, told, stage in cells
    )
    base_w = tuple(0 if stage is None else stage.base_w for stage in stages)
    base_action_w = spread_over_phases(base_w, site)
    action_w = per_phase(
        [max(0.0, a - b) for a, b in zip(snapshot.on_air.action_w, base_action_w, strict=True)]
    )
    above_w = tuple(max(0, told - base) for told, base in zip(told_w, base_w, strict=True))
    on_air = replace(snapshot.on_air, action_w=action_w, setpoints_w=above_w)
    return StagedView(
        modulating(site, base_w),
        replace(above(snapshot, base_w), on_air=on_air),
        stages,
        base_w,
        base_action_w,
        drawn_w(site, snapshot, stages, 0.0),
    )


def modulating(site: Site, base_w: tuple[int, ...]) -> Site:
    """The site of what moves freely: a slave that is switched off takes no part."""
    slaves = (
        replace(s, max_w=s.flexible_w if base else 0, min_w=0, levels_w=()) if s.is_staged else s
        for s, base in zip(site.slaves, base_w, strict=True)
    )
    return replace(site, slaves=tuple(slaves))


def above(snapshot: Snapshot, base_w: tuple[int, ...]) -> Snapshot:
    """The same image, with what each slave may be told on top of its base; nothing where it is boosted."""
    if all(state.limit_w is None for state in snapshot.slaves) and not has_boosted(snapshot):
        return snapshot
    cells = zip(snapshot.slaves, base_w, strict=True)
    return replace(snapshot, slaves=tuple(_above(state, base) for state, base in cells))


def spread_over_phases(watts: tuple[float, ...] | tuple[int, ...], site: Site) -> Phases:
    """Sum per phase of one value for each slave."""
    totals = [0.0, 0.0, 0.0]
    for slave, value_w in zip(site.slaves, watts, strict=True):
        for phase in slave.phases:
            totals[phase] += value_w / len(slave.phases)
    return per_phase(totals)


def base_of(slave: Slave, setpoint_w: int) -> int:
    """The part of a setpoint that is switched."""
    return max((step_w for step_w in slave.steps_w if step_w <= setpoint_w), default=0)


def whole_estimate(
    estimate: StateEstimate, site: Site, snapshot: Snapshot, view: StagedView
) -> StateEstimate:
    """The estimate for the whole site: what staged slaves draw belongs to the slaves, not to the house."""
    if view.site is site:
        return estimate
    added = zip(estimate.surplus_w, estimate.model_w, view.draw_w, strict=True)
    moved = [(surplus_w + draw_w, model_w + draw_w) for surplus_w, model_w, draw_w in added]
    return replace(
        estimate,
        surplus_w=per_phase([surplus_w for surplus_w, _ in moved]),
        model_w=per_phase([model_w for _, model_w in moved]),
        command_w=snapshot.on_air.action_w,
        capacity_w=capacity_w(site, snapshot),
    )


def bare_surplus_w(estimate: StateEstimate, site: Site, snapshot: Snapshot, draw_w: Phases) -> Phases:
    """Surplus of the site per phase without any slave, as measured, not yet shared for billing."""
    s = sign(site.role)
    cells = zip(estimate.model_w, draw_w, snapshot.grid_power_w, strict=True)
    return per_phase([model_w + drawn_w - s * grid_w for model_w, drawn_w, grid_w in cells])


def _above(state: SlaveState, base_w: int) -> SlaveState:
    if is_boosted(state):
        return replace(state, limit_w=0)
    return state if state.limit_w is None else replace(state, limit_w=max(0, state.limit_w - base_w))


def _followed(slave: Slave, boosted: bool, told_w: int, stage: Stage | None, at_s: float) -> Stage | None:
    """The stage by what is on air now. A slave found on after a restart may be switched at once."""
    if not (slave.is_staged or boosted):
        return None
    base_w = told_w if boosted else base_of(slave, told_w)
    if stage is None:
        return Stage(base_w, base_w)
    if base_w == stage.base_w:
        return stage
    if base_of(slave, base_w) == base_of(slave, stage.base_w):  # boosted, and moved without being switched
        return replace(stage, base_w=base_w, before_w=base_w)
    return Stage(base_w, stage.base_w, at_s)


def drawn_w(site: Site, snapshot: Snapshot, stages: tuple[Stage | None, ...], ahead_s: float) -> Phases:
    """Believed draw per phase in `ahead_s`: what it was switched to, mixed by the likely delays, or what it
    reports once settled."""
    drawn = []
    for slave, stage, state in zip(site.slaves, stages, snapshot.slaves, strict=True):
        drawn.append(0.0 if stage is None else _drawn_w(slave, stage, state, snapshot, ahead_s))
    return spread_over_phases(tuple(drawn), site)


def _drawn_w(slave: Slave, stage: Stage, state: SlaveState, snapshot: Snapshot, ahead_s: float) -> float:
    lag_s = SLAVE_LAG_S if slave.lag_s is None else slave.lag_s
    gain = 1.0 if slave.gain is None else slave.gain
    since_s = snapshot.at_s - stage.changed_at_s
    if state.power_w is not None and _is_settled(slave, since_s, state):
        return min(state.power_w, gain * stage.base_w)
    arrived = _arrived(slave, since_s + ahead_s, snapshot.extra_delay_s, lag_s)
    return gain * (stage.before_w + arrived * (stage.base_w - stage.before_w))


def _is_settled(slave: Slave, since_s: float, state: SlaveState) -> bool:
    lag_s = SLAVE_LAG_S if slave.lag_s is None else slave.lag_s
    dead_s = len(AGE_SHARES) if slave.dead_time_s is None else slave.dead_time_s
    return state.report_age_s <= min(REPORT_TRUSTED_S, since_s - dead_s - SETTLED_LAGS * lag_s)


def _arrived(slave: Slave, since_s: float, extra_delay_s: float, lag_s: float) -> float:
    """Share of a switching that is drawn after so long."""
    delays = [(age + extra_delay_s, share) for age, share in enumerate(AGE_SHARES) if share]
    if slave.dead_time_s is not None:
        delays = [(slave.dead_time_s, 1.0)]
    return sum_in_order(
        share * (1.0 - exp(-(since_s - delay_s) / lag_s)) for delay_s, share in delays if since_s > delay_s
    )
