"""Can logs rank controllers? Replay and fitted Q evaluation of logged days, held against the truth.

    python -m training.evaluation.agreement --traces DIR --split val
    python -m training.evaluation.agreement --data DATASET/val.parquet

With traces, a PI lives the days and is logged; from its log the surplus is rebuilt, and every controller is
replayed over it with slaves and radios drawn afresh. The true J comes from the trace itself, on the far end
that was logged. With the data of a site, the truth is unknown and only the replay is shown.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress, track
from rich.table import Table
from scipy.stats import kendalltau, spearmanr

from core.site import Metering
from daemon.cli.options import FiniteRange
from daemon.errors import InputError
from daemon.runtime.assembly import bundle_directory
from daemon.simulation.controllers import pilot
from daemon.simulation.simulate import Scenario, default_site
from models.bundle import BundleError
from plant.site.trace import TraceError
from safety.pi import PiGains
from safety.predictive import PredictiveGains
from training.batched.bundle_policy import open_bundle
from training.batched.day_runs import HOUR_S, DayBatch, DayScenario, ScenarioResult, measured_w, rows_of, run
from training.batched.laws import pi_law, predictive_law
from training.batched.simulator import Policy
from training.contest.bootstrap import Change, Floats, change_of, draws_of
from training.data.days import Day, DaysError, daylight_s, find_days
from training.data.samples import DatasetError, simulated_samples
from training.evaluation.fqe_check import savings_w
from training.evaluation.logs import Logged, Rebuilt, of_dataset, of_samples, rebuild

FRESH_SEED = 1000
"""Of the far ends of the replay: none that was logged."""
TUNED = "PI tuned"
LAWS: dict[str, PiGains] = {
    TUNED: PiGains(),
    "PI conservative": PiGains(0.3, 0.1, 20.0),
    "PI eager": PiGains(0.9, 0.45, 10.0),
    "PI slow": PiGains(0.2, 0.05, 10.0),
    "PI tuned, -30 W": PiGains(margin_w=-30.0),
    "PI tuned, +90 W": PiGains(margin_w=90.0),
}
SHIPPED = (Path("builtin"), Path("clone"))


@dataclass(frozen=True)
class Rank:
    """One controller. J in Wh over all hours; `fqe_saving_w` is over the predictive law."""

    controller: str
    replayed_j_wh: float
    replayed_change: float
    replayed_interval: tuple[float, float]
    true_j_wh: float | None = None
    fqe_saving_w: float | None = None


@dataclass(frozen=True)
class Agreement:
    """How far two orders of the controllers agree: 1 is the same order, 0 none, -1 the opposite."""

    spearman: float
    kendall: float


def agreement(found: Sequence[float], true: Sequence[float]) -> Agreement:
    """Rank correlations."""
    return Agreement(float(spearmanr(found, true).statistic), float(kendalltau(found, true).statistic))


def controllers(bundles: Sequence[Path]) -> dict[str, Policy]:
    """PI with several gains and margins, predictive law, bundles. Raises BundleError."""
    found: dict[str, Policy] = {name: pi_law(gains) for name, gains in LAWS.items()}
    found["predictive"] = predictive_law(PredictiveGains())
    for directory in bundles:
        policy = open_bundle(directory)
        found[f"{policy.bundle.manifest.name} {policy.bundle.manifest.bundle_version}"] = policy
    return found


def logged_days(days: Sequence[Day], metering: Metering, seed: int, share: float) -> list[Logged]:
    """The middle of each day's light, lived by the tuned PI in the product's own loop."""
    logs, site = [], default_site(metering)
    for day in track(days, "logging a PI", console=Console(stderr=True), transient=True):
        trace = day.load()
        first_s, end_s = daylight_s(trace)
        cut_s = int((end_s - first_s) * (1.0 - share) / 2.0)
        scenario = Scenario(trace, site, day.connection, first_s + cut_s, end_s - cut_s, seed)
        acting = pilot("pi", site)
        assert acting is not None
        logs.append(of_samples(day.path.stem, simulated_samples(scenario, acting, 0)))
    return logs


def replayed(
    rebuilt: Rebuilt, laws: dict[str, Policy], metering: Metering
) -> tuple[list[DayScenario], dict[str, ScenarioResult]]:
    """Every controller over the rebuilt hours, each hour with a far end of its own."""
    heats = [
        DayScenario(day, from_s, metering, FRESH_SEED + number, rebuilt.extra_s)
        for number, (day, from_s) in enumerate(rebuilt.hours())
    ]
    if not heats:
        raise DatasetError("no whole hour with surplus and without a gap; give longer logs")
    return heats, _lived(rows_of(heats, HOUR_S, rebuilt.of), laws, "replaying")


def truth(
    heats: Sequence[DayScenario], days: Sequence[Day], laws: dict[str, Policy], seed: int
) -> dict[str, ScenarioResult]:
    """The same hours of the measured days on the far end that was logged."""
    by_name = {day.path.stem: day for day in days}
    real = [DayScenario(by_name[heat.day.path.name], heat.from_s, heat.metering, seed, 0) for heat in heats]
    return _lived(rows_of(real, HOUR_S, measured_w), laws, "living the truth")


def _lived(rows: DayBatch, laws: dict[str, Policy], what: str) -> dict[str, ScenarioResult]:
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=len(laws))
        tallies = {}
        for name, law in laws.items():
            tallies[name] = run(rows, law)
            bar.advance(task)
    return tallies


def ranks(
    heats: Sequence[DayScenario],
    again: dict[str, ScenarioResult],
    true: dict[str, ScenarioResult] | None = None,
    savings: dict[str, float] | None = None,
) -> list[Rank]:
    """All controllers, the best of the replay first."""
    draws = draws_of(heats)
    base_wh = again[TUNED].j_wh

    def change(mine_wh: Floats) -> Change:
        return change_of(lambda weights: np.asarray(weights @ mine_wh / (weights @ base_wh) - 1.0), draws)

    rows = []
    for name, tally in again.items():
        replayed = change(tally.j_wh)
        true_wh = None if true is None else float(true[name].j_wh.sum())
        saved_w = None if savings is None else savings.get(name)
        rows.append(Rank(name, float(tally.j_wh.sum()), replayed.value, replayed.over_days, true_wh, saved_w))
    return sorted(rows, key=lambda rank: rank.replayed_j_wh)


def agreements(rows: Sequence[Rank]) -> dict[str, Agreement]:
    """Of replay and fitted Q evaluation with the truth; empty where that is unknown."""
    true = [rank.true_j_wh for rank in rows if rank.true_j_wh is not None]
    if len(true) < len(rows):
        return {}
    found = {"replay": agreement([rank.replayed_j_wh for rank in rows], true)}
    savings = [rank.fqe_saving_w for rank in rows if rank.fqe_saving_w is not None]
    if len(savings) == len(rows):
        found["fitted Q evaluation"] = agreement([-saving_w for saving_w in savings], true)
    return found


def as_table(rows: Sequence[Rank]) -> Table:
    """All controllers; J in Wh, the saving in W."""
    table = Table("controller", *(HEADS if rows[0].true_j_wh is not None else HEADS[:2]))
    for rank in rows:
        low, high = rank.replayed_interval
        cells = [f"{rank.replayed_j_wh:,.0f}", f"{rank.replayed_change:+.1%} [{low:+.1%}, {high:+.1%}]"]
        if rank.true_j_wh is not None:
            level = rank.replayed_j_wh / rank.true_j_wh - 1.0
            cells += [f"{rank.true_j_wh:,.0f}", f"{level:+.1%}"]
            cells += [] if rank.fqe_saving_w is None else [f"{rank.fqe_saving_w:+.1f}"]
        table.add_row(rank.controller, *cells)
    return table


HEADS = ("J replayed", "against the tuned PI", "J true", "level of the replay", "saving by FQE")
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command()
@click.option("--traces", type=FOLDER, help="Days to log a PI on, and to know the truth from.")
@click.option("--data", type=click.Path(path_type=Path, exists=True), help="A file of `sunkeep dataset`.")
@click.option("--split", type=click.Choice(("train", "val")), default="val", show_default=True)
@click.option("--bundle", "bundles", type=click.Path(path_type=Path), multiple=True)
@click.option("--metering", type=click.Choice([m.value for m in Metering]), default="net", show_default=True)
@click.option("--share", type=FiniteRange(0.05, 1.0), default=0.5, show_default=True, help="Of the light.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the logged far end.")
@click.option("--fqe/--no-fqe", default=True, show_default=True, help="Also fitted Q evaluation.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write all figures here.")
def main(
    traces: Path | None,
    data: Path | None,
    split: str,
    bundles: tuple[Path, ...],
    metering: str,
    share: float,
    seed: int,
    fqe: bool,
    json_path: Path | None,
) -> None:
    """Rank controllers by replay of logs, and show how far the order is the true one."""
    torch.set_num_threads(1)
    if (traces is None) == (data is None):
        raise click.UsageError("give one of --traces and --data")
    billed, true, savings = Metering(metering), None, None
    try:
        laws = controllers([bundle_directory(str(bundle)) for bundle in bundles or SHIPPED])
        days = () if traces is None else find_days(traces, split)
        rebuilt = rebuild(logged_days(days, billed, seed, share) if data is None else of_dataset(data))
        heats, again = replayed(rebuilt, laws, billed)
        if days:
            true = truth(heats, days, laws, seed)
            savings = savings_w(days, laws, billed, share) if fqe else None
    except (DatasetError, DaysError, TraceError, BundleError) as error:
        raise InputError(str(error)) from None
    rows = ranks(heats, again, true, savings)
    found = agreements(rows)
    console = Console(width=150)
    console.print(f"{len(heats)} hours, extra delay fitted to the log: {rebuilt.extra_s} s")
    console.print(as_table(rows))
    for name, order in found.items():
        console.print(f"{name}: Spearman {order.spearman:.2f}, Kendall {order.kendall:.2f} with the truth")
    if json_path is not None:
        plain = {"ranks": [asdict(r) for r in rows], "agreement": {k: asdict(v) for k, v in found.items()}}
        json_path.write_text(json.dumps(plain, indent=1))


if __name__ == "__main__":
    main()
