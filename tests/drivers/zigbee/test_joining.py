"""One device is let in by its install code; whatever happens, the network is closed afterwards."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from random import Random
from typing import Any

import bellows.types as t
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import ConfigError, Transient
from drivers.zigbee import coordinator
from drivers.zigbee.joining import Joined, JoinEvent, parse_ieee, parse_install_code, permit_join
from drivers.zigbee.settings import ZigbeeSettings
from plant.radio.broadcast_limiter import BroadcastLimiter, LimiterModel
from plant.radio.coordinator.nvram import Nvram
from plant.radio.coordinator.trust_center import EVERYBODY
from plant.radio.network import RadioSite
from plant.radio.slave_node import ieee_of, install_code_of
from tests.support.zigbee_network import SLOTS, START_S, radio_at, serve, until

CODE = "83fed3407a939723a5c639b26916d505c3b5"
POLICY = t.EzspPolicyId.TRUST_CENTER_POLICY
RESTING_POLICY = t.EzspDecisionId.ALLOW_PRECONFIGURED_KEY_JOINS
"""What bellows sets at its start: nobody joins by it while the network is closed."""


def ieee(slot: int) -> str:
    return ieee_of(slot)[::-1].hex(":")


@asynccontextmanager
async def uncommissioned(**more: Any) -> AsyncIterator[RadioSite]:
    """A coordinator with a network and three slaves that look for one."""
    site = await serve(Random(1), joined=False, **more)
    try:
        yield site
    finally:
        await site.stop()


class JoinEvents:
    """What `admit` told, and who looks on."""

    def __init__(self, on_event: Callable[[JoinEvent], None] = lambda event: None) -> None:
        self.events: list[JoinEvent] = []
        self._on_event = on_event

    def __call__(self, event: JoinEvent) -> None:
        self.events.append(event)
        self._on_event(event)

    def kinds(self, slot: int) -> list[str]:
        return [event.kind for event in self.events if event.ieee == ieee(slot)]


async def let_in(
    site: RadioSite,
    slot: int,
    *,
    code_of: int | None = None,
    seconds: int = 20,
    told: JoinEvents | None = None,
    **more: Any,
) -> Joined | None:
    settings = ZigbeeSettings(site.path, SLOTS, **more)
    code = install_code_of(slot if code_of is None else code_of)
    return await permit_join(settings, ieee(slot), code, seconds, told or JoinEvents())


def assert_closed(site: RadioSite, *, keys_forgotten: bool = True) -> None:
    """Nobody can join any more: not here, not through a router, not by a policy that was left behind."""
    stack = site.coordinator.stack
    assert not stack.permitting
    assert all(node.permit_until_s <= site.air.clock() for node in site.nodes.values())
    assert stack.policies[POLICY] == RESTING_POLICY
    assert EVERYBODY not in stack.transient_keys
    assert not (keys_forgotten and stack.transient_keys)


@pytest.mark.parametrize("version", [13, 14, 18])
async def test_the_right_code_lets_one_device_in_and_nobody_else(version: int, tmp_path: Path) -> None:
    database, told = tmp_path / "zigbee.db", JoinEvents()
    async with uncommissioned(ezsp_version=version) as site:
        joined = await let_in(site, 1, told=told, database=database)
        assert joined == Joined(ieee(1), 0x1001, "Sunkeep", "power slave", is_router=True, is_slave=True)
        assert set(site.air.nodes) == {0x1001}
        assert_closed(site, keys_forgotten=False)
        assert told.kinds(1) == ["open", "asked", "joined", "closed"]
        assert set(told.kinds(0)) <= {"refused"}
        assert not site.coordinator.refused
    with closing(sqlite3.connect(database)) as stored:
        rows = stored.execute("SELECT ieee, nwk, status FROM devices_v16 WHERE nwk != 0").fetchall()
    assert rows == [(ieee(1), 0x1001, 2)]


async def test_a_wrong_code_is_noticed_and_leaves_nothing_behind(tmp_path: Path) -> None:
    database, told = tmp_path / "zigbee.db", JoinEvents()
    async with uncommissioned() as site:
        assert await let_in(site, 1, code_of=2, seconds=6, told=told, database=database) is None
        assert not site.air.nodes
        assert_closed(site)
    assert told.kinds(1) == ["open", "asked", "silent", "closed"]
    with closing(sqlite3.connect(database)) as stored:
        assert stored.execute("SELECT ieee FROM devices_v16 WHERE nwk != 0").fetchall() == []
    assert not [e for e in told.events if install_code_of(2).hex() in e.text]


async def test_nobody_asks_and_the_time_is_over() -> None:
    told = JoinEvents()
    async with uncommissioned() as site:
        assert await let_in(site, 200, seconds=3, told=told) is None
        assert_closed(site)
    assert told.kinds(200) == ["open", "closed"]
    assert {e.kind for e in told.events if e.ieee != ieee(200)} == {"refused"}


async def test_a_device_that_joins_again_must_show_its_code_again(tmp_path: Path) -> None:
    """What the database knows of it proves nothing."""
    database = tmp_path / "zigbee.db"
    async with uncommissioned() as site:
        assert await let_in(site, 1, database=database)
        site.air.remove(site.nodes[1])
        site.nodes[1].network_key = None  # reset to factory settings, and asking again
        asking = asyncio.create_task(_keep_asking(site, 1))
        told = JoinEvents()
        assert await let_in(site, 1, code_of=2, seconds=5, told=told, database=database) is None
        assert "silent" in told.kinds(1)
        assert await let_in(site, 1, database=database)
        asking.cancel()


async def _keep_asking(site: RadioSite, slot: int) -> None:
    while site.nodes[slot].network_key is None:
        with suppress(PermissionError):
            site.coordinator.join(site.nodes[slot])
        await asyncio.sleep(0.3)


@pytest.mark.parametrize("when", ["open", "asked"])
async def test_cancelling_closes_the_network(when: str) -> None:
    async with uncommissioned() as site:
        task: asyncio.Task[Joined | None] | None = None

        def stop(event: JoinEvent) -> None:
            if event.kind == when and task is not None:
                task.cancel()

        told = JoinEvents(stop)
        task = asyncio.create_task(let_in(site, 1, code_of=2 if when == "asked" else None, told=told))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert told.events[-1].kind == "closed"
        assert_closed(site)
        # the port is free and the network lives
        assert await let_in(site, 1) is not None


async def test_a_full_air_delays_the_closing_and_does_not_prevent_it() -> None:
    limiter = BroadcastLimiter(2, LimiterModel.SPEC)
    router_open: list[bool] = []

    async with uncommissioned(limiter=limiter) as site:
        site.air.add(site.nodes[0])  # a router of the network already
        site.nodes[0].network_key = site.air.network_key

        def look(event: JoinEvent) -> None:
            router_open.append(site.nodes[0].permit_until_s > site.air.clock())

        assert await let_in(site, 200, seconds=1, told=JoinEvents(look)) is None
        assert site.air.statistics.broadcasts_refused > 0
        assert router_open[0]
        assert not router_open[-1]
        assert_closed(site)


async def test_a_coordinator_that_is_lost_cannot_close_and_says_so() -> None:
    async with uncommissioned() as site:
        told = JoinEvents(lambda event: site.coordinator.crash() if event.kind == "open" else None)
        with pytest.raises(Transient, match="the coordinator was lost"):
            await let_in(site, 200, told=told)
    assert told.kinds(200) == ["open", "not_closed"]
    assert "closes by itself" in told.events[-1].text


async def test_a_refusal_to_open_is_told_and_closes_what_was_opened() -> None:
    limiter = BroadcastLimiter(1, LimiterModel.SPEC)  # the start takes the only place
    async with uncommissioned(limiter=limiter) as site:
        told = JoinEvents()
        with pytest.raises(Transient, match="did not open the network"):
            await let_in(site, 1, told=told)
        assert told.kinds(1) == ["closed"]
        assert_closed(site)
        assert not site.air.nodes


async def test_without_a_network_nothing_is_opened() -> None:
    async with uncommissioned(nvram=Nvram()) as site:
        with pytest.raises(ConfigError, match="sunkeep zigbee form"):
            await let_in(site, 1)
        assert site.coordinator.calls["permitJoining"] == 0


async def test_a_port_that_is_in_use_is_named() -> None:
    async with uncommissioned(port=0) as site, radio_at(site.path) as near:
        await until(lambda: near.radio.up, START_S)
        with pytest.raises(ConfigError, match="no other program"):
            await let_in(site, 1)
        assert near.radio.up


async def test_no_start_ever_opens_the_network_to_the_public_key() -> None:
    """bellows would, for two seconds and with a key that waits for five minutes."""
    async with uncommissioned() as site, radio_at(site.path) as near:
        await until(lambda: near.radio.up, START_S)
        await asyncio.sleep(0.2)
        assert_closed(site)
        assert site.coordinator.calls["importTransientKey"] == 0
        assert site.air.statistics.broadcasts_offered == 1  # closes what another program may have left open


# --- spellings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [
    CODE, CODE.upper(), "83FE D340 7A93 9723 A5C6 39B2 6916 D505 C3B5",
    "83:fe:d3:40:7a:93:97:23:a5:c6:39:b2:69:16:d5:05:c3:b5",
    " 83FED340-7A939723-A5C639B2-6916D505-C3B5\t",
])  # fmt: skip
def test_usual_spellings_of_an_install_code(text: str) -> None:
    assert parse_install_code(text).hex() == CODE


@pytest.mark.parametrize(("text", "why"), [
    (CODE[:-4], "checksum, are missing"),
    (CODE[:-1], "35 digits"),
    (CODE + "00", "38 digits"),
    ("83fed3407a93", "12 digits"),  # 4 bytes and a checksum: too short to be secret
    ("", "0 digits"),
    (CODE.replace("f", "g"), "'g' cannot stand in it"),
    ("93" + CODE[2:], "checksum does not fit"),
    (CODE[:-4] + CODE[-2:] + CODE[-4:-2], "checksum does not fit"),
])  # fmt: skip
def test_a_wrong_install_code_is_refused_without_being_repeated(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        parse_install_code(text)
    assert not text or text not in str(caught.value)


@given(st.integers(0, 35), st.integers(1, 15))
def test_no_single_wrong_digit_passes(place: int, offset: int) -> None:
    digit = format((int(CODE[place], 16) + offset) % 16, "x")
    with pytest.raises(ValueError, match="checksum"):
        parse_install_code(CODE[:place] + digit + CODE[place + 1 :])


@given(
    st.binary(min_size=8, max_size=8).filter(lambda b: len(set(b)) > 1), st.sampled_from([":", "-", " ", ""])
)
def test_usual_spellings_of_an_address(address: bytes, separator: str) -> None:
    spelling = address.hex(separator) if separator else address.hex()
    for text in (spelling, spelling.upper(), f"0x{address.hex()}", f" {spelling} "):
        assert parse_ieee(text) == address.hex(":")


@pytest.mark.parametrize(
    "text", ["", "00:12:4b", "00" * 8, "ff" * 8, "00124b00004f5e0z", "00124b00004f5e0001"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_ieee(text)


# --- afterwards ------------------------------------------------------------------------------------


async def test_a_report_counts_as_a_sign_of_life_but_not_too_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `sunkeep zigbee devices` shows as last seen; a report comes every few seconds."""
    database = tmp_path / "zigbee.db"
    async with uncommissioned() as site:
        assert await let_in(site, 1, database=database)
        async with radio_at(site.path, database=database) as near:
            await until(lambda: near.radio.up, START_S)
            app = near.radio._app
            assert app is not None
            device = app.get_device(nwk=0x1001)
            device.last_seen = before_s = time.time() - 30.0
            await near.send(0, 5, 0)
            await until(lambda: 1 in near.radio.reports())
            assert device.last_seen == pytest.approx(before_s)
            monkeypatch.setattr(coordinator, "SEEN_EVERY_S", 29.0)
            await near.send(0, 6, 0)
            await until(lambda: near.radio.reports()[1].counter == near.counter)
            assert device.last_seen == pytest.approx(time.time(), abs=5.0)
