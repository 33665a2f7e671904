"""Who may act: the table of causes, and properties over arbitrary memories and flags."""

from dataclasses import replace
from itertools import pairwise
from math import inf, nan

from hypothesis import given
from hypothesis import strategies as st

from core.decision import SOURCE, Anomaly, Authority, Source, State, SupervisorDecision
from core.parts import PolicyHealth
from safety.faults import FAULTS, SEVERITY, Clears, cause, worst
from safety.supervisor import ModeSupervisor, SupervisorState
from safety.timers import REPEATED, PersistentFaults
from safety.wiring_monitor import WiringMonitorState
from tests.support.examples import estimate, snapshot


class TestTable:
    def test_states_and_sources(self) -> None:
        assert set(SEVERITY) == set(SOURCE) == set(State)
        assert worst(()) is State.RL_ACTIVE
        assert worst(("policy_late", "late_tick")) is State.HOLD
        assert worst(("late_tick", "meter_lost", "fallback_ordered")) is State.SAFE_STOP
        assert worst(("starting", "meter_lost")) is State.INIT
        assert worst(("no such alarm",)) is State.SAFE_STOP

    def test_only_timed_causes_have_a_time_and_nothing_leads_to_more(self) -> None:
        for row in FAULTS.values():
            assert (row.least_s > 0.0) is (row.clears is Clears.TIME)
            assert row.state is not State.RL_ACTIVE
            if row.clears in (Clears.TIME, Clears.CLEAN_PROPOSALS):
                assert row.state is State.FALLBACK
            if row.clears is Clears.GOOD_SAMPLES:
                assert row.state is State.SAFE_STOP


names = st.lists(st.sampled_from([*sorted(FAULTS), "no such alarm"]), max_size=4, unique=True).map(tuple)
ages_s = st.sampled_from([0.1, 1.0, 2.5, 2.6, inf, nan])
watches = st.builds(
    SupervisorState,
    state=st.sampled_from(State),
    standing=st.builds(
        PersistentFaults,
        left_s=st.lists(
            st.tuples(
                st.sampled_from([n for n, row in FAULTS.items() if row.clears is Clears.TIME]),
                st.floats(0.1, 1e5),
            ),
            max_size=2,
            unique_by=lambda pair: pair[0],
        ).map(lambda left: tuple(sorted(left))),
        recent_s=st.lists(st.floats(0.1, 86400.0), max_size=REPEATED).map(tuple),
        latched=st.lists(
            st.sampled_from([n for n, row in FAULTS.items() if row.clears is Clears.ACKNOWLEDGED]),
            max_size=2,
            unique=True,
        ).map(lambda latched: tuple(sorted(latched))),
        at_s=st.just(1000.0) | st.none() | st.floats(allow_nan=True),
    ),
    good=st.integers(0, 30),
    clean=st.integers(0, 60),
    stopped=st.lists(st.sampled_from(["meter_lost", "tick_error"]), max_size=2, unique=True).map(
        lambda stopped: tuple(sorted(stopped))
    ),
    radio_down_s=st.floats(0.0, 10.0),
    loop=st.just(WiringMonitorState()),
    ordered=st.sampled_from([Authority.POLICY, Authority.FALLBACK]),
    late_at_s=st.lists(st.sampled_from([900.0, 941.0, 1000.0, nan]), max_size=3).map(tuple),
)
findings_of = st.builds(
    PolicyHealth,
    policy_answered=st.booleans(),
    violations=st.sampled_from([(), ("step",)]),
    anomaly=st.builds(Anomaly, trip=st.booleans()),
)
flags = st.tuples(names, ages_s, st.sampled_from(Authority), findings_of, st.sampled_from([0.001, 0.02, nan]))
Flags = tuple[tuple[str, ...], float, Authority, PolicyHealth, float]


def one_step(
    watch: SupervisorState, flag: Flags, at_s: float = 1001.0
) -> tuple[SupervisorDecision, SupervisorState]:
    alarms, age_s, authority, findings, latency_s = flag
    seen = replace(snapshot(at_s=at_s, meter_age_s=age_s), alarms=alarms, policy_latency_s=latency_s)
    return ModeSupervisor().step(seen, estimate(seen), authority, findings, watch)


@given(watches, flags)
def test_every_combination_has_exactly_one_answer_that_fits_its_causes(
    watch: SupervisorState, flag: Flags
) -> None:
    verdict, after = one_step(watch, flag)
    assert one_step(watch, flag) == (verdict, after)
    assert verdict.state is worst(verdict.causes)
    assert verdict.source is SOURCE[verdict.state]
    assert len(set(verdict.causes)) == len(verdict.causes)
    severities = [SEVERITY.index(cause(name).state) for name in verdict.causes]
    assert severities == sorted(severities, reverse=True)
    assert after.state is verdict.state


@given(watches, flags)
def test_a_site_that_has_started_never_starts_again(watch: SupervisorState, flag: Flags) -> None:
    verdict, _ = one_step(watch, flag)
    assert watch.state is State.INIT or verdict.state is not State.INIT


RANK = {Authority.POLICY: 0, Authority.FALLBACK: 1, Authority.REST: 2}


@given(watches, flags, flags)
def test_a_further_fault_never_raises_authority(watch: SupervisorState, one: Flags, other: Flags) -> None:
    both: Flags = (
        tuple({*one[0], *other[0]}),
        max(one[1], other[1], key=lambda age: (age != age, age)),
        max(one[2], other[2], key=RANK.__getitem__),
        PolicyHealth(
            one[3].policy_answered and other[3].policy_answered,
            one[3].violations or other[3].violations,
            Anomaly(trip=one[3].anomaly.trip or other[3].anomaly.trip),
        ),
        max(one[4], other[4], key=lambda latency: (latency != latency, latency)),
    )
    less, _ = one_step(watch, one)
    more, _ = one_step(watch, both)
    assert SEVERITY.index(more.state) >= SEVERITY.index(less.state)


@given(watches, flags)
def test_the_policy_acts_only_when_nothing_at_all_speaks_against_it(
    watch: SupervisorState, flag: Flags
) -> None:
    verdict, _ = one_step(watch, flag)
    _, age_s, authority, findings, latency_s = flag
    if verdict.source is Source.POLICY:
        assert age_s < 1.0
        assert authority is Authority.POLICY
        assert findings.policy_answered
        assert not findings.violations
        assert not findings.anomaly.trip
        assert latency_s <= 0.010
        assert watch.clean >= 60
        assert not watch.standing.latched
        assert watch.state is not State.INIT or watch.good >= 9


@given(st.lists(st.tuples(flags, st.floats(0.0, 5000.0)), max_size=30), watches)
def test_no_step_shortens_a_fallback_or_loses_a_latch(
    trace: list[tuple[Flags, float]], watch: SupervisorState
) -> None:
    at_s = 1000.0
    watch = replace(watch, standing=replace(watch.standing, at_s=at_s))
    for flag, step_s in trace:
        at_s += step_s
        before = dict(watch.standing.left_s)
        latched = set(watch.standing.latched)
        _, watch = one_step(watch, flag, at_s)
        after = dict(watch.standing.left_s)
        assert all(after.get(name, 0.0) >= left_s - step_s - 1e-6 for name, left_s in before.items())
        assert latched <= set(watch.standing.latched)


@given(st.lists(flags, max_size=80))
def test_no_start_leads_straight_to_the_policy(trace: list[Flags]) -> None:
    watch, states = ModeSupervisor().cold, [State.INIT]
    for tick, flag in enumerate(trace):
        verdict, watch = one_step(watch, flag, 1001.0 + tick)
        states.append(verdict.state)
    for before, after in pairwise(states):
        assert (before, after) not in {(State.INIT, State.RL_ACTIVE), (State.SAFE_STOP, State.RL_ACTIVE)}
