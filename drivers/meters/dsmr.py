"""DSMR P1 telegrams, pure: from bytes to what the meter says.

A telegram runs from ``/`` to ``!`` and four hexadecimal digits of CRC-16 over both marks and what is between
(polynomial 0xA001 reflected, start 0). Sources: DSMR 5.0.2 P1 companion standard, chapters 5 and 6; OBIS
codes as in dsmr_parser.
"""

import re

from drivers.meters.telegram_parser import Telegram, UnsupportedMeterError, phases, register

DSMR_BAUDRATE = 115200
"""8N1, DSMR 4 and 5."""
IMPORT = ("21.7.0", "41.7.0", "61.7.0")
EXPORT = ("22.7.0", "42.7.0", "62.7.0")
VOLTAGE = ("32.7.0", "52.7.0", "72.7.0")
IMPORT_TOTAL, EXPORT_TOTAL = "1.7.0", "2.7.0"

_VALUE = re.compile(rb"^1-\d:(\d+\.\d+\.\d+)\((\d+(?:\.\d+)?)\*(kWh|kW|V)\)\r?$", re.MULTILINE)
_PER_UNIT = {b"kWh": 1000.0, b"kW": 1000.0, b"V": 1.0}
_EQUIPMENT = re.compile(rb"^0-0:96\.1\.1\(([0-9A-Fa-f]*)\)\r?$", re.MULTILINE)
_START = re.compile(rb"/")
_END = re.compile(rb"!([0-9A-Fa-f]{4})\r?\n")


class Dsmr:
    """Three-phase meters of DSMR 4 and 5 (`drivers.meters.telegram_parser.TelegramParser`).

    Current is not told: whole amperes are too coarse for a cross-check.
    """

    start, end = _START, _END

    def parse(self, data: bytes) -> Telegram | None:
        """What a telegram says; None unless its checksum holds.

        Raises:
            Unusable: the power of some phase is missing.
        """
        end = _END.search(data)
        if end is None or not data.startswith(b"/"):
            return None
        checksum = int(end[1], 16)
        if crc16(data[: end.start() + 1]) != checksum:
            return None
        values = {code.decode(): _PER_UNIT[unit] * float(n) for code, n, unit in _VALUE.findall(data)}
        if not values.keys() >= {*IMPORT, *EXPORT}:
            raise UnsupportedMeterError(
                "the meter does not tell import and export of each of three phases; "
                "such a port cannot serve three phases"
            )
        a, b, c = (_watts(values, i, e) for i, e in zip(IMPORT, EXPORT, strict=True))
        totals = values.keys() >= {IMPORT_TOTAL, EXPORT_TOTAL}
        equipment = _EQUIPMENT.search(data)
        return Telegram(
            power_w=(a, b, c),
            total_power_w=_watts(values, IMPORT_TOTAL, EXPORT_TOTAL) if totals else a + b + c,
            voltage_v=phases(values, VOLTAGE),
            current_a=None,
            frequency_hz=None,
            import_wh=register(values, "1.8.0", ("1.8.1", "1.8.2")),
            export_wh=register(values, "2.8.0", ("2.8.1", "2.8.2")),
            identity=data[: data.index(b"\n")].strip() + b" " + (equipment[1] if equipment else b""),
            raw=(int(a), int(b), int(c), checksum),  # it covers the time, so it always changes
        )


def crc16(data: bytes) -> int:
    """CRC-16/ARC."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def _watts(values: dict[str, float], taken: str, given: str) -> float:
    return float(round(values[taken] - values[given]))  # three decimals of a kilowatt
