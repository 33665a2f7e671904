"""Walks the plan beside the loop, keeps its state on the disk, and says which mode is in force.

A step upwards is in force once it is on the disk, a step back at once: whatever a kill leaves, no step is
lost and none is taken that nobody knows of. Every move is an event in journal and log, with its reasons.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.causes import Cause
from core.decision import Authority, State
from core.metering import exported_w
from core.modes import Mode, ModePlan
from core.site import Site, per_phase
from daemon.config.rollout_section import BLOCKS_S, LEAST_BLOCKS, RolloutSection
from daemon.config.settings import Settings
from daemon.monitoring.energy_ledger import gap_s
from daemon.monitoring.telemetry import PlanDemand, PlanStanding
from daemon.policy.mode_guard import ModeGuard
from daemon.rollout.evidence import RolloutTick
from daemon.rollout.plan import HOUR_S, Confirmation, RolloutPlan, RolloutStep, StepRule, is_later
from daemon.rollout.record import from_record, to_record
from daemon.rollout.requirements import Judged, requirements
from daemon.rollout.walk import (
    Move,
    MoveRefused,
    RolloutState,
    advanced,
    back,
    begun,
    due,
    held,
    lived,
    taken_back,
)
from daemon.runtime.loop import TickResult
from daemon.system.clock import synchronised
from daemon.system.log import log
from daemon.system.state_file import StateFile

NAME = "rollout"
BREACHES = (Cause.ROLLBACK, Cause.REPEATED_VIOLATIONS)
"""Causes of the supervisor that end a step."""
CHECK_EVERY_S, SAVE_EVERY_S, RETRY_S = 60.0, 300.0, 10.0
"""A power cut costs five minutes of evidence, and no step."""
SUN_W = 100.0
"""Less is no surplus worth the name."""


def plan_of(section: RolloutSection) -> RolloutPlan:
    """The plan as the walk knows it."""
    rules = tuple(
        StepRule(
            HOUR_S * step.least_h,
            HOUR_S * step.least_sun_h,
            LEAST_BLOCKS[section.blocks] if step.least_blocks is None else step.least_blocks,
            Confirmation(step.confirm),
        )
        for step in section.steps()
    )
    return RolloutPlan(rules, BLOCKS_S[section.blocks])


@dataclass(slots=True)
class RolloutWalker:
    """The plan of one running daemon; without a plan, the guard of the configured mode.

    `event` records moves in journal and log, `judged` is what the judge has found, `subject` who is in force:
    hash of the policy, law and gains of the fallback. `show` is told the mode in force when it changes,
    `report` where the plan stands, once a minute and with every move; None without a plan.
    """

    site: Site
    directory: Path
    event: Callable[..., None]
    judged: Callable[[], Judged | None]
    subject: Callable[[], tuple[str, str]]
    show: Callable[[Mode], None] = lambda _mode: None
    look_again: Callable[[], None] = lambda: None
    report: Callable[[PlanStanding | None], None] = lambda _standing: None
    plan: RolloutPlan | None = None
    state: RolloutState = field(default_factory=RolloutState)
    configured: ModePlan = field(default_factory=ModePlan)
    guard: ModeGuard = field(init=False)
    in_force: RolloutStep = RolloutStep.SHADOW
    _file: StateFile = field(init=False)
    _saving: asyncio.Task[None] | None = None
    _owes: bool = False
    _at_s: float | None = None
    _checked_at_s: float = float("-inf")
    _saved_at_s: float = float("-inf")
    _was_violation: bool = False
    _was_anomaly: bool = False

    def __post_init__(self) -> None:
        self._file = StateFile(self.directory / NAME)
        self.guard = ModeGuard(self.directory)

    def begin(self, settings: Settings, plan: ModePlan) -> str:
        """Take over the configuration of the start, and where the plan stood.

        Returns:
            Why the configured mode is not in force; empty otherwise.
        """
        record = self._file.load()
        if record is not None:
            restored = from_record(record)
            if restored is None:
                log.warning("rollout_state_unreadable", file=str(self.directory / NAME), begins_in="shadow")
            self.state = restored or RolloutState()
        self.in_force = self.state.step
        refused = self.admit(settings, plan)
        if refused:
            self.configured = ModePlan(site_seed=plan.site_seed)
        return refused

    def resumed(self) -> None:
        """Write into the journal where the plan stands: a kill may have come before the move's own event."""
        if self.plan is not None and self.state.moves:
            self.event("rollout_resumed", step=self.state.step.value, **_told(self.state.moves[-1]))

    def admit(self, settings: Settings, plan: ModePlan) -> str:
        """Take over a configuration; the reason why its mode is refused, else nothing."""
        if settings.rollout is None and (refused := self.guard.refusal(plan)):
            return refused
        self.plan = None if settings.rollout is None else plan_of(settings.rollout)
        self.configured = plan
        self.guard.record(self.mode_plan().mode)
        self.report(self.standing())
        return ""

    def mode_plan(self) -> ModePlan:
        """The mode in force."""
        return self.configured if self.plan is None else self.plan.mode_plan(self.in_force, self.configured)

    def tell(self, result: TickResult, causes: tuple[Cause, ...]) -> None:
        """One tick is over; `causes` are what the judge has found in it."""
        if self.plan is None or self._owes:
            self._retry(result.snapshot.at_s)
            return
        at_s, unix_s = result.snapshot.at_s, _unix_s()
        tick = self._tick(result)
        before = self.state
        state = begun(self.state, *self.subject(), unix_s)
        standing = (*causes, *result.decision.verdict.causes)
        broken = tuple(dict.fromkeys(cause for cause in standing if cause in BREACHES))
        if broken and state.step is not RolloutStep.SHADOW:
            state = taken_back(state, broken, unix_s)
        elif not broken:
            state = lived(self.plan, state, tick)
            if at_s - self._checked_at_s >= CHECK_EVERY_S:
                self._checked_at_s = at_s
                state = due(self.plan, state, self.judged(), unix_s)
        self._take(state, at_s)
        if self._checked_at_s == at_s or state.moves != before.moves:
            self.report(self.standing())

    def _tick(self, result: TickResult) -> RolloutTick:
        decision, snapshot, assignment = result.decision, result.snapshot, result.assignment
        step_s = 0.0 if self._at_s is None else snapshot.at_s - self._at_s
        self._at_s = snapshot.at_s
        estimate = decision.estimate
        cells = zip(snapshot.grid_power_w, estimate.model_w, strict=True)
        bare_w = per_phase([g - estimate.sign * m for g, m in cells])
        is_violation, is_anomaly = bool(decision.violations), decision.anomaly.trip
        is_new = (is_violation and not self._was_violation, is_anomaly and not self._was_anomaly)
        self._was_violation, self._was_anomaly = is_violation, is_anomaly
        return RolloutTick(
            step_s=step_s if 0.0 < step_s <= gap_s(self.site.period_s) else 0.0,
            is_measured=estimate.fresh and decision.verdict.state is not State.INIT,
            has_sun=exported_w(bare_w, self.site.metering) > SUN_W,
            proposal_w=decision.policy_action_w,
            latency_s=result.inference_s,
            is_violation=is_new[0],
            is_anomaly=is_new[1],
            block=assignment.block,
            propensity=assignment.propensity,
            is_policy=assignment.authority is Authority.POLICY,
        )

    def _take(self, state: RolloutState, at_s: float) -> None:
        """The state from now on; saved when a move was made, or it is time."""
        moved = state.moves != self.state.moves
        self.state = state
        if not is_later(state.step, self.in_force):
            self._enforce(state.step)
        if moved or at_s - self._saved_at_s >= SAVE_EVERY_S:
            self._save(at_s, state.moves[-1] if moved else None)

    def _enforce(self, step: RolloutStep) -> None:
        if step is not self.in_force:
            self.in_force = step
            mode = self.mode_plan().mode
            self.show(mode)

    def _retry(self, at_s: float) -> None:
        is_idle = self._saving is None or self._saving.done()
        if self._owes and is_idle and at_s - self._saved_at_s >= RETRY_S:
            self._save(at_s, self.state.moves[-1] if self.state.moves else None)

    def _save(self, at_s: float, move: Move | None) -> None:
        self._saved_at_s, self._owes = at_s, True
        self._saving = asyncio.create_task(self._saved(self.state, move), name="rollout")

    async def _saved(self, state: RolloutState, move: Move | None) -> None:
        try:
            await asyncio.to_thread(self._write, state)
        except OSError as error:
            log.warning("rollout_unwritable", reason=error.strerror, in_force=self.in_force.value)
            return
        self._owes = False
        self._enforce(state.step)
        if move is not None:
            self.event(f"rollout_{move.kind.value}", **_told(move))

    def _write(self, state: RolloutState) -> None:
        self._file.save(to_record(state))
        if self.plan is not None:
            self.guard.record(self.plan.mode_plan(state.step, self.configured).mode)

    async def close(self) -> None:
        """Write what is left."""
        if self._saving is not None:
            await asyncio.wait([self._saving])
        if self.plan is not None and not self._owes:
            await self._saved(self.state, None)

    async def order(self, request: dict[str, Any], user_id: int) -> dict[str, Any]:
        """Carry out what an operator wants; on the disk when this returns.

        Raises:
            MoveRefused: it is not done.
        """
        what, target = request.get("what"), request.get("to")
        step = None if target is None else RolloutStep(target)
        by, unix_s, forced = f"user {user_id}", _unix_s(), request.get("force") is True
        if what == "status":
            return self.describe()
        if self.plan is None:
            return self._forced(what, forced, by)
        if self._saving is not None:
            await asyncio.wait([self._saving])
        if self._owes:
            raise MoveRefused("the state directory takes no files. Mend that first; the log says why.")
        if what == "advance":
            new = advanced(self.plan, self.state, self.judged(), step, by, unix_s, forced=forced)
        elif what == "back":
            new = back(self.state, step, by, unix_s)
        else:
            new = held(self.state, by, unix_s, release=what == "release")
        self._take(new, self._saved_at_s if self._at_s is None else self._at_s)
        if self._saving is not None:
            await asyncio.wait([self._saving])
        self.report(self.standing())
        if self._owes:
            raise MoveRefused("it is not on the disk: the state directory takes no files. The log says why.")
        return self.describe()

    def _forced(self, what: Any, forced: bool, by: str) -> dict[str, Any]:
        if what != "advance" or not forced or self.guard.waiting is None:
            raise MoveRefused(
                "this site has no plan. Write [rollout] into the configuration; "
                "without one, [mode] says who acts."
            )
        wanted = self.guard.waiting
        self.guard.record(wanted)
        self.event("mode_leap_forced", source=Mode.SHADOW.value, target=wanted.value, by=by)
        self.look_again()
        return self.describe()

    def standing(self) -> PlanStanding | None:
        """Where the plan stands and what is missing, for page and metrics; None without a plan."""
        if self.plan is None:
            return None
        state = self.state
        asked = requirements(self.plan, state.step, state.evidence, self.judged())
        return PlanStanding(
            self.in_force.value,
            tuple(step.value for step in RolloutStep),
            state.since_unix_s,
            state.held,
            state.is_ready,
            tuple(PlanDemand(one.name, one.holds, one.found) for one in asked),
        )

    def describe(self) -> dict[str, Any]:
        """Where the plan stands and what is missing, as plain values."""
        if self.plan is None:
            return {"plan": False, "mode": self.mode_plan().mode.value}
        state, rule = self.state, self.plan.rule(self.state.step)
        asked = requirements(self.plan, state.step, state.evidence, self.judged())
        return {
            "plan": True,
            "mode": self.mode_plan().mode.value,
            "step": self.in_force.value,
            "policy": state.policy,
            "since_unix_s": state.since_unix_s,
            "held": state.held,
            "ready": state.is_ready,
            "confirm": "" if rule is None else rule.confirmation.value,
            "requirements": [{"name": one.name, "holds": one.holds, "found": one.found} for one in asked],
            "moves": [{"kind": move.kind.value, **_told(move)} for move in state.moves],
        }


def _told(move: Move) -> dict[str, Any]:
    return {
        "source": move.source.value,
        "target": move.target.value,
        "at_unix_s": move.unix_s,
        "by": move.by,
        "reasons": list(move.reasons),
        "forced": move.forced,
    }


def _unix_s() -> float | None:
    return round(time.time(), 3) if synchronised() else None
