"""Forming a network, remembering it, and keeping its keys out of every log."""

import logging
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from drivers.errors import ConfigError
from drivers.redaction import MARK, redact
from drivers.zigbee.backup import form
from drivers.zigbee.coordinator import NO_NETWORK, OTHER_NETWORK
from drivers.zigbee.settings import ZigbeeSettings
from plant.radio.coordinator.nvram import Nvram
from tests.support.zigbee_network import SLOTS, START_S, radio_at, serve, until


async def test_form_gives_a_blank_coordinator_a_network(tmp_path: Path) -> None:
    database = tmp_path / "zigbee.db"
    site = await serve(Random(1), nvram=Nvram())
    settings = ZigbeeSettings(site.path, SLOTS, channel=20, database=database)
    try:
        network = (await form(settings)).network
        assert network.channel == 20
        assert network.network_id == site.air.extended_pan_id
        with pytest.raises(ConfigError, match=r"has a network already: PAN id 0x.*, channel 20"):
            await form(settings)
        async with radio_at(site.path, database=database) as near:
            await until(lambda: near.radio.up, START_S)
            assert near.radio.network == network
            await near.send(1, 2, 3)
            await until(lambda: len(near.radio.reports()) == 3)
    finally:
        await site.stop()


async def test_a_channel_that_is_not_the_formed_one_is_told(tmp_path: Path) -> None:
    """The network stays where it was formed; who edits the number alone must learn that nothing has moved."""
    database = tmp_path / "zigbee.db"
    site = await serve(Random(1), nvram=Nvram())
    try:
        await form(ZigbeeSettings(site.path, SLOTS, channel=20, database=database))
        async with radio_at(site.path, database=database, channel=25) as near:
            await until(lambda: near.radio.up, START_S)
            said = [event.text for event in near.events if event.kind == "problem"]
        assert len(said) == 1
        assert said[0].startswith("the network is on channel 20, the configuration says 25")
    finally:
        await site.stop()


async def test_a_replaced_coordinator_gets_the_old_network_back(tmp_path: Path) -> None:
    database = tmp_path / "zigbee.db"
    first = await serve(Random(1), nvram=Nvram())
    formed = await form(ZigbeeSettings(first.path, SLOTS, database=database))
    assert not formed.restored
    key = first.coordinator.nvram.security.network_key
    await first.stop()
    second = await serve(Random(2), nvram=Nvram())
    try:
        again = await form(ZigbeeSettings(second.path, SLOTS, database=database))
        assert again == replace(formed, restored=True)
        assert second.coordinator.nvram.security.network_key == key
    finally:
        await second.stop()


async def test_the_database_is_the_owners_alone(tmp_path: Path) -> None:
    database = tmp_path / "zigbee.db"
    database.touch(mode=0o644)
    site = await serve(Random(1))
    try:
        async with radio_at(site.path, database=database) as near:
            await until(lambda: near.radio.up, START_S)
            modes = {file.name: oct(file.stat().st_mode & 0o777) for file in tmp_path.iterdir()}
            assert "zigbee.db" in modes
            assert set(modes.values()) == {"0o600"}
    finally:
        await site.stop()


def spellings(key: bytes) -> list[str]:
    return [
        key.hex(),
        key.hex().upper(),
        key.hex(":"),
        key.hex(":").upper(),
        key.hex("-"),
        str(list(key)),
        repr(key),
    ]


async def test_another_network_is_refused_and_no_key_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With everything at DEBUG; the exception of zigpy holds the keys of both networks in clear."""
    caplog.set_level(logging.DEBUG)
    for name in ("zigpy", "bellows", "zigpy.application"):
        caplog.set_level(logging.DEBUG, logger=name)
    database = tmp_path / "zigbee.db"
    first, second = await serve(Random(1), nvram=Nvram()), await serve(Random(2))
    try:
        await form(ZigbeeSettings(first.path, SLOTS, database=database))
        async with radio_at(second.path, database=database) as near:
            await until(lambda: near.radio.problem is not None)
            assert near.radio.problem == OTHER_NETWORK
            logging.getLogger("zigpy.application").warning("%r", near.events)
    finally:
        await first.stop()
        await second.stop()
    said = caplog.text + repr(near.events)
    assert "RadioEvent" in caplog.text
    for site in (first, second):
        security = site.coordinator.nvram.security
        for key in (security.network_key, security.link_key):
            assert not [spelling for spelling in spellings(key) if spelling in said]


KEY = bytes.fromhex("66b6900981e1ee3ca4206b6b861c02bb")


@pytest.mark.parametrize("spelling", spellings(KEY))
def test_a_key_is_withheld_in_every_spelling(spelling: str) -> None:
    assert redact(f"key={spelling}, counter=7") == f"key={MARK}, counter=7"


@pytest.mark.parametrize(
    "harmless", ["00:12:4b:00:1c:a1:b2:c3", "0x00124b001ca1b2c3", NO_NETWORK, "[1, 2, 3]", "b'short'"]
)
def test_addresses_and_words_stay(harmless: str) -> None:
    assert redact(harmless) == harmless


def test_a_key_in_a_traceback_is_withheld(caplog: pytest.LogCaptureFixture) -> None:
    from drivers.redaction import guard_logs

    guard_logs()
    try:
        raise ValueError(f"network key {KEY.hex(':')}")
    except ValueError:
        logging.getLogger("zigpy.application").warning("failed", exc_info=True)
    assert "ValueError: network key [16 bytes withheld]" in caplog.text
    assert KEY.hex(":") not in caplog.text
