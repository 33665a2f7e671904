"""Every way to lose a coordinator: noticed within 3 s, and up again once it is back."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from drivers.errors import Transient, Unconfirmed
from plant.radio.coordinator.nvram import Nvram
from plant.radio.network import RadioSite
from tests.support.zigbee_network import START_S, Near, radio_at, running, serve, until

NOTICED_S = 3.0
BACK_S = 8.0


def crash(site: RadioSite) -> None:
    site.coordinator.crash()


def hang(site: RadioSite) -> None:
    site.coordinator.hang()


def fail_link(site: RadioSite) -> None:
    site.coordinator.fail_link()


def unplug(site: RadioSite) -> None:
    site.coordinator.unplug()


def fall_silent(site: RadioSite) -> None:
    """The serial link acknowledges, the firmware behind it never answers."""
    ash = site.coordinator.ash
    assert ash is not None
    ash._on_ezsp = lambda payload: None


def heal(site: RadioSite) -> None:
    ash = site.coordinator.ash
    assert ash is not None
    ash.mute = False
    ash._on_ezsp = site.coordinator._on_command


async def lose_and_recover(near: Near, site: RadioSite, lose: Callable[[RadioSite], None]) -> None:
    await near.send(500, 700, 900)
    lose(site)
    await until(lambda: not near.radio.up, NOTICED_S)
    assert "lost" in (near.radio.problem or "")
    with pytest.raises(Transient, match="the radio is down"):
        await near.send(1, 2, 3)
    if site.coordinator.ash is not None:
        heal(site)
    await until(lambda: near.radio.up, BACK_S)
    counter = await near.send(10, 20, 30)
    await until(lambda: [r.counter for r in near.radio.reports().values()] == [counter] * 3)
    assert near.radio.statistics.losses == 1
    assert [event.kind for event in near.events if event.kind != "problem"] == ["up", "down", "up"]


@pytest.mark.parametrize("lose", [crash, hang, fail_link, fall_silent])
async def test_on_a_serial_port(lose: Callable[[RadioSite], None]) -> None:
    async with running() as (near, site):
        await lose_and_recover(near, site, lose)


@pytest.mark.parametrize("lose", [crash, unplug])
async def test_over_tcp(lose: Callable[[RadioSite], None]) -> None:
    async with running(port=0) as (near, site):
        await lose_and_recover(near, site, lose)


async def test_a_stick_that_is_pulled_and_plugged_in_again(tmp_path: Path) -> None:
    by_id = tmp_path / "usb-coordinator"
    memory = Nvram.formed(Random(1))
    site = await serve(Random(1), nvram=memory)
    by_id.symlink_to(site.path)
    try:
        async with radio_at(str(by_id)) as near:
            await until(lambda: near.radio.up, START_S)
            by_id.unlink()
            await site.stop()
            await until(lambda: not near.radio.up, NOTICED_S)
            await until(lambda: "does not exist" in (near.radio.problem or ""))
            site = await serve(Random(2), nvram=memory)
            by_id.symlink_to(site.path)
            await until(lambda: near.radio.up, BACK_S)
            await near.send(1, 2, 3)
    finally:
        await site.stop()


async def test_a_network_adapter_that_is_switched_off_and_on_again() -> None:
    memory = Nvram.formed(Random(1))
    site = await serve(Random(1), nvram=memory, port=0)
    path, port = site.path, int(site.path.rpartition(":")[2])
    try:
        async with radio_at(path) as near:
            await until(lambda: near.radio.up, START_S)
            await site.stop()
            await until(lambda: not near.radio.up, NOTICED_S)
            await until(lambda: "ConnectionRefusedError" in (near.radio.problem or ""))
            site = await serve(Random(2), nvram=memory, port=port)
            await until(lambda: near.radio.up, BACK_S)
            await near.send(1, 2, 3)
    finally:
        await site.stop()


async def test_a_coordinator_that_stays_mute_is_waited_for() -> None:
    site = await serve(Random(1))
    hang(site)
    try:
        async with radio_at(site.path) as near:
            await asyncio.sleep(0.5)
            assert not near.radio.up
            heal(site)
            await until(lambda: near.radio.up, BACK_S)
    finally:
        await site.stop()


async def test_two_unanswered_frames_are_a_loss() -> None:
    """They say more than a heartbeat, and sooner."""
    async with running() as (near, site):
        fall_silent(site)
        for _ in range(2):
            assert near.radio.up
            with pytest.raises(Unconfirmed, match="did not answer within"):
                await near.send(1, 2, 3)
        assert not near.radio.up
        assert near.radio.statistics.timeouts == 2
        heal(site)
        await until(lambda: near.radio.up, BACK_S)
        down = next(event for event in near.events if event.kind == "down")
        assert down.text == "2 frames in a row were not answered"


async def test_one_late_answer_is_no_loss() -> None:
    async with running() as (near, site):
        fall_silent(site)
        with pytest.raises(Unconfirmed, match="did not answer within"):
            await near.send(1, 2, 3)
        heal(site)
        await near.send(1, 2, 3)
        fall_silent(site)
        with pytest.raises(Unconfirmed, match="did not answer within"):
            await near.send(1, 2, 3)
        heal(site)
        assert near.radio.up
        assert near.radio.statistics.losses == 0


async def test_an_idle_radio_stays_up() -> None:
    async with running() as (near, site):
        await until(lambda: site.coordinator.calls["nop"] >= 2)
        assert near.radio.up
        assert near.radio.statistics.starts == 1


def tasks() -> set[str]:
    current = asyncio.current_task()
    return {task.get_name() for task in asyncio.all_tasks() if task is not current}


def threads() -> set[str]:
    """Without those that the event loop keeps for file operations, and ends by itself."""
    return {thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("moment_s", [0.0, 0.02, 0.1, None], ids=["at once", "early", "midway", "when up"])
async def test_stopping_leaves_nothing_behind(
    moment_s: float | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whenever it happens: while the database opens, while the coordinator starts, when it is up."""
    site = await serve(Random(1))
    files, others, before = open_files(), tasks(), threads()
    for _ in range(2):
        async with radio_at(site.path, database=tmp_path / "zigbee.db") as near:
            if moment_s is None:
                await until(lambda: near.radio.up, START_S)
            else:
                await asyncio.sleep(moment_s)
        assert tasks() == others
        assert threads() == before
    assert open_files() == files
    gc.collect()
    assert caplog.text == ""
    await site.stop()


async def test_a_lost_coordinator_leaves_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    others, files = tasks(), open_files()
    async with running() as (near, site):
        hang(site)
        await until(lambda: not near.radio.up, NOTICED_S)
    assert tasks() == others
    assert open_files() == files
    gc.collect()
    assert "never retrieved" not in caplog.text


PROGRAM = """
import asyncio, random, sys, time
from pathlib import Path
from drivers.zigbee.radio import ZigbeeRadio
from drivers.zigbee.settings import ZigbeeSettings

async def main():
    settings = ZigbeeSettings(path=sys.argv[1], slots=(0,), database=Path(sys.argv[2]))
    radio = ZigbeeRadio(settings, key=bytes(32), on_event=print, clock=time.monotonic, rng=random.Random(1))
    await radio.start()
    while radio.problem is None:
        await asyncio.sleep(0.01)
    print(radio.problem)
    await radio.stop()

asyncio.run(main())
"""


@pytest.mark.parametrize("database", ["sound", "damaged"])
def test_a_process_whose_radio_never_came_up_can_exit(database: str, tmp_path: Path) -> None:
    """A database thread left behind by a failed start would keep it alive for ever."""
    file = tmp_path / "zigbee.db"
    if database == "damaged":
        file.write_bytes(b"not a database" * 1000)
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, "/dev/does-not-exist", str(file)],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert (
        "does not exist" if database == "sound" else f"{file}, cannot be used (file is not a database)"
    ) in ended.stdout
