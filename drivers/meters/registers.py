"""From the registers of one block to values, with everything prepared beforehand."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TypeAlias

from drivers.meters.profile import WIDTH, Profile, Quantity, RegisterBlock

Values: TypeAlias = dict[str, tuple[float | None, ...]]
"""Value or values of each quantity in its SI unit; None where the meter says "not available"."""

_FORMAT = {"f32": ">f", "i16": ">h", "u16": ">H", "i32": ">i", "u32": ">I", "i64": ">q", "u64": ">Q"}
_EXPONENT_MAX = 10
"""SunSpec allows powers of ten from -10 to 10."""


@dataclass(frozen=True, slots=True)
class _Field:
    """One value in a block."""

    name: str
    format: struct.Struct
    start: int
    end: int
    swap_words: bool
    scale: float
    exponent: int | None
    sentinels: frozenset[int]

    def value(self, data: bytes) -> float | None:
        raw = data[self.start : self.end]
        if self.swap_words:
            raw = b"".join(raw[i : i + 2] for i in range(len(raw) - 2, -1, -2))
        if int.from_bytes(raw, "big") in self.sentinels:
            return None
        (number,) = self.format.unpack(raw)
        scale = self.scale
        if self.exponent is not None:
            power = int.from_bytes(data[self.exponent : self.exponent + 2], "big", signed=True)
            if not -_EXPONENT_MAX <= power <= _EXPONENT_MAX:  # 0x8000: not available
                return None
            scale *= 10.0**power
        value = float(number) * scale
        return value if isfinite(value) else None


class BlockDecoder:
    """Decodes one block of a profile."""

    def __init__(self, profile: Profile, block: RegisterBlock) -> None:
        self._words = struct.Struct(f">{block.count}H")
        self._fields = [
            _field(name, quantity, address, block, profile)
            for name, quantity in profile.quantities.present()
            if profile.block_of(quantity) is block
            for address in quantity.addresses
        ]

    def decode(self, registers: Sequence[int]) -> Values:
        """Values of all quantities in the block.

        Args:
            registers: exactly as many 16-bit words as the block is long; struct.error otherwise.
        """
        data = self._words.pack(*registers)
        values: Values = {}
        for field in self._fields:
            values[field.name] = (*values.get(field.name, ()), field.value(data))
        return values


def _field(name: str, quantity: Quantity, address: int, block: RegisterBlock, profile: Profile) -> _Field:
    width = WIDTH[quantity.type]
    start = 2 * (address - block.address)
    return _Field(
        name=name,
        format=struct.Struct(_FORMAT[quantity.type]),
        start=start,
        end=start + 2 * width,
        swap_words=profile.word_order == "little" and width > 1,
        scale=quantity.scale,
        exponent=None if quantity.exponent is None else 2 * (quantity.exponent - block.address),
        sentinels=frozenset(profile.sentinels.get(quantity.type, ())),
    )
