"""A network leaves its coordinator as a backup, and lives on in a blank one."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from drivers.errors import ConfigError
from drivers.zigbee.backup import Formed, advance_frame_counter, back_up, form, read_backup
from drivers.zigbee.coordinator import NO_NETWORK
from drivers.zigbee.settings import ZigbeeSettings
from plant.radio.coordinator.nvram import Nvram
from plant.radio.network import RadioSite
from tests.support.zigbee_network import SLOTS, START_S, radio_at, replaced, serve, until


def settings(site: RadioSite, database: Path | None = None) -> ZigbeeSettings:
    return ZigbeeSettings(site.path, SLOTS, database=database)


def write(folder: Path, content: dict[str, Any], name: str = "backup.json") -> Path:
    file = folder / name
    file.write_text(json.dumps(content))
    return file


@pytest.mark.parametrize("version", [13, 18])
async def test_the_network_and_its_slaves_live_on_in_a_blank_stick(version: int, tmp_path: Path) -> None:
    old = await serve(Random(1), ezsp_version=version)
    async with radio_at(old.path) as near:
        await until(lambda: near.radio.up, START_S)
        network, counter = near.radio.network, await near.send(100, 200, 300)
        await until(lambda: len(near.radio.reports()) == 3)
    content = await back_up(settings(old))
    security = old.coordinator.nvram.security
    assert content["metadata"]["format"] == "zigpy/open-coordinator-backup"
    assert content["network_key"] == {
        "key": security.network_key.hex(),
        "sequence_number": 0,
        "frame_counter": content["network_key"]["frame_counter"],
    }
    site = await replaced(old, ezsp_version=version)
    try:
        with pytest.raises(ConfigError, match=NO_NETWORK):
            await back_up(settings(site))
        formed = await form(settings(site), read_backup(write(tmp_path, content)))
        assert formed == Formed(network, restored=True)  # type: ignore[arg-type]
        assert site.coordinator.nvram.security.network_key == security.network_key
        assert site.coordinator.nvram.security.link_key == security.link_key
        assert (
            site.coordinator.nvram.security.frame_counter >= content["network_key"]["frame_counter"] + 10_000
        )
        assert site.coordinator.nvram.eui64 == old.coordinator.nvram.eui64
        async with radio_at(site.path) as near:
            await until(lambda: near.radio.up, START_S)
            near.counter = counter
            await near.send(400, 500, 600)
            await until(lambda: len(near.radio.reports()) == 3)
        with pytest.raises(ConfigError, match="has a network already"):
            await form(settings(site), read_backup(write(tmp_path, content)))
    finally:
        await site.stop()


@pytest.mark.parametrize("age", [timedelta(days=3), timedelta(0)])
async def test_slaves_hear_a_coordinator_from_an_old_backup(age: timedelta, tmp_path: Path) -> None:
    """In three days it has sent more than the 10,000 frames that zigpy adds. A wrong age would show."""
    old = await serve(Random(1))
    content = await back_up(settings(old))
    made_utc = datetime.now(UTC) - age
    content["metadata"]["internal"]["creation_time"] = made_utc.isoformat()
    old.coordinator.nvram.security.frame_counter += 5 * 3 * 86_400  # frames in three days
    async with radio_at(old.path) as near:
        await until(lambda: near.radio.up, START_S)
        await near.send(100, 200, 300)
        await until(lambda: len(near.radio.reports()) == 3)
    site = await replaced(old)
    try:
        await form(settings(site), read_backup(write(tmp_path, content)))
        async with radio_at(site.path) as near:
            await until(lambda: near.radio.up, START_S)
            near.counter = 1
            heard = site.air.statistics.broadcasts_heard
            await near.send(400, 500, 600)
            assert site.air.statistics.broadcasts_heard - heard == (3 if age else 0)
    finally:
        await site.stop()


async def test_what_the_database_knows_is_not_overridden_by_an_older_file(tmp_path: Path) -> None:
    database = tmp_path / "zigbee.db"
    old = await serve(Random(1))
    first = await back_up(settings(old, database))
    old.coordinator.nvram.security.frame_counter += 1_000_000
    await back_up(settings(old, database))
    site = await replaced(old)
    try:
        await form(settings(site, database), read_backup(write(tmp_path, first)))
        assert site.coordinator.nvram.security.frame_counter > 1_000_000
    finally:
        await site.stop()


async def test_a_backup_of_another_network_does_not_meet_the_database(tmp_path: Path) -> None:
    database = tmp_path / "zigbee.db"
    mine, other, blank = await serve(Random(1)), await serve(Random(9)), await serve(Random(2), nvram=Nvram())
    try:
        await back_up(settings(mine, database))
        foreign = read_backup(write(tmp_path, await back_up(settings(other))))
        with pytest.raises(ConfigError, match="move the database away"):
            await form(settings(blank, database), foreign)
        assert blank.coordinator.nvram.network is None
        assert (await form(settings(blank), foreign)).restored
    finally:
        for site in (mine, other, blank):
            await site.stop()


KEY = "66b6900981e1ee3ca4206b6b861c02bb"


@pytest.mark.parametrize("content", [
    "", "[]", "{}", "not json", '{"metadata": {}}', '{"network_info": {}}', "null", '"text"', "\u0000",
    json.dumps({"network_key": {"key": KEY}, "metadata": {"source": KEY}, "coordinator_ieee": "zz"}),
])  # fmt: skip
def test_what_is_no_backup_is_refused_without_showing_it(content: str, tmp_path: Path) -> None:
    file = tmp_path / "backup.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match="is not a whole backup") as caught:
        read_backup(file)
    assert KEY not in str(caught.value)
    assert KEY[2:10] not in repr(caught.value)


async def test_a_backup_that_lacks_something_is_refused(tmp_path: Path) -> None:
    site = await serve(Random(1))
    content = await back_up(settings(site))
    await site.stop()
    for lacking in ("network_key", "pan_id", "extended_pan_id", "coordinator_ieee", "channel", "devices"):
        file = write(tmp_path, {name: value for name, value in content.items() if name != lacking})
        with pytest.raises(ConfigError, match="is not a whole backup"):
            read_backup(file)
    with pytest.raises(ConfigError, match="is not a whole backup"):
        read_backup(write(tmp_path, content | {"network_key": content["network_key"] | {"key": "ff" * 16}}))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_backup(tmp_path / "absent.json")


async def test_the_counter_moves_with_the_age_and_leaves_room(tmp_path: Path) -> None:
    site = await serve(Random(1))
    backup = read_backup(write(tmp_path, await back_up(settings(site))))
    await site.stop()
    made_utc, before = backup.backup_time, backup.network_info.network_key.tx_counter

    def moved_by(age: timedelta) -> int:
        return int(advance_frame_counter(backup, made_utc + age).network_info.network_key.tx_counter) - before

    assert moved_by(timedelta(0)) == 0
    assert moved_by(timedelta(hours=-5)) == 0  # a clock that was set back
    assert moved_by(timedelta(days=1)) == 864_000
    assert before + moved_by(timedelta(days=36_500)) == 0xF000_0000
