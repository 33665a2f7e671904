"""A device on a wire of its own: kept up, told once, and never waited for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from drivers.devices.device_setpoint import DeviceMessageError, DeviceSetpoint
from drivers.devices.device_wire import DeviceEvent, DeviceReading, DeviceWire
from drivers.errors import ConfigError, Transient, Unconfirmed
from drivers.ports import SlaveDriver
from tests.support.scripted_device import ScriptedDevice, message, wire_to
from tests.support.virtual_time import run


@asynccontextmanager
async def kept(
    device: ScriptedDevice,
    events: list[DeviceEvent] | None = None,
    proven_version: str = "",
    **options: float,
) -> AsyncIterator[DeviceWire]:
    wire = wire_to(device, [] if events is None else events, proven_version, **options)
    door: SlaveDriver = wire
    await door.start()
    try:
        yield wire
    finally:
        await door.stop()


async def soon(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30.0):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_message_says_what_it_was_made_of_and_nothing_else_is_one() -> None:
    said = DeviceSetpoint(7, 3500, False)
    assert DeviceSetpoint.from_bytes(said.to_bytes()) == said
    assert (said.base, said.setpoints_w) == (7, (3500,))
    for wrong in (b"", said.to_bytes()[:-1], b"X" + said.to_bytes()[1:]):
        with pytest.raises(DeviceMessageError):
            DeviceSetpoint.from_bytes(wrong)
    for impossible in (DeviceSetpoint(255, 0, True), DeviceSetpoint(0, 40_000, False)):
        with pytest.raises(DeviceMessageError):
            impossible.to_bytes()


def test_what_is_confirmed_is_told_once() -> None:
    async def body() -> None:
        device = ScriptedDevice(reading=DeviceReading(power_w=1480.0))
        async with kept(device) as wire:
            await soon(lambda: wire.up)
            await wire.send(message(1500))
            assert device.told == [1500]
            await asyncio.sleep(5.0)  # nothing is repeated: the dead-man is the device's
            assert device.told == [1500]
            status = wire.reports()[9]
            assert (status.told_w, status.applied_w, status.power_w) == (1500, 1500, 1480.0)
            assert not wire.resting()
            await wire.send(message(0, rest=True))
            assert wire.resting()

    run(body())


def test_a_hanging_device_costs_a_tick_its_patience_once() -> None:
    async def body() -> None:
        device, events = ScriptedDevice(), list[DeviceEvent]()
        async with kept(device, events) as wire:
            await soon(lambda: wire.up)
            device.answer_s = 1e6
            began_s = asyncio.get_running_loop().time()
            with pytest.raises(Unconfirmed):
                await wire.send(message(1500))
            for _ in range(3):
                with pytest.raises(Transient) as told:
                    await wire.send(message(1600))
                assert not isinstance(told.value, Unconfirmed)
            assert asyncio.get_running_loop().time() - began_s <= 0.21
            await soon(lambda: len(events) == 2)
            assert not wire.up
            assert [event.kind for event in events] == ["up", "down"]
            device.answer_s = 0.0
            await soon(lambda: wire.up)
            assert device.told == []
            assert wire.settled() == ()

    run(body())


def test_a_slow_device_confirms_later() -> None:
    async def body() -> None:
        device = ScriptedDevice()
        async with kept(device) as wire:
            await soon(lambda: wire.up)
            device.answer_s = 0.6
            with pytest.raises(Unconfirmed):
                await wire.send(message(1500))
            await soon(lambda: device.told == [1500])
            await asyncio.sleep(0.0)
            ((said, at_s),) = wire.settled()
            assert said.setpoints_w == (1500,)
            assert at_s == pytest.approx(asyncio.get_running_loop().time(), abs=0.1)
            assert wire.settled() == ()
            assert wire.up

    run(body())


def test_its_write_budget_holds_for_everything_but_rest() -> None:
    async def body() -> None:
        device = ScriptedDevice()
        async with kept(device, write_every_s=5.0) as wire:
            await soon(lambda: wire.up)
            await wire.send(message(1500))
            with pytest.raises(Transient, match="every 5 s"):
                await wire.send(message(1600))
            await wire.send(message(0, rest=True))
            assert device.told == [1500, 0]

    run(body())


@pytest.mark.parametrize("error", [Transient("no"), ConfigError("another device answers")])
def test_why_it_is_not_up_is_told_once(error: Exception) -> None:
    async def body() -> None:
        events = list[DeviceEvent]()
        device = ScriptedDevice(error=error)
        async with kept(device, events) as wire:
            await asyncio.sleep(20.0)
            assert not wire.up
            assert wire.problem == str(error)
            assert [(event.kind, event.text) for event in events] == [("problem", str(error))]
            assert 4 <= device.closed <= 12  # the pauses grow to 5 s
            with pytest.raises(Transient, match=str(error)):
                await wire.send(message(1500))
            device.error = None
            await soon(lambda: wire.up)

    run(body())


def test_one_that_cannot_be_trusted_with_power_is_left_alone_for_a_while() -> None:
    async def body() -> None:
        device = ScriptedDevice()
        async with kept(device) as wire:
            await soon(lambda: wire.up)
            device.write_error = ConfigError("it does not run its timer")
            with pytest.raises(Transient, match="does not run its timer"):
                await wire.send(message(1500))
            await soon(lambda: not wire.up)
            opened = device.opened
            await asyncio.sleep(40.0)
            assert device.opened == opened, "it is not switched on and off again and again"
            assert wire.problem == "it does not run its timer"
            device.write_error = None
            await asyncio.sleep(35.0)
            await wire.send(message(1500))

    run(body())


def test_a_wire_that_carries_no_more_just_now_says_nothing_about_the_device() -> None:
    async def body() -> None:
        device = ScriptedDevice()
        async with kept(device) as wire:
            await soon(lambda: wire.up)
            await wire.send(message(0))
            device.write_error = Transient("the air is used up", "budget")
            with pytest.raises(Transient, match="used up"):
                await wire.send(message(1500))
            device.error = device.write_error
            await asyncio.sleep(10.0)
            assert wire.up
            assert wire.resting(), "it follows what it was told last"

    run(body())


def test_another_firmware_than_the_proven_one_is_refused() -> None:
    async def body() -> None:
        device = ScriptedDevice(version="1.1")
        async with kept(device, proven_version="1.0") as wire:
            await asyncio.sleep(20.0)
            assert not wire.up
            assert "firmware is 1.1 now" in wire.problem
            assert "sunkeep commission 'rod'" in wire.problem
            device.version = "1.0"
            await asyncio.sleep(60.0)
            await soon(lambda: wire.up)
        async with kept(device, proven_version="") as wire:
            await soon(lambda: wire.up)

    run(body())


def test_stopping_leaves_nothing_behind() -> None:
    async def body() -> None:
        device = ScriptedDevice()
        async with kept(device) as wire:
            await soon(lambda: wire.up)
            device.answer_s = 1e6
            with pytest.raises(Unconfirmed):
                await wire.send(message(1500))
        assert device.closed == 1
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    run(body())
