"""The Modbus driver on a serial line (two joined pseudo-terminals) whose other end misbehaves."""

import asyncio
import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

from drivers.errors import Transient
from drivers.meters.modbus import ModbusMeter
from drivers.meters.modbus_connection import ModbusConnection
from drivers.meters.modbus_transport import Rtu
from drivers.meters.profile import load_profile
from tests.support.meter_wire import SkippingClock, Wire, open_files, wired


def line(wire: Wire, drain_s: float = 0.3) -> ModbusConnection:
    return ModbusConnection(Rtu(wire.path, drain_s=drain_s), clock=time.monotonic, timeout_s=0.1)


async def ask(on: ModbusConnection, address: int, count: int) -> tuple[int, ...]:
    return await on.read_registers(4, address, count, time.monotonic() + 0.75)


async def test_reads_over_a_serial_line() -> None:
    async with wired(serial=True) as wire:
        meter = wire.driver()
        await meter.start()
        for power_w in ((1500.0, -2500.0, 320.0), (-1.0, 0.5, 4321.0)):
            wire.house.power_w = power_w
            assert (await meter.read()).grid_power_w == pytest.approx(power_w)


async def test_a_late_answer_never_passes_for_another_block() -> None:
    async with wired(serial=True) as wire:
        on = line(wire)
        energies = await ask(on, 0x46, 6)
        wire.virtual.faults.late_s = 0.2
        with pytest.raises(Transient):
            await ask(on, 0x00, 36)
        wire.virtual.faults.late_s = 0.0
        assert await ask(on, 0x46, 6) == energies  # asked after the late answer has passed
        await on.close()


async def test_an_answer_later_than_the_drain_is_known_by_its_length() -> None:
    async with wired(serial=True) as wire:
        on = line(wire, drain_s=0.02)
        await ask(on, 0x46, 6)
        wire.virtual.faults.late_s = 0.15
        with pytest.raises(Transient):
            await ask(on, 0x00, 36)
        with pytest.raises(Transient) as caught:
            await ask(on, 0x46, 6)
        assert caught.value.kind == "short"
        await on.close()


@pytest.mark.parametrize("late_s", [0.15, 0.25, 0.4, 0.7, 1.1, 1.6])
async def test_however_late_an_answer_is_it_is_not_taken_for_a_newer_one(late_s: float) -> None:
    """The next request of the same block has an answer of the same length: only their order differs."""
    async with wired(serial=True) as wire:
        meter = wire.driver(timeout_s=0.1, drain_s=0.05, read_limit_s=0.35)
        await meter.start()
        for before_w, after_w in ((1000.0, 2000.0), (3000.0, 4000.0)):
            wire.house.power_w = (before_w, 0.0, 0.0)
            wire.virtual.faults.late_s = late_s
            with pytest.raises(Transient):
                await meter.read()
            wire.house.power_w = (after_w, 0.0, 0.0)
            wire.virtual.faults.late_s = 0.0
            ended_s, read = time.monotonic() + late_s + 2.0, 0
            while time.monotonic() < ended_s and read < 3:
                try:
                    assert (await meter.read()).grid_power_w[0] == pytest.approx(after_w)
                    read += 1
                except Transient:
                    await asyncio.sleep(0.02)
            assert read == 3, "the line has not recovered"


@pytest.mark.parametrize("late_s", [0.12, 0.25, 0.5, 0.9])
async def test_a_meter_that_is_always_late_never_gives_a_sample_of_another_read(late_s: float) -> None:
    async with wired(serial=True) as wire:
        meter = wire.driver(timeout_s=0.1, drain_s=0.02, read_limit_s=0.3)
        await meter.start()
        wire.virtual.faults.late_s = late_s
        for second in range(12):
            wire.house.power_w = (1000.0 * second, 0.0, 0.0)
            try:
                reading = await meter.read()
            except Transient:
                continue
            assert reading.grid_power_w[0] == pytest.approx(1000.0 * second)


async def test_slow_values_of_another_read_are_not_taken_either() -> None:
    """A meter whose slow block is as long as the marker: no late answer of either passes for the other."""
    async with wired("em24", serial=True) as wire:
        meter = wire.driver("em24", timeout_s=0.1, drain_s=0.02, read_limit_s=0.3)
        await meter.start()
        for turn in range(24):
            wire.clock.skipped_s += 5.0  # the next slow block is due
            wire.virtual.faults.late_s = 0.13 if turn % 3 == 0 else 0.0
            with suppress(Transient):
                await meter.read()
            for told_wh, true_wh in (
                (meter.energy.import_wh, 1_234_000.0),
                (meter.energy.export_wh, 77_000.0),
            ):
                assert told_wh is None or told_wh == pytest.approx(true_wh)


async def test_the_retry_waits_for_the_drain_and_fits_the_tick() -> None:
    async with wired(serial=True) as wire:
        meter = wire.driver(timeout_s=0.1, drain_s=0.25)
        await meter.start()
        wire.virtual.faults.drop = 1
        started = time.monotonic()
        assert (await meter.read()).grid_power_w == pytest.approx(wire.house.power_w)
        assert 0.35 <= time.monotonic() - started < 0.75


async def test_without_time_for_the_drain_there_is_no_retry() -> None:
    async with wired(serial=True) as wire:
        meter = wire.driver(timeout_s=0.1, drain_s=0.3, read_limit_s=0.35)
        await meter.start()
        before = wire.virtual.answers
        wire.virtual.faults.drop = 1
        with pytest.raises(Transient):
            await meter.read()
        assert wire.virtual.answers == before + 1
        with pytest.raises(
            Transient
        ) as caught:  # asked again before the drain is over, and too short of time
            await meter._line.read_registers(4, 0, 36, time.monotonic() + 0.01)
        assert caught.value.kind == "draining"


async def test_a_broken_checksum_is_no_answer() -> None:
    async with wired(serial=True) as wire:
        meter = wire.driver(timeout_s=0.1, drain_s=0.05)
        await meter.start()
        wire.virtual.faults.corrupt = True
        with pytest.raises(Transient):
            await meter.read()
        wire.virtual.faults.corrupt = False
        assert (await meter.read()).grid_power_w == pytest.approx(wire.house.power_w)


async def test_a_second_master_on_the_bus_costs_a_sample_at_most() -> None:
    async with wired(serial=True) as wire:
        meter = wire.driver(timeout_s=0.1, drain_s=0.05)
        await meter.start()
        noise = bytes([1, 4, 72, *range(60)])
        assert wire.virtual.line_path is not None
        babbler = os.open(wire.virtual.line_path, os.O_WRONLY | os.O_NOCTTY)
        try:
            for _ in range(5):
                os.write(babbler, noise)
                try:
                    reading = await meter.read()
                except Transient:
                    continue
                assert reading.grid_power_w == pytest.approx(wire.house.power_w)
        finally:
            os.close(babbler)
        assert (await meter.read()).grid_power_w == pytest.approx(wire.house.power_w)


async def test_bytes_that_nobody_asked_for_are_counted_and_answers_are_not() -> None:
    async with wired(serial=True) as wire:
        meter = wire.driver()
        await meter.start()
        for _ in range(3):
            await meter.read()
        assert meter.unasked_total == 0
        assert wire.virtual.line_path is not None
        babbler = os.open(wire.virtual.line_path, os.O_WRONLY | os.O_NOCTTY)
        try:
            os.write(babbler, b"\x02\x04\x00")
            async with asyncio.timeout(5.0):
                while meter.unasked_total == 0:
                    await asyncio.sleep(0.01)
        finally:
            os.close(babbler)


async def test_an_unplugged_port_is_noticed_and_found_again(tmp_path: Path) -> None:
    async with wired(serial=True) as wire:
        by_id = tmp_path / "usb-meter"
        by_id.symlink_to(wire.path)
        meter = wire.driver(transport=Rtu(str(by_id), drain_s=0.1))
        await meter.start()
        await wire.virtual.stop()
        started = time.monotonic()
        with pytest.raises(Transient) as caught:
            await meter.read()
        assert caught.value.kind == "disconnected"
        assert time.monotonic() - started < 0.7
        files = open_files()
        for _ in range(30):
            wire.clock.skipped_s += 1.0
            with pytest.raises(Transient):
                await meter.read()
        assert open_files() == files
        path = await wire.virtual.start_serial()
        by_id.unlink()
        by_id.symlink_to(path)
        wire.clock.skipped_s += 2.0
        assert (await meter.read()).grid_power_w == pytest.approx(wire.house.power_w)


@pytest.mark.parametrize("path", ["/nowhere/ttyUSB0", "/dev/null", "/"])
async def test_a_port_that_is_none(path: str) -> None:
    meter = ModbusMeter(load_profile("sdm630"), Rtu(path), clock=SkippingClock())
    with pytest.raises(Transient, match=path):
        await meter.start()
    await meter.stop()
