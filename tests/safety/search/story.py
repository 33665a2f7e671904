"""Ticks of a supervisor in a row."""

from dataclasses import dataclass, field, replace

from core.decision import Anomaly, Authority, State, SupervisorDecision
from core.parts import PolicyHealth
from core.site import ZERO, Phases
from safety.supervisor import ModeSupervisor, SupervisorState
from tests.support.examples import estimate, snapshot

CLEAN = PolicyHealth(True, (), Anomaly())
SILENT = replace(CLEAN, policy_answered=False)
WRONG = replace(CLEAN, violations=("step",))
STRANGE = replace(CLEAN, anomaly=Anomaly(trip=True))


@dataclass
class Story:
    """Ticks in a row, one second each."""

    watch: SupervisorState = field(default_factory=lambda: ModeSupervisor().warm)
    at_s: float = 1000.0
    verdict: SupervisorDecision = field(default_factory=lambda: SupervisorDecision(State.INIT))

    def tick(
        self,
        *alarms: str,
        age_s: float = 0.1,
        authority: Authority = Authority.POLICY,
        findings: PolicyHealth = CLEAN,
        latency_s: float = 0.001,
        acknowledged: tuple[str, ...] = (),
        times: int = 1,
        step_s: float = 1.0,
        grid_power_w: Phases = ZERO,
        model_w: Phases = ZERO,
    ) -> "Story":
        for _ in range(times):
            self.at_s += step_s
            seen = replace(
                snapshot(at_s=self.at_s, meter_age_s=age_s, grid_power_w=grid_power_w),
                alarms=alarms,
                acknowledged=acknowledged,
                policy_latency_s=latency_s,
            )
            believed = replace(estimate(seen), model_w=model_w)
            self.verdict, self.watch = ModeSupervisor().step(seen, believed, authority, findings, self.watch)
        return self

    @property
    def state(self) -> State:
        return self.verdict.state

    @property
    def causes(self) -> tuple[str, ...]:
        return self.verdict.causes


def cold() -> Story:
    return Story(ModeSupervisor().cold)
