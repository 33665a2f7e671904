"""A meter that pushes SML, over a pseudo-terminal at its line speed."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from drivers.errors import ConfigError, DeviceFault, DriverError, Transient
from drivers.meters.plausibility import Plausibility, PlausibilityMemory
from drivers.meters.sml import Sml
from drivers.meters.telegram_meter import PushMeter
from drivers.ports import Reading
from plant.meters.sml_meter import SERVER_ID, SmlMeter
from tests.support.meter_wire import SkippingClock, WiredMeter

FAST: dict[str, Any] = {"baudrate": 115200, "every_s": 0.1}


@asynccontextmanager
async def sending(**options: Any) -> AsyncIterator[tuple[SmlMeter, str]]:
    """A meter that sends, and the path of its port."""
    meter = SmlMeter(WiredMeter(), time.monotonic, **(FAST | options))
    path = meter.plug()
    task = asyncio.create_task(meter.run())
    try:
        yield meter, path
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        meter.unplug()


@asynccontextmanager
async def reading(path: str, baudrate: int = FAST["baudrate"], **options: Any) -> AsyncIterator[PushMeter]:
    """A started driver."""
    settings: dict[str, Any] = {"clock": SkippingClock(), "read_limit_s": 0.3} | options
    driver = PushMeter(path, Sml(), baudrate, **settings)
    try:
        await driver.start()
        yield driver
    finally:
        await driver.stop()


async def failures(driver: PushMeter, fault: Callable[[], None], reads: int) -> list[DriverError]:
    """What reads end with after a fault; the first may still see a telegram from before."""
    fault()
    found: list[DriverError] = []
    for _ in range(reads):
        try:
            await driver.read()
        except DriverError as error:
            found.append(error)
    return found


async def test_it_is_read_at_its_line_speed_and_nothing_is_written_to_it() -> None:
    async with (
        sending(baudrate=9600, every_s=0.6) as (meter, path),
        reading(path, 9600, read_limit_s=0.75) as driver,
    ):
        first = await driver.read()
        second = await driver.read()
        assert first.grid_power_w == second.grid_power_w == (1500.0, -2500.0, 320.0)
        assert first.voltage_v == (231.0, 229.0, 233.0)
        assert first.frequency_hz == 50.0
        assert driver.identity == tuple(SERVER_ID)
        assert driver.energy.import_wh == 1_234_000.0
        assert driver.energy.export_wh == 77_000.0
        assert meter.heard() == b""
        assert Plausibility().check(first, 0.0, PlausibilityMemory())[0] == ()


async def test_another_speed_reads_nothing() -> None:
    async with sending() as (_, path):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5), reading(path, 9600):
                pass


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("garbled", "checksum"), ("wrong_checksum", "checksum"), ("cut", "timeout"), ("mute", "timeout")],
)
async def test_a_fault_costs_samples_until_it_is_gone(fault: str, kind: str) -> None:
    async with sending() as (meter, path), reading(path) as driver:
        found = await failures(driver, lambda: setattr(meter.faults, fault, True), 4)
        assert {error.kind for error in found if isinstance(error, Transient)} == {kind}
        assert len(found) >= 2
        setattr(meter.faults, fault, False)
        await asyncio.sleep(0.3)
        assert (await driver.read()).grid_power_w == (1500.0, -2500.0, 320.0)


async def test_noise_between_telegrams_costs_nothing() -> None:
    async with sending() as (meter, path), reading(path) as driver:
        meter.faults.noise = bytes(range(256)) + b"\x1b" * 3
        assert await failures(driver, lambda: None, 5) == []


async def test_a_locked_meter_is_refused_at_the_start_and_stops_the_site_later() -> None:
    async with sending() as (meter, path):
        async with reading(path) as driver:

            def lock() -> None:  # a power cut, after which some meters forget their setting
                meter.faults.locked = True

            found = await failures(driver, lock, 4)
            assert isinstance(found[-1], DeviceFault)
            assert found[-1].cause == "meter_config"
        said = "the meter does not tell the power of each of three phases .*PIN"
        with pytest.raises(ConfigError, match=said):
            async with reading(path):
                pass


async def test_another_meter_under_the_head_is_noticed() -> None:
    async with sending() as (meter, path), reading(path) as driver:

        def exchange() -> None:
            meter.server_id = SERVER_ID[:-1] + b"\x01"

        found = await failures(driver, exchange, 3)
        assert isinstance(found[-1], DeviceFault)
        assert found[-1].cause == "meter_identity"
        assert "0a01534b50000012d601" in str(found[-1])


async def test_a_meter_slower_than_control_is_refused() -> None:
    async with sending(every_s=0.4) as (_, path):
        with pytest.raises(ConfigError, match=r"every 0\.[45] s, and a period without a telegram"):
            async with reading(path, period_s=0.2):
                pass


async def test_a_pulled_head_is_noticed() -> None:
    async with sending() as (meter, path), reading(path) as driver:
        found = await failures(driver, meter.unplug, 3)
        assert isinstance(found[-1], Transient)
        assert found[-1].kind == "disconnected"


async def test_a_frozen_meter_is_noticed_by_what_it_tells() -> None:
    """Clock and checksum go on, the measurement does not."""

    async def causes(scaler: int) -> tuple[str, ...]:
        async with sending(scaler=scaler) as (_, path), reading(path) as driver:
            readings: list[Reading] = [await driver.read() for _ in range(6)]
        memory = PlausibilityMemory()
        found: tuple[str, ...] = ()
        for second, item in enumerate(readings):
            found, memory = Plausibility().check(item, 2.0 * second, memory)
        return found

    assert await causes(-1) == ("frozen",)
    assert await causes(0) == ()
