"""How a campaign tells what it found."""

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from math import ceil
from pathlib import Path


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed; NaN of nothing."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else float("nan")


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Count, p50, p90, p99, p100 as cells."""
    shares = (0.5, 0.9, 0.99, 1.0)
    return " | ".join([f"{len(values):>6}", *(f"{percentile(values, s):>6.{digits}f}" for s in shares)])


def traces_in(folder: Path | None) -> list[Path]:
    """The measured days of a folder, in the order of their names; none without one."""
    return sorted((*folder.glob("*.parquet"), *folder.glob("*.csv"))) if folder else []


def parser(about: str | None, trials: int, seed: int = 1) -> argparse.ArgumentParser:
    """The options that every campaign has."""
    options = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    options.add_argument("--trials", type=int, default=trials)
    options.add_argument("--seed", type=int, default=seed)
    return options


def heading(seed: int) -> str:
    """When and on what this ran."""
    at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    cores, load = os.cpu_count(), os.getloadavg()[0]
    return (
        f"{at}, {platform.machine()}, {cores} cores shared with other work (load {load:.1f} at the end), "
        f"Python {sys.version_info.major}.{sys.version_info.minor}, seed {seed}"
    )
