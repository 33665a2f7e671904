"""The virtual Shelly by its documentation's own words: curl, and the driver beside it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from drivers.devices.shelly import Shelly
from drivers.errors import ConfigError, DriverError, Transient, Unconfirmed
from plant.devices.virtual_shelly import VirtualShelly


class Time:
    """A clock that a test sets."""

    at_s = 100.0

    def __call__(self) -> float:
        return self.at_s


@asynccontextmanager
async def device(**more: Any) -> AsyncIterator[tuple[VirtualShelly, int, Time]]:
    time = Time()
    shelly = VirtualShelly(time, **more)
    port = await shelly.start()
    try:
        yield shelly, port, time
    finally:
        await shelly.stop()


@asynccontextmanager
async def spoken_to(port: int, component: Any = "switch", **more: Any) -> AsyncIterator[Shelly]:
    options = {"max_w": 2000, "dead_man_s": 20.0, "timeout_s": 1.0} | more
    driver = Shelly(f"127.0.0.1:{port}", component, 0, **options)
    try:
        yield driver
    finally:
        await driver.close()


async def curl(*arguments: str) -> Any:
    process = await asyncio.create_subprocess_exec(
        "curl", "-s", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return json.loads(out)


async def test_curl_switches_it_for_a_while() -> None:
    async with device() as (shelly, port, time):
        base = f"http://127.0.0.1:{port}/rpc"
        assert await curl(f"{base}/Switch.Set?id=0&on=true&toggle_after=5") == {"was_on": False}
        status = await curl(f"{base}/Switch.GetStatus?id=0")
        assert (status["output"], status["apower"], status["timer_duration"]) == (True, 2000.0, 5.0)
        time.at_s += 5.0
        status = await curl(f"{base}/Switch.GetStatus?id=0")
        assert (status["output"], status["apower"]) == (False, 0.0)
        assert "timer_duration" not in status
        assert shelly.power_w() == 0.0


async def test_curl_proves_a_password_by_digest() -> None:
    async with device(password="a secret") as (_, port, _time):
        url = f"http://127.0.0.1:{port}/rpc/Switch.Set?id=0&on=true"
        assert await curl("--digest", "-u", "admin:a secret", url) == {"was_on": False}
        for user in ("admin:wrong", "root:a secret"):
            with pytest.raises(ValueError):  # noqa: PT011 - an empty body
                await curl("--digest", "-u", user, url)
        info = await curl(f"http://127.0.0.1:{port}/rpc/Shelly.GetDeviceInfo")
        assert info["auth_en"] is True


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("Relay.Set", {"id": 0, "on": True}, 404),
        ("Light.Set", {"id": 0, "on": True}, 404),
        ("Switch.Set", {"id": 1, "on": True}, -105),
        ("Switch.Set", {"on": True}, -103),
        ("Switch.Set", {"id": 0, "on": "true"}, -103),
        ("Switch.Set", {"id": 0, "on": True, "toggle_after": -1}, -103),
    ],
)
async def test_it_refuses_what_the_device_refuses(method: str, params: dict[str, Any], code: int) -> None:
    async with device() as (_, port, _time), aiohttp.ClientSession() as session:
        frame = {"id": 7, "method": method, "params": params}
        async with session.post(f"http://127.0.0.1:{port}/rpc", json=frame) as response:
            answer = await response.json()
    assert (answer["id"], answer["error"]["code"]) == (7, code)


async def test_the_driver_switches_and_the_device_lets_go_by_itself() -> None:
    async with device() as (shelly, port, time), spoken_to(port) as driver:
        await driver.open()
        await driver.write(2000)
        reading = await driver.read()
        assert (reading.applied_w, reading.power_w, reading.detail) == (2000, 2000.0, "")
        time.at_s += 15.0
        await driver.write(2000)  # renews the timer
        time.at_s += 15.0
        assert shelly.power_w() == 2000.0
        time.at_s += 5.0
        assert shelly.power_w() == 0.0
        assert (await driver.read()).applied_w == 0


async def test_off_stays_off() -> None:
    """A timer on a device that is off would switch it on."""
    async with device() as (shelly, port, time), spoken_to(port) as driver:
        await driver.open()
        await driver.write(2000)
        await driver.write(0)
        for _ in range(5):
            time.at_s += 10.0
            assert shelly.power_w() == 0.0


@pytest.mark.parametrize("watts", [0, 1, 19, 20, 999, 1995, 2000, 2500])
async def test_a_dimmer_never_gets_more_than_was_told(watts: int) -> None:
    async with device(component="light") as (shelly, port, _), spoken_to(port, "light") as driver:
        await driver.open()
        await driver.write(watts)
        assert watts - 20 < shelly.power_w() <= watts or shelly.power_w() == 2000.0
        told_w = 0 if watts < 20 else min(watts, 2000)
        assert (await driver.read()).applied_w == told_w, "a percent is coarser than what was told"


async def test_a_dimmer_that_somebody_has_turned_says_what_it_follows() -> None:
    async with device(component="light") as (shelly, port, _), spoken_to(port, "light") as driver:
        await driver.open()
        await driver.write(999)
        shelly.brightness = 50.0
        assert (await driver.read()).applied_w == 1000


async def test_a_relay_is_on_only_for_all_that_it_draws() -> None:
    async with device() as (shelly, port, _), spoken_to(port) as driver:
        await driver.open()
        await driver.write(1999)
        assert shelly.power_w() == 0.0


async def test_a_device_without_a_timer_is_switched_off_and_refused() -> None:
    async with device() as (shelly, port, _), spoken_to(port) as driver:
        shelly.faults.ignores_timer = True
        await driver.open()
        with pytest.raises(ConfigError, match="does not run its timer"):
            await driver.write(2000)
        assert shelly.power_w() == 0.0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"initial_state": "on"}, "Power on default"),
        ({"initial_state": "restore_last"}, "Power on default"),
        ({"auto_on": True}, "Auto ON"),
        ({"generation": 1}, "first generation"),
        ({"password": "a secret"}, "password_file"),
        ({"component": "light"}, "No handler for Switch"),
    ],
)
async def test_a_device_that_cannot_be_trusted_is_refused_in_words(more: dict[str, Any], words: str) -> None:
    async with device(**more) as (_, port, _time), spoken_to(port) as driver:
        with pytest.raises(ConfigError, match=words):
            await driver.open()


async def test_passwords_are_proven_and_wrong_ones_named() -> None:
    async with device(password="a secret") as (shelly, port, _):
        async with spoken_to(port, password="a secret") as driver:
            await driver.open()
            for _round in range(3):
                await driver.write(2000)
            assert shelly.output
        async with spoken_to(port, password="wrong") as driver:
            with pytest.raises(ConfigError, match="refuses the password"):
                await driver.open()


async def test_another_device_at_the_same_address_is_noticed() -> None:
    async with device() as (shelly, port, _), spoken_to(port) as driver:
        await driver.open()
        shelly.mac = "A8032A000000"
        with pytest.raises(ConfigError, match="another device now"):
            await driver.open()


async def test_what_became_of_a_request_is_said_as_far_as_it_is_known() -> None:
    async with device() as (shelly, port, _):
        async with spoken_to(port, timeout_s=0.1) as driver:
            await driver.open()
            shelly.faults.hangs = True
            with pytest.raises(Unconfirmed, match="did not answer"):
                await driver.write(2000)
        async with spoken_to(port) as driver:
            with pytest.raises(Transient, match="not connected"):
                await driver.write(2000)
    async with spoken_to(port) as driver:
        with pytest.raises(Transient, match="is not there") as caught:
            await driver.open()
        assert not isinstance(caught.value, Unconfirmed)


@pytest.mark.parametrize(
    "answer",
    [b"", b"[]", b"{}", b'{"id": 999, "result": {}}', b'{"id": 1, "result": []}', b"\xff\xfe", b"<html>"],
)
async def test_nothing_that_answers_breaks_the_driver(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(answer) + answer
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, spoken_to(server.sockets[0].getsockname()[1]) as driver:
        with pytest.raises(DriverError):
            await driver.open()
