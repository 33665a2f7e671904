"""All rows: those injected into a running daemon, and those met at a start."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.faults.campaign import Broken, campaign, chosen
from tests.faults.row import Result
from tests.faults.starts import Start, starts


def run(names: Sequence[str], trials: int, seed: int, *, short: bool) -> list[Result | Broken | Start]:
    """Rows of these numbers, all without any, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        done = campaign(Path(folder), chosen(names, short=short), trials, seed)
        return [*done, *starts(Path(folder) / "starts", names, short=short)]
