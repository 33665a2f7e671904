"""`sunkeep report`: what the site did over some days, from the daemon's own journals."""

import json
import os
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.progress import Progress

from daemon.cli.options import FiniteRange, json_option
from daemon.commissioning.embedded_site import CONFIG_FILE
from daemon.config.sections import JournalSection
from daemon.config.settings import Settings, SettingsError, load_settings, parse_settings
from daemon.config.tariff_section import MONEY_MAX
from daemon.errors import InputError
from daemon.journal.reader import journal_files
from daemon.journal.records import Event
from daemon.monitoring.event_words import event_words
from daemon.report.books import JournalAccounting
from daemon.report.comparison import compare
from daemon.report.document import ReportEvent, SiteReport, document, table
from daemon.report.page import page
from daemon.report.reading import DateRange, needed, newest, read
from daemon.report.remembered import Prices, remembered
from daemon.report.summary import summary
from daemon.runtime.state_directory import embedded_state

DAY = click.DateTime(["%Y-%m-%d"])
MONTH = click.DateTime(["%Y-%m"])
MONEY = FiniteRange(-MONEY_MAX, MONEY_MAX)
DAYS_MAX = 36_500


@click.command("report")
@click.option(
    "--journal",
    type=click.Path(exists=True, path_type=Path),
    help="The folder of the journals, or one file of it; else the service's, else that of the embedded site.",
)
@click.option("--days", type=click.IntRange(1, DAYS_MAX), help="The newest N local days; by default all.")
@click.option("--from", "first", type=DAY, metavar="DATE", help="First local day, YYYY-MM-DD.")
@click.option("--to", "last", type=DAY, metavar="DATE", help="Last local day, YYYY-MM-DD.")
@click.option("--month", type=MONTH, metavar="YYYY-MM", help="One month, from the history.")
@click.option("--year", type=click.IntRange(1970, 9998), help="One year by months, from the history.")
@click.option(
    "--config", type=click.Path(path_type=Path), help="The site's configuration, of --month and --year."
)
@click.option("--price", type=MONEY, help="Of a kWh that is bought; else as configured.")
@click.option("--feed-in", type=MONEY, help="Pay for a kWh exported; else as configured.")
@click.option("--currency", help="Of both; else as configured.")
@json_option("Print one JSON object.")
@click.option("--csv", "as_csv", is_flag=True, help="Print one row for each day.")
@click.option(
    "--html",
    "html_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write one page with pictures, which needs nothing beside it.",
)
def report(
    journal: Path | None,
    days: int | None,
    first: datetime | None,
    last: datetime | None,
    month: datetime | None,
    year: int | None,
    config: Path | None,
    price: float | None,
    feed_in: float | None,
    currency: str | None,
    as_json: bool,
    as_csv: bool,
    html_file: Path | None,
) -> None:
    """Tell what the site did: energy and money by day, who acted, what went wrong, policy against PI.

    Counted from the journal exactly as the running daemon counts. Where the journal has a gap or was
    damaged, it says so and guesses nothing. Months and years come from the history, at once.
    """
    if sum((as_json, as_csv, html_file is not None)) > 1:
        raise click.UsageError("--json, --csv and --html exclude each other")
    if days is not None and (first or last):
        raise click.UsageError("--days and --from/--to exclude each other")
    span = DateRange(None if first is None else first.date(), None if last is None else last.date())
    if not (span.first is None or span.last is None or span.first <= span.last):
        raise click.UsageError("--to must not be before --from")
    prices = Prices(price, feed_in, currency)
    if month is not None or year is not None:
        if len([one for one in (month, year, days, first or last, journal) if one is not None]) > 1:
            raise click.UsageError(
                "--month and --year exclude each other, and --journal, --days, --from and --to"
            )
        told = _remembered(config, month, year, prices)
    else:
        with Progress(console=Console(stderr=True), transient=True, disable=as_json or as_csv) as progress:
            bar = progress.add_task("journals", total=1.0)
            told = _told(
                journal or _usual_journal(),
                span,
                days,
                prices,
                lambda share: progress.update(bar, completed=share),
            )
    if as_json:
        click.echo(json.dumps(document(told)))
    elif as_csv:
        click.echo(table(told), nl=False)
    elif html_file is not None:
        try:
            html_file.write_text(page(told), encoding="utf-8")
        except OSError as error:
            raise InputError(f"{html_file} cannot be written: {error.strerror}.") from None
        click.echo(f"Wrote {html_file}.")
    else:
        Console(highlight=False).print(summary(told))


def _usual_journal() -> Path:
    """Where a daemon keeps its journal here: as a service, or as `sunkeep run` without a configuration."""
    places = (JournalSection().directory, embedded_state() / "journal")
    for place in places:
        try:
            if place.is_dir():
                return place
        except OSError:  # only its owner may look
            continue
    raise InputError(
        f"No journal in {' or '.join(map(str, places))} that you may read. Name it with --journal."
    )


def _told(
    journal: Path, span: DateRange, days: int | None, prices: Prices, tell: Callable[[float], None]
) -> SiteReport:
    """Read what is needed and count it. Raises InputError when there is nothing to tell."""
    files = journal_files(journal)
    found = newest(files)
    if found is None:
        raise InputError(f"{journal}: no run of the daemon can be read in it. Is it a folder of journals?")
    start, newest_unix_s = found
    settings = _settings(start.settings_toml, Path(start.settings_path))
    zone, site = settings.zone(), settings.core_site()
    if days is not None:
        today = datetime.fromtimestamp(newest_unix_s, zone).date()
        span = DateRange(today - timedelta(days=days - 1), today)
    tariff = prices.of(settings)
    books, damaged = JournalAccounting(zone, site.role, span, tariff), list[str]()
    events: list[ReportEvent] = []
    for record in read(needed(files, span, zone), damaged.append, tell):
        books.take(record)
        if isinstance(record, Event) and (noted := _noted(record, zone, span)) is not None:
            events.insert(0, noted)
        if books.done:
            break
    if not books.days:
        raise InputError(
            f"{journal}: no tick of {_spelt(span)} in it. Let the daemon run, or ask for other days."
        )
    return SiteReport(
        site_name=settings.site.name,
        zone=zone,
        role=site.role,
        metering=site.metering,
        law=settings.fallback.law,
        tariff=tariff,
        days=books.days,
        total=books.total(),
        gaps=books.gaps,
        gaps_total=books.gaps_total,
        runs=books.runs,
        left_out=books.left_out,
        comparisons=compare(books.trial.blocks.values()),
        damaged=damaged,
        events=events,
    )


def _noted(event: Event, zone: ZoneInfo, span: DateRange) -> ReportEvent | None:
    """An event of these days in words; None for what is no news."""
    local, words = datetime.fromtimestamp(event.unix_s, zone), event_words(event.event, event.detail)
    return ReportEvent(local, *words) if words is not None and local.date() in span else None


def _remembered(config: Path | None, month: datetime | None, year: int | None, prices: Prices) -> SiteReport:
    """The days of a month or the months of a year, from the history. Raises InputError."""
    path = config or _usual_config()
    settings = load_settings(path, key=False)
    if month is not None:
        first = month.date()
        last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    else:
        assert year is not None
        first, last = date(year, 1, 1), date(year, 12, 31)
    return remembered(settings, DateRange(first, last), prices, by_month=month is None)


def _usual_config() -> Path:
    for place in (Path("/etc/sunkeep/sunkeep.toml"), embedded_state() / CONFIG_FILE):
        if os.access(place, os.R_OK):
            return place
    raise InputError("No configuration that you may read. Name it with --config.")


def _settings(text: str, path: Path) -> Settings:
    try:
        return parse_settings(text, path)
    except SettingsError as error:
        raise InputError(
            f"The configuration of the newest run in the journal cannot be read by this version: {error}"
        ) from None


def _spelt(span: DateRange) -> str:
    def day(value: date | None, otherwise: str) -> str:
        return otherwise if value is None else value.isoformat()

    if span.first is None and span.last is None:
        return "any day"
    return f"{day(span.first, 'the beginning')} to {day(span.last, 'the end')}"
