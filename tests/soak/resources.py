"""What a process holds: memory, descriptors, threads, tasks."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Held:
    """At one instant. `tasks` is None for another process, which does not tell."""

    at_s: float
    rss_mb: float
    descriptors: int
    threads: int
    tasks: int | None = None


def held(at_s: float, pid: int | str = "self") -> Held:
    """What a process holds now. Raises OSError when there is no such process."""
    folder = Path(f"/proc/{pid}")
    pages = int((folder / "statm").read_text().split()[1])
    tasks = len(asyncio.all_tasks()) if pid == "self" else None
    return Held(
        at_s=at_s,
        rss_mb=pages * PAGE_BYTES / 1e6,
        descriptors=len(list((folder / "fd").iterdir())),
        threads=len(list((folder / "task").iterdir())),
        tasks=tasks,
    )


def growth_mb(samples: list[Held], from_s: float) -> float:
    """From the first sample after that instant to the last one; 0 with fewer than two."""
    after = [sample.rss_mb for sample in samples if sample.at_s >= from_s]
    return after[-1] - after[0] if len(after) > 1 else 0.0
