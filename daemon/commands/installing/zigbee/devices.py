"""`sunkeep zigbee devices`: who is known to the network."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from daemon.cli.options import json_option, required_config
from daemon.commissioning.known_devices import KnownDevice, known_devices
from daemon.commissioning.radio_test_record import last_drill
from daemon.config.settings import load_settings
from daemon.runtime.devices import zigbee_settings


@click.command()
@required_config
@json_option()
def devices(config: Path, as_json: bool) -> None:
    """Show the devices that are known to the network, from what is stored.

    Opens no radio, so it may run beside the daemon; what the daemon heard in the last half minute may still
    be missing. Which slot a device answers for is known from the last `sunkeep zigbee drill`.
    """
    settings = load_settings(config, key=False)
    database = zigbee_settings(settings).database
    assert database is not None, "the configuration always names a state folder"
    drill = last_drill(settings.state.directory)
    found = known_devices(database, drill)
    names = {slave.slot: slave.name for slave in settings.slaves}
    drilled_at_utc = None if drill is None else drill.at_utc
    if as_json:
        click.echo(json.dumps({"drill_at_utc": drilled_at_utc, "devices": [asdict(d) for d in found]}))
        return
    if found:
        Console().print(_table(found, names))
    click.echo("\n".join(_remarks(found, names, drilled_at_utc)))


def _table(found: list[KnownDevice], names: dict[int, str]) -> Table:
    table = Table(box=None)
    table.add_column("slot", justify="right")
    table.add_column("slave")
    table.add_column("IEEE address", no_wrap=True)
    for heading in ("network", "last seen", "device"):
        table.add_column(heading)
    for device in found:
        what = " ".join(word for word in (device.manufacturer, device.model) if word) or "unknown"
        table.add_row(
            "?" if device.slot is None else str(device.slot),
            "" if device.slot is None else names.get(device.slot, "not configured"),
            device.ieee or "not stored",
            f"0x{device.address:04x}",
            _ago(device.last_seen_utc),
            what if device.is_slave else f"{what} (no slave)",
        )
    return table


def _ago(at_utc: str | None) -> str:
    if at_utc is None:
        return "unknown"
    seconds = (datetime.now(UTC) - datetime.fromisoformat(at_utc)).total_seconds()
    for unit, length_s in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2.0 * length_s:
            return f"{seconds / length_s:.0f} {unit} ago"
    return f"{max(0.0, seconds):.0f} s ago"


def _remarks(found: list[KnownDevice], names: dict[int, str], drilled_at_utc: str | None) -> list[str]:
    if not found:
        return [
            "No device is stored: none has joined with `sunkeep zigbee permit`, none has spoken in a drill."
        ]
    if drilled_at_utc is None:
        return ["Who answers for which slot is not known: `sunkeep zigbee drill` finds it out."]
    answered = {device.slot for device in found}
    silent = [f"{slot} ({name})" for slot, name in names.items() if slot not in answered]
    lines = [f"Slots as of the drill of {drilled_at_utc}."]
    return [*lines, f"Nobody answered for slot {', '.join(silent)}."] if silent else lines
