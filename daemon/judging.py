"""The judge at work: the twin lives beside the loop, and what the policy did worse than it is told.

After the frames of a tick have left; it holds nothing up. What it finds is the cause `rollback` of the next
tick, so a replay of the journal knows it. A fault in here costs the judgement, never the control.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.decision import Authority, State
from core.metering import avoidable_import_w, curtailable_w, exported_w
from core.site import Phases, Site
from daemon.evidence_record import from_record, to_record
from daemon.ledger import GAP_S
from daemon.log import log
from daemon.loop import Lived
from daemon.scoring import AVOIDABLE_WEIGHT
from daemon.telemetry import Beside, Judgement
from models.twin import Twin, TwinMemory, TwinTick
from safety.evidence import Pairs, bounds
from safety.judge import ALPHA, Evidence, Second, judge, totals

ROLLBACK = "rollback"


@dataclass(slots=True)
class Judging:
    """Judges every tick.

    `subject` names who is judged against whom (the policy's hash, the fallback's gains): evidence about
    another pair is worth nothing. `event` records a rollback in journal and log.
    """

    site: Site
    twin: Twin
    subject: str
    event: Callable[..., None]
    evidence: Evidence = field(default_factory=Evidence)
    twin_tick: TwinTick | None = None
    _memory: TwinMemory = Twin.cold
    _at_s: float | None = None
    _was_anomalous: bool = False
    _was_rolled_back: bool = False
    _is_broken: bool = False
    _said: Judgement | None = None

    def restore(self, carried: Mapping[str, Any] | None) -> None:
        """Go on with what `carry` left, if it is about the same pair and makes sense."""
        if carried is not None and carried.get("subject") == self.subject:
            self.evidence = from_record(carried.get("evidence")) or Evidence()

    def carry(self) -> dict[str, Any]:
        """What a later run goes on with: plain values, ready for JSON."""
        return {"subject": self.subject, "evidence": to_record(self.evidence)}

    def __call__(self, lived: Lived) -> tuple[str, ...]:
        """Causes that the tick has shown."""
        if self._is_broken:
            return ()
        try:
            reasons = self._judge(lived)
        except Exception as error:  # noqa: BLE001  # whatever it is, the site is controlled as before
            self._is_broken = True
            log.exception("judge_failed", error=repr(error))
            return ()
        if not reasons:
            return ()
        self.event("rollback", reasons=list(reasons), subject=self.subject)
        return (ROLLBACK,)

    def judgement(self) -> Judgement:
        """For people: changes once an hour of judged time."""
        if self._said is None or self._said.hours != self.evidence.export.hours:
            export, j = (_beside(pairs) for pairs in totals(self.evidence).values())
            self._said = Judgement(self.evidence.export.hours, export, j)
        return self._said

    def _judge(self, lived: Lived) -> tuple[str, ...]:
        snapshot, decision = lived.snapshot, lived.decision
        accepted = lived.sent.accepted
        self.twin_tick, self._memory = self.twin.step(
            snapshot, decision, lived.before, accepted, self._memory
        )
        step_s = 0.0 if self._at_s is None else min(snapshot.at_s - self._at_s, GAP_S)
        self._at_s = snapshot.at_s
        causes = decision.verdict.causes
        tripped = "anomaly" in causes and not self._was_anomalous
        self._was_anomalous = "anomaly" in causes
        is_rolled_back = ROLLBACK in causes
        if self._was_rolled_back and not is_rolled_back:  # an operator gives the policy another chance
            self.evidence = Evidence()
        self._was_rolled_back = is_rolled_back
        is_judged = (
            decision.authority is Authority.POLICY
            and decision.verdict.state is not State.INIT
            and decision.sight.fresh
            and not is_rolled_back
        )
        second = self._second(lived, self.twin_tick) if is_judged else None
        reasons, self.evidence = judge(snapshot.at_s, max(0.0, step_s), second, tripped, self.evidence)
        return () if is_rolled_back else reasons

    def _second(self, lived: Lived, twin: TwinTick) -> Second:
        sight, capacity_w = lived.decision.sight, lived.decision.sight.capacity_w
        grid_w = lived.snapshot.grid_power_w
        return Second(
            own_export_w=exported_w(grid_w, self.site.metering),
            own_j_w=self._j_w(grid_w, sight.model_w, capacity_w),
            own_action_w=sight.command_w,
            twin_export_w=exported_w(twin.grid_power_w, self.site.metering),
            twin_j_w=self._j_w(twin.grid_power_w, twin.slaves_w, capacity_w),
            twin_action_w=twin.action_w,
        )

    def _j_w(self, grid_w: Phases, slaves_w: Phases, capacity_w: Phases) -> float:
        metering = self.site.metering
        placed_w = curtailable_w(slaves_w, capacity_w, self.site.role)
        bought_w = avoidable_import_w(placed_w, grid_w, metering)
        return exported_w(grid_w, metering) + AVOIDABLE_WEIGHT * bought_w


def _beside(pairs: Pairs) -> Beside:
    around = bounds(pairs, ALPHA)
    return Beside(pairs.x, pairs.y, pairs.excess, around.low, around.high)
