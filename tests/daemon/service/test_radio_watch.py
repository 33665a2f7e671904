"""A radio that does not come back although its coordinator is there ends the process, once."""

import asyncio
import os
from pathlib import Path
from typing import cast

import pytest

from daemon.errors import StartError
from daemon.service import radio_watch
from daemon.service.radio_watch import GIVE_UP_S, ended_without_radio, is_there
from drivers.zigbee.radio import ZigbeeRadio


class WatchedRadio:
    """What the watch looks at."""

    up = True
    problem = "the coordinator does not answer"


class WatchClock:
    at_s = 0.0

    def __call__(self) -> float:
        return self.at_s


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(radio_watch, "LOOK_EVERY_S", 0.001)


async def live(path: str, story: list[tuple[float, bool]]) -> bool:
    """Whether the watch has ended the daemon by the end of (instant, radio up)."""
    radio, clock, stopping = WatchedRadio(), WatchClock(), asyncio.Event()
    async with ended_without_radio(cast(ZigbeeRadio, radio), path, clock, stopping):
        for clock.at_s, radio.up in story:
            await asyncio.sleep(0.05)
        return stopping.is_set()


async def test_it_is_given_up_after_its_time_and_says_why(tmp_path: Path) -> None:
    port = tmp_path / "ttyUSB0"
    port.touch()
    assert not await live(str(port), [(0.0, True), (10.0, False), (10.0 + GIVE_UP_S - 1.0, False)])
    with pytest.raises(StartError, match=r"not up for 40 s \(the coordinator does not answer\).*new process"):
        await live(str(port), [(0.0, True), (10.0, False), (10.0 + GIVE_UP_S, False)])


async def test_a_sign_of_life_begins_the_time_anew(tmp_path: Path) -> None:
    port = tmp_path / "ttyUSB0"
    port.touch()
    story = [(at_s, at_s % 36.0 == 0.0) for at_s in map(float, range(0, 396, 18))]
    assert not await live(str(port), story)


async def test_an_unplugged_stick_leaves_the_page_up(tmp_path: Path) -> None:
    assert not await live(str(tmp_path / "gone"), [(0.0, False), (10_000.0, False)])


async def test_who_is_there(tmp_path: Path) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await is_there(f"socket://127.0.0.1:{port}")
    server.close()
    await server.wait_closed()
    assert not await is_there(f"socket://127.0.0.1:{port}")
    assert not await is_there("socket://127.0.0.1:none")
    near, far = os.openpty()
    assert await is_there(os.ttyname(far))
    os.close(near)
    os.close(far)
    assert not await is_there(str(tmp_path / "ttyUSB0"))
