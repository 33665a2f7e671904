"""Energy, with the slaves and without them: over the life of the site, today, and in the last hour."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from core.metering import avoidable_import_w, exported_w, imported_w
from core.roles import Role
from core.site import Phases, Site
from core.snapshot import METER_LOST_S
from daemon.monitoring.accumulators import Rolling
from daemon.monitoring.totals_format import ENERGY

PERIODS_HELD = 2.5
"""Where ticks are slower than one a second: two that are missing, and half of one."""
JOULES_PER_WH = 3600.0
CARRIED_MAX = 1e18
"""J or s; a carried total beyond is damage: 100 kW for 300,000 years."""
FLOOR_J = 50.0 * JOULES_PER_WH
"""Below 50 Wh in the hour a share of the export says nothing (a night has none at all)."""


def gap_s(period_s: float) -> float:
    """The longest step between two ticks of this period that a reading is held over.

    Beyond it energy is not guessed, and figures are not called current.
    """
    return max(METER_LOST_S, PERIODS_HELD * period_s)


@dataclass(slots=True)
class EnergyTotals:
    """Energy at the meter and at the slaves, in J, and the seconds it was measured over.

    `*_without` is what the site would have exported and imported had no slave acted.
    """

    exported_j: float = 0.0
    imported_j: float = 0.0
    avoidable_import_j: float = 0.0
    placed_j: float = 0.0
    exported_without_j: float = 0.0
    imported_without_j: float = 0.0
    measured_s: float = 0.0
    compared_s: float = 0.0
    unmeasured_s: float = 0.0

    def add(self, other: "EnergyTotals") -> None:
        """Add another account to this one."""
        self.exported_j += other.exported_j
        self.imported_j += other.imported_j
        self.avoidable_import_j += other.avoidable_import_j
        self.placed_j += other.placed_j
        self.exported_without_j += other.exported_without_j
        self.imported_without_j += other.imported_without_j
        self.measured_s += other.measured_s
        self.compared_s += other.compared_s
        self.unmeasured_s += other.unmeasured_s


def account(
    grid_power_w: Phases, without_w: Phases | None, placed_w: Phases, site: Site, step_s: float
) -> EnergyTotals:
    """The energy of one tick: its reading held over the step since the last one."""
    metering = site.metering
    energy = EnergyTotals(
        exported_j=exported_w(grid_power_w, metering) * step_s,
        imported_j=imported_w(grid_power_w, metering) * step_s,
        placed_j=sum(placed_w) * step_s,
        measured_s=step_s,
    )
    if site.role is Role.ABSORB:
        energy.avoidable_import_j = avoidable_import_w(placed_w, grid_power_w, metering) * step_s
    if without_w is not None:
        energy.exported_without_j = exported_w(without_w, metering) * step_s
        energy.imported_without_j = imported_w(without_w, metering) * step_s
        energy.compared_s = step_s
    return energy


class Ledger:
    """The accounts.

    Args:
        carried: what an earlier run left with `carry()`; whatever does not look like it counts as none.
    """

    def __init__(self, carried: Any = None) -> None:
        carried = carried if isinstance(carried, dict) else {}
        self.total = EnergyTotals()
        self.today = EnergyTotals()
        self.today_is: date | None = None
        self._hour = Rolling(60.0, 60, 2)
        _fill(self.total, carried.get("total"))
        try:
            self.today_is = date.fromisoformat(str(carried.get("today_is")))
        except ValueError:
            return
        _fill(self.today, carried.get("today"))

    def add(self, energy: EnergyTotals, at_s: float, day: date | None) -> None:
        """Book one tick; a new date opens a new day."""
        if day != self.today_is:
            self.today, self.today_is = EnergyTotals(), day
        self.total.add(energy)
        self.today.add(energy)
        self._hour.add(at_s, energy.exported_j, energy.exported_without_j)

    def reduction_1h(self, at_s: float) -> float | None:
        """Share of the last hour's export that control prevented; None where there was too little to tell."""
        exported_j, without_j = self._hour.sums(at_s)
        return 1.0 - exported_j / without_j if without_j >= FLOOR_J else None

    def carry(self) -> dict[str, Any]:
        """What a later run continues with: plain values, ready for JSON."""
        return {
            "total": {key: getattr(self.total, name) for key, name in ENERGY.items()},
            "today": {key: getattr(self.today, name) for key, name in ENERGY.items()},
            "today_is": self.today_is.isoformat() if self.today_is else None,
        }


def _fill(energy: EnergyTotals, saved: Any) -> None:
    if isinstance(saved, dict):
        for key, name in ENERGY.items():
            value = saved.get(key)
            if isinstance(value, int | float) and 0.0 <= value <= CARRIED_MAX:
                setattr(energy, name, float(value))
