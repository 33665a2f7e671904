"""All rows: those injected into a running daemon, and those met at a start."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from tests.faults.campaign import FailedTrial, campaign, chosen
from tests.faults.report import table
from tests.faults.row import FaultTrialResult
from tests.faults.starts import StartTrial, starts

AnyTrial: TypeAlias = FaultTrialResult | FailedTrial | StartTrial


def run(
    names: Sequence[str], trials: int, seed: int, *, short: bool, kept_in: Path | None = None
) -> list[AnyTrial]:
    """Rows of these numbers, all without any; the table so far is in `kept_in` after each trial."""

    def keep(done: Sequence[FaultTrialResult | FailedTrial]) -> None:
        if kept_in is not None:
            kept_in.parent.mkdir(parents=True, exist_ok=True)
            kept_in.write_text(table(done) + "\n")

    with tempfile.TemporaryDirectory() as folder:
        done = campaign(Path(folder), chosen(names, short=short), trials, seed, keep)
        return [*done, *starts(Path(folder) / "starts", names, short=short)]
