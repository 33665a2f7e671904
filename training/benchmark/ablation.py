"""Ablation of learner options: the plain learner, and the same with one option.

    python -m training.benchmark.ablation --traces DIR --out OUT

Every run is one `sunkeep train` with an equal number of updates (bc may stop early); the state after the last
one is judged, so no state of a trial is chosen on the days that judge. Only the clone that cql and td3bc
begin with was, by its error on a log of them. They are windows of the split "val"; "test" is never opened.
What is already in OUT is kept, so the same command goes on after a break.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import click
import torch
from rich.console import Console
from rich.table import Table

from daemon.cli.options import json_option
from plant.site.trace import TraceError
from safety.predictive import PredictiveGains
from training.artifacts.checkpoint import LAST_FILE
from training.batched.laws import predictive_law
from training.batched.simulator import Policy
from training.batched.windows import RolloutWindow, read_days
from training.benchmark.comparison import train_all, write_logs
from training.benchmark.experiments import (
    EXPLORED,
    TRACES,
    ExperimentConfig,
    ExperimentPaths,
    ExperimentRun,
    FormError,
    runs_of,
)
from training.commands.train_request import RUN
from training.data.days import DaysError, find_days
from training.learners.evaluation import memoryless, windows_of
from training.replay.differentiable_replay import judge
from training.replay.trainer import parts
from training.run_record import load_policy, read_record

START = "bc-explored"
PPO_UPDATES, CQL_UPDATES, TD3BC_UPDATES = 40, 120, 800
PPO_LONGER_UPDATES = 88
"""Of the plain learner: it then takes as long as with attention, which is the dearest option."""
SHOWN = {"j_w": "J", "late_2s_j_w": "J, 2 s late", "export_w": "export", "avoidable_w": "avoidable import"}
"""Figures of the table, in W."""

console = Console(stderr=True)


@dataclass(frozen=True)
class AblationTrial:
    """One learner with one option, or with none.

    Args:
        learner: whose option it is.
        label: row of the table.
        entrant: how it is trained.
    """

    learner: str
    label: str
    entrant: ExperimentConfig


def _ppo(label: str, *options: str, chooses: bool = False, updates: int = PPO_UPDATES) -> AblationTrial:
    name = "-".join(["ppo", *label.replace("--", "").replace(",", "").split()])
    short = 0 if chooses else 4  # nothing is judged on the way in the short form
    entrant = ExperimentConfig(name, "ppo", TRACES, updates, short, options=options, chooses=chooses)
    return AblationTrial("ppo", label, entrant)


def _offline(learner: str, label: str, *options: str) -> AblationTrial:
    name = "-".join([learner, *label.replace("--", "").split()])
    updates, first = {"cql": (CQL_UPDATES, 48), "td3bc": (TD3BC_UPDATES, 250)}[learner]
    words = (
        "--critic-warmup-steps",
        str(first),
        *(("--cql-weight", "0.3") if learner == "cql" else ()),
        *options,
    )
    return AblationTrial(
        learner,
        label,
        ExperimentConfig(name, learner, EXPLORED, updates, 4, START, options=words, chooses=False),
    )


PLAIN, LONGER = "plain", "plain, longer"
TRIALS = (
    AblationTrial(
        "bc", PLAIN, ExperimentConfig(START, "bc", EXPLORED, 3000, 4, note="start of cql and td3bc")
    ),
    _ppo(PLAIN),
    _ppo(LONGER, updates=PPO_LONGER_UPDATES),
    _ppo("--kl-max", "--kl-max", "0.015"),
    _ppo("--warm-up --decay", "--warm-up", "4", "--decay", "cosine"),
    _ppo("--plateau", "--plateau", "1", chooses=True),
    _ppo("--entropy-weight", "--entropy-weight", "0.003"),
    _ppo("--noise-kept", "--noise-kept", "0.7"),
    _ppo("--curriculum", "--curriculum", "0.5"),
    _ppo("--reptile", "--reptile", "4"),
    _ppo("--actor attention", "--actor", "attention"),
    _ppo("--explore epsilon-greedy", "--explore", "epsilon-greedy"),
    _ppo("--explore parameter-noise", "--explore", "parameter-noise"),
    _ppo("--explore curiosity", "--explore", "curiosity"),
    _ppo("--value-nets", "--value-nets", "2"),
    _ppo("--prioritized", "--prioritized", "0.6"),
    _ppo(
        "--rate --lam --horizon --minibatch",
        *("--rate", "3e-4", "--lam", "0.97", "--horizon", "64", "--minibatch", "1024"),
    ),
    _ppo("--clip-reward --clip-observation", "--clip-reward", "1", "--clip-observation", "5"),
    _offline("td3bc", PLAIN),
    _offline("td3bc", "--prioritized", "--prioritized", "0.6"),
    _offline("td3bc", "--dyna", "--dyna", "3"),
    _offline("cql", PLAIN),
    _offline("cql", "--prioritized", "--prioritized", "0.6"),
)
ENTRANTS = tuple(trial.entrant for trial in TRIALS)


@dataclass(frozen=True)
class AblationRow:
    """A line of the table: mean figures in W over the seeds, and J of every seed.

    `against_plain` is the change of J, one for each seed beside the plain learner of the same seed; `updates`
    are those that were made, which an early stop makes fewer than the budget.
    """

    learner: str
    label: str
    figures: dict[str, float]
    j_w: list[float]
    against_plain: list[float]
    updates: float
    processor_s: float


def figures_of(policy: Policy, reel: RolloutWindow) -> dict[str, float]:
    """What a policy comes to on the windows."""
    found = parts(judge(reel, policy), reel)
    return {name: found[name] for name in SHOWN}


def judged(run: ExperimentRun, reel: RolloutWindow) -> dict[str, float]:
    """Of the last state of a run; kept beside it."""
    path = run.folder / "judged.json"
    if not path.exists():
        weights = run.folder / RUN / LAST_FILE
        net = load_policy(weights, read_record(weights.parent)).net
        path.write_text(json.dumps(figures_of(memoryless(net), reel)) + "\n")
    found: dict[str, float] = json.loads(path.read_text())
    return found


def rows_of(runs: Sequence[ExperimentRun], reel: RolloutWindow) -> list[AblationRow]:
    """One for each trial that has runs, and one of the predictive law, which practice begins beside."""
    law = figures_of(predictive_law(PredictiveGains()), reel)
    rows = [AblationRow("predictive law", "", law, [law["j_w"]], [], 0.0, 0.0)]
    plain: dict[tuple[str, int], float] = {}
    for trial in TRIALS:
        own = [run for run in runs if run.entrant is trial.entrant]
        if not own:
            continue
        found = {run.seed: judged(run, reel) for run in own}
        if trial.label == PLAIN:
            plain |= {(trial.learner, seed): figures["j_w"] for seed, figures in found.items()}
        against = [
            figures["j_w"] / plain[trial.learner, seed] - 1.0
            for seed, figures in found.items()
            if trial.label != PLAIN and (trial.learner, seed) in plain
        ]
        mean = {name: fmean(figures[name] for figures in found.values()) for name in SHOWN}
        results = [run.result or {} for run in own]
        rows.append(
            AblationRow(
                trial.learner,
                trial.label,
                mean,
                [figures["j_w"] for figures in found.values()],
                against,
                *(fmean(result[name] for result in results) for name in ("updates", "processor_s")),
            )
        )
    return rows


def _cells(row: AblationRow) -> list[str]:
    return [
        row.learner,
        row.label,
        *(f"{row.figures[name]:.1f}" for name in SHOWN),
        ", ".join(f"{j_w:.1f}" for j_w in row.j_w),
        ", ".join(f"{change:+.1%}" for change in row.against_plain),
        f"{row.updates:.0f}" if row.updates else "",
        f"{row.processor_s:.0f}" if row.updates else "",
    ]


HEADINGS = (
    "learner",
    "option",
    *(f"{words} W" for words in SHOWN.values()),
    "J W by seed",
    "J against plain, by seed",
    "updates",
    "processor s",
)


def as_markdown(rows: Sequence[AblationRow]) -> str:
    """The table for a page."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *map(_cells, rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def as_table(rows: Sequence[AblationRow]) -> Table:
    """The table for a terminal."""
    table = Table(*HEADINGS)
    for row in rows:
        table.add_row(*_cells(row))
    return table


@click.command()
@click.option("--traces", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--learners", multiple=True, type=click.Choice(("ppo", "cql", "td3bc")), help="By default all.")
@click.option("--seeds", type=click.IntRange(1), default=2, show_default=True, help="Runs of each.")
@click.option("--judge-only", is_flag=True, help="Judge the runs that are done; train nothing.")
@click.option("--short", is_flag=True, help="A few updates of each, to see that everything works.")
@json_option("Print the table as JSON.")
def main(
    traces: Path,
    out: Path,
    learners: tuple[str, ...],
    seeds: int,
    judge_only: bool,
    short: bool,
    as_json: bool,
) -> None:
    """Train learners with and without each option and judge all of them on the same windows.

    Writes OUT/ablation.json and OUT/ablation.md.
    """
    torch.set_num_threads(1)
    names = [trial.entrant.name for trial in TRIALS if not learners or trial.learner in learners]
    try:
        school = ExperimentPaths.opened(traces, out, short)
        runs = list(runs_of(school, names, range(seeds), ENTRANTS))
        if not judge_only:
            if any(run.entrant.lessons == EXPLORED for run in runs):
                write_logs(school)
            train_all(school, runs)
        runs = [run for run in runs if run.result is not None]
        reel = windows_of(read_days(find_days(traces, "val")), torch.device("cpu"))
        with console.status("judging"):
            rows = rows_of(runs, reel)
    except (FormError, DaysError, TraceError) as error:
        raise click.ClickException(str(error)) from error
    content = json.dumps([asdict(row) for row in rows], indent=1)
    (out / "ablation.json").write_text(content + "\n")
    (out / "ablation.md").write_text(as_markdown(rows))
    if as_json:
        click.echo(content)
    else:
        Console(width=200).print(as_table(rows))


if __name__ == "__main__":
    main()
