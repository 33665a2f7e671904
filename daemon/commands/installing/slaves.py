"""`sunkeep slaves`: what is known of every slave, and from where."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from core.site import Slave
from daemon.cli.options import config_option, json_option
from daemon.config.settings import Settings, load_settings
from daemon.identification.record import (
    MeasuredNumber,
    SlaveMeasurement,
    load_record,
    unusable_reason,
)


@click.command()
@config_option("The site.")
@json_option()
def slaves(config: Path, as_json: bool) -> None:
    """Show every slave: what the configuration says and what commissioning has measured.

    The state directory is only read, so the daemon may run. A number in the configuration wins over a
    measured one.
    """
    settings = load_settings(config, key=False)
    record, problem = load_record(settings.state.directory)
    by_slot = {one.slot: one for one in record.slaves}
    now_utc = datetime.now(UTC)
    site = settings.core_site()
    here = {slave.slot for slave in site.slaves}
    found = [(slave, by_slot.get(slave.slot)) for slave in site.slaves]
    reasons = [problem] if problem else []
    reasons += [
        reason
        for one in record.slaves
        if (
            reason := unusable_reason(
                one, next((s for s in site.slaves if s.slot == one.slot), None), now_utc
            )
        )
    ]
    if as_json:
        rows = [_facts(slave, measured, now_utc) for slave, measured in found]
        gone = [one.model_dump(mode="json") for one in record.slaves if one.slot not in here]
        click.echo(json.dumps({"slaves": rows, "not_configured": gone, "problem": problem}))
        return
    Console().print(_table(settings, found, now_utc))
    for reason in reasons:
        click.echo(reason)
    if not record.slaves and not problem:
        click.echo("Nothing was measured yet: sunkeep commission")


def _facts(slave: Slave, measured: SlaveMeasurement | None, now_utc: datetime) -> dict[str, Any]:
    reason = "" if measured is None else unusable_reason(measured, slave, now_utc)
    return {
        "slot": slave.slot,
        "name": slave.name,
        "phases": slave.phase_name,
        "max_w": slave.max_w,
        "configured": {
            "dead_time_s": slave.dead_time_s,
            "lag_s": slave.lag_s,
            "gain": slave.gain,
        },
        "measured": None if measured is None else measured.model_dump(mode="json"),
        "not_used_because": reason,
    }


def _table(
    settings: Settings, found: list[tuple[Slave, SlaveMeasurement | None]], now_utc: datetime
) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("slot", "phase", "dead time s", "spread", "lag s", "gain"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("measured", no_wrap=True)
    table.add_column("slave")
    for slave, measured in found:
        label = (str(slave.slot), slave.phase_name)
        if measured is None:
            table.add_row(*label, *_configured(slave), "", slave.name)
            continue
        used = not unusable_reason(measured, slave, now_utc)
        when = f"{measured.at_utc.astimezone(settings.zone()):%Y-%m-%d}"
        table.add_row(
            *label,
            *(_measured(measured) if measured.is_usable else _configured(slave)),
            when if used else f"{when}, not used",
            slave.name,
            style="" if used else "yellow",
        )
    return table


def _configured(slave: Slave) -> tuple[str, str, str, str]:
    dead_time, lag = (
        "" if value is None else f"{value:.2f} (file)" for value in (slave.dead_time_s, slave.lag_s)
    )
    return dead_time, "", lag, "" if slave.gain is None else f"{slave.gain:.2f} (file)"


def _measured(measured: SlaveMeasurement) -> tuple[str, str, str, str]:
    spread_s = measured.dead_time_sd_s
    return (
        with_interval(measured.dead_time_s),
        f"{spread_s:.2f}" if spread_s else "",
        with_interval(measured.lag_s),
        with_interval(measured.gain),
    )


def with_interval(number: MeasuredNumber, unit: str = "") -> str:
    """A number with half the width of its interval."""
    return f"{number.value:.2f} ± {0.5 * (number.high - number.low):.2f}{unit}"
