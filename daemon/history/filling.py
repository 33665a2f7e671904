"""Fills the history from journals where it knows nothing: after an update, a loss, or days without it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from daemon.history.database import HistoryDatabase
from daemon.history.minutes import HistoryMinute

UNTOUCHED_S = 600.0
"""The newest minutes are the running daemon's own: it has not written all of them yet."""
AT_ONCE = 60


@dataclass(slots=True)
class HistoryFilling:
    """Writes minutes that are not known yet. What was forgotten in full minutes is known by its hour."""

    database: HistoryDatabase
    now_s: Callable[[], float] = time.time
    added: int = 0
    known: int = 0
    _hours: set[int] = field(default_factory=set)
    _waiting: list[HistoryMinute] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._hours = self.database.hours()

    def take(self, minute: HistoryMinute) -> None:
        """One minute of a journal."""
        now_s = self.now_s()
        forgotten = minute.at_s < now_s - self.database.minutes_kept_s
        told = forgotten and self.database.hour_of(minute.at_s) in self._hours
        if told or minute.at_s > now_s - UNTOUCHED_S or self.database.has_minute(minute.at_s):
            self.known += 1
            return
        self._waiting.append(minute)
        self.added += 1
        if len(self._waiting) >= AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        self.database.write(self._waiting)
        self._waiting.clear()
