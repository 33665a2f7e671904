"""All rows: those injected into a running daemon, and those met at a start."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.faults.campaign import FailedTrial, campaign, chosen
from tests.faults.row import FaultTrialResult
from tests.faults.starts import StartTrial, starts


def run(
    names: Sequence[str], trials: int, seed: int, *, short: bool
) -> list[FaultTrialResult | FailedTrial | StartTrial]:
    """Rows of these numbers, all without any, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        done = campaign(Path(folder), chosen(names, short=short), trials, seed)
        return [*done, *starts(Path(folder) / "starts", names, short=short)]
