"""Journals and saved files as earlier versions wrote them (`record_golden` made them)."""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

from daemon.journal.artifact_archive import FOLDER
from daemon.journal.segments import lines_of, segments

GOLDEN = Path(__file__).parent / "golden"
RUNS = sorted(folder for version in GOLDEN.iterdir() for folder in version.iterdir() if folder.name != FOLDER)
"""One folder for each recorded run."""


def name_of(run: Path) -> str:
    """For the names of tests."""
    return f"{run.parent.name}-{run.name}"


def journal_of(run: Path, folder: Path) -> Path:
    """The journal of a run with the artifacts beside it, as a daemon leaves it."""
    journal = folder / "journal"
    journal.mkdir()
    for file in segments(run):
        shutil.copy(file, journal)
    shutil.copytree(run.parent / FOLDER, journal / FOLDER)
    return journal


def texts(run: Path) -> list[tuple[Any, bytes]]:
    """Every line of its journal, as plain JSON values and as it stands there."""
    lines = [line for file in segments(run) for line in lines_of(file)]
    return [(json.loads(line.partition(b" ")[2]), line) for line in lines]


def unpacked(run: Path, name: str) -> bytes:
    """A file that was kept compressed."""
    return gzip.decompress((run / f"{name}.gz").read_bytes())
