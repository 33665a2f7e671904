"""Protocols of the parts of a decision. Plain values in, plain values out: no part does any I/O."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from core.airtime import Bucket
from core.decision import Anomaly, Authority, Intervention, Source, SupervisorDecision
from core.estimation.following import FollowingState
from core.estimation.learning import LearningState
from core.estimation.state_estimate import EstimatorState, StateEstimate
from core.estimation.swinging import SwingState
from core.scheduling.staged import SchedulerState
from core.site import Phases, Site
from core.snapshot import Snapshot


class Observer(Protocol):
    """Turns the state estimate into the features that a policy was trained on."""

    @property
    def cold(self) -> Any: ...
    def observe(
        self, snapshot: Snapshot, estimate: StateEstimate, memory: Any
    ) -> tuple[Sequence[float], Any]: ...


class Policy(Protocol):
    """Proposes an action, or None when it has no trustworthy one."""

    @property
    def cold(self) -> Any: ...
    def propose(self, observation: Sequence[float], memory: Any) -> tuple[Phases | None, Any]: ...


class Fallback(Protocol):
    """A controller that always proposes an action, and is told what was applied instead."""

    @property
    def cold(self) -> Any: ...
    def propose(self, estimate: StateEstimate, memory: Any) -> tuple[Phases, Any]: ...
    def track(self, memory: Any, estimate: StateEstimate, safe_action_w: Phases) -> Any: ...


class Detector(Protocol):
    """Names what looks unlike the data the policy was trained on."""

    @property
    def cold(self) -> Any: ...
    def inspect(
        self,
        snapshot: Snapshot,
        observation: Sequence[float],
        policy_action_w: Phases | None,
        memory: Any,
    ) -> tuple[Anomaly, Any]: ...


@dataclass(frozen=True, slots=True)
class PolicyHealth:
    """What this tick showed about the policy, before anybody acts."""

    policy_answered: bool
    violations: tuple[str, ...]
    anomaly: Anomaly


class Supervisor(Protocol):
    """Lets a source act, or a lesser one. Can only lower authority."""

    @property
    def cold(self) -> Any: ...
    def step(
        self,
        snapshot: Snapshot,
        estimate: StateEstimate,
        authority: Authority,
        findings: PolicyHealth,
        memory: Any,
    ) -> tuple[SupervisorDecision, Any]: ...


class Gate(Protocol):
    """Has the last word: returns only actions that are allowed."""

    def violations(self, requested_action_w: Phases, snapshot: Snapshot) -> tuple[str, ...]:
        """Rules that an action would break; empty when it is allowed as it stands."""
        ...

    def check(
        self, requested_action_w: Phases, source: Source, snapshot: Snapshot
    ) -> tuple[Phases, tuple[Intervention, ...]]:
        """The allowed action nearest to the requested one, on the straight way from what is on air."""
        ...

    def accepts_setpoints(
        self, setpoints_w: tuple[int, ...], withheld: tuple[int, ...], source: Source, snapshot: Snapshot
    ) -> bool:
        """Whether setpoints may go on air, to every delivery group but those withheld."""
        ...


@dataclass(frozen=True, slots=True)
class Watches:
    """What a decision observes of its own loop. A journal of a release without one is replayed without it."""

    swinging: bool = True
    responses: bool = True

    @classmethod
    def of(cls, names: Sequence[str]) -> "Watches":
        """Those of these names only."""
        return cls(**{one.name: one.name in names for one in fields(cls)})

    @property
    def names(self) -> tuple[str, ...]:
        """Of those in force."""
        return tuple(one.name for one in fields(self) if getattr(self, one.name))


WATCHES = Watches()
"""All that this release has."""


@dataclass(frozen=True, slots=True)
class Parts:
    """One of each, chosen at start-up by ``daemon.runtime.assembly`` and replaced only between ticks."""

    site: Site
    observer: Observer
    policy: Policy
    fallback: Fallback
    detector: Detector
    supervisor: Supervisor
    gate: Gate
    watches: Watches = WATCHES


@dataclass(frozen=True, slots=True)
class Memory:
    """All that is carried from one tick to the next.

    Five parts keep something that nobody else looks into: `observed` belongs to the observer, `policy` to the
    policy (its recurrent state), `fallback` to the fallback (its integrator), `seen` to the detector, `watch`
    to the supervisor (its state and timers).
    """

    belief: EstimatorState
    observed: Any
    policy: Any
    fallback: Any
    seen: Any
    watch: Any
    bucket: Bucket
    scheduler: SchedulerState = field(default_factory=SchedulerState)
    following: FollowingState = field(default_factory=FollowingState)
    swinging: SwingState = field(default_factory=SwingState)
    responses: LearningState = field(default_factory=LearningState)


def initial_memory(
    parts: Parts,
) -> Memory:
    """Memory of a controller that has never acted."""
    return Memory(
        belief=EstimatorState(),
        observed=parts.observer.cold,
        policy=parts.policy.cold,
        fallback=parts.fallback.cold,
        seen=parts.detector.cold,
        watch=parts.supervisor.cold,
        bucket=Bucket(parts.site.airtime.burst_frames),
    )
