"""Measured days to train on: a folder of traces, and which of them may be used for what."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plant.site.trace import Trace, load_trace

SUMMARY_FILE = "SUMMARY.json"
SPLITS = ("train", "val", "test")
DAYLIGHT_W = 20.0
"""Less generation than this is night."""


class DaysError(ValueError):
    """A folder of traces that cannot be used; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Day:
    """One trace: its file, the split it belongs to, and how its PV is connected ("3ph", "A", "B", "C").

    With `has_gaps`, some of its seconds are unknown (NaN); nobody lives an hour or a window with one.
    `sources` are the data sets that the day is composed of, as far as its summary names them.
    """

    path: Path
    split: str
    connection: str
    has_gaps: bool = False
    sources: tuple[str, ...] = ()

    def load(self) -> Trace:
        """The trace itself. Raises plant.site.trace.TraceError."""
        return load_trace(self.path, has_gaps=self.has_gaps)


def find_days(folder: Path, split: str) -> tuple[Day, ...]:
    """The days of one split, in the order of the summary.

    Args:
        folder: traces, and a ``SUMMARY.json``: a list of objects with `file`, `split`, `pv_connection`, and
            `has_gaps` where seconds of the day are unknown, and `sources`, the names of data sets.
        split: "train", "val" or "test".

    Raises:
        DaysError: no readable summary, or no day of this split.
    """
    summary = folder / SUMMARY_FILE
    try:
        rows = json.loads(summary.read_text(encoding="utf-8"))
        every = [
            Day(
                folder / Path(r["file"]).name,
                r["split"],
                r["pv_connection"],
                r.get("has_gaps") is True,
                tuple(map(str, r.get("sources", ()))),
            )
            for r in rows
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DaysError(
            f"{summary}: not a list of days with file, split and pv_connection: {error}"
        ) from error
    days = tuple(day for day in every if day.split == split)
    if not days:
        raise DaysError(f"{summary}: no day has the split {split!r}")
    return days


def daylight_s(trace: Trace) -> tuple[int, int]:
    """First and last second with generation; the whole day when there is none."""
    lit = np.flatnonzero(trace.pv_w > DAYLIGHT_W)
    return (int(lit[0]), int(lit[-1]) + 1) if lit.size else (0, len(trace.pv_w))


def middle_of_light_s(trace: Trace, share: float) -> tuple[int, int]:
    """First second and end of the middle part of a day's light."""
    first_s, end_s = daylight_s(trace)
    cut_s = int((end_s - first_s) * (1.0 - share) / 2.0)
    return first_s + cut_s, end_s - cut_s


def data_sources(days: Iterable[Day]) -> tuple[str, ...]:
    """The data sets that these days are composed of, sorted."""
    return tuple(sorted({source for day in days for source in day.sources}))


def data_sha256(days: Iterable[Day]) -> str:
    """One hash for a set of days."""
    return files_sha256(day.path for day in days)


def files_sha256(files: Iterable[Path]) -> str:
    """One hash for a set of files: over their names and hashes, sorted."""
    lines = sorted(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
