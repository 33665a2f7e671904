"""How often the daemon has ended without having been told to: kills, crashes, power cuts.

A process that is restarted again and again is no place for a policy, whatever the reason: a brown-out, a lack
of memory, a defect. The record is marked at every start, and marked again at every orderly end.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.config.settings import SettingsError
from daemon.errors import StartError
from daemon.system.clock import boot_id, boottime_s, synchronised
from daemon.system.log import log
from daemon.system.state_file import StateFile
from drivers.errors import ConfigError
from safety.timers import number

NAME = "restarts"
STORM = 3
WITHIN_S = 600.0
"""So many unordered ends within this time are a storm."""
KEPT = 50


@dataclass(frozen=True, slots=True)
class Now:
    """The clocks at one instant: CLOCK_BOOTTIME of one boot, and the wall clock if it can be believed."""

    boot_id: str
    boottime_s: float
    unix_s: float
    synced: bool


def read_clocks() -> Now:
    """The clocks now."""
    return Now(boot_id(), boottime_s(), time.time(), synchronised())


def unordered_ends(record: Mapping[str, Any] | None, now: Now) -> tuple[float, ...]:
    """How long ago each unordered end of the last `WITHIN_S` was, in s, as far as is known.

    Within one boot time runs on exactly. Across a boot, wall time counts only if the clock was synchronised
    then and is now; else no time has passed. A record that makes no sense says nothing.
    """
    try:
        if record is None or record.keys() != {
            "boot_id",
            "boottime_s",
            "unix_s",
            "synced",
            "running",
            "ago_s",
        }:
            return ()
        elapsed_s = _elapsed_s(record, now)
        ago_s = [number(ago) + elapsed_s for ago in record["ago_s"]]
    except (TypeError, ValueError):
        return ()
    if record["running"] is not False:
        ago_s.append(0.0)
    return tuple(ago for ago in ago_s if ago < WITHIN_S)[-KEPT:]


def _elapsed_s(record: Mapping[str, Any], now: Now) -> float:
    if record["boot_id"] == now.boot_id != "":
        return max(0.0, now.boottime_s - number(record["boottime_s"]))
    both_synced = now.synced and record["synced"] is True
    return max(0.0, now.unix_s - number(record["unix_s"])) if both_synced else 0.0


class RestartFile:
    """The record in the state directory."""

    def __init__(self, directory: Path) -> None:
        self._file = StateFile(directory / NAME)

    def begin(self) -> int:
        """Mark that the daemon runs.

        Returns:
            How many unordered ends there were lately; `STORM` and more are a storm.
        """
        now = read_clocks()
        ago_s = unordered_ends(self._file.load(), now)
        self._save(now, ago_s, running=True)
        return len(ago_s)

    def end(self) -> None:
        """Mark an orderly end."""
        now = read_clocks()
        record = self._file.load()
        quiet = None if record is None else {**record, "running": False}
        self._save(now, unordered_ends(quiet, now), running=False)

    def _save(self, now: Now, ago_s: tuple[float, ...], *, running: bool) -> None:
        """A disk that refuses stops nothing; what was marked before stands."""
        record = {
            "boot_id": now.boot_id,
            "boottime_s": now.boottime_s,
            "unix_s": now.unix_s,
            "synced": now.synced,
            "running": running,
            "ago_s": list(ago_s),
        }
        try:
            self._file.save(record)
        except OSError as error:
            log.warning("restarts_unwritable", reason=error.strerror)


_ORDERLY = (StartError, SettingsError, ConfigError, asyncio.CancelledError)
"""Ends that say what to do, or were asked for."""


@contextmanager
def marked_run(directory: Path) -> Iterator[int]:
    """Mark start and orderly end of a run; gives how many unordered ends there were lately."""
    file = RestartFile(directory)
    ends = file.begin()
    try:
        yield ends
    except _ORDERLY:
        file.end()
        raise
    file.end()
