"""What became of trials: the least judgement of each, the state it was made of, and their order.

Nothing here knows Ray.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, isfinite, isnan
from pathlib import Path

from training.artifacts.checkpoint import BEST_FILE
from training.sweep.space import Settings

LEAST_FILE = "j_w"
"""Beside the checkpoints of a trial, so that it is not lost when the trial goes on elsewhere."""
DIVERGED = "a figure was no number"


@dataclass(frozen=True)
class TrialResult:
    """What became of one.

    `j_w` is the least of its judgements, and `weights` the file of the state that was judged so; NaN and None
    where there was none. Of replay it may be the state before the first update, where none was better. A
    trial that came to a figure that is no number has inf, and no weights to name.
    """

    number: int
    settings: Settings
    checks: int
    j_w: float
    is_whole: bool
    error: str
    weights: Path | None


def least_w(folder: Path, j_w: float) -> float:
    """The least judgement of a trial with this one, kept in its folder; one that is no number undoes all."""
    path = folder / LEAST_FILE
    before_w = float(path.read_text()) if path.exists() else inf
    least = min(before_w, j_w) if isfinite(j_w) else inf
    path.write_text(repr(least))
    return least


def trial_of(
    number: int, settings: Settings, checks: int, of: int, j_w: float, error: str, kept: Path | None
) -> TrialResult:
    """One trial after `checks` judgements `of` so many; `kept` is the folder of its checkpoints."""
    weights = None if kept is None else kept / BEST_FILE
    is_known = weights is not None and weights.is_file() and isfinite(j_w)
    said = error or ("" if isfinite(j_w) or isnan(j_w) else DIVERGED)
    return TrialResult(
        number, settings, checks, j_w, checks == of and isfinite(j_w), said, weights if is_known else None
    )


def ranked(trials: Iterable[TrialResult]) -> list[TrialResult]:
    """Best first; those that came to no judgement, or diverged, are last."""
    return sorted(trials, key=lambda trial: trial.j_w if isfinite(trial.j_w) else inf)
