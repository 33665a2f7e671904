"""Where a Modbus device is and what is asked of it: values without behaviour."""

from dataclasses import dataclass
from typing import TypeAlias

DRAIN_S = 0.2
"""A device that takes 0.1 s to answer, and 40 registers at 9600 baud."""
BITS_PER_BYTE = 11
"""Start, eight of data, parity or a second stop, stop (Modbus over serial line 1.02, 2.5.1)."""
FRAME_BYTES = 5
"""Of an RTU answer around its registers: device, function, length, checksum."""


@dataclass(frozen=True, slots=True)
class Tcp:
    """Modbus TCP."""

    host: str
    port: int = 502
    device_id: int = 1


@dataclass(frozen=True, slots=True)
class Rtu:
    """Modbus RTU on a serial port.

    After any error nothing is sent for `drain_s` (None: `DRAIN_S`), so that a late answer does not meet a
    request on the wire.
    """

    path: str
    baudrate: int = 9600
    parity: str = "N"
    stopbits: int = 1
    device_id: int = 1
    drain_s: float | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """Registers to read."""

    function: int
    address: int
    count: int


def answer_s(baudrate: int, registers: int, answer_delay_s: float) -> float:
    """How long a device takes on a serial line to answer with so many registers."""
    return answer_delay_s + BITS_PER_BYTE * (FRAME_BYTES + 2 * registers) / baudrate


Transport: TypeAlias = Tcp | Rtu
