"""`sunkeep zigbee`: the radio network."""

import asyncio
import json
from pathlib import Path

import click

from daemon.log import start_log
from daemon.settings import Settings, load_settings
from drivers.coordinator import ZigbeeSettings
from drivers.coordinator import form as form_network


@click.group()
def zigbee() -> None:
    """Look after the radio network."""


@zigbee.command()
@click.option("--config", type=click.Path(path_type=Path), required=True, help="The configuration.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def form(config: Path, as_json: bool) -> None:
    """Give a blank coordinator a network: the newest backup, else a new one with a random key.

    Refuses a coordinator that has a network. The keys stay in the coordinator and in the state folder.
    """
    settings = load_settings(config, key=False)
    start_log()
    network = asyncio.run(form_network(_coordinator(settings)))
    facts = {
        "extended_pan_id": network.network_id.hex(":"),
        "pan_id": f"0x{network.pan_id:04x}",
        "channel": network.channel,
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo(f"Formed: channel {network.channel}, PAN {facts['pan_id']}, {facts['extended_pan_id']}")


def _coordinator(settings: Settings) -> ZigbeeSettings:
    settings.state.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return ZigbeeSettings(
        path=settings.radio.path,
        slots=tuple(slave.slot for slave in settings.slaves),
        baudrate=settings.radio.baudrate,
        channel=settings.radio.channel,
        database=settings.state.directory / "zigbee.db",
    )
