"""A meter that pushes SML through its optical head: real telegrams on a pseudo-terminal, at line speed."""

import asyncio
import os
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from plant.meters import sml_encoding as sml
from plant.meters.layouts import MeterState

MAKER = b"SKP"
SERVER_ID = bytes((0x0A, 0x01)) + MAKER + bytes((0x00, 0x00, 0x12, 0xD6, 0x87))
"""Length, medium electricity, maker, block and number (DIN 43863-5)."""
PIECE_BYTES = 32
"""What a serial port hands over at a time."""
BITS_PER_BYTE = 10
"""8N1 with its start and stop bit."""

_WATT, _WATT_HOUR, _AMPERE, _VOLT, _HERTZ = 27, 30, 33, 35, 44
_SPEEDS = {9600: termios.B9600, 19200: termios.B19200, 115200: termios.B115200}


@dataclass(slots=True)
class SmlFaults:
    """What the meter or its head does wrong. Set while it runs; the next telegram obeys."""

    mute: bool = False
    garbled: bool = False
    """One byte in the middle arrives as another."""
    cut: bool = False
    """The second half is missing."""
    wrong_checksum: bool = False
    noise: bytes = b""
    """Arrives before each telegram."""
    locked: bool = False
    """No PIN was entered: only the total is told, and without fractions."""


@dataclass(slots=True)
class SmlMeter:
    """Sends by itself and never listens.

    Bytes make sense only to a reader whose port has the meter's speed, 8 bits and no parity.

    Args:
        state: what flows through the meter; asked for each telegram.
        clock: monotonic seconds.
        every_s: from one telegram to the next.
        scaler: power of ten of the unit in which power is told.
        kermit: with the checksum of some Holley meters.
    """

    state: Callable[[], MeterState]
    clock: Callable[[], float]
    every_s: float = 1.0
    baudrate: int = 9600
    scaler: int = -1
    server_id: bytes = SERVER_ID
    kermit: bool = False
    faults: SmlFaults = field(default_factory=SmlFaults)
    sent: int = 0
    """Telegrams that left."""
    _master: int = -1
    _slave: int = -1

    def plug(self) -> str:
        """Put the head on. Returns the path of its port."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        return os.ttyname(self._slave)

    def unplug(self) -> None:
        """Pull the head's cable."""
        for descriptor in (self._master, self._slave):
            if descriptor >= 0:
                os.close(descriptor)
        self._master = self._slave = -1

    async def run(self) -> None:
        """Send a telegram every `every_s`, until cancelled."""
        due_s = self.clock()
        while True:
            await self.send()
            due_s += self.every_s
            await asyncio.sleep(max(0.0, due_s - self.clock()))

    async def send(self) -> None:
        """One telegram, piece by piece."""
        if self.faults.mute:
            return
        data = self._faulty(self.telegram())
        self.sent += 1
        for begin in range(0, len(data), PIECE_BYTES):
            piece = data[begin : begin + PIECE_BYTES]
            await asyncio.sleep(len(piece) * BITS_PER_BYTE / self.baudrate)
            self.write(piece)

    def write(self, data: bytes) -> None:
        """Light up the diode. What nobody takes is lost."""
        if not self._understood():
            data = bytes(byte ^ 0x5A | 0x80 for byte in data)
        with suppress(BlockingIOError):
            os.write(self._master, data)

    def heard(self) -> bytes:
        """What was written to the port: nothing, if the reader only reads."""
        with suppress(BlockingIOError):
            return os.read(self._master, 4096)
        return b""

    def telegram(self) -> bytes:
        """The next telegram."""
        number = self.sent.to_bytes(4)
        opening = sml.sequence(
            sml.ABSENT, sml.ABSENT, sml.octets(number), sml.octets(self.server_id), sml.ABSENT, sml.ABSENT
        )
        values = sml.sequence(
            sml.ABSENT,
            sml.octets(self.server_id),
            sml.octets(bytes.fromhex("0100620affff")),
            sml.sequence(sml.unsigned(1, 1), sml.unsigned(int(self.clock()), 4)),
            sml.sequence(*self._entries()),
            sml.ABSENT,
            sml.ABSENT,
        )
        bodies = (
            (sml.OPEN_RESPONSE, opening),
            (sml.GET_LIST_RESPONSE, values),
            (sml.CLOSE_RESPONSE, sml.sequence(sml.ABSENT)),
        )
        messages = [
            sml.message(number + bytes([place]), body, content, kermit=self.kermit)
            for place, (body, content) in enumerate(bodies)
        ]
        return sml.telegram(b"".join(messages), kermit=self.kermit)

    def _entries(self) -> Iterator[bytes]:
        state = self.state()
        yield entry((96, 50, 1, 1), sml.octets(MAKER))
        yield entry((96, 1, 0, 255), sml.octets(self.server_id))
        for code, energy_wh in ((1, state.import_wh), (2, state.export_wh)):
            yield entry((code, 8, 0, 255), sml.unsigned(round(10 * energy_wh), 8), _WATT_HOUR, -1)
        scaler = 0 if self.faults.locked else self.scaler
        yield power(16, sum(state.power_w), scaler)
        if self.faults.locked:
            return
        phases = zip((20, 40, 60), state.power_w, state.voltage_v, state.current_a, strict=True)
        for base, power_w, voltage_v, current_a in phases:
            yield power(base + 16, power_w, scaler)
            yield entry((base + 12, 7, 0, 255), sml.unsigned(round(10 * voltage_v), 2), _VOLT, -1)
            yield entry((base + 11, 7, 0, 255), sml.unsigned(round(100 * current_a), 2), _AMPERE, -2)
        yield entry((14, 7, 0, 255), sml.unsigned(round(10 * state.frequency_hz), 2), _HERTZ, -1)

    def _faulty(self, data: bytes) -> bytes:
        faults, middle = self.faults, len(data) // 2
        if faults.garbled:
            data = data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1 :]
        if faults.wrong_checksum:
            data = data[:-1] + bytes([data[-1] ^ 0xFF])
        if faults.cut:
            data = data[:middle]
        return faults.noise + data

    def _understood(self) -> bool:
        """Whether the reader's port is set as this line is."""
        _, _, control, _, _, speed, _ = termios.tcgetattr(self._slave)
        right = control & termios.CSIZE == termios.CS8 and not control & termios.PARENB
        return right and speed == _SPEEDS[self.baudrate]


def power(code: int, power_w: float, scaler: int) -> bytes:
    """An entry of active power, + import."""
    return entry((code, 7, 0, 255), sml.signed(round(power_w / 10.0**scaler), 4), _WATT, scaler)


def entry(code: tuple[int, int, int, int], value: bytes, unit: int | None = None, scaler: int = 0) -> bytes:
    """A value of the list, of OBIS 1-0."""
    return sml.sequence(
        sml.octets(bytes((1, 0, *code))),
        sml.ABSENT,
        sml.ABSENT,
        sml.ABSENT if unit is None else sml.unsigned(unit, 1),
        sml.ABSENT if unit is None else sml.signed(scaler, 1),
        value,
        sml.ABSENT,
    )
