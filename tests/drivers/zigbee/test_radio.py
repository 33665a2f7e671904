"""Real zigpy and bellows against the virtual coordinator: frames go out, reports come in."""

import asyncio
import json
from random import Random

import pytest

from core.authorization import AuthorizedFrame
from drivers.errors import Transient
from drivers.ports import Radio
from drivers.zigbee.setpoint_frame import SetpointFrame
from plant.radio.broadcast_limiter import BroadcastLimiter, LimiterModel
from plant.radio.coordinator.nvram import Nvram
from tests.support.setpoint_vectors import REPORT_HEADER
from tests.support.zigbee_network import KEY, radio_at, running, serve, until


async def test_frames_reach_the_slaves_and_reports_come_back() -> None:
    async with running() as (near, site):
        radio: Radio = near.radio
        assert radio.network_id == site.air.extended_pan_id
        assert radio.reports() == {}
        counter = await near.send(500, 700, 900)
        await until(lambda: len(radio.reports()) == 3)
        reports = radio.reports()
        assert {slot: report.applied_w for slot, report in reports.items()} == {0: 500, 1: 700, 2: 900}
        assert {slot: report.power_w for slot, report in reports.items()} == {0: 0.0, 1: 100.0, 2: 200.0}
        assert {report.counter for report in reports.values()} == {counter}
        assert not any(report.resting for report in reports.values())
        assert near.radio.statistics.frames_sent == 1
        assert near.radio.problem is None
        assert near.radio.quality.ack_rate(near.clock()) == 1.0
        assert [event.kind for event in near.events] == ["up"]


async def test_a_safe_release_is_obeyed_and_reported() -> None:
    async with running() as (near, site):
        await near.send(500, 700, 900)
        counter = await near.send(0, 0, 0, safe=True)
        await until(lambda: sum(r.resting for r in near.radio.reports().values()) == 3)
        assert {report.counter for report in near.radio.reports().values()} == {counter}
        assert [firmware.target_w(site.air.clock()) for firmware in site.firmwares.values()] == [0, 0, 0]


@pytest.mark.parametrize("version", [14, 18])
async def test_other_firmware_generations(version: int) -> None:
    async with running(ezsp_version=version) as (near, _):
        await near.send(500, 700, 900)
        await until(lambda: len(near.radio.reports()) == 3)


async def test_unknown_senders_cost_no_broadcast() -> None:
    """The devices are in no database; zigpy alone would look each of them up with a broadcast."""
    async with running() as (near, site):
        await near.send(500, 700, 900)
        await until(lambda: len(near.radio.reports()) == 3)
        before = site.air.statistics.broadcasts_offered
        await asyncio.sleep(0.05)
        assert site.air.statistics.broadcasts_offered == before
        assert site.air.statistics.unicasts_offered == 0


async def test_a_busy_coordinator_is_not_asked_twice() -> None:
    limiter = BroadcastLimiter(4, LimiterModel.SPEC)
    async with running(limiter=limiter) as (near, site):
        free = limiter.size - site.air.statistics.broadcasts_offered
        for _ in range(free):
            await near.send(1, 2, 3)
        with pytest.raises(Transient, match="refused the frame"):
            await near.send(1, 2, 3)
        offered, refused = site.air.statistics.broadcasts_offered, site.air.statistics.broadcasts_refused
        await asyncio.sleep(0.1)
        assert site.air.statistics.broadcasts_offered == offered
        assert refused == 1
        assert near.radio.statistics.frames_refused == 1
        assert near.radio.statistics.frames_sent == free > 0
        assert near.radio.up
        limiter.model = LimiterModel.OFF
        await near.send(1, 2, 3)


async def test_nothing_is_sent_before_the_radio_is_up() -> None:
    async with radio_at("/dev/does-not-exist") as near:
        assert near.radio.network_id is None
        with pytest.raises(Transient, match="the radio is down"):
            await near.radio.send(
                AuthorizedFrame(b"", False, SetpointFrame(1, 15, 0, (0,), safe_release=False, report=False))
            )
        await until(lambda: near.radio.problem is not None)
        assert near.radio.problem == "/dev/does-not-exist does not exist: is the coordinator plugged in?"
        assert near.events[0].kind == "problem"


async def test_a_coordinator_without_network_says_what_to_do() -> None:
    site = await serve(Random(1), nvram=Nvram())
    try:
        async with radio_at(site.path) as near:
            await until(lambda: near.radio.problem is not None)
            assert near.radio.problem == "no network on this coordinator: run `sunkeep zigbee form`"
            assert not near.radio.up
            # nothing was formed behind the operator's back
            assert site.coordinator.nvram.network is None
    finally:
        await site.stop()


async def test_a_slave_that_misses_frames_is_repaired_by_unicast() -> None:
    deaf = False

    def loss(address: int, at_s: float) -> bool:
        # the unicast has its own repetitions, so losing every second try loses only broadcasts
        tries[address] = tries.get(address, 0) + 1
        return deaf and address == 0x1001 and tries[address] % 2 == 1

    tries: dict[int, int] = {}
    async with running(loss=loss) as (near, site):
        await near.send(100, 100, 100)
        await until(lambda: len(near.radio.reports()) == 3)
        deaf = True
        for watts in (200, 300, 400):
            tries[0x1001] = 0
            near.clock.ahead_s += 10.0
            counter = await near.send(watts, watts, watts)
            await until(lambda: near.radio.reports()[0].counter == counter)  # noqa: B023
        await until(lambda: near.radio.reports()[1].counter == counter)
        assert near.radio.reports()[1].applied_w == 400
        assert 1 <= near.radio.statistics.repairs <= 3, "one for each frame that was missed at most"
        assert near.radio.statistics.repairs_failed == 0
        assert site.air.statistics.unicasts_heard == near.radio.statistics.repairs
        await until(lambda: near.radio.quality.misses(near.clock())[1] == 0)


async def test_a_repair_that_fails_says_so() -> None:
    async with running() as (near, site):
        frame = near.frame(1, 2, 3)
        with pytest.raises(Transient, match="cannot be reached"):
            await near.radio.repair(1, frame)
        await near.radio.send(frame)
        await until(lambda: len(near.radio.reports()) == 3)
        site.nodes[1].online = False
        with pytest.raises(Transient, match="did not acknowledge"):
            await near.radio.repair(1, frame)
        assert near.radio.statistics.repairs_failed == 1


async def test_forged_reports_change_nothing() -> None:
    async with running() as (near, site):
        node = site.nodes[1]
        network_id = near.radio.network_id
        assert network_id is not None
        frame = near.frame(500, 700, 900)
        counter = near.counter
        near.radio._slaves.record_sent(frame, near.clock())
        node.firmware.hear(frame.payload, network_id, site.air.clock())
        genuine = node.firmware.report(site.air.clock(), 50.0, network_id)
        for attributes in (genuine[:-1] + bytes([genuine[-1] ^ 1]), genuine[3:], b""):
            node.send(0xFC57, REPORT_HEADER + attributes)
        await until(lambda: near.radio.statistics.reports_rejected == 3)
        assert near.radio.reports() == {}
        node.send(0xFC57, REPORT_HEADER + genuine)
        await until(lambda: near.radio.statistics.reports_heard == 1)
        assert near.radio.reports()[1].counter == counter
        node.send(0xFC57, REPORT_HEADER[:3] + b"\x55" + REPORT_HEADER[4:] + genuine)
        await until(lambda: near.radio.statistics.reports_rejected == 4)


async def test_the_site_key_never_leaves_through_an_event_or_a_repr() -> None:
    async with running() as (near, _):
        told = json.dumps([repr(event) for event in near.events])
        assert KEY.hex() not in told + repr(near.radio.statistics) + repr(near.radio)
