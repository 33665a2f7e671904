"""`sunkeep zigbee`: the radio network."""

import asyncio
import json
from pathlib import Path

import click

from daemon.commissioning import begin_state, make_key
from daemon.doors import zigbee_settings
from daemon.log import start_log
from daemon.refusals import InputError
from daemon.settings import load_settings
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
    settings.state.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    network = asyncio.run(form_network(zigbee_settings(settings)))
    facts = {
        "extended_pan_id": network.network_id.hex(":"),
        "pan_id": f"0x{network.pan_id:04x}",
        "channel": network.channel,
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo(f"Formed: channel {network.channel}, PAN {facts['pan_id']}, {facts['extended_pan_id']}")


@zigbee.command()
@click.option("--config", type=click.Path(path_type=Path), required=True, help="The configuration.")
def key(config: Path) -> None:
    """Make the site key, and the frame counter that goes with it. An existing key is never replaced."""
    settings = load_settings(config, key=False)
    file = settings.radio.key_file
    try:
        make_key(file)
    except FileExistsError:
        raise InputError(
            f"{file} exists. Slaves know that key; move it away to commission a new one."
        ) from None
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}.") from None
    begin_state(settings.state.directory)
    click.echo(f"Made {file} and the frame counter in {settings.state.directory}.")
    click.echo("The user of the daemon must own both. Give the key to every slave, and to nobody else.")
