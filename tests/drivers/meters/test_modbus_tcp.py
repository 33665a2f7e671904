"""The Modbus driver and a real server over TCP: what is read, and answers that are wrong."""

import asyncio
import time
from dataclasses import replace

import pytest

from drivers.errors import ConfigError, DeviceFault
from drivers.meters.plausibility import Plausibility, PlausibilityMemory
from plant.meters.layouts import LAYOUTS
from tests.support.meter_wire import QUICK, failure, wired


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
async def test_reads_the_signed_power_of_every_layout(layout: str) -> None:
    async with wired(layout) as wire:
        meter = wire.driver(layout)
        await meter.start()
        memory = PlausibilityMemory()
        told: dict[str, tuple[float, ...]] = {}
        for second in range(6):  # slow blocks come one by one
            wire.house.power_w = (1500.0 + second, -2500.0, 320.0)
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


@pytest.mark.parametrize(
    ("profile", "told_wh"), [("sdm630", [77_000.0, 1_234_000.0]), ("sunspec-203", [None, None])]
)
async def test_turned_transformers_exchange_the_counters(profile: str, told_wh: list[float | None]) -> None:
    """Unless `invert` may as well stand for a maker that counts export positive: then nobody knows."""
    async with wired(profile) as wire:
        meter = wire.driver(profile, invert=True)
        for _ in range(4):
            await meter.read()
            wire.clock.skipped_s += 6.0
    assert [meter.energy.import_wh, meter.energy.export_wh] == told_wh


async def test_each_counter_is_as_old_as_its_own_reading() -> None:
    async with wired("em24") as wire:
        meter = wire.driver("em24")
        for _ in range(8):
            await meter.read()
            wire.clock.skipped_s += 6.0
    assert meter.energy.export_at_s != meter.energy.import_at_s
    assert abs(meter.energy.export_at_s - meter.energy.import_at_s) > 5.0


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
        with pytest.raises(DeviceFault) as caught:
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
        with pytest.raises(DeviceFault, match="check device_id") as caught:
            await wire.driver(device_id=7).start()
        assert caught.value.cause == "meter_config"


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
async def test_not_available_is_not_a_number(layout: str) -> None:
    async with wired(layout) as wire:
        meter = wire.driver(layout)
        await meter.start()
        wire.virtual.faults.absent = True
        assert (await failure(meter)).kind == "not_available"


async def test_another_device_is_noticed_after_a_reconnect_and_from_time_to_time() -> None:
    async with wired() as wire:
        meter = wire.driver()
        await meter.start()
        commissioned = meter.identity
        assert commissioned
        wire.virtual.serial_number += 1
        await meter.read()
        wire.clock.skipped_s += 601.0
        with pytest.raises(DeviceFault) as caught:
            await meter.read()
        assert caught.value.cause == "meter_identity"
        with pytest.raises(DeviceFault):
            await wire.driver(identity=commissioned).start()

        wire.virtual.serial_number -= 1
        meter = wire.driver()
        await meter.start()
        await wire.virtual.stop()
        await failure(meter)
        wire.virtual.serial_number += 1
        await wire.virtual.start(wire.port)
        wire.clock.skipped_s += 2.0
        with pytest.raises(DeviceFault) as caught:
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
        ask = meter._line.read_registers

        async def mute_for_energies(
            function: int, address: int, count: int, deadline_s: float
        ) -> tuple[int, ...]:
            wire.virtual.faults.mute = address == 0x46
            return await ask(function, address, count, deadline_s)

        monkeypatch.setattr(meter._line, "read_registers", mute_for_energies)
        for _ in range(5):
            reading = await meter.read()
            assert reading.grid_power_w == pytest.approx(wire.house.power_w)
            assert reading.frequency_hz is None
            wire.clock.skipped_s += 6.0
        monkeypatch.undo()
        wire.virtual.faults.mute = False
        assert (await meter.read()).frequency_hz == 50.0
