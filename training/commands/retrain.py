"""`sunkeep retrain`: a site's journals against the policy in use; says whether the better one was found."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
from rich.console import Console
from rich.table import Table

from core.roles import Role
from core.site import Metering
from daemon.cli.options import json_option
from daemon.config.settings import load_settings
from daemon.errors import InputError
from daemon.journal.records import JournalError
from daemon.runtime.assembly import bundle_directory, pi_gains
from plant.site.trace import TraceError
from safety.pi import PiGains
from training.artifacts.checkpoint import CheckpointError
from training.artifacts.destination import ExportError
from training.batched.bundle_policy import open_bundle
from training.champion.own_days import (
    CHOOSE,
    JUDGE,
    TEACH,
    WORDS,
    kept_days,
    require_enough,
    sources_of,
    write_days,
)
from training.champion.retraining import (
    BUNDLE,
    DAYS,
    UPDATES,
    ContestResult,
    FineTuning,
    RetrainingDays,
    export_challenger,
    fine_tune,
    judge,
    named,
)
from training.commands.progress import bars
from training.contest.results import PI, condition
from training.data.days import Day, DaysError, find_days
from training.data.journal_days import read_site_days
from training.data.samples import DatasetError
from training.device import device_option
from training.evaluation import words
from training.run_record import read_record

EX_CHAMPION_STAYS = 1
REPORT_FILE = "report.json"
REFUSALS = (CheckpointError, DatasetError, DaysError, ExportError, JournalError, TraceError)
WIDTH = 150


@dataclass(frozen=True)
class RetrainRequest:
    """The command line."""

    journals: tuple[Path, ...]
    traces: Path | None
    champion: str
    config: Path | None
    out: Path
    name: str
    updates: int
    seed: int
    radios: int
    device: str
    short: bool

    @property
    def install(self) -> str:
        """The command that puts the challenger into use."""
        config = [] if self.config is None else ["--config", str(self.config)]
        return shlex.join(["sunkeep", "model", "install", str(self.out / BUNDLE), *config])


@dataclass(frozen=True)
class RetrainResult:
    """What a retraining came to. `judged` is None when nothing better was found on the days that choose."""

    request: RetrainRequest
    champion: str
    champion_sha256: str
    metering: Metering
    days: dict[str, tuple[str, ...]]
    best_update: int
    best_j_w: float
    challenger: str | None = None
    challenger_sha256: str | None = None
    judged: ContestResult | None = None

    @property
    def challenger_wins(self) -> bool:
        """Whether the site should change its policy."""
        return self.judged is not None and self.judged.succession.challenger_wins


@click.command("retrain")
@click.option(
    "--journal",
    "journals",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    required=True,
    help="Folder of a site's journals; may be given several times.",
)
@click.option(
    "--traces",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Measured days that teach and choose as well: their splits train and val.",
)
@click.option(
    "--champion", default="builtin", show_default=True, help="The bundle in use: a folder, or `builtin`."
)
@click.option("--config", type=click.Path(path_type=Path), help="The site's configuration: gains of its PI.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the challenger, the report and everything between.",
)
@click.option("--name", default="site", show_default=True, help="Of the challenger's bundle.")
@click.option("--updates", type=click.IntRange(1), default=UPDATES, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--radios", type=click.IntRange(1), default=1, show_default=True, help="Far ends per hour.")
@device_option
@click.option("--short", is_flag=True, help="Small windows that show that everything works.")
@json_option()
def retrain(as_json: bool, **options: Any) -> int:
    """Fine-tune the policy in use on the site's own days, and judge it against the one in use.

    Ends with 0 when the challenger won: better in J on days that neither taught nor chose, no criterion
    lost, not worse with frames 2 s late, no violation. Ends with 1 when the champion stays, with 2 or 78
    when nothing could be judged. What is in --out already is kept: the same command goes on after a break.
    """
    request = RetrainRequest(**options)
    torch.set_num_threads(1)
    try:
        outcome = _retrain(request)
    except REFUSALS as error:
        raise InputError(str(error)) from None
    plain = json.dumps(_facts(outcome), indent=1, allow_nan=False)
    (request.out / REPORT_FILE).write_text(plain + "\n", encoding="utf-8")
    if as_json:
        click.echo(plain)
    else:
        _show(outcome, Console(width=WIDTH))
    return 0 if outcome.challenger_wins else EX_CHAMPION_STAYS


def _retrain(request: RetrainRequest) -> RetrainResult:
    champion = open_bundle(bundle_directory(request.champion))
    gains = _gains(request.config)
    merged = {
        split: () if request.traces is None else find_days(request.traces, split) for split in (TEACH, CHOOSE)
    }
    effort = FineTuning(request.updates, request.seed, request.device, request.short)
    roles, metering = _days(request, effort.window_s, merged[CHOOSE])
    lessons = RetrainingDays(roles[TEACH] + merged[TEACH], roles[CHOOSE] + merged[CHOOSE], metering)
    progress = fine_tune(champion, lessons, request.out, effort)
    names = {TEACH: lessons.teach, CHOOSE: lessons.choose, JUDGE: roles[JUDGE]}
    outcome = RetrainResult(
        request,
        named(champion),
        champion.bundle.sha256,
        metering,
        {WORDS[role]: tuple(day.path.stem for day in days) for role, days in names.items()},
        progress.best_step,
        progress.best,
    )
    if progress.best_step == 0:
        return outcome
    challenger = export_challenger(champion, lessons, request.out, request.name, request.seed)
    with bars() as told:
        judged = judge(champion, challenger, roles[JUDGE], metering, gains, request.radios, told)
    found = {
        "challenger": named(challenger),
        "challenger_sha256": challenger.bundle.sha256,
        "judged": judged,
    }
    return RetrainResult(**{**vars(outcome), **found})


def _gains(config: Path | None) -> PiGains:
    """Of the PI that both are held against: the site's own, or those that ship."""
    if config is None:
        return PiGains()
    settings = load_settings(config, key=False)
    return pi_gains(settings) if settings.fallback.law == "pi" else PiGains()


def _days(
    request: RetrainRequest, window_s: int, also_choose: Sequence[Day]
) -> tuple[dict[str, tuple[Day, ...]], Metering]:
    """The site's days by role, and how it is billed: out of the journals, or kept from before a break."""
    folder, sources, record = request.out / DAYS, sources_of(request.journals), read_record(request.out)
    days = None if record is None else kept_days(sources, folder)
    if days is not None and record is not None:
        return dict(require_enough(days, window_s, also_choose)), Metering(record.metering)
    with Console(stderr=True).status("reading journals") as status:
        site = read_site_days(request.journals, lambda date: status.update(f"reading journals, {date}"))
    if site.terms.role is not Role.ABSORB:
        raise DatasetError("these journals are of slaves that generate; nothing is trained for such yet")
    days = write_days(site, sources, folder)
    return dict(require_enough(days, window_s, also_choose, len(site.bare_w))), site.terms.metering


def _facts(outcome: RetrainResult) -> dict[str, Any]:
    request, judged = outcome.request, outcome.judged
    return {
        "challenger_wins": outcome.challenger_wins,
        "champion": {"name": outcome.champion, "sha256": outcome.champion_sha256},
        "challenger": None
        if judged is None
        else {
            "name": outcome.challenger,
            "sha256": outcome.challenger_sha256,
            "directory": str(request.out / BUNDLE),
        },
        "metering": outcome.metering.value,
        "days": outcome.days,
        "updates": request.updates,
        "seed": request.seed,
        "best_update": outcome.best_update,
        "best_j_w": outcome.best_j_w,
        "install": request.install if outcome.challenger_wins else None,
        "judged": None if judged is None else judged.facts(),
    }


def _show(outcome: RetrainResult, console: Console) -> None:
    counts = ", ".join(f"{len(days)} to {word}" for word, days in outcome.days.items())
    billed = words.BILLED[outcome.metering.value]
    console.print(f"Days: {counts}; billed {billed}. Champion {outcome.champion}.", soft_wrap=True)
    judged = outcome.judged
    if judged is None:
        console.print(
            f"[bold]{outcome.champion} stays:[/] of {outcome.request.updates} updates none was better on the "
            f"days that choose (J {outcome.best_j_w:.1f} W). The days that judge were not lived.",
            soft_wrap=True,
        )
        return
    console.print(_conditions(judged))
    console.print(_criteria(judged))
    console.print(_clauses(judged))
    alone = ", ".join(f"{day} {words.percent(change)}" for day, change in judged.by_day.items())
    console.print(f"J against the champion's, every day alone: {alone}", soft_wrap=True)
    if outcome.challenger_wins:
        console.print(f"[bold green]{outcome.challenger} takes the place of {outcome.champion}:[/]")
        click.echo(f"  {outcome.request.install}")
    else:
        missed = "; ".join(clause.demand for clause in judged.succession.clauses if not clause.holds)
        console.print(f"[bold]{outcome.champion} stays.[/] What does not hold: {missed}.", soft_wrap=True)


def _conditions(judged: ContestResult) -> Table:
    names = (PI, "predictive", judged.champion.name, judged.challenger.name)
    found = {(condition(row), row.controller): row for row in judged.rows}
    table = Table("site", *names, *(f"{name} against the PI" for name in names[2:]), title="J in Wh")
    for site in dict.fromkeys(site for site, _ in found):
        rows = [found[site, name] for name in names]
        changes = (words.changed(row.j_change) for row in rows[2:])
        table.add_row(site, *(f"{row.j_wh:,.0f}" for row in rows), *changes)
    return table


def _criteria(judged: ContestResult) -> Table:
    champion, challenger = judged.champion, judged.challenger
    table = Table("criterion", "demand", champion.name, challenger.name, title="criteria of sunkeep evaluate")
    for before, after in zip(champion.criteria, challenger.criteria, strict=True):
        cells = (
            f"{words.figure(one)} {'[green]holds[/]' if one.holds else '[red]fails[/]'}"
            for one in (before, after)
        )
        table.add_row(before.name, before.demand, *cells)
    return table


def _clauses(judged: ContestResult) -> Table:
    table = Table("the challenger takes over when", "found", "", title="challenger against champion")
    for clause in judged.succession.clauses:
        table.add_row(clause.demand, clause.found, "[green]holds[/]" if clause.holds else "[red]fails[/]")
    return table
