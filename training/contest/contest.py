"""Policies beside the retuned PI on measured days: the same days, slaves and radios, at equal import.

    python -m training.contest.contest --bundle DIR --traces DIR --split val

A percentage of export means little by itself: a larger margin buys less export with import. So the PI runs
with all its margins (`training.contest.results`), beside the predictive law and the policies.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

import click
import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress

from core.site import Metering
from models.bundle import BundleError
from safety.pi import PiGains
from safety.predictive import PredictiveGains
from training.artifacts.checkpoint import load_weights
from training.batched.bundle_policy import open_bundle
from training.batched.day_runs import HOUR_S, DayScenario, ScenarioResult, lit_hours, rows_of, run
from training.batched.laws import pi_law, predictive_law
from training.batched.scenarios import TROUBLES, FaultScenario
from training.batched.simulator import Policy
from training.contest.relative_to_pi import MARGINS_W
from training.contest.results import DELAYS_S, PI, Field, as_table, standings
from training.data.days import Day, DaysError, find_days
from training.replay.network import ReplayNet

ROWS_AT_ONCE = 600
"""An hour of so many rows takes 0.2 GB."""
USUAL = (FaultScenario.NONE,)

Hour: TypeAlias = tuple[Day, int]
"""A day and the first second of a lit hour of it."""
Law: TypeAlias = Callable[[Sequence[DayScenario]], Policy]
"""Who acts in some rows."""
Tell = Callable[[int, int], None]
"""Is told how many rows are done, of how many."""


def hours_of(days: Sequence[Day]) -> list[Hour]:
    """All lit hours."""
    return [(day, from_s) for day in days for from_s in lit_hours(day)]


def heats_of(
    hours: Sequence[Hour],
    seeds: Sequence[int],
    margins_w: Sequence[float] = (0.0,),
    troubles: Sequence[FaultScenario] = USUAL,
    meterings: Sequence[Metering] = tuple(Metering),
    delays_s: Sequence[int] = DELAYS_S,
) -> tuple[DayScenario, ...]:
    """Every hour under each of these billings, radio, delay and trouble.

    Margins only where nothing is delayed or in trouble, delays only where nothing is in trouble. Rows that
    differ only in these or in billing come in the same order.
    """
    return tuple(
        DayScenario(day, from_s, metering, seed, delay_s, margin_w, trouble)
        for metering in meterings
        for trouble in troubles
        for delay_s in (delays_s if trouble is FaultScenario.NONE else (0,))
        for margin_w in (margins_w if delay_s == 0 and trouble is FaultScenario.NONE else (0.0,))
        for day, from_s in hours
        for seed in seeds
    )


def compete(
    days: Sequence[Day],
    seeds: Sequence[int],
    policies: Mapping[str, Policy],
    gains: PiGains,
    troubles: Sequence[FaultScenario] = USUAL,
    tell: Tell = lambda done, of: None,
    meterings: Sequence[Metering] = tuple(Metering),
) -> Field:
    """Run PI with all margins, predictive law and policies.

    Args:
        days: whose lit hours are lived.
        seeds: of the far ends; each hour is lived once with each.
        policies: by name.
        gains: of the PI.
        troubles: sites that are lived; `far_ends.TROUBLES` are all.
        tell: is told of the progress.
        meterings: how the sites are billed.
    """
    hours = hours_of(days)
    plain = heats_of(hours, seeds, troubles=troubles, meterings=meterings)
    swept = heats_of(hours, seeds, MARGINS_W, troubles, meterings)
    heats = {PI: swept} | dict.fromkeys(("predictive", *policies), plain)
    laws = {PI: margins_law(gains), "predictive": always(predictive_law(PredictiveGains()))}
    laws |= {name: always(policy) for name, policy in policies.items()}
    total, done = sum(map(len, heats.values())), 0

    def told(rows: int) -> None:
        nonlocal done
        done += rows
        tell(done, total)

    return Field(heats, {name: lived(rows, laws[name], HOUR_S, told) for name, rows in heats.items()})


def lived(
    heats: Sequence[DayScenario], law: Law, seconds: int, told: Callable[[int], None] = lambda rows: None
) -> ScenarioResult:
    """Live rows, so many at once as memory bears; `told` is told of how many after each part."""
    tallies = []
    for at in range(0, len(heats), ROWS_AT_ONCE):
        part = heats[at : at + ROWS_AT_ONCE]
        tallies.append(run(rows_of(part, seconds), law(part)))
        told(len(part))
    return ScenarioResult(*(np.concatenate(columns) for columns in zip(*tallies, strict=True)))


def always(policy: Policy) -> Law:
    """The same policy in all rows."""
    return lambda heats: policy


def margins_law(gains: PiGains) -> Law:
    """The PI, in every row with what that adds to its margin."""

    def law(heats: Sequence[DayScenario]) -> Policy:
        margin_w = torch.tensor([heat.margin_w for heat in heats])[:, None] + gains.margin_w
        return pi_law(PiGains(gains.kp, gains.ki, margin_w))  # type: ignore[arg-type]  # one margin per row

    return law


def _policies(weights: Path | None, bundles: Sequence[Path]) -> dict[str, Policy]:
    found: dict[str, Policy] = {}
    for policy in map(open_bundle, bundles):
        name = policy.bundle.manifest.name
        if name in found:
            raise click.UsageError(f"two bundles are named {name!r}; their rows could not be told apart")
        found[name] = policy
    if weights is not None:
        net = ReplayNet()
        load_weights(weights, net)
        found["weights"] = net.eval().policy
    return found


FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command()
@click.option("--bundle", "bundles", type=FOLDER, multiple=True, help="May be given several times.")
@click.option("--weights", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--traces", type=FOLDER, required=True)
@click.option("--split", type=click.Choice(("train", "val", "test")), default="val", show_default=True)
@click.option("--radios", type=click.IntRange(1), default=1, show_default=True, help="Far ends per day.")
@click.option("--battery", is_flag=True, help="Also sites in trouble.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write all figures here.")
def main(
    bundles: tuple[Path, ...],
    weights: Path | None,
    traces: Path,
    split: str,
    radios: int,
    battery: bool,
    json_path: Path | None,
) -> None:
    """Run a contest and show who stands where."""
    torch.set_num_threads(1)
    console = Console(stderr=True)
    try:
        policies, days = _policies(weights, bundles), find_days(traces, split)
    except (BundleError, DaysError) as error:
        raise click.ClickException(str(error)) from error
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("hours lived", total=None)
        field = compete(
            days,
            range(radios),
            policies,
            PiGains(),
            TROUBLES if battery else USUAL,
            lambda done, of: bar.update(task, completed=done, total=of),
        )
    rows = standings(field)
    if json_path is not None:
        json_path.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    Console(width=180).print(as_table(rows))


if __name__ == "__main__":
    main()
