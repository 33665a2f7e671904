"""Watts out of 32-bit registers, in as few digits as give every bit back."""

import struct
from math import isfinite


def single_told(value: float | None) -> float | str | None:
    """A number for a 32-bit float with as few digits as tell it; as a text what no such float is."""
    if value is None:
        return None
    if isfinite(value) and abs(value) < 1e38 and _single(value) == value:
        for digits in (1, 3, 5, 6, 7, 8, 9):
            short = float(f"{value:.{digits}g}")
            if _single(short) == value and str(short)[0] == str(value)[0]:
                return short
    return repr(value)


def single_meant(told: float | str | None) -> float | None:
    """The inverse. Raises struct.error or OverflowError: no such number."""
    if told is None:
        return None
    return float(told) if isinstance(told, str) else _single(told)


def _single(value: float) -> float:
    single: float = _FLOAT.unpack(_FLOAT.pack(value))[0]
    return single


_FLOAT = struct.Struct("f")
