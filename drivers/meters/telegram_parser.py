"""Telegrams that meters push by themselves, pure: what they say, and how bytes are cut into them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from core.site import Phases

LONGEST = 8192
"""Bytes. Telegrams are at most about 1 kB; more without an end is noise."""


class UnsupportedMeterError(ValueError):
    """The telegram is sound, but such a meter cannot serve. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Telegram:
    """What one telegram says; `power_w` + import, - export.

    `raw` is what must not stand still while power flows: for the journal, and to notice a frozen meter.
    """

    power_w: Phases
    total_power_w: float
    voltage_v: Phases | None
    current_a: Phases | None
    frequency_hz: float | None
    import_wh: float | None
    export_wh: float | None
    identity: bytes
    raw: tuple[int, ...]


class TelegramParser(Protocol):
    """How one kind of meter talks. One object per meter: it may keep what it learns of it."""

    @property
    def start(self) -> re.Pattern[bytes]:
        """Where a telegram may begin."""
        ...

    @property
    def end(self) -> re.Pattern[bytes]:
        """The end of a telegram, checksum included."""
        ...

    def parse(self, data: bytes) -> Telegram | None:
        """What a telegram says; None when it is damaged. Raises Unusable."""
        ...


class Splitter:
    """Cuts a byte stream into telegrams: from an end back to the last start before it. All else is noise."""

    def __init__(self, start: re.Pattern[bytes], end: re.Pattern[bytes]) -> None:
        self._start, self._end = start, end
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take what arrived. Returns the telegrams that are complete now."""
        self._buffer += data
        telegrams = []
        while end := self._end.search(self._buffer):
            starts = [start.start() for start in self._start.finditer(self._buffer, 0, end.start())]
            if starts:
                telegrams.append(self._buffer[starts[-1] : end.end()])
            self._buffer = self._buffer[end.end() :]
        self._buffer = self._buffer[-LONGEST:]
        return telegrams


def phases(values: Mapping[str, float], codes: tuple[str, str, str]) -> Phases | None:
    """The values of these codes; None unless all three are told."""
    if not values.keys() >= {*codes}:
        return None
    a, b, c = (values[code] for code in codes)
    return (a, b, c)


def register(values: Mapping[str, float], total: str, tariffs: tuple[str, ...]) -> float | None:
    """The total register, or the sum over tariffs; None when none is told."""
    if total in values:
        return values[total]
    told = [values[code] for code in tariffs if code in values]
    return sum(told) if told else None
