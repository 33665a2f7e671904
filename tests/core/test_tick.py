"""One decision: who is asked, who acts, what is remembered."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any

import pytest

from core.airtime import Bucket
from core.allocation import totals_w
from core.arrays import SCALAR
from core.decision import Anomaly, Authority, Decision, Intervention, Send, Source, State, SupervisorDecision
from core.estimation.state_estimate import StateEstimate
from core.parts import Memory, Parts, PolicyHealth, initial_memory
from core.site import ZERO, Phases, Site, Slave
from core.snapshot import OnAirState, SlaveState, Snapshot
from core.tick import decide
from tests.support.examples import site, snapshot
from tests.support.telemetry_feed import STATE_OF


@dataclass(frozen=True)
class Stub:
    """Every part at once: says what it is told to say, and remembers what it was asked."""

    policy_action_w: Phases | None = (300.0, 0.0, 0.0)
    fallback_action_w: Phases = (0.0, 200.0, 0.0)
    source: Source = Source.POLICY
    rules: tuple[str, ...] = ()
    anomaly: Anomaly = Anomaly()  # noqa: RUF009
    refused: frozenset[tuple[int, ...]] = frozenset()
    cold: str = "cold"

    def observe(self, _snapshot: Snapshot, _sight: StateEstimate, memory: str) -> tuple[Sequence[float], str]:
        return (1.0,), memory + " observed"

    def inspect(
        self, _s: Snapshot, observation: Sequence[float], policy_action_w: Phases | None, memory: str
    ) -> Any:
        assert (observation, policy_action_w) == ((1.0,), self.policy_action_w)
        return self.anomaly, memory + " inspected"

    def step(
        self, _s: Snapshot, _sight: StateEstimate, _a: Authority, findings: PolicyHealth, memory: str
    ) -> Any:
        rules = () if self.policy_action_w is None else self.rules
        assert findings == PolicyHealth(self.policy_action_w is not None, rules, self.anomaly)
        return SupervisorDecision(STATE_OF[self.source], ("a cause",)), memory + " stepped"

    def violations(self, _requested_action_w: Phases, _snapshot: Snapshot) -> tuple[str, ...]:
        return self.rules

    def check(
        self, requested_action_w: Phases, _source: Source, _s: Snapshot
    ) -> tuple[Phases, tuple[Intervention, ...]]:
        return requested_action_w, (Intervention("looked at", requested_action_w, requested_action_w),)

    def accepts(self, action_w: Phases) -> bool:
        return tuple(map(int, action_w)) not in self.refused

    def accepts_setpoints(
        self, setpoints_w: tuple[int, ...], _withheld: tuple[int, ...], _source: Source, _s: Snapshot
    ) -> bool:
        return self.accepts(totals_w(setpoints_w, site()))


@dataclass(frozen=True)
class StubPolicy:
    policy_action_w: Phases | None
    cold: str = "cold"

    def propose(self, _observation: Sequence[float], memory: str) -> tuple[Phases | None, str]:
        return self.policy_action_w, memory + " proposed"


@dataclass(frozen=True)
class StubFallback:
    fallback_action_w: Phases
    cold: str = "cold"

    def propose(self, _sight: StateEstimate, memory: str) -> tuple[Phases, str]:
        return self.fallback_action_w, memory + " proposed"

    def track(self, memory: str, _sight: StateEstimate, safe_action_w: Phases) -> str:
        return f"{memory} told {safe_action_w}"


def parts(stub: Stub, at: Site | None = None) -> Parts:
    return Parts(
        at or site(),
        stub,
        StubPolicy(stub.policy_action_w),
        StubFallback(stub.fallback_action_w),
        stub,
        stub,
        stub,
    )


def once(stub: Stub, seen: Snapshot | None = None, at: Site | None = None) -> tuple[Decision, Memory]:
    of = parts(stub, at)
    return decide(seen or snapshot(), Authority.POLICY, initial_memory(of), of)


@pytest.mark.parametrize(
    ("source", "requested_action_w", "send"),
    [
        (Source.POLICY, (300.0, 0.0, 0.0), Send.CHANGE),
        (Source.FALLBACK, (0.0, 200.0, 0.0), Send.CHANGE),
        (Source.HOLD, (90.0, 90.0, 90.0), Send.NOTHING),
        (Source.REST, ZERO, Send.SAFE),
    ],
)
def test_whoever_may_act_is_asked(source: Source, requested_action_w: Phases, send: Send) -> None:
    seen = snapshot((90.0, 90.0, 90.0), setpoints_w=(45,) * 6)
    decision, _ = once(Stub(source=source), seen)
    assert decision.requested_action_w == decision.safe_action_w == requested_action_w
    assert decision.send is send
    assert totals_w(decision.setpoints_w, site()) == requested_action_w


@pytest.mark.parametrize(
    ("source", "requested_action_w"),
    [
        (Source.POLICY, (180.0, 60.0, 60.0)),
        (Source.FALLBACK, (60.0, 140.0, 60.0)),
        (Source.HOLD, (90.0, 90.0, 90.0)),
        (Source.REST, ZERO),
    ],
)
def test_after_a_swing_whoever_acts_goes_a_part_of_the_way_and_rest_is_rest(
    source: Source, requested_action_w: Phases
) -> None:
    stub, seen = Stub(source=source), snapshot((90.0, 90.0, 90.0), setpoints_w=(45,) * 6)
    of = parts(stub)
    memory = initial_memory(of)
    swung = memory.swinging._replace(gain_share=0.4, action_w=(100.0, 100.0, 100.0))
    decision, after = decide(seen, Authority.POLICY, replace(memory, swinging=swung), of)
    assert decision.requested_action_w == requested_action_w
    assert (decision.policy_action_w, decision.fallback_action_w) == ((300.0, 0.0, 0.0), (0.0, 200.0, 0.0))
    assert after.swinging.action_w == decision.safe_action_w
    assert decision.gain_share == 0.4


def test_the_account_is_full() -> None:
    anomaly = Anomaly(("x",), trip=True)
    decision, memory = once(Stub(rules=("step",), anomaly=anomaly), replace(snapshot(), tick=7))
    assert (decision.tick, decision.authority) == (7, Authority.POLICY)
    assert decision.verdict == SupervisorDecision(State.RL_ACTIVE, ("a cause",))
    assert (decision.policy_action_w, decision.fallback_action_w) == ((300.0, 0.0, 0.0), (0.0, 200.0, 0.0))
    assert (decision.violations, decision.anomaly) == (("step",), anomaly)
    assert decision.interventions == (
        Intervention("looked at", decision.requested_action_w, decision.requested_action_w),
    )
    assert decision.estimate.fresh
    assert memory.observed == "cold observed"
    assert memory.policy == "cold proposed"
    assert memory.fallback == "cold proposed told (300.0, 0.0, 0.0)"
    assert memory.seen == "cold inspected"
    assert memory.watch == "cold stepped"
    assert memory.belief.started
    assert memory.bucket == Bucket(2.0, 1000.0)


def test_a_policy_without_an_answer_cannot_act_even_if_it_may() -> None:
    decision, _ = once(Stub(policy_action_w=None, rules=("not asked",)))
    assert decision.policy_action_w is None
    assert decision.requested_action_w == ZERO
    assert decision.violations == ()


def test_what_the_policy_wishes_is_mapped_into_reach_and_so_is_the_fallback() -> None:
    assert once(Stub(policy_action_w=(4000.0, 0.0, 0.0)))[0].requested_action_w == pytest.approx(
        (998.0, 0.0, 0.0)
    )
    steady = Stub(fallback_action_w=(0.0, 4000.0, 0.0), source=Source.FALLBACK)
    assert once(steady)[0].requested_action_w == pytest.approx((0.0, 998.0, 0.0))


def test_a_gap_ends_the_history_of_the_policy() -> None:
    of = parts(Stub())
    memory = replace(initial_memory(of), policy="warm")
    assert decide(snapshot(), Authority.POLICY, memory, of)[1].policy == "warm proposed"
    stale = snapshot(meter_age_s=1.0)
    assert decide(stale, Authority.POLICY, memory, of)[1].policy == "cold proposed"


def test_a_vector_that_is_too_far_is_gone_part_of_the_way() -> None:
    seen = snapshot(setpoints_w=(0,) * 6)
    decision, _ = once(Stub(refused=frozenset({(300, 0, 0)})), seen)
    assert decision.setpoints_w == (112, 112, 0, 0, 0, 0)
    decision, _ = once(Stub(refused=frozenset({(300, 0, 0), (224, 0, 0)})), seen)
    assert decision.setpoints_w == (75, 75, 0, 0, 0, 0)
    decision, _ = once(Stub(refused=frozenset({(300, 0, 0), (224, 0, 0), (150, 0, 0)})), seen)
    assert decision.setpoints_w == (37, 37, 0, 0, 0, 0)
    decision, _ = once(Stub(refused=frozenset({(300, 0, 0), (224, 0, 0), (150, 0, 0), (74, 0, 0)})), seen)
    assert decision.setpoints_w == (18, 18, 0, 0, 0, 0)


def test_a_vector_that_is_refused_altogether_leaves_what_is_on_air_else_rests_else_is_not_sent() -> None:
    on_air = (45,) * 6
    seen = snapshot((90.0, 90.0, 90.0), setpoints_w=on_air)

    class Strict(Stub):
        def accepts(self, action_w: Phases) -> bool:
            return action_w == (90.0, 90.0, 90.0)

    class Resting(Stub):
        def accepts(self, action_w: Phases) -> bool:
            return action_w == ZERO

    class Never(Stub):
        def accepts(self, action_w: Phases) -> bool:
            return False

    assert once(Strict(), seen)[0].setpoints_w == on_air
    silent = snapshot((90.0, 90.0, 90.0), age_s=5.0, setpoints_w=on_air)
    assert once(Strict(), silent)[0].send is Send.KEEP_ALIVE
    assert once(Never(), silent)[0].send is Send.NOTHING
    assert once(Resting(), seen)[0].setpoints_w == (0,) * 6
    for source in Source:
        decision, memory = once(Never(source=source), seen)
        assert (decision.setpoints_w, decision.send) == (on_air, Send.NOTHING)
        assert memory.bucket.tokens == 3.0


def test_held_setpoints_are_those_on_air_slave_by_slave() -> None:
    uneven = (80, 10, 45, 45, 45, 45)
    seen = snapshot((90.0, 90.0, 90.0), setpoints_w=uneven)
    assert once(Stub(source=Source.HOLD), seen)[0].setpoints_w == uneven
    assert once(Stub(source=Source.HOLD))[0].setpoints_w == (0,) * 6


def test_a_silent_slave_is_let_go_in_steps_and_the_others_go_on() -> None:
    """Its setpoint leaves the air at the step limit instead of freezing the site."""
    from safety.gate import SafetyGate

    at = site((Slave(0, "a", 0, 5000), Slave(1, "b", 1, 5000)))
    gate = SafetyGate(at)
    of = replace(parts(Stub(policy_action_w=(0.0, 1000.0, 0.0)), at), gate=gate)
    memory, on_air = initial_memory(of), OnAirState((3500.0, 1000.0, 0.0), (3500, 1000), 1.0)
    seen = replace(snapshot(slaves=2), slaves=(SlaveState(available=False), SlaveState()))
    for tick in range(20):
        at_s = 1000.0 + tick
        decision, memory = decide(replace(seen, at_s=at_s, on_air=on_air), Authority.POLICY, memory, of)
        assert gate.accepts(totals_w(decision.setpoints_w, at), Source.POLICY, replace(seen, on_air=on_air))
        on_air = OnAirState(totals_w(decision.setpoints_w, at), decision.setpoints_w, 1.0)
    assert on_air.setpoints_w == (0, 1000)


def test_the_numbers_of_the_daemon_bound_what_is_no_number() -> None:
    assert SCALAR.clip(nan, 1.0, 2.0) == 1.0
    assert [SCALAR.clip(x, 1.0, 2.0) for x in (0.0, 1.5, 3.0)] == [1.0, 1.5, 2.0]
    assert [SCALAR.where(c, 1.0, 2.0) for c in (True, False)] == [1.0, 2.0]
