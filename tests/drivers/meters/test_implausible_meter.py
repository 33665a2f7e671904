"""Plausibility of what a meter that errs puts on the real wire."""

import pytest

from drivers.errors import DeviceFault, Transient
from drivers.meters.modbus import ModbusMeter
from drivers.meters.plausibility import Plausibility, PlausibilityMemory
from tests.support.meter_wire import Wire, wired


async def checked(wire: Wire, meter: ModbusMeter) -> tuple[str, ...]:
    return Plausibility().check(await meter.read(), wire.clock(), PlausibilityMemory())[0]


@pytest.mark.parametrize("layout", ["sdm630", "b23", "umg", "iem3155", "dtsu666", "sunspec-213"])
@pytest.mark.parametrize(
    ("fault", "value"),
    [("scale", 10.0), ("scale", 1000.0), ("swapped_words", True), ("swapped_bytes", True), ("zeroed", True)],
)
async def test_values_that_cannot_be_are_refused(layout: str, fault: str, value: object) -> None:
    async with wired(layout) as wire:
        meter = wire.driver(layout)
        await meter.start()
        assert await checked(wire, meter) == ()
        setattr(wire.virtual.faults, fault, value)
        try:
            causes = await checked(wire, meter)
        except (Transient, DeviceFault) as error:
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


async def test_phases_of_two_instants_are_refused_once_they_differ() -> None:
    async with wired() as wire:
        meter = wire.driver()
        await meter.start()
        wire.virtual.faults.torn = True
        assert await checked(wire, meter) == ()
        wire.house.power_w = (1500.0, -2500.0, 820.0)
        assert await checked(wire, meter) == ("apparent",)


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
