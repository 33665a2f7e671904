"""SML telegrams as a meter writes them, from the standard and independent of what reads them.

Sources: BSI TR-03109-1, annex IV (SML 1.04), chapters 6 (binary encoding) and 8 (transport, version 1).
"""

from typing import TypeAlias

from crccheck.crc import Crc16Kermit, CrcX25

ESCAPE = b"\x1b" * 4
BEGIN = ESCAPE + b"\x01" * 4
OPEN_RESPONSE, GET_LIST_RESPONSE, CLOSE_RESPONSE = 0x0101, 0x0701, 0x0201
ABSENT = b"\x01"
"""An optional element that is left out."""
END_OF_MESSAGE = b"\x00"

_OCTETS, _SIGNED, _UNSIGNED, _LIST = 0x00, 0x50, 0x60, 0x70
_MORE = 0x80
Item: TypeAlias = bytes
"""An encoded element."""


def octets(content: bytes) -> Item:
    """An octet string."""
    size = 1
    while len(content) + size >= 16**size:
        size += 1
    return _tag(_OCTETS, len(content) + size, size) + content


def signed(number: int, size: int) -> Item:
    """An integer of so many bytes."""
    return bytes([_SIGNED | size + 1]) + number.to_bytes(size, signed=True)


def unsigned(number: int, size: int) -> Item:
    """An unsigned integer of so many bytes."""
    return bytes([_UNSIGNED | size + 1]) + number.to_bytes(size)


def sequence(*items: Item) -> Item:
    """A list; its length is the number of its elements."""
    return _tag(_LIST, len(items), 1 if len(items) < 16 else 2) + b"".join(items)


def _tag(kind: int, length: int, size: int) -> bytes:
    """Type and length, four bits of the length a byte; every byte but the last says that more follows."""
    nibbles = [length >> 4 * place & 0x0F for place in reversed(range(size))]
    tag = [kind | nibbles[0], *nibbles[1:]]
    return bytes([byte | _MORE for byte in tag[:-1]] + tag[-1:])


def message(transaction: bytes, body: int, content: Item, *, kermit: bool = False) -> bytes:
    """One message of the file, with its own checksum."""
    head = [octets(transaction), unsigned(0, 1), unsigned(0, 1)]
    counted = bytes([_LIST | 6]) + b"".join([*head, sequence(unsigned(body, 4), content)])
    return counted + bytes([_UNSIGNED | 3]) + checksum(counted, kermit) + END_OF_MESSAGE


def telegram(messages: bytes, *, kermit: bool = False) -> bytes:
    """The file on the wire: escaped, filled up to four bytes, with the checksum over everything."""
    fill = -len(messages) % 4
    content = messages.replace(ESCAPE, 2 * ESCAPE) + bytes(fill)
    counted = BEGIN + content + ESCAPE + b"\x1a" + bytes([fill])
    return counted + checksum(counted, kermit)


def checksum(data: bytes, kermit: bool = False) -> bytes:
    """CRC-16/X-25, low byte first. Some Holley meters: CRC-16/KERMIT, high byte first."""
    if kermit:
        return bytes(Crc16Kermit().process(data).finalbytes(byteorder="big"))
    return bytes(CrcX25().process(data).finalbytes(byteorder="little"))
