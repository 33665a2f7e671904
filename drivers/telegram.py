"""DSMR P1 telegrams, pure: from a stream of bytes to what the meter says.

A telegram runs from ``/`` to ``!`` and four hexadecimal digits of CRC-16 over both marks and what is between
(polynomial 0xA001 reflected, start 0). Sources: DSMR 5.0.2 P1 companion standard, chapters 5 and 6; OBIS
codes as in dsmr_parser.
"""

import re
from dataclasses import dataclass

from core.site import Phases

IMPORT = ("21.7.0", "41.7.0", "61.7.0")
EXPORT = ("22.7.0", "42.7.0", "62.7.0")
VOLTAGE = ("32.7.0", "52.7.0", "72.7.0")
IMPORT_TOTAL, EXPORT_TOTAL = "1.7.0", "2.7.0"
IMPORT_ENERGY, EXPORT_ENERGY = ("1.8.0", "1.8.1", "1.8.2"), ("2.8.0", "2.8.1", "2.8.2")
LONGEST = 8192
"""Bytes. Telegrams are about 1 kB; more without an end is noise."""

_VALUE = re.compile(rb"^1-\d:(\d+\.\d+\.\d+)\((\d+(?:\.\d+)?)\*(?:kWh|kW|V)\)\r?$", re.MULTILINE)
_EQUIPMENT = re.compile(rb"^0-0:96\.1\.1\(([0-9A-Fa-f]*)\)\r?$", re.MULTILINE)
_END = re.compile(rb"!([0-9A-Fa-f]{4})\r?\n")


class NotThreePhase(ValueError):
    """The telegram is sound but does not tell the power of three phases."""


@dataclass(frozen=True, slots=True)
class Telegram:
    """One telegram. `power_w` + import, - export; `checksum` covers the time: it always changes."""

    power_w: Phases
    total_power_w: float
    voltage_v: Phases | None
    import_wh: float | None
    export_wh: float | None
    identity: bytes
    checksum: int


class Splitter:
    """Cuts a byte stream into telegrams; what does not begin with ``/`` is skipped."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take what arrived. Returns the telegrams that are complete now."""
        self._buffer += data
        telegrams = []
        while end := _END.search(self._buffer):
            start = self._buffer.rfind(b"/", 0, end.start())
            if start >= 0:
                telegrams.append(self._buffer[start : end.end()])
            self._buffer = self._buffer[end.end() :]
        self._buffer = self._buffer[-LONGEST:]
        return telegrams


def crc16(data: bytes) -> int:
    """CRC-16/ARC."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def parse(data: bytes) -> Telegram | None:
    """What a telegram says; None unless its checksum holds.

    Raises:
        NotThreePhase: the power of some phase is missing.
    """
    end = _END.search(data)
    if end is None or not data.startswith(b"/"):
        return None
    checksum = int(end[1], 16)
    if crc16(data[: end.start() + 1]) != checksum:
        return None
    values = {code.decode(): float(number) for code, number in _VALUE.findall(data)}
    if not values.keys() >= {*IMPORT, *EXPORT}:
        raise NotThreePhase("the meter does not tell import and export of each of three phases")
    a, b, c = (_watts(values, i, e) for i, e in zip(IMPORT, EXPORT, strict=True))
    totals = values.keys() >= {IMPORT_TOTAL, EXPORT_TOTAL}
    equipment = _EQUIPMENT.search(data)
    return Telegram(
        power_w=(a, b, c),
        total_power_w=_watts(values, IMPORT_TOTAL, EXPORT_TOTAL) if totals else a + b + c,
        voltage_v=_voltages(values),
        import_wh=_energy(values, IMPORT_ENERGY),
        export_wh=_energy(values, EXPORT_ENERGY),
        identity=data[: data.index(b"\n")].strip() + b" " + (equipment[1] if equipment else b""),
        checksum=checksum,
    )


def _watts(values: dict[str, float], taken: str, given: str) -> float:
    return float(round(1000.0 * (values[taken] - values[given])))  # three decimals of a kilowatt


def _voltages(values: dict[str, float]) -> Phases | None:
    if not values.keys() >= {*VOLTAGE}:
        return None
    a, b, c = (values[code] for code in VOLTAGE)
    return (a, b, c)


def _energy(values: dict[str, float], codes: tuple[str, ...]) -> float | None:
    """The total register, or the sum over tariffs."""
    total, *tariffs = codes
    if total in values:
        return 1000.0 * values[total]
    told = [values[code] for code in tariffs if code in values]
    return 1000.0 * sum(told) if told else None
