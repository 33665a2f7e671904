"""The Modbus driver against a real server that misbehaves, over TCP."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from drivers.errors import Broken, ConfigError, Transient
from drivers.modbus import ModbusMeter, Tcp
from drivers.plausibility import Plausibility, PlausibilityMemory
from drivers.profile import load_profile
from plant.meter_layouts import LAYOUTS
from tests.drivers.wire import SkippingClock, Wire, open_files, wired

QUICK: dict[str, Any] = {"timeout_s": 0.1, "read_limit_s": 0.4}


async def failure(meter: ModbusMeter) -> Transient:
    with pytest.raises(Transient) as caught:
        await meter.read()
    return caught.value


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
async def test_reads_the_signed_power_of_every_layout(layout: str) -> None:
    async with wired(layout) as wire:
        meter = wire.driver(layout)
        await meter.start()
        memory = PlausibilityMemory()
        told: dict[str, tuple[float, ...]] = {}
        for _ in range(6):  # slow blocks come one by one
            reading = await meter.read()
            causes, memory = Plausibility().check(reading, wire.clock(), memory)
            assert causes == ()
            assert reading.grid_power_w == pytest.approx(wire.house.power_w, abs=0.6)
            assert reading.total_power_w == pytest.approx(sum(wire.house.power_w), abs=0.6)
            if reading.voltage_v is not None:
                told["voltage"] = reading.voltage_v
            if reading.frequency_hz is not None:
                told["frequency"] = (reading.frequency_hz,)
            wire.clock.skipped_s += 5.0
        assert told["voltage"] == pytest.approx(wire.house.voltage_v, abs=0.1)
        assert told["frequency"] == pytest.approx((50.0,))
        assert meter.energy.import_wh == pytest.approx(1_234_000.0, rel=1e-4)
        assert meter.energy.export_wh == pytest.approx(77_000.0, rel=1e-4)


async def test_inverted_transformers() -> None:
    async with wired() as wire:
        reading = await wire.driver(invert=True).read()
        assert reading.grid_power_w == pytest.approx((-1500.0, 2500.0, -320.0))
        assert reading.total_power_w == pytest.approx(680.0)


async def test_a_reversed_sign_and_swapped_phases_are_read_as_told() -> None:
    """They cannot be seen on the wire; commissioning and the loop's own response reveal them."""
    async with wired() as wire:
        meter = wire.driver()
        wire.virtual.faults.reversed_sign = True
        assert (await meter.read()).grid_power_w == pytest.approx((-1500.0, 2500.0, -320.0))
        wire.virtual.faults.reversed_sign = False
        wire.virtual.faults.swapped_phases = True
        assert (await meter.read()).grid_power_w == pytest.approx((-2500.0, 320.0, 1500.0))


async def test_one_lost_answer_costs_a_retry_and_two_cost_one_tick() -> None:
    async with wired() as wire:
        meter = wire.driver()
        await meter.start()
        wire.virtual.faults.drop = 1
        started = time.monotonic()
        assert (await meter.read()).grid_power_w == pytest.approx(wire.house.power_w)
        assert time.monotonic() - started < 0.7
        wire.virtual.faults.drop = 2
        started = time.monotonic()
        assert (await failure(meter)).kind == "timeout"
        assert time.monotonic() - started < 0.8
        started = time.monotonic()
        await meter.read()
        assert time.monotonic() - started < 0.7


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


async def test_a_late_answer_is_not_taken_for_the_next() -> None:
    async with wired() as wire:
        meter = wire.driver(**QUICK)
        await meter.start()
        wire.virtual.faults.late_s = 0.25
        assert (await failure(meter)).kind == "timeout"
        wire.virtual.faults.late_s = 0.02
        wire.house.power_w = (111.0, 222.0, 333.0)  # the late answers still hold the old power
        assert (await meter.read()).grid_power_w == pytest.approx((111.0, 222.0, 333.0))
        await asyncio.sleep(0.25)
        wire.house.power_w = (444.0, 555.0, 666.0)
        assert (await meter.read()).grid_power_w == pytest.approx((444.0, 555.0, 666.0))


async def test_a_short_answer_is_no_answer() -> None:
    async with wired() as wire:
        meter = wire.driver()
        await meter.start()
        wire.virtual.faults.short_by = 2
        assert (await failure(meter)).kind == "short"
        wire.virtual.faults.short_by = 0
        assert (await meter.read()).grid_power_w == pytest.approx(wire.house.power_w)


@pytest.mark.parametrize("code", [1, 2, 3])
async def test_a_refusal_is_a_matter_of_configuration(code: int) -> None:
    async with wired() as wire:
        wire.virtual.faults.exception = code
        with pytest.raises(ConfigError, match="check profile and device_id"):
            await wire.driver().start()
        wire.virtual.faults.exception = None
        meter = wire.driver()
        await meter.start()
        wire.virtual.faults.exception = code
        with pytest.raises(Broken) as caught:
            await meter.read()
        assert caught.value.cause == "meter_config"


@pytest.mark.parametrize("code", [4, 5, 6, 10, 11])
async def test_a_busy_meter_is_tried_again(code: int) -> None:
    async with wired() as wire:
        meter = wire.driver()
        await meter.start()
        before = wire.virtual.answers
        wire.virtual.faults.exception = code
        assert (await failure(meter)).kind == f"exc_{code}"
        assert wire.virtual.answers == before + 2
        wire.virtual.faults.exception = None
        await meter.read()


async def test_a_wrong_device_id_is_told_at_start() -> None:
    async with wired() as wire:
        with pytest.raises(Broken, match="check device_id") as caught:
            await wire.driver(device_id=7).start()
        assert caught.value.cause == "meter_unit"


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
async def test_not_available_is_not_a_number(layout: str) -> None:
    async with wired(layout) as wire:
        meter = wire.driver(layout)
        await meter.start()
        wire.virtual.faults.absent = True
        assert (await failure(meter)).kind == "not_available"


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


async def test_another_device_is_noticed_after_a_reconnect_and_from_time_to_time() -> None:
    async with wired() as wire:
        meter = wire.driver()
        await meter.start()
        commissioned = meter.identity
        assert commissioned
        wire.virtual.serial_number += 1
        await meter.read()
        wire.clock.skipped_s += 601.0
        with pytest.raises(Broken) as caught:
            await meter.read()
        assert caught.value.cause == "meter_identity"
        with pytest.raises(Broken):
            await wire.driver(identity=commissioned).start()

        wire.virtual.serial_number -= 1
        meter = wire.driver()
        await meter.start()
        await wire.virtual.stop()
        await failure(meter)
        wire.virtual.serial_number += 1
        await wire.virtual.start(wire.port)
        wire.clock.skipped_s += 2.0
        with pytest.raises(Broken) as caught:
            await meter.read()
        assert caught.value.cause == "meter_identity"


async def test_a_meter_set_up_wrongly_is_refused_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LAYOUTS, "em24", replace(LAYOUTS["em24"], constants={0x1101: (0,)}))
    async with wired("em24") as wire:
        with pytest.raises(ConfigError, match="application is 0, expected 7; set the meter to application H"):
            await wire.driver("em24").start()


async def test_a_value_that_a_variant_lacks_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LAYOUTS, "sdm630", replace(LAYOUTS["sdm630"], ranges=((0, 60), (0xFC00, 2))))
    async with wired() as wire:
        meter = wire.driver()
        await meter.start()
        for _ in range(3):
            reading = await meter.read()
            assert reading.frequency_hz is None
            wire.clock.skipped_s += 6.0
        assert meter.energy.import_wh is None


async def test_a_slow_value_that_does_not_come_harms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with wired() as wire:
        meter = wire.driver(timeout_s=0.1)
        await meter.start()
        ask = meter._line.ask

        async def mute_for_energies(
            function: int, address: int, count: int, deadline_s: float
        ) -> tuple[int, ...]:
            wire.virtual.faults.mute = address == 0x46
            return await ask(function, address, count, deadline_s)

        monkeypatch.setattr(meter._line, "ask", mute_for_energies)
        for _ in range(5):
            reading = await meter.read()
            assert reading.grid_power_w == pytest.approx(wire.house.power_w)
            assert reading.frequency_hz is None
            wire.clock.skipped_s += 6.0
        monkeypatch.undo()
        wire.virtual.faults.mute = False
        assert (await meter.read()).frequency_hz == 50.0


async def checked(wire: Wire, meter: ModbusMeter) -> tuple[str, ...]:
    return Plausibility().check(await meter.read(), wire.clock(), PlausibilityMemory())[0]


@pytest.mark.parametrize("layout", ["sdm630", "b23", "umg", "iem3155", "dtsu666", "sunspec-213"])
@pytest.mark.parametrize("fault", ["tenfold", "swapped_words", "swapped_bytes", "zeroed"])
async def test_values_that_cannot_be_are_refused(layout: str, fault: str) -> None:
    async with wired(layout) as wire:
        meter = wire.driver(layout)
        await meter.start()
        assert await checked(wire, meter) == ()
        setattr(wire.virtual.faults, fault, True)
        try:
            causes = await checked(wire, meter)
        except (Transient, Broken) as error:
            causes = (str(error),)
        assert causes


@pytest.mark.parametrize("fault", ["swapped_words", "swapped_bytes", "zeroed"])
async def test_values_that_cannot_be_are_refused_without_voltage_in_the_block(fault: str) -> None:
    async with wired("em24") as wire:
        meter = wire.driver("em24")
        await meter.start()
        assert await checked(wire, meter) == ()
        setattr(wire.virtual.faults, fault, True)
        assert await checked(wire, meter)


async def test_a_frozen_meter_is_noticed_within_ten_seconds() -> None:
    async with wired(noise_w=8.0) as wire:
        meter = wire.driver()
        memory = PlausibilityMemory()
        seen: list[tuple[str, ...]] = []
        for tick in range(60):
            wire.virtual.faults.frozen = 40 <= tick < 55
            causes, memory = Plausibility().check(await meter.read(), wire.clock(), memory)
            seen.append(causes)
            wire.clock.skipped_s += 1.0
        frozen = [tick for tick, causes in enumerate(seen) if causes == ("frozen",)]
        assert frozen == list(range(frozen[0], 55))
        assert 46 <= frozen[0] <= 50
        assert all(causes == () for tick, causes in enumerate(seen) if tick not in frozen)


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
