"""Clocks. Control counts on CLOCK_BOOTTIME: it never steps and runs through suspension."""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from core.modes import WallClock

_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
_EARLIEST_UNIX_S = 1_767_225_600.0
"""2026-01-01: a clock before it was never set (a Pi without battery starts in the past)."""


def boottime_s() -> float:
    """Seconds since boot, suspension included, in whole microseconds: a journal tells them in few digits."""
    return round(time.clock_gettime(time.CLOCK_BOOTTIME), 6)


def unix_offset_s() -> float:
    """What the wall clock says more than `boottime_s` now."""
    return time.time() - boottime_s()


def boot_id() -> str:
    """Identity of this boot of the kernel; empty where the kernel does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def synchronised() -> bool:
    """Whether the wall clock can be believed.

    systemd-timesyncd leaves a file once it has synchronised. Without that service (containers, chrony)
    a clock that is not in the past of this software is taken as set.
    """
    if _SYNCHRONISED.parent.exists():
        return _SYNCHRONISED.exists()
    return time.time() > _EARLIEST_UNIX_S


def wall_moment(zone: ZoneInfo) -> WallClock:
    """The wall clock for `core.modes.assign`: unknown until synchronised."""
    now_s = time.time()
    local = datetime.fromtimestamp(now_s, zone)
    return WallClock(now_s if synchronised() else None, local.weekday(), local.hour * 60 + local.minute)


def local_hour(zone: ZoneInfo) -> int | None:
    """The hour of the site's day; None until the wall clock is synchronised."""
    moment = wall_moment(zone)
    return None if moment.unix_s is None else moment.minute // 60


@dataclass(slots=True)
class TickPace:
    """Absolute deadlines. A late tick is not caught up: deadlines that have passed are skipped."""

    period_s: float
    next_at_s: float

    async def wait(self) -> float:
        """Sleep to the next deadline.

        Returns:
            How late the wake-up came, in seconds.
        """
        await asyncio.sleep(max(0.0, self.next_at_s - boottime_s()))
        late_s = boottime_s() - self.next_at_s
        skipped = int(max(0.0, late_s) // self.period_s)
        self.next_at_s += (1 + skipped) * self.period_s
        return late_s
