"""`sunkeep tune`: the gains of the deterministic laws for one site. Needs no torch."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from core.site import Metering, Site
from daemon.cli.options import FiniteRange, json_option
from daemon.config.settings import Settings, load_settings
from daemon.errors import InputError
from daemon.journal.records import JournalError
from daemon.runtime.assembly import pi_gains, predictive_gains
from daemon.simulation.simulate import default_site
from plant.site.physics import TTL_S
from plant.site.trace import TraceError
from training.data.days import DaysError
from training.data.samples import DatasetError
from training.data.segments import (
    PLACEABLE_W,
    Recorded,
    SamplingRules,
    Stretch,
    TuningError,
    days_of_journals,
    days_of_traces,
    draw_stretches,
)
from training.tune import (
    LAWS,
    RANGES,
    Budget,
    Gains,
    Result,
    Saved,
    as_toml,
    default_gains,
    is_worth_a_change,
    judge,
    law_of,
    saved,
    search,
)

FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
REFUSALS = (TuningError, DaysError, TraceError, JournalError, DatasetError)


@dataclass(frozen=True)
class TuneRequest:
    """The command line."""

    traces: Path | None
    journals: Path | None
    config: Path | None
    metering: str | None
    law: str
    minutes: float
    candidates: int | None
    stretch_minutes: int
    per_day: int
    seed: int
    processes: int


@dataclass(frozen=True)
class Tuned:
    """What a tuning came to. `best` holds the best of each law on the days that choose, best first."""

    site: Site
    stretches: dict[str, tuple[Stretch, ...]]
    present: Result
    best: tuple[Result, ...]
    judged: int
    gain: Saved
    is_worth_it: bool
    held_out: dict[Gains, Result]

    def advised(self) -> Result:
        """The gains to use: the present ones unless the days that choose speak clearly for others."""
        return self.best[0] if self.is_worth_it else self.present

    def confirmed(self) -> Saved | None:
        """What the advised gains save on the held-out days; None without such days or without a change."""
        if not (self.is_worth_it and self.held_out):
            return None
        present, advised = self.held_out[self.present.gains], self.held_out[self.best[0].gains]
        return saved(present, advised, self.stretches["val"])


@click.command("tune")
@click.option("--traces", type=FOLDER, help="Folder of traces with a SUMMARY.json.")
@click.option("--journals", type=FOLDER, help="The site's own journals; needs --config.")
@click.option("--config", type=click.Path(path_type=Path), help="The site; by default nine heaters.")
@click.option("--metering", type=click.Choice([m.value for m in Metering]), help="By default as configured.")
@click.option("--law", type=click.Choice([*LAWS, "both"]), default="both", show_default=True)
@click.option("--minutes", type=FiniteRange(0.0, min_open=True), default=20.0, show_default=True)
@click.option("--candidates", type=click.IntRange(1), help="End after so many of each law instead.")
@click.option("--stretch-minutes", type=click.IntRange(1, 720), default=40, show_default=True)
@click.option("--per-day", type=click.IntRange(1), default=1, show_default=True, help="Stretches of a day.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of days, radios, gains.")
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True)
@json_option()
def tune(as_json: bool, **options: Any) -> None:
    """Retune the PI controller and the predictive law for a site, on measured days or on its own.

    Days of the split "train" choose the gains, days of the split "val" are only reported. Journals are split
    by day. The site lives each stretch again with every candidate, under its limits and its airtime.
    """
    request = TuneRequest(**options)
    settings = None if request.config is None else load_settings(request.config, key=False)
    try:
        tuned = _tune(request, settings)
    except REFUSALS as error:
        raise InputError(str(error)) from None
    if as_json:
        click.echo(json.dumps(_facts(tuned)))
        return
    console = Console()
    console.print(_table(tuned))
    console.print(_words(tuned))
    if tuned.is_worth_it:
        click.echo(as_toml(tuned.advised().gains), nl=False)


def _tune(request: TuneRequest, settings: Settings | None) -> Tuned:
    site = default_site() if settings is None else settings.core_site()
    if request.metering is not None:
        site = replace(site, metering=Metering(request.metering))
    if site.period_s != 1.0:
        raise TuningError(f"days are lived in steps of 1 s; a period of {site.period_s:g} s cannot be tuned")
    with Console(stderr=True).status("reading days"):
        stretches = _stretches(request, site, TTL_S if settings is None else float(settings.radio.ttl_s))
    present = _present(settings)
    laws = LAWS if request.law == "both" else (request.law,)
    best, judged = [], 0
    with Progress(console=Console(stderr=True), transient=True) as progress:
        present_result = judge(present, stretches["train"])
        for law in laws:
            bar = progress.add_task(law, total=1.0)

            def tell(done: float, j_w: float, bar: Any = bar, law: str = law) -> None:
                progress.update(bar, completed=min(done, 1.0), description=f"{law}: J {j_w:.1f} W")

            first = [present, default_gains(law)] if law_of(present) == law else [default_gains(law)]
            budget = Budget(request.minutes / len(laws), request.candidates)
            rng = np.random.default_rng([request.seed, 1])
            results = search(first, stretches["train"], budget, rng, request.processes, tell)
            best.append(results[0])
            judged += len(results)
        progress.add_task("held-out days", total=None)
        told = dict.fromkeys([present, *(result.gains for result in best)])
        held_out = {gains: judge(gains, stretches["val"]) for gains in told} if stretches["val"] else {}
    best.sort(key=lambda result: result.j_w)
    gain = saved(present_result, best[0], stretches["train"])
    is_worth_it = is_worth_a_change(gain, present_result)
    return Tuned(site, stretches, present_result, tuple(best), judged, gain, is_worth_it, held_out)


def _present(settings: Settings | None) -> Gains:
    """The gains in force."""
    if settings is None:
        return default_gains("pi")
    return pi_gains(settings) if settings.fallback.law == "pi" else predictive_gains(settings)


def _stretches(request: TuneRequest, site: Site, ttl_s: float) -> dict[str, tuple[Stretch, ...]]:
    rules = SamplingRules(60 * request.stretch_minutes, request.per_day, request.seed, ttl_s)
    days: dict[str, list[Recorded]]
    if (request.traces is None) == (request.journals is None):
        raise click.UsageError("give either --traces or --journals")
    if request.journals is not None:
        if request.config is None:
            raise click.UsageError("--journals needs --config, which describes the site")
        days = days_of_journals(request.journals, site, request.seed)
    else:
        assert request.traces is not None
        days = days_of_traces(request.traces)
    stretches = {split: draw_stretches(recorded, site, rules) for split, recorded in days.items()}
    if not stretches["train"]:
        low_w, high_w = PLACEABLE_W
        raise TuningError(
            f"no {request.stretch_minutes} minutes without a gap with {low_w:g} to {high_w:g} W to place in "
            f"{len(days['train'])} days; give more days, or shorter stretches with --stretch-minutes"
        )
    return stretches


def _table(tuned: Tuned) -> Table:
    days = {split: len({stretch.day for stretch in part}) for split, part in tuned.stretches.items()}
    table = Table(title=f"{tuned.judged} candidates: J, preventable export and avoidable import in W")
    for name in ("law", "gains"):
        table.add_column(name)
    for name in (f"tuning, {days['train']} days", f"held out, {days['val']} days"):
        table.add_column(name, justify="right")
    for title, result in _rows(tuned):
        held_out = tuned.held_out.get(result.gains)
        gains = "  ".join(f"{name} {getattr(result.gains, name):g}" for name in RANGES[law_of(result.gains)])
        table.add_row(title, gains, _powers(result), "none" if held_out is None else _powers(held_out))
    return table


def _rows(tuned: Tuned) -> list[tuple[str, Result]]:
    present = f"{law_of(tuned.present.gains)}, present"
    return [(present, tuned.present), *((law_of(result.gains), result) for result in tuned.best)]


def _powers(result: Result) -> str:
    return f"J {result.j_w:.1f}  {result.export_w.mean():.1f}  {result.avoidable_w.mean():.1f}"


def _words(tuned: Tuned) -> str:
    gain, j_w = tuned.gain, tuned.present.j_w
    found = f"saves {gain.mean_w:.1f} W [{gain.low_w:.1f}, {gain.high_w:.1f}] of J, {gain.mean_w / j_w:.1%}"
    if not tuned.is_worth_it:
        return f"No change: the present gains are as good as anything found (the best {found})."
    told = f"The best {found}, on the days that chose it."
    confirmed = tuned.confirmed()
    if confirmed is None:
        return f"{told} No day was held out to confirm it."
    word = "confirm" if confirmed.low_w > 0.0 else "do not confirm"
    return (
        f"{told} The held-out days {word} it: {confirmed.mean_w:.1f} W "
        f"[{confirmed.low_w:.1f}, {confirmed.high_w:.1f}]."
    )


def _facts(tuned: Tuned) -> dict[str, Any]:
    confirmed = tuned.confirmed()
    return {
        "role": tuned.site.role.value,
        "metering": tuned.site.metering.value,
        "slaves": len(tuned.site.slaves),
        "tuning_days": sorted({stretch.day for stretch in tuned.stretches["train"]}),
        "held_out_days": sorted({stretch.day for stretch in tuned.stretches["val"]}),
        "candidates": tuned.judged,
        "present": _fact(tuned, tuned.present),
        "best": [_fact(tuned, result) for result in tuned.best],
        "saved": asdict(tuned.gain),
        "change": tuned.is_worth_it,
        "saved_held_out": None if confirmed is None else asdict(confirmed),
        "toml": as_toml(tuned.advised().gains),
    }


def _fact(tuned: Tuned, result: Result) -> dict[str, Any]:
    held_out = tuned.held_out.get(result.gains)
    return {
        "law": law_of(result.gains),
        "gains": asdict(result.gains),
        "tuning": _power_facts(result),
        "held_out": None if held_out is None else _power_facts(held_out),
    }


def _power_facts(result: Result) -> dict[str, float]:
    return {
        "j_w": result.j_w,
        "export_w": float(result.export_w.mean()),
        "avoidable_import_w": float(result.avoidable_w.mean()),
    }
