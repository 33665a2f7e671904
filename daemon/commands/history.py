"""`sunkeep history`: look after the database of minutes, hours and days."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from daemon.config.settings import Settings, load_settings
from daemon.errors import InputError
from daemon.history.database import FILE, LEVELS, HistoryDatabase, HistoryUnusable, open_history
from daemon.history.filling import HistoryFilling
from daemon.history.minutes import MinuteBook
from daemon.history.tariff import TimeOfUse
from daemon.journal.reader import journal_files
from daemon.report.books import JournalAccounting
from daemon.report.reading import read

CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=Path("/etc/sunkeep/sunkeep.toml"),
    show_default=True,
    help="The site's configuration.",
)


@click.group("history")
def history() -> None:
    """Look after the history: fill it from journals, back it up, check it. The daemon may be running."""


@history.command("fill")
@CONFIG
@click.option(
    "--journal", type=click.Path(exists=True, path_type=Path), help="Else that of the configuration."
)
def fill(config: Path, journal: Path | None) -> None:
    """Add what the journals tell and the history does not know. Again changes nothing."""
    settings = load_settings(config, key=False)
    files = journal_files(journal or settings.journal.directory)
    with _database(settings) as database, Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("journals", total=1.0)
        filling = HistoryFilling(database)
        book = MinuteBook(settings.zone(), TimeOfUse.of(settings.tariff), filling.take)
        books = JournalAccounting(settings.zone(), settings.site.role, retold=book.take)
        damaged = list[str]()
        for record in read(files, damaged.append, lambda share: progress.update(bar, completed=share)):
            books.take(record)
        book.close()
        filling.flush()
        database.prune()
    click.echo(f"{filling.added} minutes added, {filling.known} were known or too new.")
    for told in damaged:
        click.echo(f"Left out: {told}")


@history.command("backup")
@CONFIG
@click.argument("into", type=click.Path(dir_okay=False, path_type=Path))
def backup(config: Path, into: Path) -> None:
    """Copy the history to INTO while the daemon writes it."""
    with _database(load_settings(config, key=False)) as database:
        try:
            database.backup(into)
        except OSError as error:
            raise InputError(f"{into} cannot be written ({error.strerror}). Name another file.") from None
    click.echo(f"{into}: {into.stat().st_size / 1e6:.1f} MB")


@history.command("check")
@CONFIG
def check(config: Path) -> None:
    """Check every page of the database, and say what is in it."""
    with _database(load_settings(config, key=False)) as database:
        for level in LEVELS:
            count, first, last = database.count(level)
            span = "" if first is None or last is None else f", {database.day(first)} to {database.day(last)}"
            click.echo(f"{count} {level}s{span}")
        click.echo(f"whole, {database.used_bytes() / 1e6:.1f} MB")


@contextmanager
def _database(settings: Settings) -> Iterator[HistoryDatabase]:
    """Open it. Raises InputError, with what to do."""
    file = settings.state.directory / FILE
    try:
        db = open_history(file)
    except (sqlite3.Error, HistoryUnusable, OSError) as error:
        raise InputError(
            f"{file} cannot be used ({error}). Run this as the daemon's user; the daemon puts a damaged "
            "history aside at its next start and begins anew."
        ) from None
    section = settings.history
    try:
        yield HistoryDatabase(db, settings.zone(), section.minutes_days * 86400, section.max_mb * 10**6)
    except sqlite3.Error as error:
        raise InputError(f"{file} cannot be used ({error}).") from None
    finally:
        db.close()
