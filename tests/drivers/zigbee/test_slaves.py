"""What is believed of the slaves, from forged, old and genuine reports."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.authorization import AuthorizedFrame
from drivers.zigbee.link_quality import GRACE_S
from drivers.zigbee.radio import next_pause_s
from drivers.zigbee.setpoint_frame import decode, encode
from drivers.zigbee.slaves import REMEMBERED_S, Slaves
from tests.support.setpoint_vectors import KEY, NETWORK_ID, REPORT_HEADER, report_attributes


def hear(slaves: Slaves, *report: int, address: int = 0x1003, at_s: float = 5.0) -> bool:
    return slaves.record_report(address, REPORT_HEADER + report_attributes(*report), NETWORK_ID, at_s)


def tell(slaves: Slaves, counter: int, watts: dict[int, int], at_s: float) -> list[AuthorizedFrame]:
    payloads = encode(watts, counter=counter, ttl_s=15, report=True, key=KEY, network_id=NETWORK_ID)
    frames = [AuthorizedFrame(payload, False, decode(payload, KEY, NETWORK_ID)) for payload in payloads]
    for frame in frames:
        slaves.record_sent(frame, at_s)
    return frames


def told_slaves(*counters: int, at_s: float = 4.0, watts: int = 700) -> Slaves:
    """Slot 3 was told so much in frames of these counters, a second apart."""
    slaves = Slaves([3], KEY)
    for number, counter in enumerate(counters):
        tell(slaves, counter, {3: watts}, at_s + number)
    return slaves


def test_a_sound_report_is_believed() -> None:
    slaves = told_slaves(10)
    assert hear(slaves, 3, 10, 700, 690, 0)
    report = slaves.reports[3]
    assert (report.counter, report.applied_w, report.power_w, report.heard_at_s) == (10, 700, 690.0, 5.0)
    assert report.told_w == 700
    assert not report.resting
    assert slaves.addresses == {3: 0x1003}


def test_a_slave_that_does_not_measure_has_no_power() -> None:
    slaves = told_slaves(10)
    assert hear(slaves, 3, 10, 700, -0x8000, 0)
    assert slaves.reports[3].power_w is None


@pytest.mark.parametrize("state", [1, 2, 3])
def test_every_way_to_rest_is_resting(state: int) -> None:
    slaves = told_slaves(10)
    assert hear(slaves, 3, 10, 0, 0, state)
    assert slaves.reports[3].resting


def test_a_safe_release_tells_zero_whatever_stands_beside_it() -> None:
    slaves = Slaves([3], KEY)
    payloads = encode({3: 700}, counter=10, ttl_s=15, safe_release=True, key=KEY, network_id=NETWORK_ID)
    slaves.record_sent(AuthorizedFrame(payloads[0], True, decode(payloads[0], KEY, NETWORK_ID)), 4.0)
    assert hear(slaves, 3, 10, 0, 0, 2)
    assert slaves.reports[3].told_w == 0


def test_a_slot_that_is_not_commissioned_is_ignored() -> None:
    slaves = told_slaves(10)
    assert not hear(slaves, 4, 10, 700, 690, 0)
    assert slaves.reports == {}


def test_a_report_of_another_network_is_ignored() -> None:
    slaves = told_slaves(10)
    zcl = REPORT_HEADER + report_attributes(3, 10, 700, 690, 0)
    assert not slaves.record_report(0x1003, zcl, bytes(8), 5.0)
    assert slaves.reports == {}


def test_a_report_played_back_is_ignored() -> None:
    slaves = told_slaves(10, 11)
    assert hear(slaves, 3, 10, 700, 690, 0)
    assert hear(slaves, 3, 11, 0, 0, 2, at_s=6.0)
    assert not hear(slaves, 3, 10, 700, 690, 0, address=0x6666, at_s=7.0)
    assert not hear(slaves, 3, 11, 0, 0, 2, address=0x6666, at_s=7.0)
    assert slaves.reports[3].counter == 11
    assert slaves.reports[3].heard_at_s == 6.0
    assert slaves.addresses == {3: 0x1003}


def test_the_newest_report_played_back_for_hours_keeps_nobody_alive() -> None:
    """Frames go on, the slave is dead, and somebody repeats its last word bit for bit."""
    slaves = told_slaves(10)
    assert hear(slaves, 3, 10, 700, 690, 0)
    for second in range(0, 7200, 2):
        tell(slaves, 11 + second, {3: 700}, 6.0 + second)
        assert not hear(slaves, 3, 10, 700, 690, 0, address=0x6666, at_s=6.5 + second)
    assert slaves.reports[3].heard_at_s == 5.0


def test_a_report_that_was_kept_back_proves_life_no_later_than_it_could_have_come() -> None:
    slaves = told_slaves(10)
    assert hear(slaves, 3, 10, 700, 690, 0, at_s=60.0)
    assert 4.0 + GRACE_S < slaves.reports[3].heard_at_s < 4.0 + GRACE_S + 1.0


def test_a_slave_whose_time_to_live_ran_out_says_so_later() -> None:
    slaves = told_slaves(10)
    assert hear(slaves, 3, 10, 700, 690, 0)
    assert hear(slaves, 3, 10, 0, 0, 1, at_s=19.5)
    assert (slaves.reports[3].resting, slaves.reports[3].heard_at_s) == (True, 19.5)
    assert not hear(slaves, 3, 10, 700, 690, 0, at_s=20.0), "it cannot follow that frame again"


@pytest.mark.parametrize("state", [0, 1, 2, 3])
def test_a_frame_that_this_life_never_sent_proves_nothing(state: int) -> None:
    """Recorded before a restart, or made by somebody who has the key."""
    slaves = told_slaves(10)
    assert not hear(slaves, 3, 9, 0, 0, state)
    assert not hear(slaves, 3, 0, 0, 0, 3)
    assert slaves.reports == {}


def test_frames_are_forgotten_and_so_is_what_answers_them() -> None:
    slaves = told_slaves(10)
    tell(slaves, 11, {3: 700}, 4.0 + REMEMBERED_S + 1.0)
    assert not hear(slaves, 3, 10, 700, 690, 0, at_s=4.0 + REMEMBERED_S + 2.0)


def test_counters_that_this_life_never_gave_out_are_told_by_slot() -> None:
    """After an old backup of the counter's file the slaves know better (`Counter.skip_past` judges them)."""
    slaves = Slaves([3, 4], KEY)
    tell(slaves, 10, {3: 700}, 4.0)
    assert not hear(slaves, 3, 54_321, 0, 0, 1)
    assert not hear(slaves, 4, 12, 0, 0, 1)
    assert not hear(slaves, 4, 7, 0, 0, 1)
    assert slaves.unknown_counters == {3: 54_321, 4: 12}
    assert not hear(slaves, 3, 0xFFFFFFFF, 0, 0, 1)
    assert not hear(slaves, 3, 60_000, 0, 0, 1), "the newest word counts, or one lie would hide the truth"
    assert slaves.unknown_counters == {3: 60_000, 4: 12}


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3), st.floats(0.0, 3.0)), max_size=60))
def test_no_order_of_reports_makes_a_slave_younger_than_its_frames(
    said: list[tuple[int, int, float]],
) -> None:
    """Whatever is recorded and repeated: who has accepted no new frame grows old."""
    slaves = told_slaves(*range(10, 21), at_s=0.0)
    at_s, heard = 10.0, []
    for counter, state, pause_s in said:
        at_s += pause_s
        if hear(slaves, 3, counter, 0, 0, state, at_s=at_s):
            heard.append(slaves.reports[3])
    assert all(one.counter <= other.counter for one, other in pairwise(heard))
    assert all(report.heard_at_s <= (report.counter - 10) + 15.0 + GRACE_S + 1.0 for report in heard)
    assert all(10 <= report.counter <= 20 for report in heard)


def test_repairs_take_the_newest_frame_with_that_slot() -> None:
    slaves = Slaves([3, 40], KEY)
    tell(slaves, 1, {3: 0, 40: 0}, 4.0)
    assert hear(slaves, 3, 1, 0, 0, 0)
    assert hear(slaves, 40, 2, 0, 0, 0, address=0x1040)
    tell(slaves, 10, {3: 100, 40: 100}, 10.0)
    tell(slaves, 12, {3: 100, 40: 100}, 20.0)
    low, high = tell(slaves, 14, {3: 200, 40: 200}, 30.0)
    assert dict(slaves.repairs(31.0)) == {3: low, 40: high}
    assert dict(slaves.repairs(35.1)) == {}, "a frame that old is not worth it"


def test_who_was_never_heard_is_not_repaired() -> None:
    slaves = Slaves([3], KEY)
    for number, at_s in enumerate((10.0, 20.0, 30.0)):
        tell(slaves, 10 + number, {3: 100}, at_s)
    assert slaves.quality.repair_due(31.0) == (3,)
    assert dict(slaves.repairs(31.0)) == {}


def test_a_lost_radio_repairs_nobody() -> None:
    slaves = told_slaves(1)
    assert hear(slaves, 3, 1, 0, 0, 0)
    for number, at_s in enumerate((10.0, 20.0, 30.0)):
        tell(slaves, 10 + number, {3: 100}, at_s)
    slaves.radio_lost()
    assert dict(slaves.repairs(31.0)) == {}


def test_pauses_double_to_five_seconds_and_start_again_after_a_steady_life() -> None:
    pauses = [next_pause_s(0.0, 1.0)]
    for _ in range(6):
        pauses.append(next_pause_s(pauses[-1], 1.0))
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert next_pause_s(5.0, 31.0) == 0.2
