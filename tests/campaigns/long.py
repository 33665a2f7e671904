"""Everything at full length, one part after the other, with one summary at the end.

    python -m tests.campaigns.long --jobs 2 --minutes 180

Parts that are one process each run `--jobs` at a time; then those that share the cores by themselves. The
random ticks come last and end when the time is over. A part that fails does not keep the others from running.
What each part found stands in `runs/safety-long/summary.txt`, what it said while it ran beside that.
"""

import argparse
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.campaigns.table import heading

FOLDER = Path("runs/safety-long")
ALONE = (
    "meter_loss",
    "data_faults",
    "energy_counters",
    "controller_killed",
    "kills",
    "store_kills",
    "power_cuts",
)


@dataclass(frozen=True)
class CampaignPart:
    """One command: a module and its options."""

    name: str
    module: str
    options: tuple[str, ...]

    @property
    def command(self) -> str:
        return " ".join(("python -m", self.module, *self.options))


@dataclass(frozen=True)
class Ended:
    """How a part ended, and what it found."""

    part: CampaignPart
    status: int
    took_s: float
    found: str

    def __str__(self) -> str:
        word = "done" if self.status == 0 else f"FAILED with status {self.status}"
        title = f"## {self.part.name}: {word}, {self.took_s / 60.0:.1f} min"
        return f"{title}\n\n`{self.part.command}`\n\n{self.found}"


def alone(seed: int) -> list[CampaignPart]:
    """Parts of one process each."""
    parts = [CampaignPart(name, f"tests.campaigns.{name}", ("--seed", str(seed))) for name in ALONE]
    cuts = ("--ticks", "0", "--power-cuts", "100000", "--seed", str(seed))
    return [*parts, CampaignPart("state_file", "tests.safety.search.campaign", cuts)]


def together(seed: int, jobs: int) -> list[CampaignPart]:
    """Parts that share the cores by themselves."""
    shared = ("--jobs", str(jobs))
    rolled = ("--seed", str(seed), *shared)
    return [
        CampaignPart("mutation", "tests.mutation", shared),
        CampaignPart(
            "twin", "tests.safety.search.fuzz", ("--ticks", "1000000000", "--shipped", "2000000", *rolled)
        ),
        CampaignPart(
            "gate",
            "tests.safety.search.fuzz",
            ("--ticks", "0", "--shipped", "100000000", "--compiled", *rolled),
        ),
        CampaignPart(
            "steps", "tests.safety.search.campaign", ("--ticks", "0", "--steps", "1000000", *rolled)
        ),
    ]


def ticks(seed: int, jobs: int, minutes: float) -> CampaignPart:
    """The random ticks, for at most so many minutes."""
    options = ("--ticks", "100000000", "--compiled", "--seed", str(seed), "--jobs", str(jobs))
    return CampaignPart(
        "ticks", "tests.safety.search.campaign", (*options, "--minutes", f"{max(minutes, 1.0):.0f}")
    )


def run(part: CampaignPart, folder: Path) -> Ended:
    """Run one part; what it prints as its result is kept, the rest goes into a file of its own."""
    started_s = time.monotonic()
    with (folder / f"{part.name}.log").open("w") as log:
        command = [sys.executable, "-m", part.module, *part.options]
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, text=True, check=False)
    result = Ended(part, ended.returncode, time.monotonic() - started_s, ended.stdout)
    with (folder / "summary.txt").open("a") as file:
        file.write(f"{result}\n")
    print(result, flush=True)
    return result


def main() -> int:
    """Run everything, or what is named; the exit status is 1 when a part failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [part.name for part in (*alone(0), *together(0, 1), ticks(0, 1, 0.0))]
    parser.add_argument("parts", nargs="*", help="of " + ", ".join(names))
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--minutes", type=float, default=180.0, help="the ticks take what is left")
    parser.add_argument("--seed", type=int, default=20261120)
    args = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    ends_s = time.monotonic() + 60.0 * args.minutes
    (FOLDER / "summary.txt").write_text("")
    wanted = [part for part in alone(args.seed) if not args.parts or part.name in args.parts]
    with ThreadPoolExecutor(args.jobs) as pool:
        results = list(pool.map(lambda part: run(part, FOLDER), wanted))
    for part in together(args.seed, args.jobs):
        if not args.parts or part.name in args.parts:
            results.append(run(part, FOLDER))
    if not args.parts or "ticks" in args.parts:
        results.append(run(ticks(args.seed, args.jobs, (ends_s - time.monotonic()) / 60.0), FOLDER))
    failed = [result.part.name for result in results if result.status != 0]
    told = f"{heading(args.seed)}: {len(results)} parts, failed: {', '.join(failed) or 'none'}\n"
    with (FOLDER / "summary.txt").open("a") as file:
        file.write(told)
    print(told, end="")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
