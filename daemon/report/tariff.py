"""What energy is worth."""

from dataclasses import dataclass

from core.roles import Role
from daemon.monitoring.energy_ledger import JOULES_PER_WH, EnergyTotals

JOULES_PER_KWH = 1000.0 * JOULES_PER_WH


@dataclass(frozen=True, slots=True)
class Tariff:
    """Price of a bought kWh and pay for an exported one, in `currency`."""

    price_per_kwh: float
    feed_in_per_kwh: float
    currency: str

    def saved(self, energy: EnergyTotals, role: Role) -> float:
        """What the slaves saved: the bill without them, less the bill with them, plus what they used.

        Surplus that absorbing slaves used counts at the price, because it would have been bought otherwise.
        What they drew from the grid was bought and counts as worth nothing, which makes the saving too small
        rather than too large. What generating slaves feed counts as free of cost.
        """
        exported_less_j = energy.exported_without_j - energy.exported_j
        imported_less_j = energy.imported_without_j - energy.imported_j
        used_j = exported_less_j if role is Role.ABSORB else 0.0
        worth = (imported_less_j + used_j) * self.price_per_kwh - exported_less_j * self.feed_in_per_kwh
        return worth / JOULES_PER_KWH
