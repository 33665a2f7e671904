"""What is believed of the slaves, from forged, old and genuine reports."""

import pytest

from core.clearance import Cleared
from drivers.frame import decode, encode
from drivers.slaves import Slaves
from drivers.zigbee import next_pause_s
from tests.drivers.setpoint_vectors import KEY, NETWORK_ID, REPORT_HEADER, report_attributes


def hear(slaves: Slaves, *report: int, address: int = 0x1003, at_s: float = 5.0) -> bool:
    return slaves.heard(address, REPORT_HEADER + report_attributes(*report), NETWORK_ID, at_s)


def tell(slaves: Slaves, counter: int, watts: dict[int, int], at_s: float) -> list[Cleared]:
    payloads = encode(watts, counter=counter, ttl_s=15, report=True, key=KEY, network_id=NETWORK_ID)
    frames = [Cleared(payload, False, decode(payload, KEY, NETWORK_ID)) for payload in payloads]
    for frame in frames:
        slaves.told(frame, at_s)
    return frames


def test_a_sound_report_is_believed() -> None:
    slaves = Slaves([3], KEY)
    assert hear(slaves, 3, 10, 700, 690, 0)
    report = slaves.reports[3]
    assert (report.counter, report.applied_w, report.power_w, report.heard_at_s) == (10, 700, 690.0, 5.0)
    assert not report.resting
    assert slaves.addresses == {3: 0x1003}


def test_a_slave_that_does_not_measure_has_no_power() -> None:
    slaves = Slaves([3], KEY)
    assert hear(slaves, 3, 10, 700, -0x8000, 0)
    assert slaves.reports[3].power_w is None


@pytest.mark.parametrize("state", [1, 2, 3])
def test_every_way_to_rest_is_resting(state: int) -> None:
    slaves = Slaves([3], KEY)
    assert hear(slaves, 3, 10, 0, 0, state)
    assert slaves.reports[3].resting


def test_a_slot_that_is_not_commissioned_is_ignored() -> None:
    slaves = Slaves([3], KEY)
    assert not hear(slaves, 4, 10, 700, 690, 0)
    assert slaves.reports == {}


def test_a_report_of_another_network_is_ignored() -> None:
    slaves = Slaves([3], KEY)
    zcl = REPORT_HEADER + report_attributes(3, 10, 700, 690, 0)
    assert not slaves.heard(0x1003, zcl, bytes(8), 5.0)
    assert slaves.reports == {}


def test_a_report_played_back_is_ignored() -> None:
    slaves = Slaves([3], KEY)
    assert hear(slaves, 3, 10, 700, 690, 0)
    assert hear(slaves, 3, 11, 0, 0, 2, at_s=6.0)
    assert not hear(slaves, 3, 10, 700, 690, 0, address=0x6666, at_s=7.0)
    assert slaves.reports[3].counter == 11
    assert slaves.addresses == {3: 0x1003}


def test_a_slave_that_restarted_may_have_forgotten_its_counter() -> None:
    slaves = Slaves([3], KEY)
    assert hear(slaves, 3, 10, 700, 690, 0)
    assert hear(slaves, 3, 0, 0, 0, 3, address=0x2222, at_s=6.0)
    assert slaves.reports[3].resting
    assert slaves.addresses == {3: 0x2222}


def test_repairs_take_the_newest_frame_with_that_slot() -> None:
    slaves = Slaves([3, 40], KEY)
    hear(slaves, 3, 1, 0, 0, 0)
    hear(slaves, 40, 1, 0, 0, 0, address=0x1040)
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
    slaves = Slaves([3], KEY)
    hear(slaves, 3, 1, 0, 0, 0)
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
