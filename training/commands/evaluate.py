"""`sunkeep evaluate`: judge a bundle on measured days, and say whether it may be used."""

import json
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.table import Table

from core.site import Metering
from daemon.cli.options import FiniteRange
from daemon.errors import InputError
from daemon.runtime.assembly import bundle_directory
from plant.site.trace import TraceError
from training.batched.bundle_policy import open_bundle
from training.commands.progress import bars
from training.contest.results import condition
from training.data.days import SPLITS, DaysError, find_days
from training.evaluation import words
from training.evaluation.judgement import BundleEvaluation, EvaluationTerms, as_json, judge
from training.evaluation.page import page

EX_CRITERION_FAILS = 1


@click.command("evaluate")
@click.option(
    "--bundle", type=click.Path(path_type=Path), required=True, help="A folder, or one that ships: builtin."
)
@click.option(
    "--traces",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Folder of traces with a SUMMARY.json.",
)
@click.option("--split", type=click.Choice(SPLITS), default="val", show_default=True)
@click.option("--radios", type=click.IntRange(1), default=1, show_default=True, help="Far ends per hour.")
@click.option(
    "--bound-windows",
    type=click.IntRange(0),
    default=24,
    show_default=True,
    help="Windows of 10 min for the clairvoyant bound; 0 leaves it out.",
)
@click.option(
    "--bound-minutes",
    type=FiniteRange(0.0),
    default=5.0,
    show_default=True,
    help="Longest time for them.",
)
@click.option("--json", "json_path", type=click.Path(path_type=Path, allow_dash=True), help="- prints it.")
@click.option("--html", "html_path", type=click.Path(path_type=Path, dir_okay=False))
def evaluate(
    bundle: Path,
    traces: Path,
    split: str,
    radios: int,
    bound_windows: int,
    bound_minutes: float,
    json_path: Path | None,
    html_path: Path | None,
) -> None:
    """Judge a bundle on the days of a split: beside the PI, late, in trouble, against what is possible.

    Ends with 0 when every criterion holds for the billing that the bundle was made for, with 1 when one
    does not. Choices belong to the split val; open test once, at the end.
    """
    torch.set_num_threads(1)
    terms = EvaluationTerms(radios, bound_windows, 60.0 * bound_minutes)
    try:
        days = find_days(traces, split)
        policy = open_bundle(bundle_directory(str(bundle)))
        with bars() as told:
            judgement = judge(policy, days, split, terms, told)
    except (DaysError, TraceError) as error:
        raise InputError(str(error)) from None
    plain = json.dumps(as_json(judgement), indent=1, allow_nan=False)
    if json_path is not None and str(json_path) != "-":
        json_path.write_text(plain + "\n", encoding="utf-8")
    if html_path is not None:
        html_path.write_text(page(judgement), encoding="utf-8")
    if str(json_path) == "-":
        click.echo(plain)
    else:
        _show(judgement, Console())
    if not judgement.holds:
        click.get_current_context().exit(EX_CRITERION_FAILS)


def _show(judgement: BundleEvaluation, console: Console) -> None:
    style = "bold green" if judgement.holds else "bold red"
    console.print(words.verdict(judgement), style=style, soft_wrap=True)
    console.print(words.basis(judgement), style="dim", soft_wrap=True)
    for metering, found in judgement.criteria.items():
        table = Table("criterion", "demand", "found", "", title=f"billed {words.BILLED[metering]}")
        for criterion in found:
            holds = "[green]holds[/]" if criterion.holds else "[red]fails[/]"
            shown = words.figure(criterion) + (f"\n[dim]{criterion.literal}[/]" if criterion.literal else "")
            table.add_row(criterion.name, criterion.demand, shown, holds)
        console.print(table)
    console.print(_conditions(judgement))
    for line in words.bound_lines(judgement):
        console.print(line, soft_wrap=True)


def _conditions(judgement: BundleEvaluation) -> Table:
    table = Table(title="J against the PI under the same conditions, 95 % over days")
    for head in ("site", *(words.BILLED[metering.value] for metering in Metering)):
        table.add_column(head, justify="left" if head == "site" else "right")
    cells: dict[str, list[str]] = {}
    for row in judgement.standings:
        if row.controller == judgement.bundle:
            cells.setdefault(condition(row), []).append(words.changed(row.j_change))
    for site, changes in cells.items():
        table.add_row(site, *changes)
    return table
