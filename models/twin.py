"""Counterfactual controllers ("twins"): re-simulates the inactive controller on the measured residual.

A twin gets the same readings, with simulated slaves of its own (`core.estimation.state_estimate`): the meter
it sees is the real one, less what the real slaves are estimated to draw, plus what its own draw. So sun and
load are the same for both, and all that differs is who acted. A twin that commands what was really commanded
sees exactly what was really measured.

While its own controller is in charge a twin is the real one; it parts from it when the other takes over, and
goes its own way for as long as the other is meant to act.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from core.allocation import totals_w
from core.causes import Cause
from core.decision import Anomaly, Authority, Decision, Send, Source, State, SupervisorDecision
from core.estimation.following import FollowingState
from core.estimation.learning import LearningState
from core.estimation.state_estimate import StateEstimate, estimate_state
from core.parts import Memory, Parts, Policy, PolicyHealth
from core.scheduling.staged import view_apart, whole_estimate
from core.site import Phases, per_phase
from core.snapshot import OnAirState, SlaveState, Snapshot
from core.tick import decide

FRAME_S = 0.05
"""From the tick until the coordinator has accepted a frame, until one was timed."""


class NullObserver:
    """In the place of observer and policy of a twin that needs none."""

    cold = ()

    def observe(
        self, _snapshot: Snapshot, _sight: StateEstimate, _memory: tuple[()]
    ) -> tuple[Sequence[float], tuple[()]]:
        """No features."""
        return (), ()

    def propose(self, _observation: Sequence[float], _memory: tuple[()]) -> tuple[None, tuple[()]]:
        """No proposal."""
        return None, ()


class _Unwatched:
    """In the place of the detector: nothing is unusual."""

    cold = None

    def inspect(
        self,
        _snapshot: Snapshot,
        _observation: Sequence[float],
        _policy_action_w: Phases | None,
        _memory: None,
    ) -> tuple[Anomaly, None]:
        """Nothing."""
        return Anomaly(), None


class PassThroughSupervisor:
    """A supervisor that rests when the real one does, and holds what is on air without a sample."""

    cold = None

    def step(
        self,
        _snapshot: Snapshot,
        estimate: StateEstimate,
        authority: Authority,
        findings: PolicyHealth,
        _memory: None,
    ) -> tuple[SupervisorDecision, None]:
        """Rest, hold, or let whoever is meant to act."""
        if authority is Authority.REST:
            return SupervisorDecision(State.SAFE_STOP), None
        if not estimate.fresh:
            return SupervisorDecision(State.HOLD), None
        if authority is Authority.POLICY and findings.policy_answered:
            return SupervisorDecision(State.RL_ACTIVE), None
        return SupervisorDecision(State.FALLBACK), None


@dataclass(frozen=True, slots=True)
class TwinMemory:
    """What the twin carries: its memory, the setpoints it has on air, since when, and since when unchanged.

    `memory` is None while the twin is the real controller. `frame_s` is how long the coordinator took to
    accept the newest real frame; `has_sent` and `real_sent_at_s` (of the tick) say who sent in the last tick.
    """

    memory: Memory | None = None
    setpoints_w: tuple[int, ...] = ()
    sent_at_s: float = -inf
    frame_s: float = FRAME_S
    has_sent: bool = False
    real_sent_at_s: float = -inf
    moved_at_s: float = -inf


@dataclass(frozen=True, slots=True)
class TwinTick:
    """One second of the twin: what its meter reads, what its slaves draw or feed, what it has on air."""

    grid_power_w: Phases
    slaves_w: Phases
    action_w: Phases


class CounterfactualController:
    """One controller with simulated slaves of its own, fed with the real meter.

    Args:
        parts: of the real controllers; `fallback_twin` and `policy_twin` choose from them.
        whose: the authority that this twin acts with, and whose seconds it does not part in.
        ttl_s: how long slaves follow a frame.
    """

    cold = TwinMemory()

    def __init__(self, parts: Parts, whose: Authority, ttl_s: float) -> None:
        watches = replace(parts.watches, responses=False)  # its own meter would show what is believed already
        self._parts = replace(
            parts, detector=_Unwatched(), supervisor=PassThroughSupervisor(), watches=watches
        )
        self._whose, self._ttl_s = whose, ttl_s

    def step(
        self,
        snapshot: Snapshot,
        decision: Decision,
        before: Memory,
        accepted: bool | None,
        memory: TwinMemory,
    ) -> tuple[TwinTick, TwinMemory]:
        """Live one tick beside the real one.

        Args:
            snapshot: what the real controller saw.
            decision: what it decided.
            before: its memory before it decided.
            accepted: what became of its frames, None when it sent none.
            memory: the twin's own.
        """
        memory = _timed(snapshot, memory)
        if decision.authority in (self._whose, Authority.REST):
            estimate, sent_at_s = decision.estimate, _when(snapshot, accepted)
            same = TwinTick(snapshot.grid_power_w, estimate.model_w, estimate.command_w)
            return same, replace(memory, memory=None, has_sent=False, real_sent_at_s=sent_at_s)
        if memory.memory is None:
            memory = self._parted(snapshot, before, memory)
        seen = self._seen(snapshot, decision, memory)
        return self._live(seen, snapshot, decision, accepted, memory)

    def _parted(self, snapshot: Snapshot, before: Memory, memory: TwinMemory) -> TwinMemory:
        """The twin where the real controllers are now."""
        air = snapshot.on_air
        own = replace(before, seen=None, watch=None, following=FollowingState())
        return replace(
            memory,
            memory=own,
            setpoints_w=air.setpoints_w,
            sent_at_s=snapshot.at_s - air.age_s,
            moved_at_s=snapshot.at_s - air.still_s,
        )

    def _seen(self, snapshot: Snapshot, decision: Decision, memory: TwinMemory) -> Snapshot:
        """What the twin's meter reads, and what it has on air."""
        assert memory.memory is not None
        site, age_s = self._parts.site, snapshot.at_s - memory.sent_at_s
        air = OnAirState()
        if age_s <= self._ttl_s and memory.setpoints_w:
            still_s = snapshot.at_s - memory.moved_at_s
            air = OnAirState(totals_w(memory.setpoints_w, site), memory.setpoints_w, age_s, still_s=still_s)
        slaves = _limited(snapshot.slaves, decision)
        seen = replace(snapshot, slaves=slaves, on_air=air, alarms=(), acknowledged=())
        view = view_apart(site, seen, memory.memory.scheduler)
        modulating, _ = estimate_state(
            view.site, view.snapshot, memory.memory.belief, decision.estimate.learned
        )
        own = whole_estimate(modulating, site, seen, view)
        real = decision.estimate
        cells = zip(snapshot.grid_power_w, real.model_w, own.model_w, strict=True)
        return replace(seen, grid_power_w=per_phase([g + real.sign * (m - r) for g, r, m in cells]))

    def _live(
        self,
        seen: Snapshot,
        snapshot: Snapshot,
        decision: Decision,
        accepted: bool | None,
        memory: TwinMemory,
    ) -> tuple[TwinTick, TwinMemory]:
        assert memory.memory is not None
        authority = Authority.REST if decision.verdict.source is Source.REST else self._whose
        told = LearningState(in_force=decision.estimate.learned)
        own, following = decide(seen, authority, replace(memory.memory, responses=told), self._parts)
        tick = TwinTick(seen.grid_power_w, own.estimate.model_w, own.estimate.command_w)
        is_refused = accepted is False or (accepted is None and Cause.RADIO_DOWN in snapshot.alarms)
        has_sent = own.send is not Send.NOTHING and not is_refused
        if has_sent:
            sent_at_s = snapshot.at_s + memory.frame_s
            moved_at_s = memory.moved_at_s if own.setpoints_w == memory.setpoints_w else sent_at_s
            memory = replace(memory, setpoints_w=own.setpoints_w, sent_at_s=sent_at_s, moved_at_s=moved_at_s)
        real_sent_at_s = _when(snapshot, accepted)
        return tick, replace(memory, memory=following, has_sent=has_sent, real_sent_at_s=real_sent_at_s)


def fallback_twin(parts: Parts, ttl_s: float) -> CounterfactualController:
    """Of the fallback, for the seconds of the policy."""
    blind = NullObserver()
    return CounterfactualController(replace(parts, observer=blind, policy=blind), Authority.FALLBACK, ttl_s)


def policy_twin(parts: Parts, policy: Policy, ttl_s: float) -> CounterfactualController:
    """Of the policy, for the seconds of the fallback: what a shadow run would have been worth.

    Args:
        policy: an instance of its own, so that its latency is not taken for the real one's.
    """
    return CounterfactualController(replace(parts, policy=policy), Authority.POLICY, ttl_s)


def _limited(slaves: tuple[SlaveState, ...], decision: Decision) -> tuple[SlaveState, ...]:
    """The slaves as the real controller took them: what they answer is no answer to the twin."""
    limits_w = {one.slave: one.limit_w for one in decision.not_following}
    return tuple(
        replace(slave, applied_w=None, told_w=None, limit_w=limits_w.get(place, slave.limit_w))
        for place, slave in enumerate(slaves)
    )


def _when(snapshot: Snapshot, accepted: bool | None) -> float:
    return snapshot.at_s if accepted else -inf


def _timed(snapshot: Snapshot, memory: TwinMemory) -> TwinMemory:
    """A real frame that was sent in the tick before tells how long the coordinator takes."""
    if not (memory.real_sent_at_s > -inf and snapshot.on_air.age_s < inf):
        return memory
    sent_at_s = snapshot.at_s - snapshot.on_air.age_s
    if memory.has_sent:
        memory = replace(memory, sent_at_s=sent_at_s)
    return replace(memory, frame_s=max(0.0, sent_at_s - memory.real_sent_at_s))
