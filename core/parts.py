"""Protocols of the parts of a decision. Plain values in, plain values out: no part does any I/O."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Generic, Protocol, TypeVar

from core.airtime import Bucket
from core.decision import Anomaly, Authority, Intervention, Source, SupervisorDecision
from core.estimation.following import FollowingState
from core.estimation.state_estimate import EstimatorState, StateEstimate
from core.estimation.swinging import SwingState
from core.scheduling.staged import SchedulerState
from core.site import Phases, Site
from core.snapshot import Snapshot

ObservedT = TypeVar("ObservedT")
"""What the observer carries from tick to tick."""
PolicyT = TypeVar("PolicyT")
"""What the policy carries: its recurrent state."""
FallbackT = TypeVar("FallbackT")
"""What the fallback carries: its integrator."""
SeenT = TypeVar("SeenT")
"""What the detector carries."""
WatchT = TypeVar("WatchT")
"""What the supervisor carries: state and timers."""


class Observer(Protocol[ObservedT]):
    """Turns the state estimate into the features that a policy was trained on."""

    @property
    def cold(self) -> ObservedT: ...
    def observe(
        self, snapshot: Snapshot, sight: StateEstimate, memory: ObservedT
    ) -> tuple[Sequence[float], ObservedT]: ...


class Policy(Protocol[PolicyT]):
    """Proposes an action, or None when it has no trustworthy one."""

    @property
    def cold(self) -> PolicyT: ...
    def propose(self, observation: Sequence[float], memory: PolicyT) -> tuple[Phases | None, PolicyT]: ...


class Fallback(Protocol[FallbackT]):
    """A controller that always proposes an action, and is told what was applied instead."""

    @property
    def cold(self) -> FallbackT: ...
    def propose(self, sight: StateEstimate, memory: FallbackT) -> tuple[Phases, FallbackT]: ...
    def track(self, memory: FallbackT, sight: StateEstimate, safe_action_w: Phases) -> FallbackT: ...


class Detector(Protocol[SeenT]):
    """Names what looks unlike the data the policy was trained on."""

    @property
    def cold(self) -> SeenT: ...
    def inspect(
        self,
        snapshot: Snapshot,
        observation: Sequence[float],
        policy_action_w: Phases | None,
        memory: SeenT,
    ) -> tuple[Anomaly, SeenT]: ...


@dataclass(frozen=True, slots=True)
class PolicyHealth:
    """What this tick showed about the policy, before anybody acts."""

    policy_answered: bool
    violations: tuple[str, ...]
    anomaly: Anomaly


class Supervisor(Protocol[WatchT]):
    """Lets a source act, or a lesser one. Can only lower authority."""

    @property
    def cold(self) -> WatchT: ...
    def step(
        self,
        snapshot: Snapshot,
        sight: StateEstimate,
        authority: Authority,
        findings: PolicyHealth,
        memory: WatchT,
    ) -> tuple[SupervisorDecision, WatchT]: ...


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
class Parts(Generic[ObservedT, PolicyT, FallbackT, SeenT, WatchT]):
    """One of each, chosen at start-up by ``daemon.runtime.assembly`` and replaced only between ticks."""

    site: Site
    observer: Observer[ObservedT]
    policy: Policy[PolicyT]
    fallback: Fallback[FallbackT]
    detector: Detector[SeenT]
    supervisor: Supervisor[WatchT]
    gate: Gate
    watches: Watches = WATCHES


@dataclass(frozen=True, slots=True)
class Memory(Generic[ObservedT, PolicyT, FallbackT, SeenT, WatchT]):
    """All that is carried from one tick to the next."""

    belief: EstimatorState
    observed: ObservedT
    policy: PolicyT
    fallback: FallbackT
    seen: SeenT
    watch: WatchT
    bucket: Bucket
    scheduler: SchedulerState = field(default_factory=SchedulerState)
    following: FollowingState = field(default_factory=FollowingState)
    swinging: SwingState = field(default_factory=SwingState)


def initial_memory(
    parts: Parts[ObservedT, PolicyT, FallbackT, SeenT, WatchT],
) -> Memory[ObservedT, PolicyT, FallbackT, SeenT, WatchT]:
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
