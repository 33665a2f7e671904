"""Settings of a learner, searched on Ray Tune:

    python -m training.sweep --learner replay --traces DIR --out OUT
    python -m training.sweep --learner td3bc --traces DIR --data train.parquet --out OUT --trials 12
    python -m training.sweep --learner replay --traces DIR --out OUT --address HOST:6379

Days of the split "val" choose by J; days of the split "test" are never opened. Needs the extra `sweep`.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from daemon.cli.options import json_option
from daemon.errors import InputError
from plant.site.trace import TraceError
from training.data.days import DaysError, data_sha256, find_days
from training.learners.data.files import transitions_sha256
from training.learners.data.transitions import TransitionsError
from training.replay.differentiable_replay import ReplayPlan
from training.sweep.outcome import TrialResult
from training.sweep.space import Settings, SpaceError, as_given, draws, shown
from training.sweep.study import LEARNERS, REPLAY, Study, settings_of
from training.sweep.surroundings import AddressError, prepare, require_cluster

RESULT_FILE, ASKED_FILE = "sweep.json", "asked.json"
EVERY = {REPLAY: 50}
"""Updates between two judgements by default."""
EVERY_OFFLINE = 500
SHORT = {"checks": 2, "every": 1, "windows": 2, "window_s": 90}
SHORT_PLAN = ReplayPlan(rows=2, groups=2, stretch_s=20, lead_s=5)


@dataclass(frozen=True)
class SweepRequest:
    """The command line."""

    learner: str
    traces: Path
    data: Path | None
    out: Path
    trials: int
    checks: int
    every: int | None
    ranges: tuple[str, ...]
    seed: int
    processors: int
    grace: int
    address: str | None
    short: bool

    @property
    def judgements(self) -> int:
        """Of a trial that is not ended early."""
        return SHORT["checks"] if self.short else self.checks

    def check(self) -> None:
        """Refuse what does not go together. Raises SpaceError."""
        if (self.learner == REPLAY) != (self.data is None):
            raise SpaceError("replay learns on --traces alone; every other learner needs --data")
        if self.grace > self.judgements:
            raise SpaceError(
                f"--grace {self.grace}: a trial has no more than {self.judgements} judgements here; "
                "give fewer, or more --checks"
            )

    def study(self) -> Study:
        """What all trials share. Raises DaysError, TraceError, TransitionsError."""
        every = self.every or EVERY.get(self.learner, EVERY_OFFLINE)
        terms: dict[str, Any] = {"checks": self.checks, "every": every, "seed": self.seed}
        study = Study.read(self.learner, self.traces, self.data, **(terms | (SHORT if self.short else {})))
        return replace(study, plan=SHORT_PLAN) if self.short else study

    def asked(self, settings: Sequence[Settings]) -> dict[str, Any]:
        """What must be the same when a sweep goes on."""
        days = find_days(self.traces, "val")
        days += find_days(self.traces, "train") if self.learner == REPLAY else ()
        return {
            "learner": self.learner,
            "days_sha256": data_sha256(days),
            "data_sha256": None if self.data is None else transitions_sha256(self.data),
            "checks": self.checks,
            "every": self.every,
            "seed": self.seed,
            "short": self.short,
            "settings": list(settings),
        }


FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command()
@click.option("--learner", type=click.Choice(LEARNERS), required=True)
@click.option("--traces", type=FOLDER, required=True, help="Days; replay also learns on their split train.")
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True), help="Transitions of the other learners."
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--trials", type=click.IntRange(1), default=8, show_default=True, help="Settings drawn.")
@click.option("--checks", type=click.IntRange(1), default=9, show_default=True, help="Judgements of a trial.")
@click.option("--every", type=click.IntRange(1), help="Updates between them; 50 of replay, 500 of others.")
@click.option(
    "--range",
    "ranges",
    multiple=True,
    help="NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A,B,C instead of the learner's own; may be repeated.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of draws and trainings.")
@click.option("--processors", type=click.IntRange(1), help="Trials side by side here; by default all cores.")
@click.option(
    "--grace", type=click.IntRange(1), default=1, show_default=True, help="Judgements nobody is ended before."
)
@click.option("--address", help="HOST:PORT of a Ray cluster that this machine belongs to.")
@click.option("--short", is_flag=True, help="Tiny trials that show that everything works.")
@json_option()
def main(as_json: bool, **options: Any) -> None:
    """Try settings of a learner side by side and end the worse ones early; J on the val days decides.

    The same command goes on with what an interruption left unfinished. Writes OUT/sweep.json.
    """
    request = SweepRequest(**options | {"processors": options["processors"] or os.cpu_count() or 1})
    try:
        request.check()
        if request.address is not None:
            require_cluster(request.address)
        space = as_given(request.ranges, request.learner, settings_of(request.learner))
        settings = draws(space, request.trials, request.seed)
        _require_same(request, settings)
        study = request.study()
    except (AddressError, SpaceError, DaysError, TraceError, TransitionsError) as error:
        raise InputError(str(error)) from None
    trials = _swept(request, study, settings)
    plain = json.dumps([_facts(trial) for trial in trials], indent=1, allow_nan=False)
    (request.out / RESULT_FILE).write_text(plain + "\n", encoding="utf-8")
    if as_json:
        click.echo(plain)
    else:
        _show(request, trials, Console())
    if not any(isfinite(trial.j_w) for trial in trials):
        raise click.ClickException("no trial reached a judgement")


def _require_same(request: SweepRequest, settings: Sequence[Settings]) -> None:
    """A folder holds one sweep. Raises SpaceError when it holds another."""
    path, asked = request.out / ASKED_FILE, request.asked(settings)
    if path.exists():
        if json.loads(path.read_text()) != json.loads(json.dumps(asked)):
            raise SpaceError(f"{request.out} holds a sweep of other data or settings; give another --out")
        return
    request.out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asked, indent=1) + "\n", encoding="utf-8")


def _swept(request: SweepRequest, study: Study, settings: Sequence[Settings]) -> list[TrialResult]:
    prepare(request.address)
    try:
        from training.sweep.cluster import SweepTerms, sweep  # noqa: PLC0415 - an extra of its own
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"a sweep needs {error.name}, which is not installed here. In a checkout of the sources: "
            "pip install -e '.[train,sweep]'"
        ) from None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    best_w = float("inf")
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("judgements", total=len(settings) * study.checks)

        def told(number: int, check: int, j_w: float) -> None:
            nonlocal best_w
            best_w = min(best_w, j_w)
            bar.update(task, advance=1, description=f"trial {number}, J {j_w:.1f} W, best {best_w:.1f} W")

        try:
            terms = SweepTerms(request.processors, request.address, request.grace)
            return sweep(study, settings, request.out, terms, told)
        except ConnectionError as error:
            raise click.ClickException(f"no Ray cluster at {request.address}: {error}") from None


def _facts(trial: TrialResult) -> dict[str, Any]:
    known = {"j_w": trial.j_w if isfinite(trial.j_w) else None}
    return asdict(trial) | known | {"weights": None if trial.weights is None else str(trial.weights)}


def _show(request: SweepRequest, trials: Sequence[TrialResult], console: Console) -> None:
    table = Table(
        "trial", "settings", "judgements", "best J in W", "", title=f"{request.learner} on the val days"
    )
    for trial in trials:
        ended = trial.error or ("to its end" if trial.is_whole else "ended early")
        figure = f"{trial.j_w:.1f}" if isfinite(trial.j_w) else "–"
        table.add_row(str(trial.number), shown(trial.settings), str(trial.checks), figure, ended)
    console.print(table)
    best = trials[0]
    if best.weights is not None:
        console.print(f"Weights of trial {best.number}: {best.weights}", soft_wrap=True)


if __name__ == "__main__":
    main()
