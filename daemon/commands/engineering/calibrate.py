"""`sunkeep calibrate`: the anomaly detector's tripping tier, from the site's own journals."""

import json
from datetime import UTC, datetime
from importlib.metadata import version
from math import ceil
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from core.scheduling.staged import has_staged
from daemon.calibration.file import CalibrationRecord, TailRecord, save_calibration
from daemon.calibration.fit import FALSE_TRIP_DAYS, Fit, fit
from daemon.calibration.journal_features import JournalFeatures, gather
from daemon.cli.options import FiniteRange, config_option, json_option
from daemon.config.settings import load_settings
from daemon.errors import InputError

DAYS_LEAST = 14.0
"""Two weeks: every weekday twice, and some clear and some broken days."""


@click.command()
@click.option(
    "--journal",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="The folder of the journals.",
)
@config_option("The site.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="File to write.")
@click.option(
    "--days",
    "days_least",
    type=FiniteRange(min=0.0),
    default=DAYS_LEAST,
    show_default=True,
    help="Refuse with less normal control than this.",
)
@json_option()
def calibrate(journal: Path, config: Path, out: Path, days_least: float, as_json: bool) -> None:
    """Fit the anomaly detector to this site, for at most one false trip in 30 days.

    Without a calibration the detector flags and never trips. Name the file in the configuration,
    [anomaly] calibration = "FILE", and restart.
    """
    site = load_settings(config, key=False).core_site()
    if has_staged(site):
        raise InputError(
            "A site with slaves that have a minimum or levels cannot be calibrated yet: what the detector "
            "sees there is not rebuilt from the journal. Leave [anomaly] calibration out: the detector then "
            "flags and never trips."
        )
    with Progress(console=Console(stderr=True), transient=True, disable=as_json) as progress:
        bar = progress.add_task("journals", total=1.0)
        gathered = gather(journal, site, lambda share: progress.update(bar, completed=share))
    if not gathered.days >= days_least:
        raise InputError(_too_little(gathered, days_least))
    try:
        found = fit(gathered.arrays())
    except ValueError as error:
        raise InputError(f"The journals do not suffice for a calibration: {error}.") from None
    try:
        record = save_calibration(_record(gathered, found), out)
    except OSError as error:
        raise InputError(f"{out} cannot be written ({error.strerror}).") from None
    facts = {"file": str(out), "days": record.days, "threshold": record.threshold, "sha256": record.sha256}
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo(f"Calibrated on {record.days:.1f} days of normal control, {record.first_utc:%Y-%m-%d} to")
    click.echo(f"{record.last_utc:%Y-%m-%d}; {gathered.left_out} ticks of other states were left out.")
    click.echo(f'Wrote {out}. Name it in the configuration: [anomaly] calibration = "{out}"')


def _too_little(gathered: JournalFeatures, days_least: float) -> str:
    text = (
        f"The journals hold {gathered.days:.2f} days of normal control, and {days_least:g} are needed "
        f"({gathered.left_out} ticks of other states do not count)."
    )
    if gathered.ticks == 0:
        return f"{text} Let the site run."
    needed_mb = ceil(days_least / gathered.days * gathered.bytes_read / 10**6)
    return f"{text} Let the site run, with [journal] max_mb of at least {needed_mb}."


def _record(gathered: JournalFeatures, found: Fit) -> CalibrationRecord:
    calibration, tail, site = found.calibration, found.tail, gathered.site
    return CalibrationRecord(
        created_at_utc=datetime.now(UTC),
        sunkeep_version=version("sunkeep"),
        role=site.role.value,
        metering=site.metering.value,
        period_s=site.period_s,
        days=found.days,
        first_utc=datetime.fromtimestamp(gathered.first_unix_s, UTC),
        last_utc=datetime.fromtimestamp(gathered.last_unix_s, UTC),
        false_trip_days=FALSE_TRIP_DAYS,
        tail=TailRecord(
            level=tail.level, events_per_day=tail.events_per_day, shape=tail.shape, scale=tail.scale
        ),
        feature_names=calibration.names,
        median=calibration.median,
        scale=calibration.scale,
        precision=calibration.precision,
        threshold=calibration.threshold,
    )
