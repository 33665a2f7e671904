"""A device at the far end of `DeviceWire` that answers as scripted, and remembers what it was told."""

import asyncio
from dataclasses import dataclass, field
from random import Random

from core.authorization import AuthorizedFrame
from drivers.devices.device_setpoint import DeviceSetpoint
from drivers.devices.device_wire import DeviceEvent, DeviceReading, DeviceWire
from drivers.errors import Transient

SLOT = 9


@dataclass
class ScriptedDevice:
    """Takes `answer_s` for everything; raises `error` instead where there is one, or `write_error`."""

    answer_s: float = 0.0
    error: Exception | None = None
    write_error: Exception | None = None
    is_there: bool = True
    version: str = ""
    opened: int = 0
    closed: int = 0
    told: list[int] = field(default_factory=list)
    reading: DeviceReading = field(default_factory=DeviceReading)

    async def open(self) -> None:
        await self._answer()
        self.opened += 1

    async def write(self, watts: int) -> None:
        await self._answer()
        if self.write_error is not None:
            raise self.write_error
        self.told.append(watts)

    async def read(self) -> DeviceReading:
        await self._answer()
        return self.reading

    async def close(self) -> None:
        self.closed += 1

    async def _answer(self) -> None:
        await asyncio.sleep(self.answer_s)
        if not self.is_there:
            raise Transient("nobody there", "disconnected")
        if self.error is not None:
            raise self.error


def wire_to(
    device: ScriptedDevice, events: list[DeviceEvent], proven_version: str = "", **more: float
) -> DeviceWire:
    """The wire to it, on the clock of the running loop."""
    options = {"dead_man_s": 20.0, "patience_s": 0.2, "limit_s": 1.0} | more
    loop = asyncio.get_running_loop()
    return DeviceWire(
        SLOT,
        "rod",
        device,
        clock=loop.time,
        rng=Random(0),
        on_event=events.append,
        proven_version=proven_version,
        **options,
    )


def message(watts: int, *, rest: bool = False) -> AuthorizedFrame:
    """As safety clears it."""
    said = DeviceSetpoint(SLOT, watts, rest)
    return AuthorizedFrame(said.to_bytes(), rest, said)
