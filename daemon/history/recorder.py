"""The running daemon's history: ticks in, a thread of its own writes. The tick never waits for it."""

import json
import sqlite3
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from daemon.config.settings import Settings
from daemon.history.database import (
    BACKUP,
    FILE,
    HistoryDatabase,
    HistoryEvent,
    HistoryUnusable,
    open_history,
    put_aside,
)
from daemon.history.minutes import HistoryMinute, MinuteBook
from daemon.history.tariff import TimeOfUse
from daemon.journal.records import Tick
from daemon.monitoring.figures import Figures
from daemon.system.log import log

Entry = TypeVar("Entry")
DAY_S = 86400
WAITING_MAX = 1440
"""Minutes kept in memory while the disk refuses: a day."""
PRUNE_EVERY_S, BACKUP_EVERY_S = 3600.0, 7 * 86400.0
STOP_WITHIN_S = 10.0
STATES_PER_MINUTE = 5
"""More changes of state than this are counted and not told one by one: the disk is not theirs."""


@dataclass(slots=True)
class HistoryRecorder:
    """Takes ticks and events; `file` is written by a thread that nobody waits for.

    Whatever fails in here ends the history, never the tick: it is said once in the log.
    """

    file: Path
    zone: ZoneInfo
    tariff: TimeOfUse
    minutes_kept_s: int
    max_bytes: int
    is_failed: bool = False
    _book: MinuteBook = field(init=False)
    _minutes: deque[HistoryMinute] = field(default_factory=lambda: deque(maxlen=WAITING_MAX))
    _events: deque[HistoryEvent] = field(default_factory=lambda: deque(maxlen=WAITING_MAX))
    _wake: threading.Event = field(default_factory=threading.Event)
    _ending: bool = False
    _thread: threading.Thread | None = None
    _database: HistoryDatabase | None = None
    _told: str = ""
    _state: tuple[str, tuple[str, ...]] = ("", ())
    _state_minute: int = 0
    _states: int = 0
    _pruned_at_s: float = float("-inf")

    def __post_init__(self) -> None:
        self._book = MinuteBook(self.zone, self.tariff, self._keep)

    def start(self) -> None:
        """Begin to write."""
        self._thread = threading.Thread(target=self._write_for_ever, name="history", daemon=True)
        self._thread.start()

    def take(self, tick: Tick, figures: Figures) -> None:
        """One tick that `figures` have been told. Never raises, never waits."""
        if self.is_failed:
            return
        try:
            self._book.take(tick, figures)
            self._tell_state(tick)
        except Exception as error:  # noqa: BLE001 - whatever it is, the tick must live
            self.is_failed = True
            log.warning("history_failed", reason=f"{type(error).__name__}: {error}")

    def event(self, unix_s: float, name: str, detail: dict[str, Any]) -> None:
        """Something between ticks. Written with the next minute."""
        self._events.append(HistoryEvent(unix_s, name, json.dumps(detail, default=str)))

    def stop(self) -> None:
        """Write what is left; waits for the disk a few seconds at most."""
        self._book.close()
        self._ending = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(STOP_WITHIN_S)

    @property
    def waiting(self) -> int:
        """Minutes that are not on the disk yet."""
        return len(self._minutes)

    def _keep(self, minute: HistoryMinute) -> None:
        self._minutes.append(minute)
        self._wake.set()

    def _tell_state(self, tick: Tick) -> None:
        verdict = tick.verdict
        state = (verdict.state.value, verdict.causes)
        if state == self._state or tick.snapshot.hour is None:
            return
        self._state = state
        minute = int(tick.unix_s // 60)
        self._states = self._states + 1 if minute == self._state_minute else 1
        self._state_minute = minute
        if self._states <= STATES_PER_MINUTE:
            detail = {"state": state[0], "source": verdict.source.value, "causes": list(state[1])}
            self.event(tick.unix_s, "state", detail)

    def _write_for_ever(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            ending = self._ending
            if self._write_or_renew():
                self._write_or_renew()
            if ending:
                break
        if self._database is not None:
            self._database.db.close()

    def _write_or_renew(self) -> bool:
        """Write what waits; what cannot be written waits on. True when a damaged file was put aside."""
        minutes, events = list(self._minutes), list(self._events)
        try:
            database = self._opened()
            database.write(minutes, events)
            _drop(self._minutes, minutes)
            _drop(self._events, events)
            self._told = ""
            self._look_after(database)
        except sqlite3.OperationalError as error:  # full, locked, not there: it may pass
            self._tell("history_unwritable", str(error), "what waits is kept for a day")
        except sqlite3.DatabaseError as error:
            return self._renew(str(error))
        except (HistoryUnusable, OSError) as error:
            self._tell("history_unwritable", str(error), "what waits is kept for a day")
        return False

    def _opened(self) -> HistoryDatabase:
        if self._database is None:
            db = open_history(self.file)
            self._database = HistoryDatabase(db, self.zone, self.minutes_kept_s, self.max_bytes)
            plain = self.tariff.otherwise
            self._database.price(
                int(time.time()),
                (plain.price_per_kwh, plain.feed_in_per_kwh, plain.currency, plain.co2_g_per_kwh),
            )
        return self._database

    def _look_after(self, database: HistoryDatabase) -> None:
        now_s = time.monotonic()
        if now_s - self._pruned_at_s < PRUNE_EVERY_S:
            return
        self._pruned_at_s = now_s
        database.prune()
        backup = self.file.with_name(BACKUP)
        if not backup.exists() or time.time() - backup.stat().st_mtime >= BACKUP_EVERY_S:
            database.backup(backup)

    def _renew(self, reason: str) -> bool:
        """A damaged file is put aside; the next write opens the backup or begins anew."""
        if self._database is not None:
            self._database.db.close()
            self._database = None
        try:
            aside = put_aside(self.file, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))
        except OSError as error:
            self._tell("history_unwritable", f"damaged, and cannot be moved: {error.strerror}", "not kept")
            return False
        begun = "from the last backup" if self.file.exists() else "anew"
        log.warning("history_damaged", reason=reason, put_aside=str(aside), begun=begun)
        self.event(time.time(), "history_damaged", {"put_aside": aside.name, "begun": begun})
        return True

    def _tell(self, name: str, reason: str, effect: str) -> None:
        if reason != self._told:
            self._told = reason
            log.warning(name, reason=reason, file=str(self.file), effect=effect)


def _drop(waiting: deque[Entry], written: list[Entry]) -> None:
    """What is on the disk need not wait; what came meanwhile does."""
    for entry in written:
        if waiting and waiting[0] is entry:
            waiting.popleft()


def started_history(settings: Settings) -> HistoryRecorder:
    """The history of a site, with its thread running."""
    recorder = HistoryRecorder(
        settings.state.directory / FILE,
        settings.zone(),
        TimeOfUse.of(settings.tariff),
        settings.history.minutes_days * DAY_S,
        settings.history.max_mb * 10**6,
    )
    recorder.start()
    return recorder
