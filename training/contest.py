"""A policy beside the retuned PI on measured days: the same days, slaves and radios, at equal import.

    python -m training.contest --weights FILE --traces DIR --split val

A percentage of export means little by itself: a larger margin buys less export with import. Export is
compared at equal import, by interpolation over the margins of the PI; J = export + 0.5 avoidable import
needs no such care. Both leave out what exceeds all slaves together.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from core.site import Metering
from safety.pi import PiGains
from safety.predictive import PredictiveGains
from training.batch import Policy
from training.batch_laws import pi_law, predictive_law
from training.checkpoint import load_weights
from training.day_runs import Energies, Heat, Tally, lit_hours, rows_of, run
from training.days import Day, find_days
from training.net import ReplayNet

MARGINS_W = (-40.0, -20.0, -10.0, 0.0, 10.0, 20.0, 40.0, 80.0)
"""Added to the PI's own margin: they span the imports at which exports are compared."""
DELAYS_S = (0, 1, 2)
RESAMPLES = 1000


def export_at(import_wh: float, exports_wh: Sequence[float], imports_wh: Sequence[float]) -> float:
    """What the PI exports at this avoidable import, between its margins; NaN beyond them."""
    order = np.argsort(imports_wh)
    x, y = np.asarray(imports_wh)[order], np.asarray(exports_wh)[order]
    return float(np.interp(import_wh, x, y, left=np.nan, right=np.nan))


@dataclass(frozen=True)
class Standing:
    """One controller in all hours of a billing and delay, beside the PI.

    Energies are sums over hours and radios in Wh. `export_change` is at equal import,
    `j_change` and `peak_change` plain: -0.25 is a quarter less. The PI's margins are swept only where nothing
    is delayed; elsewhere, and beyond the sweep, `export_change` is NaN. Intervals are 95 %, over resampled
    hours. Peaks are means over the hours of the hour's highest.
    """

    controller: str
    metering: str
    extra_delay_s: int
    export_wh: float
    beyond_wh: float
    avoidable_wh: float
    j_wh: float
    peak10s_export_w: float
    changes_per_min: float
    reversals_per_min: float
    imbalance_w: float
    frames_per_min: float
    j_change: float
    j_interval: tuple[float, float]
    export_change: float
    export_interval: tuple[float, float]
    peak_change: float


@dataclass(frozen=True)
class Field:
    """Everything a contest ran: rows, and the tally of each controller over its own rows."""

    heats: dict[str, tuple[Heat, ...]]
    tallies: dict[str, Tally]


def heats_of(days: Sequence[Day], seeds: Sequence[int], margins_w: Sequence[float]) -> tuple[Heat, ...]:
    """Every lit hour under each billing, radio and delay; the margins only where nothing is delayed.

    Rows that differ only in billing, delay or margin come in the same order.
    """
    hours = [(day, from_s) for day in days for from_s in lit_hours(day)]
    return tuple(
        Heat(day, from_s, metering, seed, delay_s, margin_w)
        for metering in Metering
        for delay_s in DELAYS_S
        for margin_w in (margins_w if delay_s == 0 else (0.0,))
        for day, from_s in hours
        for seed in seeds
    )


def compete(days: Sequence[Day], seeds: Sequence[int], net: ReplayNet, gains: PiGains) -> Field:
    """Run PI with all margins, predictive law and network."""
    plain = heats_of(days, seeds, (0.0,))
    swept = heats_of(days, seeds, MARGINS_W)
    margin_w = torch.tensor([heat.margin_w for heat in swept])[:, None] + gains.margin_w
    pi = PiGains(gains.kp, gains.ki, margin_w)  # type: ignore[arg-type]  # one margin per row
    entries: dict[str, tuple[tuple[Heat, ...], Policy]] = {
        "pi": (swept, pi_law(pi)),
        "predictive": (plain, predictive_law(PredictiveGains())),
        "champion": (plain, net.policy),
    }
    tallies = {name: run(rows_of(heats), policy) for name, (heats, policy) in entries.items()}
    return Field({name: heats for name, (heats, _) in entries.items()}, tallies)


def standings(field: Field) -> list[Standing]:
    """All controllers, billings and delays beside the PI with its own margin."""
    return [
        _standing(field, name, metering, delay_s)
        for metering in Metering
        for delay_s in DELAYS_S
        for name in field.tallies
    ]


def _rows(field: Field, name: str, metering: Metering, delay_s: int, margin_w: float = 0.0) -> list[int]:
    return [
        index
        for index, heat in enumerate(field.heats[name])
        if (heat.metering, heat.extra_delay_s, heat.margin_w) == (metering, delay_s, margin_w)
    ]


def _standing(field: Field, name: str, metering: Metering, delay_s: int) -> Standing:
    mine, pi = field.tallies[name], field.tallies["pi"]
    at, base = _rows(field, name, metering, delay_s), _rows(field, "pi", metering, delay_s)
    margins = MARGINS_W if delay_s == 0 else (0.0,)
    swept = [_rows(field, "pi", metering, delay_s, margin_w) for margin_w in margins]
    rows = np.arange(len(at))
    drawn = np.random.default_rng(0).choice(rows, (RESAMPLES, len(rows)))

    def changes(picked: NDArray[np.intp]) -> tuple[float, float]:
        def total(energies_wh: Energies, places: list[int]) -> float:
            return float(energies_wh[places][picked].sum())

        j = total(mine.j_wh, at) / total(pi.j_wh, base) - 1.0
        exports = [total(pi.own_wh, places) for places in swept]
        imports = [total(pi.avoidable_wh, places) for places in swept]
        same = export_at(total(mine.avoidable_wh, at), exports, imports)
        return j, total(mine.own_wh, at) / same - 1.0

    j_change, export_change = changes(rows)
    resampled = np.array([changes(picked) for picked in drawn])
    return Standing(
        name,
        metering.value,
        delay_s,
        float(mine.export_wh[at].sum()),
        float(mine.beyond_wh[at].sum()),
        float(mine.avoidable_wh[at].sum()),
        float(mine.j_wh[at].sum()),
        float(mine.peak10s_export_w[at].mean()),
        float(mine.changes_per_min[at].mean()),
        float(mine.reversals_per_min[at].mean()),
        float(mine.imbalance_w[at].mean()),
        float(mine.frames_per_min[at].mean()),
        j_change,
        _interval(resampled[:, 0]),
        export_change,
        _interval(resampled[:, 1]),
        float(mine.peak10s_export_w[at].mean() / pi.peak10s_export_w[base].mean() - 1.0),
    )


def _interval(values: Energies) -> tuple[float, float]:
    """95 % of the values that exist; NaN where there are none."""
    there = values[np.isfinite(values)]
    if not there.size:
        return float("nan"), float("nan")
    low, high = np.percentile(there, [2.5, 97.5])
    return float(low), float(high)


COLUMNS = ("controller", "billed", "late", "export", "import", "J", "peak", "changes", "reversals")


def as_table(rows: Sequence[Standing]) -> Table:
    """All rows, the controllers of one billing and delay one below the other.

    Export is without what exceeds all slaves, import is the avoidable one, both in Wh.
    """
    table = Table(*COLUMNS, "J against the PI", "export at equal import")
    for row in rows:
        energies = (row.export_wh - row.beyond_wh, row.avoidable_wh, row.j_wh, row.peak10s_export_w)
        table.add_row(
            row.controller,
            row.metering,
            f"{row.extra_delay_s} s",
            *(f"{x:,.0f}" for x in energies),
            f"{row.changes_per_min:.1f}",
            f"{row.reversals_per_min:.1f}",
            _change(row.j_change, row.j_interval),
            _change(row.export_change, row.export_interval),
        )
    return table


def _change(value: float, interval: tuple[float, float]) -> str:
    low, high = interval
    return "" if np.isnan(value) else f"{value:+.1%} [{low:+.1%}, {high:+.1%}]"


@click.command()
@click.option("--weights", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True)
@click.option("--traces", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--split", type=click.Choice(("train", "val", "test")), default="val", show_default=True)
@click.option("--radios", type=click.IntRange(1), default=2, show_default=True, help="Far ends per day.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write all figures here.")
def main(weights: Path, traces: Path, split: str, radios: int, json_path: Path | None) -> None:
    """Run a contest and show who stands where."""
    torch.set_num_threads(1)
    net = ReplayNet()
    load_weights(weights, net)
    rows = standings(compete(find_days(traces, split), range(radios), net.eval(), PiGains()))
    if json_path is not None:
        json_path.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    Console(width=160).print(as_table(rows))


if __name__ == "__main__":
    main()
