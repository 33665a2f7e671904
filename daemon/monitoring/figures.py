"""All figures that people see, gathered once per tick; metrics, status page and terminal view read them.

Pure: the loop feeds it, time comes in with the snapshot, and nobody else writes to it.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from math import isfinite
from typing import Any

from core.decision import Authority, Decision, Send, Source, State
from core.site import Phases, Site
from core.slew import spread_w
from core.snapshot import Snapshot
from daemon.monitoring.accumulators import Histogram, Movement, Recent, Rolling
from daemon.monitoring.energy_ledger import EnergyTotals, Ledger, account, gap_s
from daemon.monitoring.slave_power import SlavePowerEstimator, UncontrolledPowerEstimator, without_slaves_w
from daemon.monitoring.telemetry import (
    Cost,
    DeviceOrders,
    Judgements,
    MeterStatistics,
    PauseOrder,
    PlanStanding,
    ProcessStatistics,
    RadioStatistics,
    SiteInfo,
)
from daemon.monitoring.totals_format import COUNTS

TICK_BOUNDS_S = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
INFERENCE_BOUNDS_S = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
SERIES_POINTS = 900
"""15 minutes of ticks of a second."""
EVENTS_KEPT = 50
EPISODE_PAUSE_S = 300.0
"""Anomaly trips closer together than this are one episode."""
COUNT_MAX = 2**53
"""Beyond it a float, as Prometheus counts, does not hold every integer; a carried count beyond is damage."""
RULES_MAX = 64
"""Most distinct names of rules or causes that get a figure of their own."""


@dataclass(frozen=True, slots=True)
class Point:
    """One tick of the chart: sum of the phases at the meter, and what it would be without the slaves."""

    at_s: float
    grid_w: float
    without_w: float | None


@dataclass(frozen=True, slots=True)
class EventMessage:
    """Something that happened, in words."""

    at_s: float
    local: datetime | None
    text: str


@dataclass(slots=True)
class Counts:
    """Totals since installation: the loop persists them, so that alerts survive a restart."""

    violations: int = 0
    shadow_violations: int = 0
    fallback_activations: int = 0
    anomalous_ticks: int = 0
    anomaly_trips: int = 0
    anomaly_episodes: int = 0


class Figures:
    """All figures of the running daemon, updated once per tick.

    Every attribute may be read by anybody at any time between two ticks.

    `newest` is the energy of the newest tick, which the accounts of `ledger` already hold.

    Args:
        site: the site as commissioned.
        about: what is configured.
        started_at_s: monotonic instant of the daemon's start, on the clock of the snapshots.
        carried: what an earlier run left with `carry()`.
    """

    def __init__(
        self, site: Site, about: SiteInfo, started_at_s: float, carried: Mapping[str, Any] | None = None
    ) -> None:
        self.site, self.about, self.started_at_s = site, about, started_at_s
        self.snapshot: Snapshot | None = None
        self.decision: Decision | None = None
        self.local: datetime | None = None
        self.cost = Cost()
        self.meter, self.radio, self.house = MeterStatistics(), RadioStatistics(), ProcessStatistics()
        self.judgements = Judgements()
        self.plan: PlanStanding | None = None
        self.pause, self.orders = PauseOrder(), DeviceOrders()
        self.placed_w: Phases = (0.0, 0.0, 0.0)
        self.without_w: Phases | None = None
        self.without_given = False
        self.ticks = 0
        self.counts = _restored((carried or {}).get("counts"))
        self.ledger = Ledger((carried or {}).get("ledger"))
        self.newest = EnergyTotals()
        self.frames = dict.fromkeys((Send.CHANGE, Send.KEEP_ALIVE, Send.SAFE), 0)
        self.interventions: dict[str, int] = {}
        self.causes_seen: dict[str, None] = {}
        self.changes, self.reversals = [0, 0, 0], [0, 0, 0]
        self.source_s = dict.fromkeys(Source, 0.0)
        self.reports_heard = 0
        self.fallback_active: bool | None = None
        self.policy_swaps = self.policy_refusals = 0
        self.inference = Histogram(INFERENCE_BOUNDS_S)
        self.compute, self.lateness = Histogram(TICK_BOUNDS_S), Histogram(TICK_BOUNDS_S)
        self.recent_inference, self.recent_compute, self.recent_lateness = Recent(), Recent(), Recent()
        self.series: deque[Point] = deque(maxlen=SERIES_POINTS)
        self.events: deque[EventMessage] = deque(maxlen=EVENTS_KEPT)
        self._five = Rolling(10.0, 30, 2)
        self._movements = tuple(Movement() for _ in range(3))
        self._placement, self._uncontrolled = SlavePowerEstimator(), UncontrolledPowerEstimator()
        self._trip_at_s: float | None = None
        self._report_ages_s: tuple[float, ...] = ()

    def adopt(self, site: Site, about: SiteInfo) -> None:
        """Take over new settings; totals stay."""
        if about.mode is not self.about.mode:
            self.fallback_active = None
        self.site, self.about = site, about
        self._placement, self._report_ages_s = SlavePowerEstimator(), ()
        self._uncontrolled = UncontrolledPowerEstimator()

    def update(
        self,
        snapshot: Snapshot,
        decision: Decision,
        *,
        cost: Cost,
        frames_sent: int = 0,
        meter: MeterStatistics | None = None,
        radio: RadioStatistics | None = None,
        house: ProcessStatistics | None = None,
        judgements: Judgements | None = None,
        baseline_grid_power_w: Phases | None = None,
        local: datetime | None = None,
    ) -> None:
        """Take in one tick.

        Args:
            frames_sent: frames the radio accepted for this decision.
            meter, radio, house: newest statistics of the edges; None leaves the last ones standing, as it
                does with what the judge says.
            baseline_grid_power_w: what the meter would read without the slaves, where somebody knows
                (W per phase, + import); otherwise it is estimated.
            local: the site's wall clock, aware; its date bounds "today".
        """
        step_s = 0.0 if self.snapshot is None else snapshot.at_s - self.snapshot.at_s
        before, self.snapshot = self.decision, snapshot
        self.decision, self.cost, self.local = decision, cost, local
        self.meter, self.radio = meter or self.meter, radio or self.radio
        self.house, self.judgements = house or self.house, judgements or self.judgements
        self.ticks += 1
        self.source_s[decision.verdict.source] += max(0.0, step_s)
        self._count_costs(cost)
        if decision.send is not Send.NOTHING:
            self.frames[decision.send] += frames_sent
        self._count_movement(snapshot)
        self._count_safety(before, decision, snapshot.at_s)
        self._tell_changes(before, decision)
        self._measure(snapshot, decision, baseline_grid_power_w, step_s)

    def note(self, at_s: float, text: str) -> None:
        """Add an event in words, for example what the log also says."""
        self.events.append(EventMessage(at_s, self.local, text))

    def plan_stands(self, standing: PlanStanding | None) -> None:
        """Where the plan from shadow to production stands; None without one."""
        self.plan = standing

    def policy_swapped(self, name: str) -> None:
        """Another policy is in force."""
        self.policy_swaps += 1
        self.about = replace(self.about, policy_name=name)
        self.note(self._at_s(), f"policy {name} took over")

    def policy_withdrawn(self) -> None:
        """The policy in force is not trusted any more: the fallback acts."""
        name, self.about = self.about.policy_name, replace(self.about, policy_name="")
        self.note(self._at_s(), f"policy {name} withdrawn")

    def policy_accepted(self) -> None:
        """What is configured or activated is in force, or will be from the next tick on."""
        self.about = replace(self.about, policy_problem="")

    def policy_refused(self, problem: str) -> None:
        """What is configured or activated must not be used: the policy before it stays."""
        self.policy_refusals += 1
        self.about = replace(self.about, policy_problem=problem)
        self.note(self._at_s(), f"policy refused: {problem}")

    def configuration_refused(self, problem: str) -> None:
        """The configuration was changed and is refused: the one before stays in force."""
        self.about = replace(self.about, configuration_problem=problem)
        self.note(self._at_s(), f"configuration refused: {problem}")

    def configuration_accepted(self) -> None:
        """The configuration in force is the one in the file."""
        self.about = replace(self.about, configuration_problem="")

    def changes_per_min(self, at_s: float) -> tuple[float, float]:
        """(changes, reversals) of the setpoints on air per minute and phase, over the last five minutes."""
        minutes = min(300.0, max(60.0, at_s - self.started_at_s)) / 60.0
        changes, reversals = self._five.sums(at_s)
        return changes / 3.0 / minutes, reversals / 3.0 / minutes

    def imbalance_w(self) -> tuple[float, float] | None:
        """Population standard deviation over the phases: (setpoints on air, grid power)."""
        if self.snapshot is None:
            return None
        return spread_w(self.snapshot.on_air.action_w), spread_w(self.snapshot.grid_power_w)

    @property
    def gap_s(self) -> float:
        """The longest step between two ticks that a reading is held over."""
        return gap_s(self.site.period_s)

    def meter_known(self) -> bool:
        """Whether the grid power describes the present: a sample was read, and not too long ago."""
        return (
            self.snapshot is not None
            and self.snapshot.meter_age_s <= self.gap_s
            and all(map(isfinite, self.snapshot.grid_power_w))
        )

    def carry(self) -> dict[str, Any]:
        """What a later run continues with: plain values, ready for JSON."""
        counts = {key: getattr(self.counts, name) for key, name in COUNTS.items()}
        return {"counts": counts, "ledger": self.ledger.carry()}

    def _count_costs(self, cost: Cost) -> None:
        self.compute.observe(cost.compute_s)
        self.recent_compute.observe(cost.compute_s)
        self.lateness.observe(max(0.0, cost.lateness_s))
        self.recent_lateness.observe(max(0.0, cost.lateness_s))
        if cost.inference_s is not None:
            self.inference.observe(cost.inference_s)
            self.recent_inference.observe(cost.inference_s)

    def _count_movement(self, snapshot: Snapshot) -> None:
        changes = reversals = 0
        on_air = zip(self._movements, snapshot.on_air.action_w, strict=True)
        for phase, (movement, action_w) in enumerate(on_air):
            changed, reversal = movement.step(action_w, self.site.airtime.deadband_w)
            self.changes[phase] += changed
            self.reversals[phase] += reversal
            changes, reversals = changes + changed, reversals + reversal
        ages_s = tuple(state.report_age_s for state in snapshot.slaves)
        before_s = self._report_ages_s if len(self._report_ages_s) == len(ages_s) else ages_s
        self.reports_heard += sum(now < then for now, then in zip(ages_s, before_s, strict=True))
        self._report_ages_s = ages_s
        self._five.add(snapshot.at_s, changes, reversals)

    def _count_safety(self, before: Decision | None, decision: Decision, at_s: float) -> None:
        verdict = decision.verdict
        if decision.violations:
            acting = verdict.source is Source.POLICY
            acted = before is not None and before.verdict.state is State.RL_ACTIVE
            live = decision.authority is Authority.POLICY and (acting or acted)
            self.counts.violations += live
            self.counts.shadow_violations += not live
        for intervention in decision.interventions:
            if intervention.rule in self.interventions or len(self.interventions) < RULES_MAX:
                self.interventions[intervention.rule] = self.interventions.get(intervention.rule, 0) + 1
        for cause in verdict.causes:
            if len(self.causes_seen) < RULES_MAX:
                self.causes_seen.setdefault(cause)
        self.counts.anomalous_ticks += bool(decision.anomaly.flags)
        if decision.anomaly.trip:
            self.counts.anomaly_trips += 1
            if self._trip_at_s is None or at_s - self._trip_at_s > EPISODE_PAUSE_S:
                self.counts.anomaly_episodes += 1
            self._trip_at_s = at_s
        self._follow_fallback(decision)

    def _follow_fallback(self, decision: Decision) -> None:
        """The fallback is active from acting in the policy's place until the policy acts again."""
        if decision.verdict.source is Source.POLICY:
            self.fallback_active = False
        elif decision.authority is Authority.POLICY and decision.verdict.source is Source.FALLBACK:
            self.counts.fallback_activations += self.fallback_active is False
            self.fallback_active = True
        elif self.fallback_active is None and decision.verdict.source is Source.FALLBACK:
            self.fallback_active = False

    def _tell_changes(self, before: Decision | None, decision: Decision) -> None:
        now, then = decision.verdict, None if before is None else before.verdict
        if then is None or now.state is not then.state:
            because = f" ({', '.join(now.causes)})" if now.causes else ""
            self.note(self._at_s(), f"state {now.state.value}{because}")
        if decision.violations:
            self.note(self._at_s(), f"policy broke {', '.join(decision.violations)}")

    def _at_s(self) -> float:
        return 0.0 if self.snapshot is None else self.snapshot.at_s

    def _measure(
        self, snapshot: Snapshot, decision: Decision, baseline_w: Phases | None, step_s: float
    ) -> None:
        self.placed_w = self._placement.update(self.site, snapshot, decision.estimate)
        known = self.meter_known() and decision.estimate.fresh
        self.without_given = baseline_w is not None
        if baseline_w is None and known:
            baseline_w = without_slaves_w(snapshot.grid_power_w, self.placed_w, self.site)
        self.without_w = baseline_w
        if known and baseline_w is not None and not self.without_given:
            self.without_w = self._uncontrolled.update(baseline_w, decision.estimate, snapshot.at_s)
        if known:
            without_w = None if self.without_w is None else sum(self.without_w)
            self.series.append(Point(snapshot.at_s, sum(snapshot.grid_power_w), without_w))
        if known and 0.0 < step_s <= self.gap_s:
            self.newest = account(snapshot.grid_power_w, baseline_w, self.placed_w, self.site, step_s)
        else:
            self.newest = EnergyTotals(unmeasured_s=max(0.0, step_s))
        self.ledger.add(self.newest, snapshot.at_s, None if self.local is None else self.local.date())


def _restored(saved: Any) -> Counts:
    """An earlier run's totals; whatever does not look like them counts as none."""
    counts = Counts()
    for key, name in COUNTS.items():
        value = saved.get(key) if isinstance(saved, dict) else None
        if isinstance(value, int) and 0 <= value <= COUNT_MAX:
            setattr(counts, name, value)
    return counts
