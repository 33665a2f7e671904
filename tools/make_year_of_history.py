"""Write a made-up year into a history, to look at the page and to measure it.

    python tools/make_year_of_history.py FOLDER [--days 365] [--slaves 9]

Sun and house follow plain curves with random draws; nothing here is a measurement. The newest 92 days
hold single minutes, as the daemon keeps them, the days before hours.
"""

import argparse
import sys
import time
from math import cos, pi, sin
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from core.decision import State
from core.roles import Role
from daemon.history.account import Account
from daemon.history.database import FILE, HistoryDatabase, HistoryEvent, open_history
from daemon.history.minutes import HistoryMinute
from daemon.history.tariff import Tariff

DAY_S, MINUTES_DAYS = 86400, 92
TARIFF = Tariff(0.30, 0.08, "EUR", 350.0)
AT_ONCE = 1440


def main() -> int:
    """Write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--slaves", type=int, default=9)
    parser.add_argument("--timezone", default="Europe/Berlin")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    db = open_history(arguments.folder / FILE)
    db.execute("PRAGMA synchronous = OFF")  # a made-up year may be lost
    database = HistoryDatabase(db, ZoneInfo(arguments.timezone), MINUTES_DAYS * DAY_S, 200 * 10**6)
    rng, end_s = Random(1), int(time.time()) // 60 * 60  # noqa: S311 - made-up weather
    at_s, waiting, sky = (end_s - arguments.days * DAY_S) // 3600 * 3600, list[HistoryMinute](), 0.7
    while at_s < end_s:
        step_s = 60 if at_s >= end_s - MINUTES_DAYS * DAY_S else 3600
        sky = min(1.0, max(0.1, sky + rng.gauss(0.0, 0.03 * (step_s / 60) ** 0.5)))
        waiting.append(made_up(at_s, step_s, sky, arguments.slaves, rng))
        at_s += step_s
        if len(waiting) >= AT_ONCE:
            database.write(waiting)
            waiting.clear()
    database.write(waiting, events(end_s))
    database.prune()
    sys.stdout.write(f"{database.used_bytes() / 1e6:.1f} MB\n")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return 0


def made_up(at_s: int, step_s: int, sky: float, slaves: int, rng: Random) -> HistoryMinute:
    """One minute, or one hour, of an invented house."""
    year, day = at_s / (365.25 * DAY_S), (at_s + 3600) % DAY_S / DAY_S
    season = 0.62 - 0.38 * cos(2 * pi * (year % 1.0))
    sun_w = 9500.0 * season * sky * max(0.0, sin(pi * (day - 0.25) / 0.5)) if 0.25 < day < 0.75 else 0.0
    house_w = 350.0 + 500.0 * rng.random() + (700.0 if day > 0.72 else 0.0)
    without_w = house_w - sun_w
    placed_w = min(max(0.0, -without_w) * 0.97, 1500.0 * slaves)
    account = Account(ticks=step_s, recorded_s=float(step_s), radio_up_s=float(step_s))
    energy = account.energy
    energy.measured_s = energy.compared_s = float(step_s)
    energy.placed_j = placed_w * step_s
    energy.exported_without_j, energy.imported_without_j = (
        max(0.0, -without_w) * step_s,
        max(0.0, without_w) * step_s,
    )
    grid_w = without_w + placed_w
    energy.exported_j, energy.imported_j = max(0.0, -grid_w) * step_s, max(0.0, grid_w) * step_s
    account.reachable_j = energy.placed_j
    account.state_s[State.RL_ACTIVE if rng.random() < 0.9 else State.FALLBACK] = float(step_s)
    TARIFF.book(account, energy, Role.ABSORB)
    names = [f"device {number + 1}" for number in range(slaves)]
    share_j = energy.placed_j / slaves
    return HistoryMinute(
        at_s,
        account,
        dict.fromkeys(names, share_j * rng.uniform(0.5, 1.5)),
        dict.fromkeys(names, float(step_s)),
    )


def events(end_s: int) -> list[HistoryEvent]:
    """A few things that happened today."""
    return [
        HistoryEvent(end_s - 7200.0, "state", '{"state": "safe_stop", "causes": ["meter_lost"]}'),
        HistoryEvent(end_s - 7140.0, "state", '{"state": "rl_active", "causes": []}'),
        HistoryEvent(end_s - 3600.0, "slave_silent", '{"slave": "device 3", "why": "does not answer"}'),
        HistoryEvent(end_s - 3000.0, "slave_follows_again", '{"slave": "device 3"}'),
    ]


if __name__ == "__main__":
    sys.exit(main())
