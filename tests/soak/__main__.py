"""72 simulated hours of the whole daemon under a storm of faults, and an hour in real time.

    python -m tests.soak                            72 h in legs of 6 h, one after the other
    python -m tests.soak --hours 72 --leg-hours 72  the same in one process
    python -m tests.soak --real-time 60             an hour in real time, the daemon a process of its own

Each leg is a process of its own with a seed of its own; what it found is kept in `runs/soak`, and a leg that
was lived already is not lived again (`--fresh`: it is). Everything is on: policy, judge, journal, page,
metrics; visitors scrape, look and hang up. See docs/results/safety-campaigns.md.
"""

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from pathlib import Path
from typing import Any

from tests.campaigns.table import heading
from tests.soak import real_time

FOLDER = Path("runs/soak")


def leg(seed: int, number: int, hours: float, *, fresh: bool) -> dict[str, Any]:
    """Live a leg in a process of its own, or read what it found before."""
    out = FOLDER / f"leg-{seed}-{number}-{hours:g}h.json"
    if fresh or not out.exists():
        options = ("--seed", f"{seed}", "--leg", f"{number}", "--hours", f"{hours}", "--out", f"{out}")
        ended = subprocess.run([sys.executable, "-m", "tests.soak.leg", *options], check=False)
        if not out.exists():
            return {"leg": number, "hours": 0.0, "problems": [f"the process ended with {ended.returncode}"]}
    found: dict[str, Any] = json.loads(out.read_text())
    print(row(found), flush=True)
    return found


HEAD = (
    "| leg | hours | ticks | skipped | faults | frames | broken rules | unhandled | memory MB | "
    "grew MB after 1 h | descriptors | tasks | wall min |"
)


def row(found: dict[str, Any]) -> str:
    """One line of the table."""
    samples = found.get("samples") or [{}]
    first, last = samples[0], samples[-1]
    cells = (
        f"{found['leg']}",
        f"{found['hours']:g}",
        f"{found.get('ticks', 0)}",
        f"{found.get('skipped_ticks', 0)}",
        f"{sum(found.get('faults', {}).values())}",
        f"{found.get('referee', {}).get('frames', 0)}",
        f"{len(found.get('broken', []))}",
        f"{len(found.get('unhandled', []))}",
        f"{last.get('rss_mb', 0.0):.0f}",
        f"{found.get('growth_mb', 0.0):+.1f}",
        f"{first.get('descriptors')} → {last.get('descriptors')}",
        f"{first.get('tasks')} → {last.get('tasks')}",
        f"{found.get('wall_s', 0.0) / 60.0:.0f}",
    )
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """The long form; the exit status is 1 when a leg did not hold."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--hours", type=float, default=72.0)
    options.add_argument("--leg-hours", type=float, default=6.0)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--jobs", type=int, default=1, help="processes at a time")
    options.add_argument("--fresh", action="store_true", help="live every leg anew")
    options.add_argument("--real-time", type=float, metavar="MINUTES", help="in real time instead")
    chosen = options.parse_args()
    if chosen.real_time:
        return real_time.soak(chosen.real_time * 60.0, chosen.seed)
    print(HEAD + "\n|" + "---|" * (HEAD.count("|") - 1), flush=True)
    count = ceil(chosen.hours / chosen.leg_hours)
    with ThreadPoolExecutor(chosen.jobs) as pool:
        legs = list(
            pool.map(
                lambda number: leg(chosen.seed, number, chosen.leg_hours, fresh=chosen.fresh), range(count)
            )
        )
    hours = sum(found["hours"] for found in legs)
    problems = [f"leg {found['leg']}: {line}" for found in legs for line in found["problems"]]
    print(f"\n{heading(chosen.seed)}: {hours:g} h, {len(problems)} problems")
    for line in problems[:40]:
        print(line)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
