"""What only the wires can tell: does the meter answer, does the radio come up, does every slave answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import SystemRandom

from daemon.commissioning.preflight import Item
from daemon.config.device_checks import ZIGBEE_DRIVERS
from daemon.config.settings import Settings, SettingsError, read_site_key
from daemon.errors import InputError, StartError
from daemon.runtime.devices import open_meter, open_radio
from daemon.runtime.state_directory import hold_state, open_counter
from daemon.system.clock import boottime_s
from drivers.devices.device_wire import DeviceWire
from drivers.errors import ConfigError, DeviceFault, Transient
from drivers.ports import SlaveDriver
from drivers.zigbee.radio import ZigbeeRadio

READS = 5
"""A connection of Modbus is made with the first read, which may come too early."""
PAUSE_S = 0.5
ASK_S = 20.0
"""Every slave is asked every 5 s: three requests may be lost."""
DEVICE_S = 10.0
"""As long as meter and radio get."""
LOOK_EVERY_S = 0.05
CHECK_DEVICE = "Check its address, its network and its power."
FAILURES = (ConfigError, DeviceFault, Transient, StartError, InputError, SettingsError, OSError)


async def walk_wires(settings: Settings, path: Path, ask_s: float = ASK_S) -> AsyncIterator[Item]:
    """Read the meter, start the radio, tell every slave behind it 0 W, and open every device of its own.

    Each has a row of its own.

    Args:
        settings: of the site; the daemon must be stopped, because both need meter and coordinator.
        path: the file that the settings came from.
        ask_s: how long the slaves are told 0 W and asked.
    """
    try:
        yield Item("meter", True, await _meter(settings))
    except FAILURES as error:
        yield Item("meter", False, str(error))
    for item in [*await _radio(settings, path, ask_s), *await _devices(settings, path)]:
        yield item


async def _meter(settings: Settings) -> str:
    async with open_meter(settings, boottime_s) as device:
        for left in reversed(range(READS)):
            try:
                reading = await device.read()
            except Transient:
                if not left:
                    raise
                await asyncio.sleep(PAUSE_S)
            else:
                direction = "import" if reading.total_power_w >= 0.0 else "export"
                return f"answers: {abs(reading.total_power_w):.0f} W {direction} over all phases"
    raise AssertionError


async def _radio(settings: Settings, path: Path, ask_s: float) -> list[Item]:
    from daemon.commissioning.radio_test import run_radio_test  # noqa: PLC0415 - it loads what decides

    directory = settings.state.directory
    try:
        with hold_state(directory):
            key, counter = read_site_key(settings, path), open_counter(directory)
            result = await run_radio_test(settings, key, counter, ask_s, lambda _: None)
    except FAILURES as error:
        return [Item("radio", False, str(error)), Item("slaves", False, "not asked: the radio is not there")]
    up = f"up: {result.frames} frames of 0 W, {result.frames_refused} refused"
    rows = [Item("radio", not result.remark, f"up, but {result.remark}." if result.remark else up)]
    if not result.slots:
        return rows
    names = ", ".join(f"{slot.slot} ({slot.name})" for slot in result.silent)
    said = f"never answered: slot {names}. Have they joined, and are they powered?" if names else "all answer"
    return [*rows, Item("slaves", not names, said)]


async def _devices(settings: Settings, path: Path) -> list[Item]:
    """Open every device of its own until it answers: that sets its dead-man, and tells it no setpoint."""
    from daemon.runtime.slave_wires import open_devices  # noqa: PLC0415 - it loads every language of devices

    try:
        async with (
            _radio_of_devices(settings, path) as radio,
            open_devices(settings, radio, boottime_s, SystemRandom()) as wires,
        ):
            with suppress(TimeoutError):
                async with asyncio.timeout(DEVICE_S):
                    while not all(wire.up for wire in wires):
                        await asyncio.sleep(LOOK_EVERY_S)
            return [_device(settings, wire) for wire in wires]
    except FAILURES as error:
        return [Item("devices", False, str(error))]


@asynccontextmanager
async def _radio_of_devices(settings: Settings, path: Path) -> AsyncIterator[ZigbeeRadio | None]:
    """The coordinator, where a device is spoken to through it."""
    if not any(slave.driver in ZIGBEE_DRIVERS for slave in settings.slaves):
        yield None
        return
    key = read_site_key(settings, path)
    with hold_state(settings.state.directory):
        async with open_radio(settings, key, boottime_s, SystemRandom()) as radio:
            yield radio


def _device(settings: Settings, wire: SlaveDriver) -> Item:
    """What became of one."""
    slave = next(one for one in settings.slaves if one.slot == wire.slots[0])
    if not wire.up:
        problem = wire.problem if isinstance(wire, DeviceWire) else ""
        return Item(slave.name, False, f"{slave.device}: {problem or 'no answer'}. {CHECK_DEVICE}")
    power_w = next((told.power_w for told in wire.reports().values()), None)
    told = "" if power_w is None else f", {power_w:.0f} W"
    return Item(slave.name, True, f"{slave.device} answers{told}")
