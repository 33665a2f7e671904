"""Whoever holds the network key may say what he likes: nothing of it costs the setpoints any airtime."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from sqlite3 import connect

import pytest
import zigpy.types as zt
import zigpy.zdo.types as zdo
from zigpy.exceptions import DeliveryError

from drivers.zigbee.joining import permit_join
from drivers.zigbee.settings import ZigbeeSettings
from plant.radio.broadcast_limiter import BroadcastLimiter, LimiterModel
from plant.radio.medium import RadioMedium
from plant.radio.slave_node import ieee_of, install_code_of
from plant.radio.zigbee_node import ZigbeeNode, zcl_head
from tests.support.zigbee_network import SLOTS, START_S, radio_at, running, serve, until

STRANGER = 0x3401


def node(air: RadioMedium, address: int, number: int = 0) -> ZigbeeNode:
    """A device with the network key that nobody commissioned."""
    return ZigbeeNode(
        air, address.to_bytes(2, "little") + number.to_bytes(6, "little"), address, (6,), 0x1234
    )


def zcl_report(air: RadioMedium, address: int) -> None:
    who = node(air, address)
    head = zcl_head(who.next_sequence(), 0x0A, manufacturer=None)
    who.send(0x0006, head + bytes([0, 0, 0x10, 1]))


def reads_time(air: RadioMedium, address: int) -> None:
    """zigpy answers who asks for the time, if it knows him."""
    who = node(air, address)
    who.send(0x000A, bytes([0x00, who.next_sequence(), 0x00, 0x00, 0x00]))


def asks_for_an_address(air: RadioMedium, address: int) -> None:
    who = node(air, address)
    body = zt.serialize((zt.NWK(0), zt.uint8_t(0), zt.uint8_t(0)), zdo.CLUSTERS[zdo.ZDOCmd.IEEE_addr_req][1])
    who.send(zdo.ZDOCmd.IEEE_addr_req, bytes([who.next_sequence()]) + body, profile=0, endpoint=0)


def announces_itself(air: RadioMedium, address: int) -> None:
    node(air, address, number=7).announce()


def tunnels_green_power(air: RadioMedium, address: int) -> None:
    who = node(air, address)
    body = bytes([0x01, who.next_sequence(), 0x00]) + bytes.fromhex("0000785634120100000020ffff00")
    who.send(0x0021, body, profile=0xA1E0, endpoint=242)


KINDS = (zcl_report, reads_time, asks_for_an_address, announces_itself, tunnels_green_power)


@pytest.mark.parametrize("say", KINDS)
@pytest.mark.parametrize("address", [STRANGER, 0x1001], ids=["unknown address", "address of a slave"])
async def test_nothing_that_is_said_is_answered(
    say: Callable[[RadioMedium, int], None], address: int
) -> None:
    async with running() as (near, site):
        await near.send(500, 700, 900)
        await until(lambda: len(near.radio.reports()) == 3)
        before = site.air.statistics
        broadcasts, unicasts = before.broadcasts_offered, before.unicasts_offered
        for number in range(10):
            say(site.air, address + (number if address == STRANGER else 0))
        await asyncio.sleep(0.3)
        assert (site.air.statistics.broadcasts_offered, site.air.statistics.unicasts_offered) == (
            broadcasts,
            unicasts,
        )
        assert near.radio.statistics.foreign_frames == 10


async def test_a_device_that_is_stored_is_not_answered_either(tmp_path: Path) -> None:
    """Whoever has joined is in the database, and zigpy would serve him: time, descriptors, interviews."""
    database = tmp_path / "zigbee.db"
    site = await serve(Random(1), joined=False)
    try:
        ieee = ieee_of(1)[::-1].hex(":")
        settings = ZigbeeSettings(site.path, SLOTS, database=database)
        assert await permit_join(settings, ieee, install_code_of(1), 20, lambda event: None) is not None
        async with radio_at(site.path, database=database) as near:
            await until(lambda: near.radio.up, START_S)
            counts = site.air.statistics
            before = (counts.broadcasts_offered, counts.unicasts_offered)
            for say in KINDS:
                for _ in range(5):
                    say(site.air, 0x1001)
            site.nodes[1].announce()
            await asyncio.sleep(0.3)
            assert (counts.broadcasts_offered, counts.unicasts_offered) == before
        with closing(connect(database)) as stored:
            rows = stored.execute("SELECT ieee FROM devices_v16 WHERE nwk != 0").fetchall()
        assert rows == [(ieee,)], "nobody enters the database by talking"
    finally:
        await site.stop()


async def test_under_a_flood_of_strangers_every_setpoint_frame_goes_out() -> None:
    limiter = BroadcastLimiter(15, LimiterModel.SPEC)
    async with running(limiter=limiter) as (near, site):
        for number in range(30):
            zcl_report(site.air, STRANGER + number)
            announces_itself(site.air, STRANGER + number)
        await asyncio.sleep(0.2)
        for _ in range(6):
            await near.send(500, 700, 900)
        counted = near.radio.statistics
        assert (counted.frames_refused, counted.setpoint_broadcasts, counted.other_broadcasts) == (0, 6, 1)
        assert site.air.statistics.broadcasts_refused == 0


async def test_only_setpoints_pass_while_the_site_is_controlled() -> None:
    """Whatever else zigpy may come up with is kept off the air and counted."""
    async with running() as (near, site):
        app = near.radio._app
        assert app is not None
        before = site.air.statistics.broadcasts_offered
        with pytest.raises(DeliveryError, match="only setpoints"):
            await app.permit(0)
        with pytest.raises(DeliveryError, match="only setpoints"):
            await app._discover_unknown_device(zt.NWK(STRANGER))
        assert site.air.statistics.broadcasts_offered == before
        assert near.radio.statistics.packets_withheld == 2
        await near.send(500, 700, 900)
        assert site.air.statistics.broadcasts_offered == before + 1
