"""Every learner, several seeds, one table:

    python -m training.benchmark.comparison --traces DIR --out OUT

Makes the logs, trains, exports, judges all bundles beside the retuned PI at equal import, and writes the
table as JSON and Markdown. What is already in OUT is kept, so the same command goes on after a break and the
budget is spent once. Days of the split "train" teach, days of "val" choose; `--split test` only judges.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean

import click
import torch
from rich.console import Console

from core.site import Metering
from daemon.cli.options import json_option
from daemon.simulation.simulate import default_site
from models.bundle import SHIPPED, BundleError, builtin_bundle
from models.manifest import POLICY_FILE
from plant.site.trace import TraceError
from safety.pi import PiGains
from safety.predictive import PredictiveGains
from training.batched.bundle_policy import open_bundle
from training.batched.day_runs import HOUR_S
from training.batched.laws import predictive_law
from training.batched.simulator import Policy
from training.benchmark.experiments import (
    ENTRANTS,
    EXPLORED,
    NAMES,
    PLAIN,
    ExperimentConfig,
    ExperimentPaths,
    ExperimentRun,
    FormError,
    runs_of,
    teach,
)
from training.benchmark.ranking import Lived, course_of, live, live_pi, load, rank, save
from training.benchmark.ranking_table import TableRow, TrainingCost, as_markdown, as_table
from training.data.dataset import Builder
from training.data.days import Day, DaysError, find_days
from training.data.samples import DatasetError, DatasetTerms
from training.imitation.exploration_dataset import Lives
from training.learners.data.logs import write_explored

LIGHT_SHARES = {"train": 0.25, "val": 0.1}
"""Part of each day's light that is logged: 18 days give about 200 thousand seconds."""
SHORT_SHARE = 0.01
SHORT_HOURS, SHORT_S = 2, 60
WIDTH = 230
"""Characters that the table needs."""
LOG_SEEDS = {"train": 0, "val": 7}

console = Console(stderr=True)


def write_logs(school: ExperimentPaths) -> None:
    """The logs of the exploring PI that are not there yet."""
    for split, share in LIGHT_SHARES.items():
        path = school.log(EXPLORED, split)
        if not path.exists():
            part = SHORT_SHARE if school.is_short else share
            write_explored(_days(school, split), path, Metering.NET, LOG_SEEDS[split], part)


def write_journals(school: ExperimentPaths) -> None:
    """Journals of the plain PI as a data set, if they are not there yet."""
    if not (school.lessons / PLAIN).exists():
        site, share = default_site(), SHORT_SHARE if school.is_short else LIGHT_SHARES["train"]
        every = (*_days(school, "train"), *_days(school, "val"))
        lives = Lives(every, site, "pi", "plain", share)
        unfinished = school.lessons / f"{PLAIN}.part"
        shutil.rmtree(unfinished, ignore_errors=True)
        builder = Builder(unfinished, DatasetTerms.of(site), lambda _dates: lives.splits(), tell=_tell)
        builder.build(lives.samples(), [day.path for day in every])
        unfinished.rename(school.lessons / PLAIN)


def _days(school: ExperimentPaths, split: str) -> tuple[Day, ...]:
    return find_days(school.traces, split)[: 1 if school.is_short else None]


def _tell(date: str, rows: int) -> None:
    console.print(f"plain PI, day {date}: {rows:,} s")


def train_all(school: ExperimentPaths, runs: Iterable[ExperimentRun]) -> None:
    """Every run that has no result yet, one after the other."""
    left = [run for run in runs if run.result is None]
    for index, run in enumerate(left, 1):
        console.print(f"[bold]{run.folder.name}[/bold], {index} of {len(left)}")
        teach(school, run)


def judge_all(
    school: ExperimentPaths, runs: Sequence[ExperimentRun], days: tuple[Day, ...], folder: Path
) -> list[TableRow]:
    """Everybody on the lit hours of these days; what was lived before is read from `folder`."""
    course = course_of(days, SHORT_HOURS if school.is_short else None)
    seconds = SHORT_S if school.is_short else HOUR_S
    folder.mkdir(parents=True, exist_ok=True)
    console.print(f"judging on {len(course.on_time)} hours of {len(days)} days")

    def kept(name: str, make: Callable[[], Lived]) -> Lived:
        path = folder / f"{name}.npz"
        if not path.exists():
            console.print(f"judging {name}")
            save(path, make())
        return load(path)

    def living(policy: Policy) -> Callable[[], Lived]:
        return lambda: live(course, policy, seconds)

    pi = kept("pi", lambda: live_pi(course, PiGains(), seconds))
    lived = {"predictive": [kept("predictive", living(predictive_law(PredictiveGains())))]}
    for name in SHIPPED:
        policy = open_bundle(builtin_bundle(name))
        graph = policy.bundle.manifest.files[POLICY_FILE][:12]
        lived[name] = [kept(f"{name}-{graph}", living(policy))]
    for run in runs:
        lasting = kept(run.folder.name, living(open_bundle(run.bundle)))
        lived.setdefault(run.entrant.name, []).append(lasting)
    efforts = {entrant.name: _effort(entrant, runs) for entrant in ENTRANTS if entrant.name in lived}
    return [TableRow(row, efforts.get(row.controller)) for row in rank(course, pi, lived)]


def _effort(entrant: ExperimentConfig, runs: Sequence[ExperimentRun]) -> TrainingCost:
    results = [run.result for run in runs if run.entrant is entrant]
    mean = {
        name: fmean(result[name] for result in results if result is not None)
        for name in ("updates", "chosen_at", "processor_s")
    }
    return TrainingCost(**mean, starts_from=entrant.starts_from, note=entrant.note)


def title_of(split: str, days: Sequence[Day], hours: int) -> str:
    """What the table says, in a sentence."""
    return (
        f"{hours} lit hours of the {len(days)} days of the split {split}, billed net, one far end, "
        "0.5 frames/s. Figures are means over the seeds; [95 % interval over days], (lowest … highest seed)."
    )


@click.command()
@click.option("--traces", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--learners", multiple=True, type=click.Choice(NAMES), help="By default all of them.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Runs of each learner.")
@click.option("--split", type=click.Choice(("val", "test")), default="val", show_default=True)
@click.option("--judge-only", is_flag=True, help="Judge the runs that are done; train nothing.")
@click.option("--short", is_flag=True, help="A small run that shows that everything works.")
@json_option("Print the table as JSON.")
def main(
    traces: Path,
    out: Path,
    learners: tuple[str, ...],
    seeds: int,
    split: str,
    judge_only: bool,
    short: bool,
    as_json: bool,
) -> None:
    """Train every learner with several seeds and judge all of them at equal import.

    Writes OUT/SPLIT.json and OUT/SPLIT.md. What is in OUT already is kept: give another --out to begin anew.
    """
    torch.set_num_threads(1)
    names = learners or NAMES
    try:
        school = ExperimentPaths.opened(traces, out, short)
        if not judge_only:
            write_logs(school)
            write_journals(school)
            train_all(school, runs_of(school, names, range(seeds)))
        days = find_days(traces, split)
        runs = [run for run in runs_of(school, names, range(seeds)) if run.entrant.name in names]
        runs = [run for run in runs if run.result is not None]
        lines = judge_all(school, runs, days, out / f"judged-{split}")
    except (FormError, DaysError, DatasetError, TraceError, BundleError) as error:
        raise click.ClickException(str(error)) from error
    content = json.dumps([line.as_json() for line in lines], indent=1)
    title = title_of(split, days, lines[0].row.hours)
    (out / f"{split}.json").write_text(content + "\n")
    (out / f"{split}.md").write_text(as_markdown(lines, title))
    if as_json:
        click.echo(content)
    else:
        Console(width=WIDTH).print(as_table(lines, title))


if __name__ == "__main__":
    main()
