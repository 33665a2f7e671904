"""Results of a contest: figures of every controller beside the PI's, with intervals.

Export is compared at equal import, by interpolation over the margins of the PI; J = export + 0.5 avoidable
import needs no such care. Both leave out what exceeds all slaves together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from core.site import Metering
from training.batched.day_runs import DayScenario, ScenarioResult
from training.batched.scenarios import FaultScenario
from training.contest.bootstrap import Change, change_of, draws_of
from training.contest.relative_to_pi import MARGINS_W, of_export, of_j, of_peak

DELAYS_S = (0, 1, 2)
LATE_S = DELAYS_S[-1]
"""Seconds that every frame is late, and nobody told, where only one delay counts."""
PI = "pi"


@dataclass(frozen=True)
class Field:
    """Everything a contest ran: rows, and the tally of each controller over its own rows."""

    heats: dict[str, tuple[DayScenario, ...]]
    tallies: dict[str, ScenarioResult]

    def rows(
        self,
        name: str,
        metering: Metering,
        delay_s: int,
        trouble: FaultScenario = FaultScenario.NONE,
        margin_w: float = 0.0,
    ) -> list[int]:
        """Places of a controller's rows under these conditions."""
        wanted = (metering, delay_s, trouble, margin_w)
        return [
            index
            for index, heat in enumerate(self.heats[name])
            if (heat.metering, heat.extra_delay_s, heat.trouble, heat.margin_w) == wanted
        ]

    def meterings(self) -> list[Metering]:
        """Billings that were lived, in their order."""
        return list(dict.fromkeys(heat.metering for heat in self.heats[PI]))

    def conditions(self) -> list[tuple[int, FaultScenario]]:
        """Delays and troubles that were lived, in their order."""
        return list(dict.fromkeys((heat.extra_delay_s, heat.trouble) for heat in self.heats[PI]))


@dataclass(frozen=True)
class ControllerResult:
    """One controller in all hours of a billing, delay and trouble, beside the PI.

    Energies are sums over hours and radios in Wh. `export_change` is at equal import, `j_change` and
    `peak_change` (of 10 s) plain. The PI's margins are swept only where nothing is delayed or in trouble;
    elsewhere, and beyond the sweep, `export_change` is NaN. Peaks are means over the hours of the hour's
    highest, `highest_export_w` is the highest second of all.
    """

    controller: str
    metering: str
    extra_delay_s: int
    trouble: str
    hours: int
    export_wh: float
    beyond_wh: float
    avoidable_wh: float
    j_wh: float
    highest_export_w: float
    peak10s_export_w: float
    moves_per_min: float
    changes_per_min: float
    reversals_per_min: float
    imbalance_w: float
    frames_per_min: float
    violations: int
    j_change: Change
    export_change: Change
    peak_change: Change

    @property
    def own_wh(self) -> float:
        """Export that a controller could have placed."""
        return self.export_wh - self.beyond_wh


def standings(field: Field) -> list[ControllerResult]:
    """All controllers under all conditions beside the PI with its own margin."""
    return [
        _standing(field, name, metering, delay_s, trouble)
        for metering in field.meterings()
        for delay_s, trouble in field.conditions()
        for name in field.tallies
    ]


def _standing(
    field: Field, name: str, metering: Metering, delay_s: int, trouble: FaultScenario
) -> ControllerResult:
    at = field.rows(name, metering, delay_s, trouble)
    mine = field.tallies[name].rows(at)
    heats = [field.heats[name][row] for row in at]
    sweep = [
        taken
        for margin_w in MARGINS_W
        if len((taken := _pi(field, metering, delay_s, trouble, margin_w)).export_wh)
    ]
    draws = draws_of(heats)
    pi = _pi(field, metering, delay_s, trouble)
    return ControllerResult(
        name,
        metering.value,
        delay_s,
        trouble.value,
        len(at),
        float(mine.export_wh.sum()),
        float(mine.beyond_wh.sum()),
        float(mine.avoidable_wh.sum()),
        float(mine.j_wh.sum()),
        float(mine.peak_export_w.max()),
        float(mine.peak10s_export_w.mean()),
        float(mine.moves_per_min.mean()),
        float(mine.changes_per_min.mean()),
        float(mine.reversals_per_min.mean()),
        float(mine.imbalance_w.mean()),
        float(mine.frames_per_min.mean()),
        int(mine.violations.sum()),
        change_of(of_j(mine, pi), draws),
        change_of(of_export(mine, sweep), draws),
        change_of(of_peak(mine, pi), draws),
    )


def _pi(
    field: Field, metering: Metering, delay_s: int, trouble: FaultScenario, margin_w: float = 0.0
) -> ScenarioResult:
    return field.tallies[PI].rows(field.rows(PI, metering, delay_s, trouble, margin_w))


def frontier(field: Field, metering: Metering) -> Mapping[float, tuple[float, float]]:
    """Export and avoidable import in Wh of the PI with each margin shift in W, without delay or trouble."""
    swept = {margin_w: _pi(field, metering, 0, FaultScenario.NONE, margin_w) for margin_w in MARGINS_W}
    return {
        margin_w: (float(tally.own_wh.sum()), float(tally.avoidable_wh.sum()))
        for margin_w, tally in swept.items()
    }


COLUMNS = ("controller", "billed", "site", "export", "import", "J", "peak", "changes", "reversals")


def as_table(rows: Sequence[ControllerResult]) -> Table:
    """All rows, the controllers of one billing and site one below the other.

    Export is without what exceeds all slaves, import is the avoidable one, both in Wh; intervals are over
    days.
    """
    table = Table(*COLUMNS, "J against the PI", "export at equal import")
    for row in rows:
        energies = (row.own_wh, row.avoidable_wh, row.j_wh, row.peak10s_export_w)
        table.add_row(
            row.controller,
            row.metering,
            condition(row),
            *(f"{x:,.0f}" for x in energies),
            f"{row.changes_per_min:.1f}",
            f"{row.reversals_per_min:.1f}",
            in_percent(row.j_change),
            in_percent(row.export_change),
        )
    return table


def condition(row: ControllerResult) -> str:
    """What the row was lived under, in words."""
    if row.trouble != FaultScenario.NONE.value:
        return row.trouble
    return f"{row.extra_delay_s} s late" if row.extra_delay_s else "usual"


def in_percent(change: Change) -> str:
    """A change with its interval over days; empty where it is not known."""
    if np.isnan(change.value):
        return ""
    low, high = change.over_days
    return f"{change.value:+.1%} [{low:+.1%}, {high:+.1%}]"
