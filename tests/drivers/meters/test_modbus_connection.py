"""The Modbus driver and connections that fail, over TCP."""

import asyncio
import time

import pytest

from drivers.errors import Transient
from drivers.meters.modbus import ModbusMeter, Tcp
from drivers.meters.profile import load_profile
from tests.support.meter_wire import QUICK, SkippingClock, failure, open_files, wired


async def test_a_mute_meter_fails_every_tick_in_time_and_recovers_on_a_new_connection() -> None:
    async with wired() as wire:
        meter = wire.driver(**QUICK)
        await meter.start()
        assert meter.connects == 1
        wire.virtual.faults.mute = True
        for _ in range(5):
            started = time.monotonic()
            assert (await failure(meter)).kind in ("timeout", "disconnected")
            assert time.monotonic() - started < 0.6
            wire.clock.skipped_s += 1.0
        wire.virtual.faults.mute = False
        wire.clock.skipped_s += 2.0
        assert (await meter.read()).grid_power_w == pytest.approx(wire.house.power_w)
        assert 2 <= meter.connects <= 5


async def test_a_server_that_restarts_is_found_again() -> None:
    async with wired() as wire:
        meter = wire.driver()
        await meter.start()
        await wire.virtual.stop()
        started = time.monotonic()
        assert (await failure(meter)).kind == "disconnected"
        assert time.monotonic() - started < 0.3
        for _ in range(4):
            wire.clock.skipped_s += 1.0
            assert (await failure(meter)).kind == "disconnected"
        await wire.virtual.start(wire.port)
        wire.clock.skipped_s += 2.0  # the longest backoff
        assert (await meter.read()).grid_power_w == pytest.approx(wire.house.power_w)


async def test_a_refused_connection_is_tried_at_most_once_a_second_and_leaks_nothing() -> None:
    async with wired() as wire:
        meter = wire.driver()
        await meter.start()
        await wire.virtual.stop()
        await failure(meter)
        files, tasks, attempts = open_files(), asyncio.all_tasks(), meter.connects
        for _ in range(1200):  # two minutes at ten reads a second
            wire.clock.skipped_s += 0.1
            await failure(meter)
        assert 50 <= meter.connects - attempts <= 120
        assert open_files() == files
        assert asyncio.all_tasks() == tasks


async def test_a_connection_that_is_accepted_and_closed_is_not_stormed() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    clock = SkippingClock()
    port = server.sockets[0].getsockname()[1]
    meter = ModbusMeter(load_profile("sdm630"), Tcp("127.0.0.1", port), clock=clock)
    await failure(meter)
    files, attempts = open_files(), meter.connects
    for _ in range(200):
        clock.skipped_s += 0.1
        await failure(meter)
    await asyncio.sleep(0.01)
    assert meter.connects - attempts <= 20
    assert open_files() <= files + 1
    await meter.stop()
    server.close()
    await server.wait_closed()


async def test_a_cut_connection_is_noticed_before_the_timeout() -> None:
    async with wired() as wire:
        meter = wire.driver(timeout_s=5.0, read_limit_s=10.0)
        await meter.start()
        wire.virtual.faults.mute = True
        started = time.monotonic()
        reading = asyncio.create_task(meter.read())
        await asyncio.sleep(0.05)
        await wire.virtual.stop()
        with pytest.raises(Transient) as caught:
            await reading
        assert caught.value.kind == "disconnected"
        assert time.monotonic() - started < 2.0


@pytest.mark.parametrize("noise", [b"\x00" * 40, b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(range(256)) * 3])
async def test_a_stranger_on_the_port_is_no_meter(noise: bytes) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(12)
        writer.write(noise)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    meter = ModbusMeter(load_profile("sdm630"), Tcp("127.0.0.1", port), clock=SkippingClock(), **QUICK)
    with pytest.raises(Transient):
        await meter.start()
    await meter.stop()
    await asyncio.sleep(0.01)
    server.close()
    await server.wait_closed()


async def test_cancelling_a_read_leaves_nothing_behind() -> None:
    async with wired() as wire:
        meter = wire.driver()
        await meter.start()
        tasks, files = asyncio.all_tasks(), open_files()
        wire.virtual.faults.late_s = 0.1
        for _ in range(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await meter.read()
        wire.virtual.faults.late_s = 0.0
        wire.house.power_w = (10.0, 20.0, 30.0)
        assert (await meter.read()).grid_power_w == pytest.approx((10.0, 20.0, 30.0))
        assert asyncio.all_tasks() == tasks
        assert open_files() == files


async def test_half_open_connection_at_start() -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    meter = ModbusMeter(load_profile("sdm630"), Tcp("127.0.0.1", port), clock=time.monotonic)
    started = time.monotonic()
    with pytest.raises(Transient):
        await meter.start()
    assert time.monotonic() - started < 1.0
    await meter.stop()
    await asyncio.sleep(0.01)
    server.close()
    await server.wait_closed()


async def test_answers_to_other_requests_are_never_taken() -> None:
    """A gateway whose transaction ids are off by one: no reading, and a new connection."""

    async def confuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(12):
            transaction = int.from_bytes(request[:2], "big") - 1
            body = bytes([1, 4, 72]) + b"\x44\x00" * 36
            writer.write(transaction.to_bytes(2, "big") + b"\x00\x00" + len(body).to_bytes(2, "big") + body)
        writer.close()

    server = await asyncio.start_server(confuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    clock = SkippingClock()
    meter = ModbusMeter(load_profile("sdm630"), Tcp("127.0.0.1", port), clock=clock, **QUICK)
    for _ in range(4):
        await failure(meter)
        clock.skipped_s += 2.0
    assert meter.connects >= 2
    await meter.stop()
    await asyncio.sleep(0.01)
    server.close()
    await server.wait_closed()


async def test_two_drivers_share_one_meter() -> None:
    async with wired() as wire:
        one, other = wire.driver(), wire.driver()
        await asyncio.gather(one.start(), other.start())
        for _ in range(20):
            readings = await asyncio.gather(one.read(), other.read())
            assert all(r.grid_power_w == pytest.approx(wire.house.power_w) for r in readings)
