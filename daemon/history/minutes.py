"""One minute after the other, gathered from the ticks. Pure: time comes with the tick."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from daemon.history.account import Account
from daemon.history.booking import TickBooker, slave_energies_j
from daemon.history.tariff import TimeOfUse
from daemon.journal.records import Tick
from daemon.monitoring.figures import Figures

MINUTE_S = 60


@dataclass(slots=True)
class HistoryMinute:
    """What happened in one minute of the wall clock.

    `at_s` is its beginning in Unix time. `slaves_j` and `heard_s` are by name of the slave: energy by its own
    reports, and how long it was heard.
    """

    at_s: int
    account: Account = field(default_factory=Account)
    slaves_j: dict[str, float] = field(default_factory=dict)
    heard_s: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class MinuteBook:
    """Gathers ticks, and gives away each minute when a tick of another one comes.

    Ticks before the clock was set are left out: their date would be a guess.
    """

    zone: ZoneInfo
    tariff: TimeOfUse
    give: Callable[[HistoryMinute], None]
    _minute: HistoryMinute | None = None
    _booker: TickBooker | None = None

    def take(self, tick: Tick, figures: Figures) -> None:
        """Take in one tick that `figures` have been told."""
        booker = self._booker
        if booker is None or booker.figures is not figures:
            booker = self._booker = TickBooker(figures)
        at_s = int(tick.unix_s // MINUTE_S) * MINUTE_S
        if self._minute is not None and self._minute.at_s != at_s:
            self.close()
        known = tick.snapshot.hour is not None
        minute = self._minute if self._minute is not None and known else HistoryMinute(at_s)
        if known:
            self._minute = minute
        recorded_s = booker.recorded_s(tick)
        booker.book(minute.account, tick, self.tariff.at(datetime.fromtimestamp(tick.unix_s, self.zone)))
        for name, energy_j in slave_energies_j(figures, tick, recorded_s).items():
            minute.slaves_j[name] = minute.slaves_j.get(name, 0.0) + energy_j
            minute.heard_s[name] = minute.heard_s.get(name, 0.0) + recorded_s

    def close(self) -> None:
        """Give away the minute that is under way."""
        minute, self._minute = self._minute, None
        if minute is not None and minute.account.ticks:
            self.give(minute)
