"""Train the forward dynamics model on a data set of `sunkeep dataset` and judge it on the test days.

    python -m training.dynamics.train --dataset DIR --out DIR [--begin FILE] [--report FILE.md]

The training days teach, the validation days choose the epoch, the test days are judged once at the end. The
best weights so far are always in DIR/dynamics.safetensors.
"""

import json
from dataclasses import asdict
from pathlib import Path

import click
import torch
from rich.console import Console

from daemon.cli.options import FiniteRange, json_option
from training.device import device_option
from training.dynamics.evaluate import judge, markdown, tables
from training.dynamics.fit import Epoch, FitPlan, FittedModel, judged_on, train_on
from training.dynamics.model import load_model

WEIGHTS_FILE = "dynamics.safetensors"
DEFAULTS = FitPlan()
console = Console(stderr=True)


@click.command()
@click.option(
    "--dataset", type=click.Path(path_type=Path), required=True, help="Folder of `sunkeep dataset`."
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--begin", type=click.Path(path_type=Path), help="A saved model to go on from.")
@click.option("--judge-only", is_flag=True, help="Do not train: judge the model of --begin.")
@click.option("--learning-rate", type=FiniteRange(0.0, min_open=True), default=DEFAULTS.learning_rate)
@click.option("--epochs", type=click.IntRange(1), default=DEFAULTS.epochs, show_default=True)
@click.option("--batch", type=click.IntRange(1), default=DEFAULTS.batch, show_default=True)
@click.option("--patience", type=click.IntRange(0), default=DEFAULTS.patience, show_default=True)
@click.option("--minutes", type=FiniteRange(0.0), default=DEFAULTS.minutes, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=DEFAULTS.seed, show_default=True)
@device_option
@click.option("--unweighted", is_flag=True, help="Every feature counts the same.")
@click.option("--report", type=click.Path(path_type=Path), help="Write the tables here as Markdown, too.")
@json_option("Print one JSON object.")
def main(
    dataset: Path,
    out: Path,
    begin: Path | None,
    judge_only: bool,
    learning_rate: float,
    epochs: int,
    batch: int,
    patience: int,
    minutes: float,
    seed: int,
    device: str,
    unweighted: bool,
    report: Path | None,
    as_json: bool,
) -> None:
    """Train the forward dynamics model and judge it on days it never saw."""
    torch.set_num_threads(1)
    plan = FitPlan(epochs, batch, learning_rate, patience, seed, minutes, not unweighted, device)
    try:
        if judge_only:
            trained = judged_on(dataset, *load_model(begin or out / WEIGHTS_FILE))
        else:
            trained = train_on(dataset, out / WEIGHTS_FILE, plan, begin, _tell)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    _publish(trained, report, as_json=as_json)


def _publish(trained: FittedModel, report: Path | None, *, as_json: bool) -> None:
    verdicts = judge(trained)
    if report is not None:
        report.write_text(markdown(verdicts), encoding="utf-8")
    if as_json:
        click.echo(json.dumps({name: asdict(verdict) for name, verdict in verdicts.items()}))
        return
    for table in tables(verdicts):
        Console().print(table)


def _tell(epoch: Epoch) -> None:
    kept = "  kept" if epoch.is_best else ""
    console.print(
        f"epoch {epoch.number:3d}  train {epoch.train_loss:.4f}  val {epoch.val_loss:.4f}"
        f"  rate {epoch.learning_rate:.0e}{kept}"
    )


if __name__ == "__main__":
    main()
