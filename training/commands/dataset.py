"""`sunkeep dataset`: journals, foreign logs or simulated days become a training set."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from core.site import Metering, Site
from daemon.cli.options import FiniteRange, json_option
from daemon.config.settings import load_settings
from daemon.errors import InputError
from daemon.journal.reader import journal_files
from daemon.journal.records import JournalError
from daemon.simulation.simulate import default_site
from plant.site.physics import TTL_S
from plant.site.trace import TraceError
from training.data.dataset import Builder, DatasetManifest, Splitter
from training.data.days import SPLITS, DaysError, find_days
from training.data.foreign_logs import COLUMNS, foreign_samples, log_files
from training.data.samples import DatasetError, DatasetTerms, Sample, journal_samples
from training.data.split import Shares, split_days
from training.imitation.demonstrations import TEACHERS
from training.imitation.exploration_dataset import MANNERS, Lives

FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@dataclass(frozen=True)
class DatasetSource:
    """Seconds, what they have in common, the files they come from, and how their days are split."""

    samples: Iterator[Sample]
    terms: DatasetTerms
    files: list[Path]
    split: Splitter


@click.command("dataset")
@click.option("--journals", type=FOLDER, help="Folder of *.journal files of the daemon.")
@click.option("--logs", type=FOLDER, help="Folder with meter_readings/, zigbee_commands/ and pi_state/.")
@click.option("--traces", type=FOLDER, help="Folder of traces with a SUMMARY.json, to be simulated.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--lookahead-s", type=click.IntRange(1, 60), default=5, show_default=True)
@click.option("--shares", type=float, nargs=3, default=Shares(), show_default=True, help="Of the days.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Draws the split, the site."
)
@click.option("--config", type=click.Path(path_type=Path), help="The site of logs and traces.")
@click.option("--metering", type=click.Choice([m.value for m in Metering]), help="By default as configured.")
@click.option("--site-id", help="Of logs and traces, in every row; by default the site's configured name.")
@click.option("--law", type=click.Choice(TEACHERS), default="pi", show_default=True, help="Acts on traces.")
@click.option("--manner", type=click.Choice(tuple(MANNERS)), default="both", show_default=True)
@click.option("--light", type=FiniteRange(0.0, 1.0, min_open=True), default=0.2, show_default=True)
@json_option("Print the manifest.")
def dataset(out: Path, lookahead_s: int, seed: int, as_json: bool, **options: Any) -> None:
    """Make a training set: aligned to seconds, with features, targets and a split by whole days.

    Give one of --journals, --logs and --traces. Writes train.parquet, val.parquet, test.parquet,
    normalization_params.json and dataset.json. Gaps are marked, never filled. Traces keep the split of
    their SUMMARY.json; --law, --manner and --light say how they are lived.
    """
    try:
        source = _source(seed=seed, **options)
        with Progress(
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        ) as progress:
            task = progress.add_task("reading", total=None)
            days = [0, 0]

            def tell(date: str, rows: int) -> None:
                days[0], days[1] = days[0] + 1, days[1] + rows
                progress.update(task, description=f"{date}: {days[0]} days, {days[1]:,} rows")

            builder = Builder(out, source.terms, source.split, lookahead_s, seed, tell)
            manifest = builder.build(source.samples, source.files)
    except (DatasetError, DaysError, JournalError, TraceError) as error:
        raise InputError(str(error)) from None
    if as_json:
        click.echo(manifest.model_dump_json(indent=1))
    else:
        Console().print(_table(manifest))


def _source(
    *,
    journals: Path | None,
    logs: Path | None,
    traces: Path | None,
    shares: tuple[float, float, float],
    seed: int,
    config: Path | None,
    metering: str | None,
    site_id: str | None,
    **lived: Any,
) -> DatasetSource:
    if sum(folder is not None for folder in (journals, logs, traces)) != 1:
        raise click.UsageError("give one of --journals, --logs and --traces")
    by_day = partial(split_days, shares=Shares(*shares), seed=seed)
    if journals is not None:
        if site_id is not None:
            raise click.UsageError("--site-id is of --logs and --traces; journals name their site")
        return _of_journals(journals, by_day)
    site, name, ttl_s = _site(config, metering)
    terms = DatasetTerms.of(site, site_id or name)
    if logs is not None:
        files = [path for kind in COLUMNS for path in log_files(logs, kind)]
        return DatasetSource(foreign_samples(logs, site, ttl_s), terms, files, by_day)
    assert traces is not None
    days = tuple(day for split in SPLITS for day in find_days(traces, split))
    lives = Lives(days, site, lived["law"], lived["manner"], lived["light"], seed)
    return DatasetSource(lives.samples(), terms, [day.path for day in days], lambda _dates: lives.splits())


def _of_journals(folder: Path, by_day: Splitter) -> DatasetSource:
    pairs = journal_samples(folder)
    first = next(pairs, None)
    if first is None:
        raise DatasetError(f"{folder}: no tick in these journals")
    terms, sample = first

    def rest() -> Iterator[Sample]:
        for other, following in pairs:
            if other != terms:
                raise DatasetError(
                    f"{folder}: role or metering changed on the way; make one data set from each part"
                )
            yield following

    return DatasetSource(chain([sample], rest()), terms, journal_files(folder), by_day)


def _site(config: Path | None, metering: str | None) -> tuple[Site, str, float]:
    """The site, its name, and how long a command lives on it."""
    settings = None if config is None else load_settings(config, key=False)
    site = default_site() if settings is None else settings.core_site()
    ttl_s = TTL_S if settings is None else float(settings.radio.ttl_s)
    name = "simulated" if settings is None else settings.site.name
    return (site if metering is None else replace(site, metering=Metering(metering))), name, ttl_s


def _table(manifest: DatasetManifest) -> Table:
    table = Table("split", "days", "rows", "with a target", title="data set")
    for name, facts in manifest.splits.items():
        table.add_row(name, str(len(facts.days)), f"{facts.rows:,}", f"{facts.targets:,}")
    table.caption = (
        f"{manifest.episodes} episodes, {manifest.gaps} gaps of {manifest.gap_s:,} s together, "
        f"{manifest.repeated_s:,} s came twice and were left out; "
        + ", ".join(f"{who} acted {seconds:,} s" for who, seconds in manifest.acted_s.items())
    )
    return table
