"""The report of months and years, from the history instead of the journals."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta

from daemon.config.settings import Settings
from daemon.errors import InputError
from daemon.history.account import Account
from daemon.history.database import FILE
from daemon.history.reading import HistoryReader
from daemon.history.tariff import Tariff, TimeOfUse
from daemon.monitoring.event_words import event_words
from daemon.report.document import ReportEvent, SiteReport
from daemon.report.reading import DateRange


@dataclass(frozen=True, slots=True)
class Prices:
    """What the command line says of prices; None is as configured."""

    price_per_kwh: float | None = None
    feed_in_per_kwh: float | None = None
    currency: str | None = None

    def of(self, settings: Settings) -> TimeOfUse:
        """The tariff that counts. A price of one's own holds at all hours."""
        configured = TimeOfUse.of(settings.tariff)
        plain = configured.otherwise
        given = Tariff(
            plain.price_per_kwh if self.price_per_kwh is None else self.price_per_kwh,
            plain.feed_in_per_kwh if self.feed_in_per_kwh is None else self.feed_in_per_kwh,
            self.currency or plain.currency,
            plain.co2_g_per_kwh,
        )
        if self.price_per_kwh is None and self.feed_in_per_kwh is None:
            return replace(configured, otherwise=given)
        return TimeOfUse(given)

    @property
    def are_given(self) -> bool:
        """Whether energy is to be valued anew."""
        return self.price_per_kwh is not None or self.feed_in_per_kwh is not None


def remembered(settings: Settings, span: DateRange, prices: Prices, *, by_month: bool) -> SiteReport:
    """The report of some days.

    Money is that of the prices at the time, unless others are given.

    Raises:
        InputError: there is no history, or nothing of these days in it.
    """
    zone, site = settings.zone(), settings.core_site()
    reader = HistoryReader(settings.state.directory / FILE, zone)
    days = reader.days(span.first, span.last)
    if not days:
        raise InputError(
            f"Nothing of {span.first} to {span.last} in {reader.file}. Let the daemon run, or fill the "
            "history from journals with `sunkeep history fill`."
        )
    tariff, ends = prices.of(settings), sorted(days)
    for day, account in days.items():
        if ends[0] < day < ends[-1]:  # of the outer days nobody knows when they began to count
            account.unrecorded_s = max(0.0, _lasts_s(reader, day) - account.recorded_s)
        if prices.are_given:
            account.saved = account.spent = account.earned = account.co2_g = 0.0
            tariff.otherwise.book(account, account.energy, site.role)
    return SiteReport(
        site_name=settings.site.name,
        zone=zone,
        role=site.role,
        metering=site.metering,
        law=settings.fallback.law,
        tariff=tariff,
        days=months(days) if by_month else days,
        total=_sum(days.values()),
        gaps=[],
        gaps_total=0,
        runs=0,
        left_out=0,
        by_month=by_month,
        events=_events(reader, span),
    )


def months(days: dict[date, Account]) -> dict[date, Account]:
    """Sums by month, each under its first day."""
    found: dict[date, Account] = {}
    for day, account in sorted(days.items()):
        found.setdefault(day.replace(day=1), Account()).add(account)
    return found


def _events(reader: HistoryReader, span: DateRange) -> list[ReportEvent]:
    """What was of note in these days."""
    assert span.first is not None
    assert span.last is not None
    told = reader.events(reader.midnight_s(span.first), reader.midnight_s(span.last + timedelta(days=1)))
    noted = ((reader.local(one.unix_s), event_words(one.name, one.detail)) for one in told)
    return [ReportEvent(local, *words) for local, words in noted if words is not None]


def _sum(accounts: Iterable[Account]) -> Account:
    total = Account()
    for account in accounts:
        total.add(account)
    return total


def _lasts_s(reader: HistoryReader, day: date) -> float:
    """A day of the site's clock; those of the clock's change are shorter or longer."""
    return reader.midnight_s(day + timedelta(days=1)) - reader.midnight_s(day)
