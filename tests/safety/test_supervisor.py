"""Who may act: stories of ticks."""

from dataclasses import replace
from math import inf, nan

import pytest

from core.decision import Anomaly, Authority, Source, State, SupervisorDecision
from core.parts import PolicyHealth
from safety.supervisor import ModeSupervisor, SupervisorState
from safety.timers import REPEATED, PersistentFaults
from tests.safety.search.story import SILENT, STRANGE, WRONG, Story, cold


def test_a_start_rests_for_ten_good_samples_then_the_fallback_acts_then_the_policy() -> None:
    story = cold().tick(times=9)
    assert (story.state, story.verdict.source) == (State.INIT, Source.REST)
    assert story.causes == ("starting", "reentry")
    story.tick()
    assert story.verdict == SupervisorDecision(State.FALLBACK, ("reentry",))
    assert story.tick(times=59).state is State.FALLBACK
    story.tick()
    assert story.verdict == SupervisorDecision(State.RL_ACTIVE)


def test_the_first_samples_must_come_in_a_row() -> None:
    story = cold().tick(times=9).tick(age_s=1.0).tick(times=9)
    assert story.state is State.INIT
    assert story.tick().state is State.FALLBACK


def test_a_meter_that_was_never_heard_is_not_lost_but_awaited() -> None:
    story = cold().tick(age_s=inf, times=100)
    assert story.causes == ("starting", "meter_late", "reentry")
    assert story.tick(times=10).state is State.FALLBACK


def test_a_start_waits_for_the_radio_however_long() -> None:
    story = cold().tick("radio_down", times=100)
    assert story.state is State.INIT
    assert "radio_lost" not in story.causes
    assert story.tick().state is State.FALLBACK


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
    assert story.tick().state is State.FALLBACK
    assert story.tick(times=59).state is State.FALLBACK
    assert story.tick().state is State.RL_ACTIVE


def test_thirty_means_in_a_row() -> None:
    story = Story().tick(age_s=9.0).tick(times=29).tick(age_s=1.0).tick(times=29)
    assert story.state is State.SAFE_STOP
    assert story.tick().state is State.FALLBACK


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
    assert story.tick().state is State.FALLBACK


def test_an_alarm_by_the_name_of_the_start_is_unknown_and_blinds_nobody() -> None:
    story = Story().tick("starting")
    assert (story.state, story.causes) == (State.SAFE_STOP, ("unknown_alarm",))
    assert story.tick("starting", age_s=9.0).causes == (
        "meter_lost",
        "unknown_alarm",
        "meter_late",
        "reentry",
    )
    assert story.tick(times=29).state is State.SAFE_STOP
    assert story.tick().state is State.FALLBACK
    assert cold().tick("starting").causes == ("starting", "unknown_alarm", "reentry")


@pytest.mark.parametrize("name", ["meter_identity", "meter_sign", "meter_phases", "frame_round_trip"])
def test_a_stop_that_waits_for_an_operator(name: str) -> None:
    story = Story().tick(name).tick(times=100)
    assert (story.state, story.causes) == (State.SAFE_STOP, (name, "reentry"))
    assert story.watch.standing.latched == (name,)
    assert story.tick(acknowledged=("another",)).state is State.SAFE_STOP
    assert story.tick(acknowledged=(name,)).state is State.FALLBACK
    story.tick(name, acknowledged=(name,))  # raised again in the same tick: stays
    assert story.watch.standing.latched == (name,)
    story.tick(acknowledged=(name,))  # acknowledged early: still thirty good samples
    assert (story.state, story.causes) == (State.SAFE_STOP, (name, "reentry"))
    assert story.tick(times=28).state is State.SAFE_STOP
    assert story.tick().state is State.FALLBACK


def test_a_radio_gone_gives_the_policy_no_say_and_after_five_seconds_rests() -> None:
    story = Story().tick().tick("radio_down", times=5)
    assert (story.state, story.causes) == (State.FALLBACK, ("radio_down",))
    assert story.tick("radio_down").causes == ("radio_lost", "radio_down")
    assert story.state is State.SAFE_STOP
    assert story.tick(times=29).state is State.SAFE_STOP
    assert story.tick().state is State.FALLBACK


def test_a_radio_that_comes_back_in_time_changes_nothing() -> None:
    story = Story().tick("radio_down", times=5).tick().tick("radio_down", times=5)
    assert story.state is State.FALLBACK
    assert story.tick().state is State.RL_ACTIVE


def test_the_five_seconds_are_seconds_not_ticks() -> None:
    assert Story().tick("radio_down", times=6).state is State.FALLBACK  # the first tick has no before
    assert Story().tick().tick("radio_down", times=10, step_s=0.5).state is State.FALLBACK
    assert Story().tick().tick("radio_down", times=11, step_s=0.5).state is State.SAFE_STOP


@pytest.mark.parametrize(
    ("name", "left_s"), [("violation", 3600.0), ("anomaly", 86400.0), ("state_lost", 3600.0)]
)
def test_a_timed_cause_that_is_raised_from_outside_runs_its_time(name: str, left_s: float) -> None:
    assert Story().tick(name).watch.standing.left_s == ((name, left_s),)


def test_an_ordered_fallback_ends_with_the_order() -> None:
    story = Story().tick(authority=Authority.FALLBACK)
    assert (story.state, story.causes) == (State.FALLBACK, ("fallback_ordered",))
    assert story.tick().state is State.RL_ACTIVE


@pytest.mark.parametrize("latency_s", [0.0100001, nan, inf])
def test_a_slow_policy_is_not_followed_for_that_tick(latency_s: float) -> None:
    story = Story().tick(latency_s=0.010)
    assert story.state is State.RL_ACTIVE
    story.tick(latency_s=latency_s)
    assert (story.state, story.causes) == (State.FALLBACK, ("policy_late",))
    assert story.tick().state is State.RL_ACTIVE


def test_a_policy_without_an_answer_has_to_qualify_again() -> None:
    story = Story().tick(findings=SILENT)
    assert (story.state, story.causes) == (State.FALLBACK, ("policy_fault",))
    assert (story.tick(times=60).state, story.causes) == (State.FALLBACK, ("reentry",))
    assert story.tick().state is State.RL_ACTIVE


@pytest.mark.parametrize("findings", [SILENT, WRONG, STRANGE])
def test_qualifying_means_in_a_row(findings: PolicyHealth) -> None:
    story = cold().tick(times=69).tick(findings=findings)
    assert story.watch.clean == 0


def test_a_missed_sample_neither_adds_to_the_row_nor_breaks_it() -> None:
    story = cold().tick(times=40)
    clean = story.watch.clean
    assert story.tick(age_s=1.0).watch.clean == clean
    assert story.tick(age_s=1.0, findings=WRONG).watch.clean == 0


def test_a_violation_costs_the_policy_an_hour() -> None:
    story = Story().tick().tick(findings=WRONG)
    assert (story.state, story.causes) == (State.FALLBACK, ("violation",))
    assert story.tick(times=60).tick(step_s=3539.0).state is State.FALLBACK
    assert story.tick().state is State.RL_ACTIVE


def test_violations_meanwhile_do_not_extend_the_hour_but_must_end_before_reentry() -> None:
    story = Story().tick(findings=WRONG).tick(findings=WRONG, times=10, step_s=359.0)
    assert dict(story.watch.standing.left_s) == {"violation": pytest.approx(10.0)}
    assert len(story.watch.standing.recent_s) == 1
    assert story.tick(times=10).causes == ("reentry",)
    assert story.tick(times=50).state is State.FALLBACK
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
    assert (story.state, story.causes) == (State.FALLBACK, ("repeated_violations",))
    assert story.tick(acknowledged=("repeated_violations",)).state is State.RL_ACTIVE


def test_an_anomaly_trip_costs_a_day_and_a_new_one_starts_it_again() -> None:
    story = Story().tick(findings=STRANGE)
    assert (story.state, story.causes) == (State.FALLBACK, ("anomaly",))
    story.tick(step_s=80_000.0).tick(findings=STRANGE)
    assert dict(story.watch.standing.left_s) == {"anomaly": 86400.0}
    assert Story().tick(findings=STRANGE, age_s=1.0).watch.standing.left_s == ()


def test_a_violation_that_comes_with_a_trip_counts_as_well() -> None:
    story = Story().tick(findings=replace(WRONG, anomaly=Anomaly(trip=True)))
    assert dict(story.watch.standing.left_s) == {"anomaly": 86400.0, "violation": 3600.0}


def test_a_rollback_waits_for_an_operator() -> None:
    story = Story().tick("rollback").tick(times=100)
    assert (story.state, story.causes) == (State.FALLBACK, ("rollback",))
    assert story.tick(acknowledged=("rollback",)).state is State.RL_ACTIVE


def test_lost_state_costs_an_hour() -> None:
    standing = PersistentFaults(left_s=(("state_lost", 3600.0),), at_s=1000.0)
    assert ModeSupervisor(standing).cold == SupervisorState(standing=standing)
    story = Story(ModeSupervisor(standing).warm).tick()
    assert story.causes == ("state_lost",)
    assert story.tick(step_s=3598.0).state is State.FALLBACK
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
