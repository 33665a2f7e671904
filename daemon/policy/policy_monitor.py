"""The policy monitor: runs the twins beside the loop, and raises `rollback` for a policy that does worse.

It comes after the frames of a tick have left and holds nothing up. What it finds is the cause `rollback` of
the next tick, so a replay of the journal knows it. A fault in here costs the judgement, never the control.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from core.causes import Cause
from core.decision import Authority, State
from core.metering import (
    AVOIDABLE_WEIGHT,
    avoidable_import_w,
    curtailable_w,
    exported_w,
    unavoidable_export_w,
)
from core.scheduling.orders import has_boosted
from core.site import Site, per_phase
from daemon.monitoring.energy_ledger import gap_s
from daemon.monitoring.telemetry import CounterfactualComparison, Judgements, PolicyComparison
from daemon.policy.evidence_record import from_record, to_record
from daemon.rollout.requirements import Judged
from daemon.runtime.assembly import Assembled
from daemon.runtime.loop import TickResult
from daemon.system.log import log
from models.policy import NoPolicy, OnnxPolicy
from models.twin import CounterfactualController, TwinMemory, TwinTick, fallback_twin, policy_twin
from safety.evidence import PairedSums, day_bounds
from safety.policy_comparison import ALPHA, SPAN_S, ComparisonState, TickCost, judge

T = TypeVar("T")


@dataclass(slots=True)
class MonitoredTwin:
    """One twin beside the loop, and what was found so far of the policy against the fallback."""

    twin: CounterfactualController
    evidence: ComparisonState = field(default_factory=ComparisonState)
    said: PolicyComparison | None = None
    memory: TwinMemory = CounterfactualController.cold

    def judgement(self) -> PolicyComparison:
        """For people: changes once in two hours of judged time."""
        judged_s = self.evidence.export.spans * SPAN_S
        if self.said is None or self.said.judged_s != judged_s:
            evidence = self.evidence
            export = _beside(evidence.export, evidence.export_days)
            j = _beside(evidence.j, evidence.j_days)
            self.said = PolicyComparison(judged_s, export, j)
        return self.said


@dataclass(slots=True)
class PolicyMonitor:
    """Compares policy and fallback in every tick, and raises `rollback`.

    `live` is the policy where it was meant to act, beside the fallback's twin; `shadow` is the policy's twin
    where the fallback was, which can roll back nothing. `fallback` names its law and gains, `subject` who is
    judged against whom: evidence about another pair is worth nothing. `event` records a rollback in journal
    and log. `adopt` has to be called before the first tick. An anomaly whose day outlives a restart is not
    counted once more, and one in the fallback's time is nobody's fault.
    """

    site: Site
    fallback: str
    ttl_s: float
    event: Callable[..., None]
    subject: str = field(init=False, default="")
    live: MonitoredTwin = field(init=False)
    shadow: MonitoredTwin = field(init=False)
    _at_s: float | None = None
    _was_anomalous: bool = True
    _was_rolled_back: bool = False
    _is_broken: bool = False
    _carried: dict[str, Any] = field(default_factory=dict)

    def adopt(self, assembled: Assembled) -> None:
        """Judge the policy that is in force from now on."""
        parts, bundle = assembled.parts, assembled.bundle
        subject = f"{'no policy' if bundle is None else bundle.sha256} against {self.fallback}"
        if subject == self.subject:
            return
        policy = NoPolicy() if bundle is None else OnnxPolicy(bundle)
        self.subject = subject
        self.live = MonitoredTwin(fallback_twin(parts, self.ttl_s))
        self.shadow = MonitoredTwin(policy_twin(parts, policy, self.ttl_s))

    def restore(self, carried: Any) -> None:
        """Go on with what `carry` left, if it is about the same pair and makes sense."""
        if isinstance(carried, dict) and carried.get("subject") == self.subject:
            self.live.evidence = from_record(carried.get("live")) or ComparisonState()
            self.shadow.evidence = from_record(carried.get("shadow")) or ComparisonState()

    def carry(self) -> dict[str, Any]:
        """What a later run goes on with: plain values, ready for JSON."""
        try:
            self._carried = self._carry()
        except Exception as error:  # noqa: BLE001  # what was found until now is worth keeping
            self._failed(error)
        return self._carried

    def _carry(self) -> dict[str, Any]:
        live, shadow = (to_record(judged.evidence) for judged in (self.live, self.shadow))
        return {"subject": self.subject, "live": live, "shadow": shadow}

    def __call__(self, result: TickResult) -> tuple[Cause, ...]:
        """Causes that the tick has shown."""
        none: tuple[str, ...] = ()
        reasons = self._tried(lambda: self._judge(result), none)
        if not reasons:
            return ()
        self.event("rollback", reasons=list(reasons), subject=self.subject)
        return (Cause.ROLLBACK,)

    def _tried(self, what: Callable[[], T], otherwise: T) -> T:
        if self._is_broken:
            return otherwise
        try:
            return what()
        except Exception as error:  # noqa: BLE001  # whatever it is, the site is controlled as before
            self._failed(error)
            return otherwise

    def _failed(self, error: Exception) -> None:
        if not self._is_broken:
            self._is_broken = True
            log.exception("judge_failed", error=repr(error))

    def _judge(self, result: TickResult) -> tuple[str, ...]:
        decision, at_s = result.decision, result.snapshot.at_s
        step_s = 0.0 if self._at_s is None else at_s - self._at_s
        if not 0.0 < step_s <= gap_s(self.site.period_s):
            step_s = 0.0
        self._at_s = at_s
        causes = decision.verdict.causes
        is_new = "anomaly" in causes and not self._was_anomalous
        tripped = is_new and decision.authority is Authority.POLICY
        is_rolled_back = Cause.ROLLBACK in causes
        if self._was_rolled_back and not is_rolled_back:  # an operator gives the policy another chance
            self.live.evidence = ComparisonState()
        self._was_anomalous, self._was_rolled_back = "anomaly" in causes, is_rolled_back
        real = TwinTick(result.snapshot.grid_power_w, decision.estimate.model_w, decision.estimate.command_w)
        other, self.live.memory = self._step(self.live, result)
        would, self.shadow.memory = self._step(self.shadow, result)
        is_known = decision.verdict.state is not State.INIT and decision.estimate.fresh and not is_rolled_back
        is_known = is_known and not has_boosted(result.snapshot)  # what is bought then is nobody's doing
        whose = decision.authority if is_known else None
        is_shadowed = whose is Authority.FALLBACK and decision.policy_action_w is not None
        shadowed = self._second(would, real, result) if is_shadowed else None
        _, self.shadow.evidence = judge(at_s, step_s, shadowed, False, self.shadow.evidence)
        second = self._second(real, other, result) if whose is Authority.POLICY else None
        reasons, self.live.evidence = judge(at_s, step_s, second, tripped, self.live.evidence)
        return () if is_rolled_back else reasons

    def judged(self) -> Judged | None:
        """For the plan: the whole spans and days so far; None after a fault."""
        if self._is_broken:
            return None
        live, shadow = self.live.evidence, self.shadow.evidence
        return Judged(live.export, live.export_days, live.j, shadow.export, shadow.j)

    def judgements(self) -> Judgements:
        """For people."""
        return self._tried(
            lambda: Judgements(self.live.judgement(), self.shadow.judgement()), Judgements(failed=True)
        )

    def _step(self, judged: MonitoredTwin, result: TickResult) -> tuple[TwinTick, TwinMemory]:
        accepted = result.sent.accepted
        return judged.twin.step(result.snapshot, result.decision, result.before, accepted, judged.memory)

    def _second(self, policy: TwinTick, fallback: TwinTick, result: TickResult) -> TickCost:
        """What nobody can help is left out: it is the same for both and would hide what is not."""
        estimate, site = result.decision.estimate, self.site
        cells = zip(result.snapshot.grid_power_w, estimate.model_w, strict=True)
        bare_w = per_phase([g - estimate.sign * m for g, m in cells])
        beyond_w = unavoidable_export_w(bare_w, estimate.capacity_w, site.role, site.metering)

        def cost_w(tick: TwinTick) -> tuple[float, float]:
            export_w = max(0.0, exported_w(tick.grid_power_w, site.metering) - beyond_w)
            placed_w = curtailable_w(tick.slaves_w, estimate.capacity_w, site.role)
            bought_w = avoidable_import_w(placed_w, tick.grid_power_w, site.metering)
            return export_w, export_w + AVOIDABLE_WEIGHT * bought_w

        (own_export_w, own_j_w), (twin_export_w, twin_j_w) = cost_w(policy), cost_w(fallback)
        return TickCost(own_export_w, own_j_w, policy.action_w, twin_export_w, twin_j_w, fallback.action_w)


def _beside(spans: PairedSums, days: PairedSums) -> CounterfactualComparison:
    """What was seen in all spans, within bounds from whole days: spans of one day are too much alike."""
    around = day_bounds(days, ALPHA)
    seen = spans.excess
    low, high = (around.low, around.high) if seen is None else (min(around.low, seen), max(around.high, seen))
    return CounterfactualComparison(spans.x, spans.y, seen, low, high)
