"""Link quality from tables of frames sent and reports heard."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.zigbee.link_quality import LinkQuality, reply_delay_s
from drivers.zigbee.setpoint_frame import ReportedState, SetpointFrame, SlaveReport

GRACE_S = 5.5


def frame(counter: int, *watts: int, report: bool = False, safe: bool = False) -> SetpointFrame:
    return SetpointFrame(counter, 15, 0, watts, safe, report)


def says(slot: int, counter: int, state: ReportedState = ReportedState.FOLLOWING) -> SlaveReport:
    return SlaveReport(slot, counter, 0, 0, state)


def answered(link: LinkQuality, slot: int, counter: int, sent_at_s: float, late_s: float = 0.0) -> None:
    link.record_report(says(slot, counter), sent_at_s + reply_delay_s(slot) + late_s)


def test_nothing_sent_is_nothing_known() -> None:
    link = LinkQuality([0, 1])
    assert link.ack_rate(100.0) is None
    assert link.link_loss_rate(100.0) == 0.0
    assert link.extra_delay_s(100.0) == 0.0
    assert link.repair_due(100.0) == ()


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # (told before, told now) -> the slots whose answer is due
        (frame(1, 0, 0), frame(2, 0, 0), set()),
        (frame(1, 0, 0), frame(2, 0, 500), {1}),
        (frame(1, 0, 0), frame(2, 500, 500), {0, 1}),
        (frame(1, 0, 0), frame(2, 0, 0, report=True), {0, 1}),
        (frame(1, 500, 0), frame(2, 500, 0, safe=True), {0, 1}),
        (frame(1, 0, 0, safe=True), frame(2, 0, 0, safe=True), set()),
        (frame(1, 0, 0, safe=True), frame(2, 0, 0), {0, 1}),
    ],
)
def test_who_has_to_answer(first: SetpointFrame, second: SetpointFrame, expected: set[int]) -> None:
    link = LinkQuality([0, 1])
    link.sent(first, 0.0)
    link.sent(second, 10.0)
    assert {slot for slot, misses in link.misses(20.0).items() if misses} == expected


def test_two_misses_ask_for_repair_and_an_answer_ends_it() -> None:
    link = LinkQuality([0, 1])
    for counter, at_s in ((1, 0.0), (2, 5.0)):
        link.sent(frame(counter, 100, 100, report=True), at_s)
        answered(link, 0, counter, at_s)
    assert link.repair_due(5.0 + reply_delay_s(1) + GRACE_S) == ()
    assert link.repair_due(5.1 + reply_delay_s(1) + GRACE_S) == (1,)
    assert link.misses(11.0) == {0: 0, 1: 2}
    link.record_report(says(1, 1, ReportedState.RESTING_SILENCE), 16.0)
    assert link.misses(16.0)[1] == 2, "a slave that rests in silence has not heard the frames"
    link.record_report(says(1, 2), 17.0)
    assert link.repair_due(17.0) == ()


@pytest.mark.parametrize(("late_s", "patience_s"), [(0.0, 0.7), (0.2, 0.7), (1.0, 2.0)])
def test_where_answers_come_quickly_one_that_is_late_is_repaired_at_once(
    late_s: float, patience_s: float
) -> None:
    """One slot at a time, and not before twice the longest delay that was seen."""
    link = LinkQuality([0, 1, 2])
    for counter in range(5):
        link.sent(frame(counter, 100, 100, 100, report=True), 5.0 * counter)
        for slot in (0, 1, 2):
            answered(link, slot, counter, 5.0 * counter, late_s)
    link.sent(frame(9, 100, 100, 100, report=True), 30.0)
    answered(link, 0, 9, 30.0)
    assert link.repair_due(29.99 + reply_delay_s(1) + patience_s) == ()
    assert link.repair_due(30.01 + reply_delay_s(1) + patience_s) == (1,)
    link.repair_sent(1, 31.0 + patience_s)
    assert link.repair_due(31.0 + patience_s) == (2,)
    link.record_report(says(1, 9), 32.0 + patience_s)
    assert link.misses(38.0)[1] == 0


def test_where_answers_are_slow_two_have_to_be_missing() -> None:
    link = LinkQuality([0])
    for counter in range(5):
        link.sent(frame(counter, 100, report=True), 10.0 * counter)
        answered(link, 0, counter, 10.0 * counter, 4.0)
    link.sent(frame(9, 100, report=True), 50.0)
    assert link.repair_due(50.1 + reply_delay_s(0) + GRACE_S) == ()
    link.sent(frame(10, 100, report=True), 60.0)
    assert link.repair_due(60.1 + reply_delay_s(0) + GRACE_S) == (0,)


def test_repairs_of_a_dead_slave_become_rare() -> None:
    link = LinkQuality([0])
    for counter in range(1, 3):
        link.sent(frame(counter, 100, report=True), 5.0 * counter)
    tries = []
    for second in range(20, 2000):
        if link.repair_due(float(second)):
            link.repair_sent(0, float(second))
            tries.append(second)
    pauses = [b - a for a, b in pairwise(tries)]
    assert pauses[:5] == [10, 20, 40, 80, 160]
    assert set(pauses[5:]) == {300}


def test_a_newer_frame_replaces_a_pending_answer() -> None:
    link = LinkQuality([10])
    link.sent(SetpointFrame(1, 15, 10, (100,), False, True), 0.0)
    link.sent(SetpointFrame(2, 15, 10, (100,), False, False), 0.5)
    answered(link, 10, 2, 0.5)
    assert link.ack_rate(10.0) == 1.0
    assert link.misses(10.0) == {10: 0}


@pytest.mark.parametrize(("apart_s", "rate"), [(2.0, 1.0), (3.9, 1.0), (4.0, 0.5), (5.0, 0.5)])
def test_an_answer_to_a_newer_frame_only(apart_s: float, rate: float) -> None:
    """The slave is there: no repair. Whether the older frame was lost shows only if it was much older."""
    link = LinkQuality([0])
    link.sent(frame(1, 100, report=True), 0.0)
    link.sent(frame(2, 100, report=True), apart_s)
    answered(link, 0, 2, apart_s)
    assert link.ack_rate(20.0) == rate
    assert link.misses(20.0) == {0: 0}


def test_rates_forget() -> None:
    link = LinkQuality([0])
    for counter in range(10):
        link.sent(frame(counter, 100, report=True), 5.0 * counter)
        if counter % 2:
            answered(link, 0, counter, 5.0 * counter)
    assert link.ack_rate(50.0) == pytest.approx(0.5)
    assert link.ack_rate(50.0, slot=0) == pytest.approx(0.5)
    assert link.ack_rate(50.0, slot=7) is None
    assert link.link_loss_rate(50.0) == pytest.approx(0.5)
    assert link.link_loss_rate(120.0) == 0.0
    assert link.ack_rate(120.0) == pytest.approx(0.5)
    assert link.ack_rate(400.0) is None


@pytest.mark.parametrize(("late_s", "extra_s"), [(0.0, 0.0), (0.05, 0.0), (0.1, 0.0), (0.6, 0.5), (2.1, 2.0)])
def test_the_extra_delay_is_what_answers_come_late(late_s: float, extra_s: float) -> None:
    link = LinkQuality([0, 29], nominal_delay_s=0.1)
    for counter in range(20):
        link.sent(frame(counter, *[100] * 30, report=True), 5.0 * counter)
        for slot in (0, 29):
            outlier_s = 0.8 if counter % 5 == 0 else 0.0
            answered(link, slot, counter, 5.0 * counter, late_s + outlier_s)
    assert link.extra_delay_s(100.0) == pytest.approx(extra_s)
    assert link.extra_delay_s(500.0) == 0.0


def test_a_lost_radio_blames_no_slave() -> None:
    link = LinkQuality([0])
    link.sent(frame(1, 100, report=True), 0.0)
    link.forget_waiting()
    assert link.misses(20.0) == {0: 0}


def test_strangers_are_ignored() -> None:
    link = LinkQuality([0])
    link.sent(frame(1, 1, 2, 3, report=True), 0.0)
    link.record_report(says(2, 1), 0.5)
    link.record_report(says(200, 1), 0.5)
    assert link.misses(10.0) == {0: 1}


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=60))
def test_shares_stay_shares(script: list[tuple[bool, bool, bool]]) -> None:
    link = LinkQuality([0, 3])
    for counter, (report, first, second) in enumerate(script):
        at_s = 2.0 * counter
        link.sent(frame(counter, counter, 1, 2, counter, report=report), at_s)
        for slot, answers in ((0, first), (3, second)):
            if answers:
                answered(link, slot, counter, at_s)
    end_s = 2.0 * len(script)
    rate = link.ack_rate(end_s)
    assert rate is None or 0.0 <= rate <= 1.0
    assert 0.0 <= link.link_loss_rate(end_s) <= 1.0
    assert all(misses >= 0 for misses in link.misses(end_s).values())
