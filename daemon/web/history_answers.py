"""What the status server answers about days, months and years: read from the history in a thread."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from daemon.errors import InputError
from daemon.history.account import Account
from daemon.history.reading import HistoryReader
from daemon.monitoring.energy_ledger import JOULES_PER_WH
from daemon.monitoring.event_words import event_words
from daemon.words.translation import ENGLISH, Words, words_in

SPANS = ("day", "month", "year", "total")
FRESH_S = 30.0
"""The history grows by a minute at a time; what is asked again within this is not read again."""
KEPT_MAX = 24
EVENTS_TOLD = 40
DOCUMENT_VERSION = 1


@dataclass(slots=True)
class HistoryAnswers:
    """The bodies of /history.json. One question is read at a time, in a thread.

    Args:
        clock: in s, for the age of what is kept.
    """

    reader: HistoryReader
    currency: str
    has_co2: bool
    clock: Callable[[], float]
    _kept: OrderedDict[tuple[str, str, str], tuple[float, bytes]] = field(default_factory=OrderedDict)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def answer(self, span: str, day: date | None, language: str = "en") -> bytes:
        """One span that holds this day; without one, the newest that the history has.

        Raises:
            InputError: there is no history, or it is empty; the text says so.
        """
        asked = (span, str(day), language)
        async with self._reading:
            made = self._kept.get(asked)
            if made is not None and 0.0 <= self.clock() - made[0] < FRESH_S:
                return made[1]
            body = await asyncio.to_thread(self._read, span, day, language)
            self._kept[asked] = (self.clock(), body)
            self._kept.move_to_end(asked)
            while len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        return body

    def _read(self, span: str, day: date | None, language: str) -> bytes:
        told = history_document(self.reader, span, day, words_in(language))
        told |= {"currency": self.currency, "has_co2": self.has_co2}
        return json.dumps(told, allow_nan=False).encode()


def history_document(
    reader: HistoryReader, span: str, day: date | None, words: Words = ENGLISH
) -> dict[str, Any]:
    """Bars of a day (hours), a month (days), a year (months) or of all (years); devices; events in words.

    Energies in Wh, times in s, money in the site's currency. A bar without data is not there.

    Raises:
        InputError: there is no history, or it is empty.
    """
    bounds = reader.bounds_s()
    if bounds is None:
        raise InputError("The history is empty yet: its first minute is under way.")
    newest = reader.day(bounds[1])
    first, after = _bounds(span, day or newest, reader.day(bounds[0]), newest)
    from_s, to_s = reader.midnight_s(first), reader.midnight_s(after)
    level = "hour" if span == "day" else "day"
    accounts = reader.accounts(level, from_s, to_s)
    bars: dict[str, Account] = {}
    for at_s, account in accounts:
        bars.setdefault(_name(reader, span, at_s), Account()).add(account)
    total = Account()
    for account in bars.values():
        total.add(account)
    return {
        "schema_version": DOCUMENT_VERSION,
        "span": span,
        "from": first.isoformat(),
        "to": (after - timedelta(days=1)).isoformat(),
        "first_day": reader.day(bounds[0]).isoformat(),
        "last_day": newest.isoformat(),
        "bars": [{"at": name, **_values(account)} for name, account in bars.items()],
        "sum": _values(total),
        "devices": _devices(reader, span, level, from_s, to_s),
        "events": _events(reader, from_s, to_s, words),
    }


def _bounds(span: str, day: date, first: date, last: date) -> tuple[date, date]:
    """The first day, and the day after the last one."""
    if span == "day":
        return day, day + timedelta(days=1)
    if span == "month":
        start = day.replace(day=1)
        return start, (start + timedelta(days=31)).replace(day=1)
    if span == "year":
        return date(day.year, 1, 1), date(day.year + 1, 1, 1)
    return first, last + timedelta(days=1)


def _name(reader: HistoryReader, span: str, at_s: float) -> str:
    """Of a bar: an hour of the day, a day, a month, a year. The hour that the clock repeats is one bar."""
    if span == "day":
        return f"{reader.local(at_s):%H}"
    return reader.day(at_s).isoformat()[: {"month": 10, "year": 7, "total": 4}[span]]


def _values(account: Account) -> dict[str, float]:
    energy = account.energy
    joules = {
        "used": account.surplus_used_j,
        "exported": energy.exported_j,
        "imported": energy.imported_j,
        "into_devices": energy.placed_j,
        "surplus": energy.exported_without_j,
    }
    return {
        **{f"{name}_wh": round(value / JOULES_PER_WH, 1) for name, value in joules.items()},
        "saved": round(account.saved, 4),
        "spent": round(account.spent, 4),
        "earned": round(account.earned, 4),
        "co2_g": round(account.co2_g, 1),
        "measured_s": round(energy.measured_s, 1),
        **{f"{state.value}_s": round(lasted_s, 1) for state, lasted_s in account.state_s.items()},
    }


def _devices(
    reader: HistoryReader, span: str, level: str, from_s: float, to_s: float
) -> list[dict[str, Any]]:
    told = []
    for name, parts in reader.slaves(level, from_s, to_s).items():
        bars: dict[str, float] = {}
        for at_s, energy in parts:
            at = _name(reader, span, at_s)
            bars[at] = bars.get(at, 0.0) + energy.energy_j / JOULES_PER_WH
        heard_s = sum(energy.heard_s for _, energy in parts)
        told.append(
            {
                "name": name,
                "energy_wh": round(sum(bars.values()), 1),
                "heard_s": round(heard_s, 1),
                "bars": {at: round(value, 1) for at, value in bars.items()},
            }
        )
    return told


def _events(reader: HistoryReader, from_s: float, to_s: float, words: Words) -> list[dict[str, str]]:
    told: list[dict[str, str]] = []
    for event in reader.events(from_s, to_s):
        said = event_words(event.name, event.detail, words)
        if said is not None and len(told) < EVENTS_TOLD:
            local = reader.local(event.unix_s).isoformat(timespec="seconds")
            told.append({"local": local, "text": said[0], "advice": said[1]})
    return told
