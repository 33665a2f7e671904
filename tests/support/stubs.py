"""Simple parts that satisfy `core.parts`, for tests of what surrounds a decision."""

from collections.abc import Sequence
from typing import ClassVar

from core.decision import Anomaly, Authority, Intervention, Source, State, SupervisorDecision
from core.estimation.state_estimate import StateEstimate
from core.parts import Parts, PolicyHealth
from core.site import Phases, Site, per_phase
from core.snapshot import Snapshot


class Blind:
    """Observes nothing, wishes nothing, flags nothing."""

    cold = ()

    def observe(
        self, snapshot: Snapshot, estimate: StateEstimate, memory: tuple[()]
    ) -> tuple[Sequence[float], tuple[()]]:
        return (), ()

    def propose(self, observation: Sequence[float], memory: tuple[()]) -> tuple[Phases | None, tuple[()]]:
        return None, ()

    def inspect(
        self,
        snapshot: Snapshot,
        observation: Sequence[float],
        policy_action_w: Phases | None,
        memory: tuple[()],
    ) -> tuple[Anomaly, tuple[()]]:
        return Anomaly(), ()


class PlacesAll:
    """Wants the whole surplus placed at once."""

    cold = ()

    def propose(self, estimate: StateEstimate, memory: tuple[()]) -> tuple[Phases, tuple[()]]:
        return per_phase([max(0.0, s) for s in estimate.surplus_w]), ()

    def track(self, memory: tuple[()], estimate: StateEstimate, safe_action_w: Phases) -> tuple[()]:
        return ()


class Trusting:
    """Lets whoever has the authority act."""

    cold = ()
    state: ClassVar = {
        Authority.POLICY: State.RL_ACTIVE,
        Authority.FALLBACK: State.FALLBACK,
        Authority.REST: State.SAFE_STOP,
    }

    def step(
        self,
        snapshot: Snapshot,
        estimate: StateEstimate,
        authority: Authority,
        findings: PolicyHealth,
        memory: tuple[()],
    ) -> tuple[SupervisorDecision, tuple[()]]:
        return SupervisorDecision(self.state[authority]), ()


class Open:
    """Allows everything."""

    def violations(self, requested_action_w: Phases, snapshot: Snapshot) -> tuple[str, ...]:
        return ()

    def check(
        self, requested_action_w: Phases, source: Source, snapshot: Snapshot
    ) -> tuple[Phases, tuple[Intervention, ...]]:
        return requested_action_w, ()

    def accepts_setpoints(
        self, setpoints_w: tuple[int, ...], withheld: tuple[int, ...], source: Source, snapshot: Snapshot
    ) -> bool:
        return True


def stub_parts(site: Site) -> Parts:
    """Parts whose fallback places the whole surplus."""
    blind = Blind()
    return Parts(site, blind, blind, PlacesAll(), blind, Trusting(), Open())
