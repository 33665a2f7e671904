"""SML telegrams of German electricity meters, pure: from bytes to what the meter says.

A telegram runs from ``1B1B1B1B 01010101`` to ``1B1B1B1B 1A``, the number of fill bytes and a CRC-16 over all
before it. smllib takes it apart. Sources: BSI TR-03109-1, annex IV (SML 1.04); OBIS codes and units as in
smllib's `const`.
"""

import re

from smllib.builder.default_context import create_context
from smllib.errors import CrcError, SmlLibException
from smllib.reader import SmlStreamReader
from smllib.sml.list_entry import SmlListEntry
from smllib.sml.response_get_list import SmlGetListResponse
from smllib.sml_frame import SmlFrame
from smllib.sml_frame_snippet import SmlFrameSnippet

from drivers.meters.telegram_parser import Telegram, UnsupportedMeterError, phases, register

POWER = ("36.7.0", "56.7.0", "76.7.0")
TOTAL_POWER = "16.7.0"
VOLTAGE = ("32.7.0", "52.7.0", "72.7.0")
CURRENT = ("31.7.0", "51.7.0", "71.7.0")
FREQUENCY = "14.7.0"
IMPORT_TARIFFS, EXPORT_TARIFFS = ("1.8.1", "1.8.2"), ("2.8.1", "2.8.2")

_W, _WH, _A, _V, _HZ = 27, 30, 33, 35, 44
_UNIT = (
    dict.fromkeys((*POWER, TOTAL_POWER), _W)
    | dict.fromkeys(("1.8.0", *IMPORT_TARIFFS, "2.8.0", *EXPORT_TARIFFS), _WH)
    | dict.fromkeys(CURRENT, _A)
    | dict.fromkeys(VOLTAGE, _V)
    | {FREQUENCY: _HZ}
)
"""The only unit in which each code is understood (DLMS numbers)."""
_MOVING = (*POWER, TOTAL_POWER, *VOLTAGE)
SCALER_LARGEST = 9
"""Powers of ten. The standard allows 127; meters use -5 to 0."""
LARGEST = 1 << 63
"""No integer of the standard is larger."""

_CODE = re.compile(r"1-0:(\d+\.\d+\.\d+)\*255")
_LONG_LIST = 0xF0
_MORE = 0x80
_CONTEXT = create_context()
_MALFORMED = (
    SmlLibException,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    OSError,
    RecursionError,
)
"""What smllib raises over bytes that pass the checksum and are not SML."""


class Sml:
    """Meters that push their values through the optical head
    (`drivers.meters.telegram_parser.TelegramParser`)."""

    start = re.compile(rb"(?<!\x1b{4})\x1b{4}\x01{4}")
    end = re.compile(rb"(?<!\x1b{4})\x1b{4}\x1a[\x00-\x03]..", re.DOTALL)

    def __init__(self) -> None:
        self._checksums: tuple[str, ...] = ("x25", "kermit")  # the standard's, and that of a Holley DTZ541

    def parse(self, data: bytes) -> Telegram | None:
        """What a telegram says; None unless its checksum holds and it is SML.

        The first checksum that holds is the one that this meter uses: two would find fewer errors than one.

        Raises:
            Unusable: the power of some phase is missing, or its direction cannot be trusted.
        """
        for checksum in self._checksums:
            frame = _frame(data, checksum)
            if frame is None:
                continue
            try:
                telegram = _telegram(frame, int.from_bytes(data[-2:]))
            except UnsupportedMeterError:
                raise
            except _MALFORMED:
                return None
            self._checksums = (checksum,)
            return telegram
        return None


class _Frame(SmlFrame):
    """Refuses lists of more than 255 elements before memory is taken for them."""

    def get_value(self, pos: int | None = None) -> SmlFrameSnippet:
        at = self.next_pos if pos is None else pos
        tag = self.bytes[at : at + 2]
        if len(tag) == 2 and tag[0] & _LONG_LIST == _LONG_LIST and tag[1] & _MORE:
            raise ValueError("a list longer than any telegram")
        return super().get_value(pos)


def _frame(data: bytes, checksum: str) -> SmlFrame | None:
    reader = SmlStreamReader(build_ctx=_CONTEXT, crc=checksum)  # type: ignore[arg-type]
    reader.add(data)
    try:
        frame = reader.get_frame()
    except CrcError:
        return None
    return None if frame is None else _Frame(frame.bytes, build_ctx=_CONTEXT)


def _telegram(frame: SmlFrame, checksum: int) -> Telegram:
    lists = [
        message.message_body
        for message in frame.parse_frame()
        if isinstance(message.message_body, SmlGetListResponse)
    ]
    entries = {
        code[1]: entry
        for answer in lists
        for entry in answer.val_list
        if (code := _CODE.fullmatch(entry.obis.obis_code)) and code[1] in _UNIT
    }
    values = {code: _value(entry, _UNIT[code]) for code, entry in entries.items()}
    identity = bytes.fromhex(lists[0].server_id)
    power_w = phases(values, POWER)
    if power_w is None:
        raise UnsupportedMeterError(
            "the meter does not tell the power of each of three phases (1-0:36.7.0, 56.7.0 and 76.7.0). "
            "Many meters do only after their PIN was entered and the extended data set was switched on "
            "(often shown as InF = On); a meter that never does cannot serve three phases"
        )
    if b"DZG" in identity:
        raise UnsupportedMeterError(
            "a meter of DZG. Some of them send an import of 328 to 655 W as an export, and nothing in the "
            "telegram tells which: use another meter"
        )
    words = tuple(_whole(entries[code]) for code in _MOVING if code in entries)
    whole_watts = all((entries[code].scaler or 0) >= 0 for code in POWER)
    whole_amperes = all((entries[code].scaler or 0) >= 0 for code in CURRENT if code in entries)
    return Telegram(
        power_w=power_w,
        total_power_w=values.get(TOTAL_POWER, sum(power_w)),
        voltage_v=phases(values, VOLTAGE),
        current_a=None if whole_amperes else phases(values, CURRENT),  # too coarse for a cross-check
        frequency_hz=values.get(FREQUENCY),
        import_wh=register(values, "1.8.0", IMPORT_TARIFFS),
        export_wh=register(values, "2.8.0", EXPORT_TARIFFS),
        identity=identity,
        raw=(*words, checksum) if whole_watts else words,  # whole watts may stand still by themselves
    )


def _value(entry: SmlListEntry, unit: int) -> float:
    """The value in SI units. Raises ValueError unless unit, type and scale are the understood ones."""
    number, scaler = _whole(entry), entry.scaler or 0
    if entry.unit != unit or not -SCALER_LARGEST <= scaler <= SCALER_LARGEST:
        raise ValueError(f"{entry.obis.obis_code} in unit {entry.unit} with scaler {scaler}")
    return float(number * 10**scaler) if scaler >= 0 else number / 10**-scaler


def _whole(entry: SmlListEntry) -> int:
    if type(entry.value) is int and -LARGEST <= entry.value <= LARGEST:
        return entry.value
    raise ValueError(f"{entry.obis.obis_code} is no number")
