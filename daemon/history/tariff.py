"""What energy is worth."""

from dataclasses import dataclass
from datetime import datetime

from core.roles import Role
from daemon.config.sections import WEEKDAYS, minute_of_day
from daemon.config.tariff_section import TariffSection
from daemon.history.account import Account
from daemon.monitoring.energy_ledger import JOULES_PER_WH, EnergyTotals

JOULES_PER_KWH = 1000.0 * JOULES_PER_WH


@dataclass(frozen=True, slots=True)
class Tariff:
    """Price of a bought kWh and pay for an exported one, in `currency`; grams of CO2 of a kWh of the grid."""

    price_per_kwh: float
    feed_in_per_kwh: float
    currency: str
    co2_g_per_kwh: float = 0.0

    def saved(self, energy: EnergyTotals, role: Role) -> float:
        """What the slaves saved: the bill without them, less the bill with them, plus what they used.

        Surplus that absorbing slaves used counts at the price, because it would have been bought otherwise.
        What they drew from the grid was bought and counts as worth nothing, which makes the saving too small
        rather than too large. What generating slaves feed counts as free of cost.
        """
        exported_less_j = energy.exported_without_j - energy.exported_j
        worth = _not_bought_j(energy, role) * self.price_per_kwh - exported_less_j * self.feed_in_per_kwh
        return worth / JOULES_PER_KWH

    def book(self, account: Account, energy: EnergyTotals, role: Role) -> None:
        """Add what this energy is worth. Without a comparison nothing is known to be saved."""
        account.spent += energy.imported_j * self.price_per_kwh / JOULES_PER_KWH
        account.earned += energy.exported_j * self.feed_in_per_kwh / JOULES_PER_KWH
        account.saved += self.saved(energy, role)
        account.co2_g += _not_bought_j(energy, role) * self.co2_g_per_kwh / JOULES_PER_KWH


def _not_bought_j(energy: EnergyTotals, role: Role) -> float:
    """What would have been bought without the slaves, and was not."""
    used_j = energy.exported_without_j - energy.exported_j if role is Role.ABSORB else 0.0
    return energy.imported_without_j - energy.imported_j + used_j


@dataclass(frozen=True, slots=True)
class TimeOfUse:
    """Tariffs by the hour: the first window that holds, else `otherwise`.

    A window is (weekdays, start, end, tariff), weekdays counted from Monday = 0, times in minutes of the day.
    """

    otherwise: Tariff
    windows: tuple[tuple[frozenset[int], int, int, Tariff], ...] = ()

    @classmethod
    def of(cls, section: TariffSection) -> "TimeOfUse":
        """As the configuration tells it."""
        co2_g = section.co2_g_per_kwh or 0.0
        plain = Tariff(section.price_per_kwh, section.feed_in_per_kwh, section.currency, co2_g)
        windows = tuple(
            (
                frozenset(map(WEEKDAYS.index, window.weekdays)),
                minute_of_day(window.start),
                minute_of_day(window.end),
                Tariff(
                    window.price_per_kwh,
                    section.feed_in_per_kwh if window.feed_in_per_kwh is None else window.feed_in_per_kwh,
                    section.currency,
                    co2_g,
                ),
            )
            for window in section.windows
        )
        return cls(plain, windows)

    def at(self, local: datetime) -> Tariff:
        """The tariff at a moment of the site's wall clock."""
        minute, today = local.hour * 60 + local.minute, local.weekday()
        for weekdays, start, end, tariff in self.windows:
            if start < end:
                holds = today in weekdays and start <= minute < end
            else:  # over midnight: the hours after it belong to the day before
                holds = (today in weekdays and minute >= start) or (
                    (today - 1) % 7 in weekdays and minute < end
                )
            if holds:
                return tariff
        return self.otherwise

    @property
    def currency(self) -> str:
        """That of every price."""
        return self.otherwise.currency

    def told(self) -> str:
        """The prices in words."""
        plain = self.otherwise
        words = f"{plain.price_per_kwh:g} a kWh bought, {plain.feed_in_per_kwh:g} a kWh exported"
        return f"{words}; other prices at some hours" if self.windows else words
