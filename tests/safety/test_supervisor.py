"""Who may act: stories of ticks, and properties over arbitrary memories and flags."""

from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.decision import Anomaly, Authority, Source, State, Verdict
from core.parts import Findings
from core.site import ZERO, Phases
from safety.causes import CAUSES, SEVERITY, SOURCE, Clears, cause, worst
from safety.sensor import LoopMemory
from safety.supervisor import ModeSupervisor, Watch
from safety.timers import REPEATED, Standing
from tests.core.examples import sight, snapshot

CLEAN = Findings(True, (), Anomaly())
SILENT = replace(CLEAN, policy_answered=False)
WRONG = replace(CLEAN, violations=("step",))
STRANGE = replace(CLEAN, anomaly=Anomaly(trip=True))


@dataclass
class Story:
    """Ticks in a row, one second each."""

    watch: Watch = field(default_factory=lambda: ModeSupervisor().warm)
    at_s: float = 1000.0
    verdict: Verdict = field(default_factory=lambda: Verdict(State.INIT, Source.REST, ()))

    def tick(
        self,
        *alarms: str,
        age_s: float = 0.1,
        authority: Authority = Authority.POLICY,
        findings: Findings = CLEAN,
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
            believed = replace(sight(seen), model_w=model_w)
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


def test_a_start_rests_for_ten_good_samples_then_the_fallback_acts_then_the_policy() -> None:
    story = cold().tick(times=9)
    assert (story.state, story.verdict.source) == (State.INIT, Source.REST)
    assert story.causes == ("starting", "reentry")
    story.tick()
    assert story.verdict == Verdict(State.PI_FALLBACK, Source.FALLBACK, ("reentry",))
    assert story.tick(times=59).state is State.PI_FALLBACK
    story.tick()
    assert story.verdict == Verdict(State.RL_ACTIVE, Source.POLICY, ())


def test_the_first_samples_must_come_in_a_row() -> None:
    story = cold().tick(times=9).tick(age_s=1.0).tick(times=9)
    assert story.state is State.INIT
    assert story.tick().state is State.PI_FALLBACK


def test_a_meter_that_was_never_heard_is_not_lost_but_awaited() -> None:
    story = cold().tick(age_s=inf, times=100)
    assert story.causes == ("starting", "meter_late", "reentry")
    assert story.tick(times=10).state is State.PI_FALLBACK


def test_a_start_waits_for_the_radio_however_long() -> None:
    story = cold().tick("radio_down", times=100)
    assert story.state is State.INIT
    assert "radio_lost" not in story.causes
    assert story.tick().state is State.PI_FALLBACK


def test_a_missed_sample_holds_and_a_good_one_returns_at_once() -> None:
    story = Story().tick()
    assert story.state is State.RL_ACTIVE
    assert (story.tick(age_s=1.0).state, story.verdict.source) == (State.HOLD, Source.HOLD)
    assert story.causes == ("meter_late",)
    assert story.tick(age_s=2.5).state is State.HOLD
    assert story.tick().state is State.RL_ACTIVE


@pytest.mark.parametrize("age_s", [2.5000001, 3.0, inf, nan])
def test_a_meter_lost_rests_until_thirty_good_samples(age_s: float) -> None:
    story = Story().tick().tick(age_s=age_s)
    assert (story.state, story.verdict.source) == (State.SAFE_STOP, Source.REST)
    assert story.causes == ("meter_lost", "meter_late")
    story.tick(times=29)
    assert (story.state, story.causes) == (State.SAFE_STOP, ("meter_lost", "reentry"))
    assert story.tick().state is State.PI_FALLBACK
    assert story.tick(times=59).state is State.PI_FALLBACK
    assert story.tick().state is State.RL_ACTIVE


def test_thirty_means_in_a_row() -> None:
    story = Story().tick(age_s=9.0).tick(times=29).tick(age_s=1.0).tick(times=29)
    assert story.state is State.SAFE_STOP
    assert story.tick().state is State.PI_FALLBACK


def test_a_late_tick_holds_for_that_tick() -> None:
    story = Story().tick("late_tick")
    assert (story.state, story.causes) == (State.HOLD, ("late_tick",))
    assert story.tick().state is State.RL_ACTIVE


@pytest.mark.parametrize("name", ["rest", "tick_error", "no such alarm"])
def test_a_stop_that_clears_by_itself(name: str) -> None:
    rest = name == "rest"
    story = Story().tick(*(() if rest else (name,)), authority=Authority.REST if rest else Authority.POLICY)
    assert story.state is State.SAFE_STOP
    assert story.causes == (("rest_ordered",) if rest else (name,))
    assert story.tick(times=29).state is State.SAFE_STOP
    assert story.tick().state is State.PI_FALLBACK


@pytest.mark.parametrize("name", ["meter_identity", "meter_sign", "meter_phases", "frame_round_trip"])
def test_a_stop_that_waits_for_an_operator(name: str) -> None:
    story = Story().tick(name).tick(times=100)
    assert (story.state, story.causes) == (State.SAFE_STOP, (name, "reentry"))
    assert story.watch.standing.latched == (name,)
    assert story.tick(acknowledged=("another",)).state is State.SAFE_STOP
    assert story.tick(acknowledged=(name,)).state is State.PI_FALLBACK
    story.tick(name, acknowledged=(name,))  # raised again in the same tick: stays
    assert story.watch.standing.latched == (name,)
    story.tick(acknowledged=(name,))  # acknowledged early: still thirty good samples
    assert (story.state, story.causes) == (State.SAFE_STOP, (name, "reentry"))
    assert story.tick(times=28).state is State.SAFE_STOP
    assert story.tick().state is State.PI_FALLBACK


def test_a_radio_gone_gives_the_policy_no_say_and_after_five_seconds_rests() -> None:
    story = Story().tick().tick("radio_down", times=5)
    assert (story.state, story.causes) == (State.PI_FALLBACK, ("radio_down",))
    assert story.tick("radio_down").causes == ("radio_lost", "radio_down")
    assert story.state is State.SAFE_STOP
    assert story.tick(times=29).state is State.SAFE_STOP
    assert story.tick().state is State.PI_FALLBACK


def test_a_radio_that_comes_back_in_time_changes_nothing() -> None:
    story = Story().tick("radio_down", times=5).tick().tick("radio_down", times=5)
    assert story.state is State.PI_FALLBACK
    assert story.tick().state is State.RL_ACTIVE


def test_the_five_seconds_are_seconds_not_ticks() -> None:
    assert Story().tick("radio_down", times=6).state is State.PI_FALLBACK  # the first tick has no before
    assert Story().tick().tick("radio_down", times=10, step_s=0.5).state is State.PI_FALLBACK
    assert Story().tick().tick("radio_down", times=11, step_s=0.5).state is State.SAFE_STOP


@pytest.mark.parametrize(
    ("name", "left_s"), [("violation", 3600.0), ("anomaly", 86400.0), ("state_lost", 3600.0)]
)
def test_a_timed_cause_that_is_raised_from_outside_runs_its_time(name: str, left_s: float) -> None:
    assert Story().tick(name).watch.standing.left_s == ((name, left_s),)


def test_an_ordered_fallback_ends_with_the_order() -> None:
    story = Story().tick(authority=Authority.FALLBACK)
    assert (story.state, story.causes) == (State.PI_FALLBACK, ("fallback_ordered",))
    assert story.tick().state is State.RL_ACTIVE


@pytest.mark.parametrize("latency_s", [0.0100001, nan, inf])
def test_a_slow_policy_is_not_followed_for_that_tick(latency_s: float) -> None:
    story = Story().tick(latency_s=0.010)
    assert story.state is State.RL_ACTIVE
    story.tick(latency_s=latency_s)
    assert (story.state, story.causes) == (State.PI_FALLBACK, ("policy_late",))
    assert story.tick().state is State.RL_ACTIVE


def test_a_policy_without_an_answer_has_to_qualify_again() -> None:
    story = Story().tick(findings=SILENT)
    assert (story.state, story.causes) == (State.PI_FALLBACK, ("policy_fault",))
    assert (story.tick(times=60).state, story.causes) == (State.PI_FALLBACK, ("reentry",))
    assert story.tick().state is State.RL_ACTIVE


@pytest.mark.parametrize("findings", [SILENT, WRONG, STRANGE])
def test_qualifying_means_in_a_row(findings: Findings) -> None:
    story = cold().tick(times=69).tick(findings=findings)
    assert story.watch.clean == 0


def test_a_missed_sample_neither_adds_to_the_row_nor_breaks_it() -> None:
    story = cold().tick(times=40)
    clean = story.watch.clean
    assert story.tick(age_s=1.0).watch.clean == clean
    assert story.tick(age_s=1.0, findings=WRONG).watch.clean == 0


def test_a_violation_costs_the_policy_an_hour() -> None:
    story = Story().tick().tick(findings=WRONG)
    assert (story.state, story.causes) == (State.PI_FALLBACK, ("violation",))
    assert story.tick(times=60).tick(step_s=3539.0).state is State.PI_FALLBACK
    assert story.tick().state is State.RL_ACTIVE


def test_violations_meanwhile_do_not_extend_the_hour_but_must_end_before_reentry() -> None:
    story = Story().tick(findings=WRONG).tick(findings=WRONG, times=10, step_s=359.0)
    assert dict(story.watch.standing.left_s) == {"violation": pytest.approx(10.0)}
    assert len(story.watch.standing.recent_s) == 1
    assert story.tick(times=10).causes == ("reentry",)
    assert story.tick(times=50).state is State.PI_FALLBACK
    assert story.tick().state is State.RL_ACTIVE


@pytest.mark.parametrize("authority", [Authority.FALLBACK, Authority.REST])
def test_violations_of_a_policy_that_does_not_act_are_not_punished(authority: Authority) -> None:
    story = Story().tick(authority=authority, findings=WRONG)
    assert story.watch.standing.left_s == ()
    assert Story().tick(age_s=1.0, findings=WRONG).watch.standing.left_s == ()
    assert Story().tick(latency_s=1.0, findings=WRONG).watch.standing.left_s == ()


def test_the_third_violation_in_a_day_waits_for_an_operator() -> None:
    story = Story()
    for _ in range(REPEATED):
        assert story.tick().state is State.RL_ACTIVE
        story.tick(findings=WRONG).tick(times=70, step_s=60.0)
    assert (story.state, story.causes) == (State.PI_FALLBACK, ("repeated_violations",))
    assert story.tick(acknowledged=("repeated_violations",)).state is State.RL_ACTIVE


def test_an_anomaly_trip_costs_a_day_and_a_new_one_starts_it_again() -> None:
    story = Story().tick(findings=STRANGE)
    assert (story.state, story.causes) == (State.PI_FALLBACK, ("anomaly",))
    story.tick(step_s=80_000.0).tick(findings=STRANGE)
    assert dict(story.watch.standing.left_s) == {"anomaly": 86400.0}
    assert Story().tick(findings=STRANGE, age_s=1.0).watch.standing.left_s == ()


def test_a_violation_that_comes_with_a_trip_counts_as_well() -> None:
    story = Story().tick(findings=replace(WRONG, anomaly=Anomaly(trip=True)))
    assert dict(story.watch.standing.left_s) == {"anomaly": 86400.0, "violation": 3600.0}


def test_a_rollback_waits_for_an_operator() -> None:
    story = Story().tick("rollback").tick(times=100)
    assert (story.state, story.causes) == (State.PI_FALLBACK, ("rollback",))
    assert story.tick(acknowledged=("rollback",)).state is State.RL_ACTIVE


def test_lost_state_costs_an_hour() -> None:
    standing = Standing(left_s=(("state_lost", 3600.0),), at_s=1000.0)
    assert ModeSupervisor(standing).cold == Watch(standing=standing)
    story = Story(ModeSupervisor(standing).warm).tick()
    assert story.causes == ("state_lost",)
    assert story.tick(step_s=3598.0).state is State.PI_FALLBACK
    assert story.tick().state is State.RL_ACTIVE


def test_every_active_cause_is_told_the_worst_first() -> None:
    story = Story().tick(
        "late_tick", "meter_identity", "radio_down", age_s=5.0, authority=Authority.FALLBACK, findings=SILENT
    )
    assert story.causes == (
        "meter_identity",
        "meter_lost",
        "late_tick",
        "meter_late",
        "fallback_ordered",
        "policy_fault",
        "radio_down",
    )


def test_a_meter_with_its_sign_turned_stops_the_site_until_acknowledged() -> None:
    story = Story().tick()
    for step in range(1, 7):
        power_w = 600.0 * (step % 2)
        story.tick(model_w=(power_w, 0.0, 0.0), grid_power_w=(-power_w, 0.0, 0.0))
    assert story.state is State.SAFE_STOP
    assert "meter_sign" in story.watch.standing.latched


def test_the_loop_watch_goes_on_behind_a_missed_sample_and_anew_behind_a_stop() -> None:
    story = Story().tick().tick(model_w=(600.0, 0.0, 0.0), grid_power_w=(600.0, 0.0, 0.0))
    assert story.watch.loop.at_s == story.at_s
    before = story.watch.loop
    assert before.turned_moved_w2[0] > 0.0
    assert story.tick(age_s=1.0).watch.loop == before
    story.tick("meter_lost")
    assert story.tick().watch.loop == LoopMemory()


def test_a_load_that_switches_while_the_slaves_come_to_rest_does_not_turn_the_meter() -> None:
    """The believed slaves are slower than the fast ramp; the meter is right all the same."""
    story = Story().tick(model_w=(3500.0,) * 3, grid_power_w=(-6000.0,) * 3).tick("meter_lost", age_s=2.6)
    story.tick(model_w=(3500.0,) * 3, grid_power_w=(-6160.0,) * 3)
    story.tick(model_w=(1900.0,) * 3, grid_power_w=(-5035.0, -7854.0, -7450.0))
    assert story.causes[0] == "meter_lost"
    assert story.watch.standing.latched == ()


class TestTable:
    def test_states_and_sources(self) -> None:
        assert set(SEVERITY) == set(SOURCE) == set(State)
        assert worst(()) is State.RL_ACTIVE
        assert worst(("policy_late", "late_tick")) is State.HOLD
        assert worst(("late_tick", "meter_lost", "fallback_ordered")) is State.SAFE_STOP
        assert worst(("starting", "meter_lost")) is State.INIT
        assert worst(("no such alarm",)) is State.SAFE_STOP

    def test_only_timed_causes_have_a_time_and_nothing_leads_to_more(self) -> None:
        for row in CAUSES.values():
            assert (row.least_s > 0.0) is (row.clears is Clears.TIME)
            assert row.state is not State.RL_ACTIVE
            if row.clears in (Clears.TIME, Clears.CLEAN_PROPOSALS):
                assert row.state is State.PI_FALLBACK
            if row.clears is Clears.GOOD_SAMPLES:
                assert row.state is State.SAFE_STOP


names = st.lists(st.sampled_from([*sorted(CAUSES), "no such alarm"]), max_size=4, unique=True).map(tuple)
ages_s = st.sampled_from([0.1, 1.0, 2.5, 2.6, inf, nan])
watches = st.builds(
    Watch,
    state=st.sampled_from(State),
    standing=st.builds(
        Standing,
        left_s=st.lists(
            st.tuples(st.sampled_from(["violation", "anomaly", "state_lost"]), st.floats(0.1, 1e5)),
            max_size=2,
            unique_by=lambda pair: pair[0],
        ).map(lambda left: tuple(sorted(left))),
        recent_s=st.lists(st.floats(0.1, 86400.0), max_size=REPEATED).map(tuple),
        latched=st.lists(
            st.sampled_from([n for n, row in CAUSES.items() if row.clears is Clears.ACKNOWLEDGED]),
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
    loop=st.just(LoopMemory()),
)
findings_of = st.builds(
    Findings,
    policy_answered=st.booleans(),
    violations=st.sampled_from([(), ("step",)]),
    anomaly=st.builds(Anomaly, trip=st.booleans()),
)
flags = st.tuples(names, ages_s, st.sampled_from(Authority), findings_of, st.sampled_from([0.001, 0.02, nan]))
Flags = tuple[tuple[str, ...], float, Authority, Findings, float]


def one_step(watch: Watch, flag: Flags, at_s: float = 1001.0) -> tuple[Verdict, Watch]:
    alarms, age_s, authority, findings, latency_s = flag
    seen = replace(snapshot(at_s=at_s, meter_age_s=age_s), alarms=alarms, policy_latency_s=latency_s)
    return ModeSupervisor().step(seen, sight(seen), authority, findings, watch)


@given(watches, flags)
def test_every_combination_has_exactly_one_answer_that_fits_its_causes(watch: Watch, flag: Flags) -> None:
    verdict, after = one_step(watch, flag)
    assert one_step(watch, flag) == (verdict, after)
    assert verdict.state is worst(verdict.causes)
    assert verdict.source is SOURCE[verdict.state]
    assert len(set(verdict.causes)) == len(verdict.causes)
    severities = [SEVERITY.index(cause(name).state) for name in verdict.causes]
    assert severities == sorted(severities, reverse=True)
    assert after.state is verdict.state


RANK = {Authority.POLICY: 0, Authority.FALLBACK: 1, Authority.REST: 2}


@given(watches, flags, flags)
def test_a_further_fault_never_raises_authority(watch: Watch, one: Flags, other: Flags) -> None:
    both: Flags = (
        tuple({*one[0], *other[0]}),
        max(one[1], other[1], key=lambda age: (age != age, age)),
        max(one[2], other[2], key=RANK.__getitem__),
        Findings(
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
def test_the_policy_acts_only_when_nothing_at_all_speaks_against_it(watch: Watch, flag: Flags) -> None:
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
def test_no_step_shortens_a_fallback_or_loses_a_latch(trace: list[tuple[Flags, float]], watch: Watch) -> None:
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
