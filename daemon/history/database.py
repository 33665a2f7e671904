"""The database of the history: tables, checks, bounds, backup.

SQLite in WAL mode; every commit is on the disk.

Whatever is wrong with the file, the daemon runs: a damaged one is put aside, and the last backup, or a new
file, takes its place.
"""

import os
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from daemon.history.columns import COLUMNS, to_row
from daemon.history.minutes import HistoryMinute

FILE, BACKUP = "history.db", "history-backup.db"
SCHEMA = 1
LEVELS = ("minute", "hour", "day")
HOURS_KEPT_S = 3653 * 86400
EVENTS_MAX = 20_000
"""Rows; some hundred bytes each."""
BUSY_S = 5.0
BACKUP_PAGES, BACKUP_PAUSE_S = 64, 0.02
PRUNED_AT_ONCE_S = 6 * 3600
_SUMS = ", ".join(f"{name} = {name} + excluded.{name}" for name in COLUMNS)


class HistoryUnusable(Exception):
    """The file cannot be used and must not be put aside: it belongs to a newer version."""


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """Something that happened: its name and its details as JSON, for pages that find words for it."""

    unix_s: float
    name: str
    detail: str = "{}"


def open_history(file: Path) -> sqlite3.Connection:
    """Open or make the database.

    Raises:
        sqlite3.DatabaseError: it is damaged (`OperationalError`: it cannot be used now).
        HistoryUnusable: a newer version made it.
    """
    if not file.exists():
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(file, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA cache_size = -512")
        db.execute("PRAGMA journal_size_limit = 4000000")
        (found,) = db.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA:
            raise HistoryUnusable(f"{file} was made by a newer Sunkeep (version {version} of the file)")
        if version < SCHEMA:
            db.executescript(f"BEGIN; {_tables()} PRAGMA user_version = {SCHEMA}; COMMIT;")
    except BaseException:
        db.close()
        raise
    return db


def _tables() -> str:
    columns = ", ".join(f"{name} INTEGER NOT NULL DEFAULT 0" for name in COLUMNS)
    levels = "".join(
        f"CREATE TABLE IF NOT EXISTS {level} (at_s INTEGER PRIMARY KEY, {columns});"
        f"CREATE TABLE IF NOT EXISTS slave_{level} (at_s INTEGER, slave INTEGER, energy_j INTEGER NOT NULL,"
        " heard_ms INTEGER NOT NULL, PRIMARY KEY (at_s, slave)) WITHOUT ROWID;"
        for level in LEVELS
    )
    return levels + (
        "CREATE TABLE IF NOT EXISTS slave (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
        "CREATE TABLE IF NOT EXISTS cause (at_s INTEGER, state TEXT, name TEXT, times INTEGER NOT NULL,"
        " lasted_ms INTEGER NOT NULL, PRIMARY KEY (at_s, state, name)) WITHOUT ROWID;"
        "CREATE TABLE IF NOT EXISTS event (id INTEGER PRIMARY KEY, unix_s REAL NOT NULL, name TEXT NOT NULL,"
        " detail TEXT NOT NULL);"
        "CREATE INDEX IF NOT EXISTS event_unix_s ON event (unix_s);"
        "CREATE TABLE IF NOT EXISTS price (at_s INTEGER PRIMARY KEY, price_per_kwh REAL,"
        " feed_in_per_kwh REAL, currency TEXT, co2_g_per_kwh REAL);"
    )


def put_aside(file: Path, stamp: str) -> Path:
    """Move a damaged database out of the way, all its files; the last backup takes its place if there is one.

    Raises OSError.
    """
    aside = file.with_name(f"{file.name}.damaged-{stamp}")
    file.replace(aside)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            file.with_name(file.name + suffix).replace(aside.with_name(aside.name + suffix))
    backup = file.with_name(BACKUP)
    with suppress(FileNotFoundError):
        backup.replace(file)
    return aside


@dataclass(slots=True)
class HistoryDatabase:
    """Writes to an open database. One thread at a time."""

    db: sqlite3.Connection
    zone: ZoneInfo
    minutes_kept_s: int
    max_bytes: int
    _slaves: dict[str, int] = field(default_factory=dict)

    def write(self, minutes: Iterable[HistoryMinute], events: Iterable[HistoryEvent] = ()) -> None:
        """Add minutes to all levels, and events; all of it or nothing."""
        self._slaves.clear()  # a number of a transaction that failed is nobody's
        with _Transaction(self.db):
            for minute in minutes:
                self._add(minute)
            rows = [(event.unix_s, event.name, event.detail) for event in events]
            self.db.executemany("INSERT INTO event (unix_s, name, detail) VALUES (?, ?, ?)", rows)

    def price(self, at_s: int, told: tuple[float, float, str, float]) -> None:
        """Remember what energy costs from now on, where that is news."""
        last = self.db.execute(
            "SELECT price_per_kwh, feed_in_per_kwh, currency, co2_g_per_kwh FROM price"
            " ORDER BY at_s DESC LIMIT 1"
        ).fetchone()
        if last != told:
            self.db.execute("INSERT OR REPLACE INTO price VALUES (?, ?, ?, ?, ?)", (at_s, *told))

    def has_minute(self, at_s: int) -> bool:
        """Whether something is known of this minute."""
        return self.db.execute("SELECT 1 FROM minute WHERE at_s = ?", (at_s,)).fetchone() is not None

    def count(self, level: str) -> tuple[int, int | None, int | None]:
        """Rows of a level, and the beginnings of the first and the last one."""
        found: tuple[int, int | None, int | None] = self.db.execute(
            f"SELECT count(*), min(at_s), max(at_s) FROM {level}"
        ).fetchone()
        return found

    def hours(self) -> set[int]:
        """The hours that something is known of, by their beginning."""
        return {at_s for (at_s,) in self.db.execute("SELECT at_s FROM hour")}

    def prune(self) -> None:
        """Forget the oldest minutes, hours and events; the days stay. Ages count from the newest minute."""
        (newest_s,) = self.db.execute("SELECT max(at_s) FROM minute").fetchone()
        if newest_s is None:
            return
        with _Transaction(self.db):
            self._forget("minute", newest_s - self.minutes_kept_s)
            self._forget("hour", newest_s - HOURS_KEPT_S)
            self.db.execute("DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - ?", (EVENTS_MAX,))
        while self.used_bytes() > self.max_bytes:
            (oldest_s,) = self.db.execute("SELECT min(at_s) FROM minute").fetchone()
            if oldest_s is None:
                return
            with _Transaction(self.db):
                self._forget("minute", oldest_s + PRUNED_AT_ONCE_S)

    def used_bytes(self) -> int:
        """Pages that hold something."""
        pages, free, size = (
            self.db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def backup(self, file: Path) -> None:
        """Copy the database while it is in use, a little at a time; the copy replaces the one before."""
        passing = file.with_name(file.name + ".new")
        passing.unlink(missing_ok=True)
        os.close(os.open(passing, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        copy = sqlite3.connect(passing)
        try:
            self.db.backup(copy, pages=BACKUP_PAGES, sleep=BACKUP_PAUSE_S)
            copy.execute("PRAGMA journal_mode = DELETE")
        finally:
            copy.close()
        passing.replace(file)

    def hour_of(self, at_s: int) -> int:
        """Beginning of the hour by the site's clock."""
        local = datetime.fromtimestamp(at_s, self.zone)
        return at_s - local.minute * 60 - local.second

    def day_of(self, at_s: int) -> int:
        """Midnight by the site's clock."""
        day = self.day(at_s)
        return int(datetime(day.year, day.month, day.day, tzinfo=self.zone).timestamp())

    def day(self, at_s: float) -> date:
        """The local day of an instant."""
        return datetime.fromtimestamp(at_s, self.zone).date()

    def _forget(self, level: str, before_s: int) -> None:
        self.db.execute(f"DELETE FROM {level} WHERE at_s < ?", (before_s,))
        self.db.execute(f"DELETE FROM slave_{level} WHERE at_s < ?", (before_s,))

    def _add(self, minute: HistoryMinute) -> None:
        row = to_row(minute.account)
        places = (minute.at_s, self.hour_of(minute.at_s), self.day_of(minute.at_s))
        marks = ", ".join("?" * (len(row) + 1))
        for level, at_s in zip(LEVELS, places, strict=True):
            self.db.execute(
                f"INSERT INTO {level} (at_s, {', '.join(COLUMNS)}) VALUES ({marks})"
                f" ON CONFLICT (at_s) DO UPDATE SET {_SUMS}",
                (at_s, *row),
            )
            self.db.executemany(
                f"INSERT INTO slave_{level} VALUES (?, ?, ?, ?) ON CONFLICT (at_s, slave) DO UPDATE SET"
                " energy_j = energy_j + excluded.energy_j, heard_ms = heard_ms + excluded.heard_ms",
                [
                    (at_s, self._slave(name), round(energy_j), round(minute.heard_s[name] * 1000.0))
                    for name, energy_j in minute.slaves_j.items()
                ],
            )
        self.db.executemany(
            "INSERT INTO cause VALUES (?, ?, ?, ?, ?) ON CONFLICT (at_s, state, name) DO UPDATE SET"
            " times = times + excluded.times, lasted_ms = lasted_ms + excluded.lasted_ms",
            [
                (places[-1], state.value, name, spell.times, round(spell.lasted_s * 1000.0))
                for (state, name), spell in minute.account.causes.items()
            ],
        )

    def _slave(self, name: str) -> int:
        if name not in self._slaves:
            self.db.execute("INSERT OR IGNORE INTO slave (name) VALUES (?)", (name,))
            (number,) = self.db.execute("SELECT id FROM slave WHERE name = ?", (name,)).fetchone()
            self._slaves[name] = int(number)
        return self._slaves[name]


class _Transaction:
    """All of it, or nothing."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._db.execute("COMMIT")
        elif self._db.in_transaction:
            self._db.execute("ROLLBACK")
