"""What energy costs, as the configuration tells it."""

from typing import Annotated

from pydantic import Field

from daemon.config.sections import WEEKDAYS, WINDOWS_MAX, Name, Section, TimeOfDay, Weekdays

PRICE, FEED_IN = 0.30, 0.08
"""In EUR: about what a kWh cost households in the euro area in 2024 (Eurostat nrg_pc_204), and what Germany
paid in 2024 for one from a small roof that feeds in its surplus (EEG 2023, section 48)."""
MONEY_MAX = 1e6
"""What a kWh may cost or earn; exchanges do pay for taking one, at times."""


class TariffWindow(Section):
    """Hours with a price of their own. An end before the start runs over midnight."""

    weekdays: Weekdays = WEEKDAYS
    start: TimeOfDay
    end: TimeOfDay
    price_per_kwh: float = Field(ge=-MONEY_MAX, le=MONEY_MAX)
    feed_in_per_kwh: float | None = Field(default=None, ge=-MONEY_MAX, le=MONEY_MAX)


class TariffSection(Section):
    """Money: what a bought kWh costs and an exported one earns, at which hours, and how much CO2 a kWh of the
    grid stands for. The first window that holds counts; outside of all windows the two plain numbers do.
    """

    currency: Name = "EUR"
    price_per_kwh: float = Field(default=PRICE, ge=-MONEY_MAX, le=MONEY_MAX)
    feed_in_per_kwh: float = Field(default=FEED_IN, ge=-MONEY_MAX, le=MONEY_MAX)
    co2_g_per_kwh: float | None = Field(default=None, ge=0.0, le=5000.0)
    windows: Annotated[tuple[TariffWindow, ...], Field(strict=False, max_length=WINDOWS_MAX)] = ()


class HistorySection(Section):
    """How much of the history is kept: single minutes for some days, and never more than `max_mb`.

    Hours are kept for ten years and days for ever; both are small.
    """

    minutes_days: int = Field(default=92, ge=2, le=3660)
    max_mb: int = Field(default=200, ge=5, le=100_000)
