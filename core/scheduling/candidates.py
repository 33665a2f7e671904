"""Which switchings of staged slaves would be worth while, the most wanted first.

Worth while is what saves more than it costs on the filtered surplus: what would be exported against what
would be drawn from the grid, with the weights of J. Between starting and stopping lies the hysteresis.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from core.arrays import sum_in_order
from core.decision import Switch
from core.metering import AVOIDABLE_WEIGHT
from core.roles import Role
from core.scheduling.orders import is_boosted
from core.scheduling.staged import Stage, StagedView, base_of, spread_over_phases
from core.site import Metering, Phases, Site, per_phase
from core.snapshot import Snapshot, slave_capacity_w

START_SHARE = 0.1
STOP_SHARE = 0.1
"""A switching must save so much of the power that is switched: the hysteresis."""


@dataclass(frozen=True, slots=True)
class SwitchingCost:
    """What a set of bases costs on a surplus: weights of what is left over and of what is drawn too much."""

    metering: Metering
    over: float
    short: float

    def of(self, surplus_w: Phases, base_w: Phases, flexible_w: Phases) -> float:
        """In W."""
        if self.metering is Metering.NET:
            return self._cell(sum_in_order(surplus_w), sum_in_order(base_w), sum_in_order(flexible_w))
        return sum_in_order(map(self._cell, surplus_w, base_w, flexible_w))

    def _cell(self, surplus_w: float, base_w: float, flexible_w: float) -> float:
        left_w = surplus_w - base_w
        if left_w >= 0.0:
            return self.over * max(0.0, left_w - flexible_w)
        return self.short * min(base_w, -left_w)


def cost_of(site: Site) -> SwitchingCost:
    """An absorber that draws too little exports, and too much imports; a generator the other way round."""
    if site.role is Role.ABSORB:
        return SwitchingCost(site.metering, 1.0, AVOIDABLE_WEIGHT)
    return SwitchingCost(site.metering, AVOIDABLE_WEIGHT, 1.0)


class SwitchCandidates:
    """The switchings that are worth while, the most wanted first."""

    def __init__(self, site: Site, snapshot: Snapshot, view: StagedView, surplus_w: Phases) -> None:
        self._site, self._snapshot, self._view, self._surplus_w = site, snapshot, view, surplus_w
        self._cost = cost_of(site)
        self._flexible_w = free_capacity_w(view.site, view.snapshot)
        self._now = self._cost.of(surplus_w, view.base_action_w, self._flexible_w)

    def in_order(self) -> Iterator[Switch]:
        """What the owner boosts, then stops before starts: they make room."""
        slaves, states = self._site.slaves, self._snapshot.slaves
        staged = [at for at, stage in enumerate(self._view.stages) if stage and slaves[at].is_staged]
        places = [at for at in staged if not is_boosted(states[at])]
        for at in staged:
            if is_boosted(states[at]):
                yield from self._boosted(at, places)
        lowers = sorted(places, key=lambda at: (-slaves[at].priority, self._changed_at_s(at)))
        yield from (switch for at in lowers if (switch := self._lowered(at)) is not None)
        raises = sorted(places, key=lambda at: (slaves[at].priority, self._changed_at_s(at)))
        for at in raises:
            switch = self._raised(at)
            if switch is None:
                continue
            if self._saves(switch, START_SHARE):
                yield switch
            elif (gives_way := self._giving_way(switch, lowers)) is not None:
                yield gives_way

    def _boosted(self, at: int, others: list[int]) -> Iterator[Switch]:
        """Up, whatever it costs, and down only where the slave can be told no more. Where a phase is full,
        others give way."""
        slave, stage = self._site.slaves[at], self._stage(at)
        if slave_capacity_w(slave, self._snapshot.slaves[at]) < base_of(slave, stage.base_w):
            switch = self._next_lower(at)
        elif (switch := self._raised(at)) is not None:
            yield switch
            switch = self._making_room(switch, others)
        if switch is not None:
            yield switch

    def _making_room(self, switch: Switch, others: list[int]) -> Switch | None:
        """The least important slave that is on where a phase has no room for a boosted one."""
        slaves, slave = self._site.slaves, self._site.slaves[switch.place]
        rise_w = (switch.to_w - switch.from_w) / len(slave.phases)
        free_w = [self._site.limits.phase_max_w - base_w for base_w in self._view.base_action_w]
        full = {phase for phase in slave.phases if rise_w > free_w[phase]}
        beside = [at for at in others if full & set(slaves[at].phases)]
        lowers = map(self._next_lower, sorted(beside, key=lambda at: -slaves[at].priority))
        return next((lower for lower in lowers if lower is not None), None)

    def _lowered(self, at: int) -> Switch | None:
        switch = self._next_lower(at)
        if switch is None:
            return None
        slave, state = self._site.slaves[at], self._snapshot.slaves[at]
        is_lost = slave_capacity_w(slave, state) < switch.from_w
        return switch if is_lost or self._saves(switch, STOP_SHARE) else None

    def _next_lower(self, at: int) -> Switch | None:
        """The next level down, once it was up for the minimum time."""
        slave, stage = self._site.slaves[at], self._stage(at)
        if stage.base_w == 0 or not self._lasted(at, slave.min_on_s):
            return None
        lower_w = max((w for w in slave.steps_w if w < stage.base_w), default=0)
        return Switch(at, stage.base_w, lower_w)

    def _raised(self, at: int) -> Switch | None:
        """The next level up, once it was down for the minimum time, and if the slave can be told so much."""
        slave, stage = self._site.slaves[at], self._stage(at)
        if not self._lasted(at, slave.min_off_s):
            return None
        higher_w = min((w for w in slave.steps_w if w > stage.base_w), default=0)
        if not 0 < higher_w <= slave_capacity_w(slave, self._snapshot.slaves[at]):
            return None
        return Switch(at, stage.base_w, higher_w)

    def _saves(self, switch: Switch, share: float) -> bool:
        """Whether the switching is worth while; one that is served before modulating ones asks only for
        room."""
        gain_w = self._gain_w([switch], self._flexible_w)
        step_w = abs(switch.to_w - switch.from_w)
        if gain_w >= share * step_w:
            return True
        first_w = self._served_first_w(switch)
        if first_w == self._flexible_w or switch.to_w < switch.from_w:
            return False
        left_w = sum_in_order(self._surplus_w) - sum_in_order(self._view.base_action_w)
        return left_w >= (1.0 + share) * step_w and self._gain_w([switch], first_w) >= share * step_w

    def _giving_way(self, switch: Switch, lowers: list[int]) -> Switch | None:
        """A less important slave that is on in the place of this one."""
        priority = self._site.slaves[switch.place].priority
        for at in lowers:
            other = self._next_lower(at)
            if other is None or self._site.slaves[at].priority <= priority:
                continue
            both_w = self._gain_w([other, switch], self._flexible_w)
            start_w = both_w - self._gain_w([other], self._flexible_w)
            if both_w >= 0.0 and start_w >= START_SHARE * (switch.to_w - switch.from_w):
                return other
        return None

    def _gain_w(self, switches: list[Switch], flexible_w: Phases) -> float:
        base_w, moved_w = list(self._view.base_action_w), list(flexible_w)
        for switch in switches:
            slave = self._site.slaves[switch.place]
            freed_w = slave.flexible_w * ((switch.to_w > 0) - (switch.from_w > 0))
            for phase in slave.phases:
                base_w[phase] += (switch.to_w - switch.from_w) / len(slave.phases)
                moved_w[phase] += freed_w / len(slave.phases)
        before_w = (
            self._now
            if flexible_w is self._flexible_w
            else self._cost.of(self._surplus_w, self._view.base_action_w, flexible_w)
        )
        return before_w - self._cost.of(self._surplus_w, per_phase(base_w), per_phase(moved_w))

    def _served_first_w(self, switch: Switch) -> Phases:
        """What moves freely and is at least as important as this slave."""
        priority = self._site.slaves[switch.place].priority
        if all(slave.priority <= priority for slave in self._view.site.slaves):
            return self._flexible_w
        kept = tuple(
            replace(slave, max_w=0) if slave.priority > priority else slave
            for slave in self._view.site.slaves
        )
        return free_capacity_w(replace(self._view.site, slaves=kept), self._view.snapshot)

    def _stage(self, at: int) -> Stage:
        return self._view.stages[at] or Stage()

    def _changed_at_s(self, at: int) -> float:
        return self._stage(at).changed_at_s

    def _lasted(self, at: int, least_s: float) -> bool:
        return self._snapshot.at_s - self._changed_at_s(at) >= least_s


def free_capacity_w(site: Site, snapshot: Snapshot) -> Phases:
    watts = tuple(
        float(slave_capacity_w(slave, state))
        for slave, state in zip(site.slaves, snapshot.slaves, strict=True)
    )
    return per_phase([min(w, site.limits.phase_max_w) for w in spread_over_phases(watts, site)])
