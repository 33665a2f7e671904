"""A bundle on the members of the family, told their measured numbers, beside both laws on the same hours.

    python -m training.evaluation.members --bundle DIR --traces DIR [--split val]

The laws have the gains that `safety.gain_rule` gives them from the same numbers. Members that no batch can be
(quicker than by the second, or with other slaves than heaters of 1700 W) are left to `sunkeep simulate`.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click
import torch
from rich.console import Console
from rich.table import Table

from core.site import Metering, Site
from daemon.runtime.assembly import bundle_directory
from plant.site.description import load_description
from plant.site.drawing import told
from plant.site.trace import TraceError
from safety.gain_rule import pi_gains_by_phase, predictive_gains_by_phase
from safety.pi import PiGains
from safety.predictive import PredictiveGains
from training.batched.bundle_policy import open_bundle
from training.batched.day_runs import (
    HOUR_S,
    DayScenario,
    ScenarioResult,
    beyond_ws,
    is_sunny,
    lit_hours,
    measured_w,
    rows_of,
    run,
)
from training.batched.laws import pi_law, predictive_law
from training.batched.scenarios import FamilyMember
from training.batched.simulator import PLACES, PlantParameters, Policy
from training.contest.bootstrap import Change, change_of, draws_of
from training.contest.relative_to_pi import of_j
from training.data.days import SPLITS, Day, DaysError, find_days

SLAVES = ("slow-4", "slow-8", "gain-low", "gain-high", "missing")
RADIOS = ("late-2", "late-4", "loss-10")
METERS = ("meter-2s", "meter-5s", "meter-late")
MEMBERS = ("usual", *SLAVES, *RADIOS, *METERS)
GainsT = TypeVar("GainsT", PiGains, PredictiveGains)


@dataclass(frozen=True)
class MemberResult:
    """One member: J of all hours in Wh, and the policy's against the better law with 95 % over days."""

    member: str
    hours: int
    pi_j_wh: float
    predictive_j_wh: float
    policy_j_wh: float
    change: float
    low: float
    high: float
    pi_reversals_per_min: float
    policy_reversals_per_min: float
    pi_peak10s_w: float
    policy_peak10s_w: float


def scenarios(days: Sequence[Day], member: str, seed: int, metering: Metering) -> list[DayScenario]:
    """Every sunny lit hour of the days on one member that was told its numbers."""
    return [
        DayScenario(day, from_s, metering, seed, 0, member=FamilyMember(member))
        for day in days
        for from_s in lit_hours(day)
        if is_sunny(measured_w(day), from_s)
    ]


def told_site(member: str, seed: int) -> Site:
    """The site as it knows itself after commissioning."""
    description = load_description(member)
    site = description.core_site()
    slaves = told(site.slaves, description, seed)
    return replace(site, slaves=slaves, meter_delay_s=description.meter.lateness_s(site.period_s))


def gains_of(sites: Sequence[tuple[GainsT, GainsT, GainsT]]) -> GainsT:
    """Gains of many sites as one, its fields [n, 3]."""
    first = sites[0][0]
    fields: dict[str, Any] = {
        name: torch.tensor([[getattr(gains, name) for gains in phases] for phases in sites])
        for name in asdict(first)
    }
    return replace(first, **fields)


def judge_members(
    policy: Policy,
    days: Sequence[Day],
    members: Sequence[str],
    seed: int = 0,
    metering: Metering = Metering.NET,
    seconds: int = HOUR_S,
) -> list[MemberResult]:
    """Live every member's hours, or less of each, with the policy and both laws.

    Raises:
        plant.site.trace.TraceError: a trace that cannot be read.
    """
    heats = [heat for member in members for heat in scenarios(days, member, seed, metering)]
    sites = {member: told_site(member, seed) for member in members}
    names = [heat.member.name for heat in heats if heat.member is not None]
    pi = gains_of([pi_gains_by_phase(sites[name], PiGains()) for name in names])
    predictive = gains_of([predictive_gains_by_phase(sites[name], PredictiveGains()) for name in names])
    rows = rows_of(heats, seconds)
    beyond_wh = beyond_ws(rows._replace(rig=_true_capacity(rows.rig))).numpy() / 3600.0
    lived = [
        run(rows, law)._replace(beyond_wh=beyond_wh)
        for law in (pi_law(pi), predictive_law(predictive), policy)
    ]
    return [_result(member, heats, names, lived) for member in members]


def _true_capacity(rig: PlantParameters) -> PlantParameters:
    """With what the slaves of a phase draw when told everything, not what they are told."""
    used = (torch.arange(PLACES) < rig.slaves).to(rig.gain.dtype)
    mean_gain = (rig.gain * used).sum(2) / rig.slaves[:, :, 0]
    return rig._replace(capacity_w=rig.capacity_w * mean_gain)


def _result(
    member: str, heats: Sequence[DayScenario], names: Sequence[str], lived: Sequence[ScenarioResult]
) -> MemberResult:
    at = [place for place, name in enumerate(names) if name == member]
    pi, predictive, mine = (result.rows(at) for result in lived)
    best = min(pi, predictive, key=lambda result: float(result.j_wh.sum()))
    change: Change = change_of(of_j(mine, best), draws_of([heats[place] for place in at]))
    return MemberResult(
        member,
        len(at),
        float(pi.j_wh.sum()),
        float(predictive.j_wh.sum()),
        float(mine.j_wh.sum()),
        change.value,
        *change.over_days,
        float(pi.reversals_per_min.mean()),
        float(mine.reversals_per_min.mean()),
        float(pi.peak10s_export_w.mean()),
        float(mine.peak10s_export_w.mean()),
    )


@click.command()
@click.option("--bundle", required=True, help="A folder, or one that ships: builtin.")
@click.option("--traces", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--split", type=click.Choice(SPLITS), default="val", show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Draws slaves and radio.")
@click.option("--metering", type=click.Choice([m.value for m in Metering]), default="net", show_default=True)
@click.option("--member", "members", multiple=True, type=click.Choice(MEMBERS), help="Only these.")
@click.option("--json", "json_path", type=click.Path(path_type=Path, dir_okay=False))
def main(
    bundle: str,
    traces: Path,
    split: str,
    seed: int,
    metering: str,
    members: tuple[str, ...],
    json_path: Path | None,
) -> None:
    """Judge a bundle on every member of the family; choices belong to the split val."""
    torch.set_num_threads(1)
    try:
        policy = open_bundle(bundle_directory(bundle))
        found = judge_members(policy, find_days(traces, split), members or MEMBERS, seed, Metering(metering))
    except (DaysError, TraceError) as error:
        raise click.ClickException(str(error)) from None
    if json_path is not None:
        json_path.write_text(json.dumps([asdict(row) for row in found], indent=1) + "\n", encoding="utf-8")
    Console().print(_table(found))


def _table(found: Sequence[MemberResult]) -> Table:
    table = Table(
        "member", "hours", "PI", "predictive", "policy", "against the better", "reversals, peak 10 s"
    )
    for row in found:
        table.add_row(
            row.member,
            str(row.hours),
            f"{row.pi_j_wh:,.0f}",
            f"{row.predictive_j_wh:,.0f}",
            f"{row.policy_j_wh:,.0f}",
            f"{100 * row.change:+.1f} % [{100 * row.low:+.1f}, {100 * row.high:+.1f}]",
            f"{row.policy_reversals_per_min:.1f}, {row.policy_peak10s_w:,.0f} W "
            f"(PI {row.pi_reversals_per_min:.1f}, {row.pi_peak10s_w:,.0f} W)",
        )
    return table


if __name__ == "__main__":
    main()
