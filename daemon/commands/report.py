"""`sunkeep report`: what the site did over some days, from the daemon's own journals."""

import json
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from daemon.cli.options import FiniteRange, json_option
from daemon.config.sections import JournalSection
from daemon.config.settings import Settings, SettingsError, parse_settings
from daemon.errors import InputError
from daemon.journal.reader import journal_files
from daemon.report.books import JournalAccounting
from daemon.report.comparison import compare
from daemon.report.document import SiteReport, document, table
from daemon.report.reading import DateRange, needed, newest, read
from daemon.report.summary import summary
from daemon.report.tariff import Tariff
from daemon.runtime.state_directory import embedded_state

DAY = click.DateTime(["%Y-%m-%d"])
PRICE, FEED_IN = 0.30, 0.08
"""In EUR: about what a kWh cost households in the euro area in 2024 (Eurostat nrg_pc_204), and what Germany
paid in 2024 for one from a small roof that feeds in its surplus (EEG 2023, section 48)."""


MONEY = FiniteRange(-1e6, 1e6)
"""What a kWh may cost or earn; exchanges do pay for taking one, at times."""
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
@click.option("--price", type=MONEY, default=PRICE, show_default=True, help="Of a kWh that is bought.")
@click.option("--feed-in", type=MONEY, default=FEED_IN, show_default=True, help="Pay for a kWh exported.")
@click.option("--currency", default="EUR", show_default=True)
@json_option("Print one JSON object.")
@click.option("--csv", "as_csv", is_flag=True, help="Print one row for each day.")
def report(
    journal: Path | None,
    days: int | None,
    first: datetime | None,
    last: datetime | None,
    price: float,
    feed_in: float,
    currency: str,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Tell what the site did: energy and money by day, who acted, what went wrong, policy against PI.

    Counted from the journal exactly as the running daemon counts. Where the journal has a gap or was
    damaged, it says so and guesses nothing.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    if days is not None and (first or last):
        raise click.UsageError("--days and --from/--to exclude each other")
    span = DateRange(None if first is None else first.date(), None if last is None else last.date())
    if not (span.first is None or span.last is None or span.first <= span.last):
        raise click.UsageError("--to must not be before --from")
    with Progress(console=Console(stderr=True), transient=True, disable=as_json or as_csv) as progress:
        bar = progress.add_task("journals", total=1.0)
        told = _told(
            journal or _usual_journal(),
            span,
            days,
            Tariff(price, feed_in, currency),
            lambda share: progress.update(bar, completed=share),
        )
    if as_json:
        click.echo(json.dumps(document(told)))
    elif as_csv:
        click.echo(table(told), nl=False)
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
    journal: Path, span: DateRange, days: int | None, tariff: Tariff, tell: Callable[[float], None]
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
    books, damaged = JournalAccounting(zone, site.role, span), list[str]()
    for record in read(needed(files, span, zone), damaged.append, tell):
        books.take(record)
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
    )


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
