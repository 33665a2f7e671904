"""Reads the history beside the daemon that writes it: accounts of minutes, hours and days, slaves, events.

Every call opens the file anew and read-only, so it may be used from any thread, and a file that was put aside
in between is no trouble.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from core.decision import State
from daemon.errors import InputError
from daemon.history.account import Account, Episode
from daemon.history.columns import COLUMNS, to_account
from daemon.history.database import LEVELS, SCHEMA

BUSY_S = 2.0
EVENTS_READ_MAX = 200


@dataclass(frozen=True, slots=True)
class SlaveEnergy:
    """What one slave says that it took or fed, and how long it was heard."""

    energy_j: float
    heard_s: float


@dataclass(frozen=True, slots=True)
class ToldEvent:
    """An event as it was written; `detail` are its values by name."""

    unix_s: float
    name: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class HistoryReader:
    """The read interface. `level` is ``minute``, ``hour`` or ``day``; instants are Unix times in s.

    Every method raises `InputError` when there is no history or it cannot be read.
    """

    file: Path
    zone: ZoneInfo

    def accounts(self, level: str, from_s: float, to_s: float, step_s: int = 0) -> list[tuple[int, Account]]:
        """Accounts that begin in [from, to), the oldest first; with a step, the sums of so many seconds."""
        at = f"at_s - (at_s - {int(from_s)}) % {step_s}" if step_s else "at_s"
        sums = ", ".join(f"sum({name})" for name in COLUMNS)
        query = (
            f"SELECT {at} AS began_s, {sums} FROM {_known(level)}"
            " WHERE at_s >= ? AND at_s < ? GROUP BY began_s"
        )
        with self._open() as db:
            rows = db.execute(query, (from_s, to_s)).fetchall()
        return [(row[0], to_account(row[1:])) for row in rows]

    def slaves(
        self, level: str, from_s: float, to_s: float, step_s: int = 0
    ) -> dict[str, list[tuple[int, SlaveEnergy]]]:
        """By name: what each slave took or fed, in the same steps."""
        at = f"at_s - (at_s - {int(from_s)}) % {step_s}" if step_s else "at_s"
        query = (
            f"SELECT name, {at} AS began_s, sum(energy_j), sum(heard_ms) FROM slave_{_known(level)}"
            " JOIN slave ON slave.id = slave WHERE at_s >= ? AND at_s < ? GROUP BY slave, began_s"
            " ORDER BY slave, began_s"
        )
        found: dict[str, list[tuple[int, SlaveEnergy]]] = {}
        with self._open() as db:
            for name, began_s, energy_j, heard_ms in db.execute(query, (from_s, to_s)):
                found.setdefault(name, []).append((began_s, SlaveEnergy(energy_j, heard_ms / 1000.0)))
        return found

    def days(self, first: date | None = None, last: date | None = None) -> dict[date, Account]:
        """Accounts with their causes by local day, both ends included; None is open."""
        from_s = 0.0 if first is None else self.midnight_s(first)
        to_s = 1e12 if last is None else self.midnight_s(last + timedelta(days=1))
        days = {self.day(at_s): account for at_s, account in self.accounts("day", from_s, to_s)}
        with self._open() as db:
            query = "SELECT at_s, state, name, times, lasted_ms FROM cause WHERE at_s >= ? AND at_s < ?"
            for at_s, state, name, times, lasted_ms in db.execute(query, (from_s, to_s)):
                account = days.get(self.day(at_s))
                if account is not None:
                    account.causes[(State(state), name)] = Episode(times, lasted_ms / 1000.0)
        return days

    def events(self, from_s: float, to_s: float, most: int = EVENTS_READ_MAX) -> list[ToldEvent]:
        """The newest events in [from, to), the newest first."""
        query = (
            "SELECT unix_s, name, detail FROM event WHERE unix_s >= ? AND unix_s < ?"
            " ORDER BY unix_s DESC, id DESC LIMIT ?"
        )
        with self._open() as db:
            return [
                ToldEvent(at, name, json.loads(told))
                for at, name, told in db.execute(query, (from_s, to_s, most))
            ]

    def bounds_s(self) -> tuple[int, int] | None:
        """Beginning of the first and of the last day in it; None while it is empty."""
        with self._open() as db:
            first, last = db.execute("SELECT min(at_s), max(at_s) FROM day").fetchone()
        return None if first is None else (first, last)

    def oldest_minute_s(self) -> int | None:
        """The oldest minute that is still kept."""
        with self._open() as db:
            (oldest,) = db.execute("SELECT min(at_s) FROM minute").fetchone()
        return None if oldest is None else int(oldest)

    def local(self, at_s: float) -> datetime:
        """An instant by the site's clock."""
        return datetime.fromtimestamp(at_s, self.zone)

    def day(self, at_s: float) -> date:
        """The local day of an instant."""
        return self.local(at_s).date()

    def midnight_s(self, day: date) -> float:
        """The beginning of a local day."""
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).timestamp()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            db = sqlite3.connect(f"{self.file.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)
            try:
                (version,) = db.execute("PRAGMA user_version").fetchone()
                if version != SCHEMA:
                    raise InputError(f"{self.file} is a history of another version of Sunkeep ({version}).")
                yield db
            finally:
                db.close()
        except sqlite3.Error as error:
            raise InputError(f"No history can be read in {self.file} ({error}).") from None


def _known(level: str) -> str:
    if level not in LEVELS:
        raise ValueError(level)
    return level
