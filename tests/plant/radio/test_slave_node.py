"""A slave on the air: when it reports, what it answers, that nothing disturbs it."""

import heapq
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.radio.medium import COORDINATOR, RECEIVER_ON, ApsFrame, Delivery, RadioMedium
from plant.radio.slave_firmware import CLUSTER, Firmware, Status
from plant.radio.slave_node import FIRST_ADDRESS, SlaveNode
from tests.support.radio_nodes import KEY, ZCL_HEAD, frame_payload, read_report

NETWORK = bytes(range(8))


class TimedAir(RadioMedium):
    """The air in simulated time, with a coordinator that notes what it hears and when."""

    def __init__(self, **more: Any) -> None:
        super().__init__(clock=lambda: self.now_s, **more)
        self.now_s = 100.0
        self.extended_pan_id = NETWORK
        self.heard: list[tuple[float, ApsFrame]] = []
        self.to_coordinator = lambda node, frame: self.heard.append((self.now_s, frame))
        self._due: list[tuple[float, int, Callable[..., None], Any]] = []
        self._order = count()

    def later(self, delay_s: float, call: Callable[..., None], *args: object) -> None:
        heapq.heappush(self._due, (self.now_s + delay_s, next(self._order), call, args))

    def run(self, until_s: float) -> None:
        """Let time pass."""
        while self._due and self._due[0][0] <= until_s:
            self.now_s, _, call, args = heapq.heappop(self._due)
            call(*args)
        self.now_s = until_s

    def reports(self) -> list[tuple[float, dict[str, int]]]:
        """Reports since the last look."""
        seen, self.heard = self.heard, []
        return [(at_s, read_report(frame.payload, NETWORK)) for at_s, frame in seen]


def site(slaves: int = 3) -> tuple[TimedAir, list[SlaveNode]]:
    air, rng = TimedAir(), Random(1)
    nodes = [
        SlaveNode(air, Firmware(slot, KEY, 3000), lambda slot: 10.0 * slot, rng) for slot in range(slaves)
    ]
    for node in nodes:
        air.add(node)
    return air, nodes


def send(air: RadioMedium, payload: bytes, destination: int = RECEIVER_ON, head: bytes = ZCL_HEAD) -> None:
    unicast = destination < 0xFFF8
    delivery = Delivery.UNICAST if unicast else Delivery.BROADCAST
    frame = ApsFrame(
        0x0104,
        CLUSTER,
        1,
        1 if unicast else 0xFF,
        head + b"\x21\x00" + payload,
        COORDINATOR,
        destination,
        delivery,
    )
    if unicast:
        assert air.unicast(frame) is not None
    else:
        assert air.broadcast(frame)


def test_reports_come_in_their_time_slots() -> None:
    air, _ = site()
    send(air, frame_payload(1, [100, 200, 300], NETWORK))
    air.run(102.0)
    reports = air.reports()
    assert [report["slot"] for _, report in reports] == [0, 1, 2]
    for at_s, report in reports:
        slot = report["slot"]
        assert 0.0 <= at_s - 100.3 - 0.04 * slot <= 0.02
        assert report["counter"] == 1
        assert report["applied_w"] == 100 * (slot + 1)
        assert report["power_w"] == 10 * slot


def test_only_those_report_whom_a_frame_changed_or_asked() -> None:
    air, _ = site()
    send(air, frame_payload(1, [100, 200, 300], NETWORK))
    air.run(102.0)
    air.reports()
    send(air, frame_payload(2, [100, 200, 333], NETWORK))
    air.run(104.0)
    assert [(report["slot"], report["applied_w"]) for _, report in air.reports()] == [(2, 333)]
    send(air, frame_payload(3, [100, 200, 333], NETWORK))
    air.run(106.0)
    assert air.reports() == []
    send(air, frame_payload(4, [100, 200, 333], NETWORK, flags=0x12))
    air.run(108.0)
    assert [report["counter"] for _, report in air.reports()] == [4, 4, 4]


def test_a_newer_frame_replaces_a_waiting_report() -> None:
    air, _ = site(1)
    send(air, frame_payload(1, [100], NETWORK))
    air.run(100.2)
    send(air, frame_payload(2, [200], NETWORK))
    air.run(103.0)
    ((at_s, report),) = air.reports()
    assert report["counter"] == 2
    assert at_s >= 100.5


def test_reports_when_time_to_live_has_run_out() -> None:
    air, nodes = site(1)
    send(air, frame_payload(1, [2000], NETWORK, ttl_s=5))
    air.run(103.0)
    send(air, frame_payload(2, [2000], NETWORK, ttl_s=5))  # keeps it alive
    air.run(107.9)
    assert [report["status"] for _, report in air.reports()] == [Status.FOLLOWING]
    air.run(110.0)
    ((at_s, report),) = air.reports()
    assert at_s == pytest.approx(108.3, abs=0.03)
    assert (report["status"], report["applied_w"], report["counter"]) == (Status.RESTING_TIME_TO_LIVE, 0, 2)
    assert nodes[0].firmware.setpoint_w(110.0) == 0.0
    air.run(300.0)
    assert air.reports() == []


def test_a_shorter_time_to_live_is_noticed_before_the_longer_one_of_the_frame_before() -> None:
    air, _ = site(1)
    send(air, frame_payload(1, [2000], NETWORK, ttl_s=15))
    air.run(101.0)
    send(air, frame_payload(2, [2000], NETWORK, ttl_s=3))
    air.run(103.9)
    assert [report["status"] for _, report in air.reports()] == [Status.FOLLOWING]
    air.run(105.0)
    ((at_s, report),) = air.reports()
    assert at_s == pytest.approx(104.3, abs=0.03)
    assert report["status"] == Status.RESTING_TIME_TO_LIVE
    air.run(130.0)
    assert air.reports() == []


def test_an_ignored_frame_does_not_put_off_a_waiting_report() -> None:
    air, _ = site(1)
    send(air, frame_payload(1, [100], NETWORK))
    air.run(100.2)
    send(air, frame_payload(1, [200], NETWORK))
    air.run(103.0)
    ((at_s, report),) = air.reports()
    assert (report["counter"], report["applied_w"]) == (1, 100)
    assert at_s <= 100.33


def test_an_offline_slave_rests_by_itself() -> None:
    air, nodes = site(2)
    send(air, frame_payload(1, [1000, 1000], NETWORK))
    nodes[1].online = False
    air.run(110.0)
    send(air, frame_payload(2, [1000, 1000], NETWORK))
    air.run(117.0)
    assert nodes[0].firmware.setpoint_w(117.0) == 1000.0
    assert nodes[1].firmware.setpoint_w(117.0) == 0.0
    assert {report["slot"] for _, report in air.reports()} == {0}
    nodes[1].online = True
    send(air, frame_payload(3, [1000, 1000], NETWORK))
    air.run(119.0)
    assert nodes[1].firmware.setpoint_w(119.0) == 1000.0


def test_a_slave_far_away_acts_later() -> None:
    air, nodes = site(2)
    air.broadcast_delay = lambda receivers: [float(index) for index in range(receivers)]
    send(air, frame_payload(1, [500, 500], NETWORK))
    air.run(100.5)
    assert [node.firmware.accepted for node in nodes] == [1, 0]
    air.run(101.5)
    assert [node.firmware.accepted for node in nodes] == [1, 1]


def test_a_frame_repaired_by_unicast_is_followed() -> None:
    air, nodes = site(2)
    send(air, frame_payload(1, [100, 700], NETWORK), FIRST_ADDRESS + 1)
    air.run(101.0)
    assert [node.firmware.target_w(101.0) for node in nodes] == [0, 700]
    assert [report["slot"] for _, report in air.reports()] == [1]


@pytest.mark.parametrize(
    "head",
    [
        bytes.fromhex("151111"),  # another manufacturer
        bytes.fromhex("11"),  # no manufacturer
        bytes.fromhex("1df1ff"),  # from server to client
    ],
)
def test_foreign_commands_are_not_setpoints(head: bytes) -> None:
    air, nodes = site(1)
    send(air, frame_payload(1, [100], NETWORK), head=head)
    air.run(101.0)
    assert nodes[0].firmware.accepted == 0
    assert not nodes[0].firmware.ignored


@given(
    st.binary(max_size=60),
    st.sampled_from([0, 0x0104, 0xC05E]),
    st.one_of(st.integers(0, 0xFFFF), st.sampled_from([0x0000, 0x0001, 0x0004, 0x0005, 0x0036, CLUSTER])),
    st.sampled_from([0, 1, 2, 0xFF]),
    st.sampled_from(list(Delivery)),
)
def test_nothing_on_the_air_disturbs_a_slave(
    payload: bytes, profile: int, cluster: int, endpoint: int, delivery: Delivery
) -> None:
    air, nodes = site(1)
    nodes[0].receive(ApsFrame(profile, cluster, 1, endpoint, payload, COORDINATOR, FIRST_ADDRESS, delivery))
    air.run(200.0)
    assert nodes[0].firmware.accepted == 0
    assert nodes[0].firmware.setpoint_w(200.0) == 0.0
