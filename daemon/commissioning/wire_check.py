"""What only the wires can tell: does the meter answer, does the radio come up, does every slave answer."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

from daemon.commissioning.preflight import Item
from daemon.config.settings import Settings, SettingsError, read_site_key
from daemon.errors import InputError, StartError
from daemon.runtime.devices import open_meter
from daemon.runtime.state_directory import hold_state, open_counter
from drivers.errors import ConfigError, DeviceFault, Transient

READS = 5
"""A connection of Modbus is made with the first read, which may come too early."""
PAUSE_S = 0.5
ASK_S = 20.0
"""Every slave is asked every 5 s: three requests may be lost."""
FAILURES = (ConfigError, DeviceFault, Transient, StartError, InputError, SettingsError, OSError)


async def walk_wires(settings: Settings, path: Path, ask_s: float = ASK_S) -> AsyncIterator[Item]:
    """Read the meter, start the radio and tell every slave 0 W, each with a row of its own.

    Args:
        settings: of the site; the daemon must be stopped, because both need meter and coordinator.
        path: the file that the settings came from.
        ask_s: how long the slaves are told 0 W and asked.
    """
    try:
        yield Item("meter", True, await _meter(settings))
    except FAILURES as error:
        yield Item("meter", False, str(error))
    for item in await _radio(settings, path, ask_s):
        yield item


async def _meter(settings: Settings) -> str:
    async with open_meter(settings, time.monotonic) as device:
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
    names = ", ".join(f"{slot.slot} ({slot.name})" for slot in result.silent)
    said = f"never answered: slot {names}. Have they joined, and are they powered?" if names else "all answer"
    return [
        Item("radio", True, f"up: {result.frames} frames of 0 W, {result.frames_refused} refused"),
        Item("slaves", not names, said),
    ]
