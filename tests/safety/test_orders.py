"""Orders that change, and ticks that come late: lowering is immediate, raising takes its time."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.decision import Authority, Source, State
from core.modes import BLOCK_S, Mode, ModePlan, WallClock, Window, assign
from safety.faults import DWELL_S, LATE_S
from safety.supervisor import ModeSupervisor, SupervisorState
from safety.timers import restore, save
from tests.safety.search.story import WRONG, Story, cold

POLICY, FALLBACK, REST = Authority.POLICY, Authority.FALLBACK, Authority.REST


def test_what_the_memory_begins_with() -> None:
    assert (SupervisorState().ordered, SupervisorState().late_at_s) == (FALLBACK, ())
    assert (DWELL_S, LATE_S) == (890.0, 60.0)


def test_to_give_way_has_effect_at_once_and_to_come_back_takes_a_quarter_of_an_hour() -> None:
    story = Story().tick().tick(authority=FALLBACK)
    assert (story.state, story.causes) == (State.FALLBACK, ("dwell", "fallback_ordered"))
    assert (story.tick().state, story.causes) == (State.FALLBACK, ("dwell",))
    assert story.tick(step_s=DWELL_S - 1.5).state is State.FALLBACK
    assert story.tick(step_s=0.5).state is State.RL_ACTIVE


def test_who_never_acted_is_not_waited_for() -> None:
    story = Story().tick(authority=FALLBACK, times=100)
    assert story.causes == ("fallback_ordered",)
    assert story.tick().state is State.RL_ACTIVE


def test_every_order_to_give_way_counts_anew() -> None:
    story = Story()
    for _ in range(5):
        assert story.tick(step_s=0.9 * DWELL_S).tick(authority=FALLBACK).state is State.FALLBACK
    assert story.tick(step_s=0.9 * DWELL_S).state is State.FALLBACK
    assert story.tick(step_s=0.1 * DWELL_S).state is State.RL_ACTIVE


def test_a_violation_while_the_order_dwells_is_not_punished() -> None:
    story = Story().tick().tick(authority=FALLBACK).tick(findings=WRONG)
    assert dict(story.watch.standing.left_s) == {"dwell": DWELL_S - 1.0}


def test_the_end_of_a_process_is_no_such_order_but_what_dwells_stands_behind_it() -> None:
    story = Story().tick().tick(authority=REST)
    assert story.watch.standing.left_s == ()
    assert story.watch.ordered is POLICY
    story.tick(authority=FALLBACK).tick(step_s=90.0)
    record = save(story.watch.standing, boot_id="b", unix_s=1e9, synced=False)
    standing = restore(record, boot_id="b", boottime_s=story.at_s + 100.0, unix_s=0.0, synced=False)
    assert dict(standing.left_s) == {"dwell": DWELL_S - 190.0}
    again = Story(ModeSupervisor(standing).cold, story.at_s + 100.0)
    assert (again.tick(times=100).state, again.causes) == (State.FALLBACK, ("dwell",))
    assert again.tick(times=600).state is State.RL_ACTIVE


def test_a_restart_of_a_policy_that_may_act_waits_only_for_its_proposals() -> None:
    acting = Story().tick().tick(authority=REST)
    assert cold().tick(times=70).state is State.RL_ACTIVE
    assert Story(ModeSupervisor(acting.watch.standing).cold).tick(times=70).state is State.RL_ACTIVE


@pytest.mark.parametrize("offset_s", [0.0, 0.37, 0.999])
@pytest.mark.parametrize("mode", [Mode.AB, Mode.ROLLOUT])
def test_blocks_are_not_held_back(mode: Mode, offset_s: float) -> None:
    """Every tick of six hours is acted by whom its block was assigned to, with a clock that is slewed."""
    plan = ModePlan(mode, rollout_percent=50.0, site_seed=b"seed")
    story, unix_s, acted = Story(), 1.8e9 + offset_s, set()
    for tick in range(24 * BLOCK_S // 10):
        unix_s += 10.0 - (0.005 if tick % 2 else 0.0)
        authority = assign(plan, WallClock(unix_s)).authority
        story.tick(authority=authority, step_s=10.0)
        assert story.verdict.source is (Source.POLICY if authority is POLICY else Source.FALLBACK)
        acted.add(story.verdict.source)
    assert len(acted) == 2
    assert DWELL_S < BLOCK_S


def test_a_pause_of_the_schedule_that_is_shorter_begins_the_next_window_late() -> None:
    pause = (Window(frozenset(range(7)), 0, 600), Window(frozenset(range(7)), 605, 1440))
    plan = ModePlan(Mode.AB, schedule=pause)
    story, late_s = Story(), 0
    for second in range(598 * 60, 618 * 60):
        authority = assign(plan, WallClock(float(second), 0, second // 60)).authority
        story.tick(authority=authority)
        late_s += authority is POLICY and story.verdict.source is Source.FALLBACK
    assert late_s == DWELL_S - 300


@given(st.lists(st.tuples(st.sampled_from(Authority), st.floats(0.1, 900.0)), max_size=60))
def test_lowering_is_never_delayed_and_raising_never_hurried(orders: list[tuple[Authority, float]]) -> None:
    story, lowered_at_s, before = Story().tick(), -DWELL_S, POLICY
    for authority, step_s in orders:
        story.tick(authority=authority, step_s=step_s)
        if authority is not POLICY:
            assert story.verdict.source is not Source.POLICY
        if authority is FALLBACK and before is POLICY:
            lowered_at_s = story.at_s
        before = before if authority is REST else authority
        if story.verdict.source is Source.POLICY:
            assert story.at_s - lowered_at_s >= DWELL_S - 1e-6


@pytest.mark.parametrize("first", [POLICY, FALLBACK])
def test_toggled_each_second_the_policy_comes_back_at_most_once_in_a_dwell(first: Authority) -> None:
    story, raised = Story().tick(authority=first), 0
    for second in range(1000):
        before = story.state
        story.tick(authority=(POLICY, FALLBACK)[second % 2])
        raised += story.state is State.RL_ACTIVE and before is not State.RL_ACTIVE
    assert raised <= 1
    assert story.tick(step_s=DWELL_S).state is State.RL_ACTIVE


def test_three_late_ticks_in_a_minute_give_way_for_a_minute() -> None:
    story = Story().tick("late_tick").tick().tick("late_tick", step_s=30.0)
    assert story.tick().state is State.RL_ACTIVE
    story.tick("late_tick", step_s=28.0)  # 60 s after the first
    assert (story.state, story.causes) == (State.HOLD, ("late_tick", "repeated_late_ticks"))
    assert (story.tick().state, story.causes) == (State.FALLBACK, ("repeated_late_ticks",))
    assert story.tick(step_s=58.0).state is State.FALLBACK
    assert story.tick().state is State.RL_ACTIVE


def test_three_late_ticks_in_more_than_a_minute_do_not() -> None:
    story = Story().tick("late_tick").tick("late_tick", step_s=30.0).tick("late_tick", step_s=30.1)
    assert story.causes == ("late_tick",)
    assert story.tick().state is State.RL_ACTIVE
    assert story.tick("late_tick").causes == ("late_tick", "repeated_late_ticks")  # the last three do


def test_a_further_late_tick_begins_the_minute_again() -> None:
    story = Story().tick("late_tick", times=3).tick("late_tick", step_s=40.0)
    assert dict(story.watch.standing.left_s) == {"repeated_late_ticks": LATE_S}
    story.tick("late_tick", step_s=59.0)  # the second last is 99 s old
    assert dict(story.watch.standing.left_s) == {"repeated_late_ticks": 1.0}


def test_an_instant_that_is_no_number_counts_as_within_the_minute() -> None:
    watch = replace(ModeSupervisor().warm, late_at_s=(float("nan"), 900.0))
    assert "repeated_late_ticks" in Story(watch).tick("late_tick").causes
