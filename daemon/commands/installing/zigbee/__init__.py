"""`sunkeep zigbee`: the radio network."""

import json
import logging
import os
from pathlib import Path

import click

from daemon.cli.options import json_option, required_config
from daemon.cli.signals import run_and_close
from daemon.commands.installing.zigbee.conformance import conformance
from daemon.commands.installing.zigbee.devices import devices
from daemon.commands.installing.zigbee.drill import drill
from daemon.commands.installing.zigbee.permit import permit
from daemon.commissioning.keys import begin_state, make_key
from daemon.config.settings import load_settings
from daemon.errors import InputError
from daemon.runtime.devices import zigbee_settings
from daemon.runtime.state_directory import hold_state
from daemon.system.log import start_log
from drivers.zigbee.backup import back_up, read_backup
from drivers.zigbee.backup import form as form_network

FILE = click.Path(path_type=Path)


@click.group()
def zigbee() -> None:
    """Look after the radio network."""


zigbee.add_command(permit)
zigbee.add_command(devices)
zigbee.add_command(drill)
zigbee.add_command(conformance)


@zigbee.command()
@required_config
@click.option("--backup", "file", type=FILE, help="Restore this backup instead.")
@json_option()
def form(config: Path, file: Path | None, as_json: bool) -> None:
    """Give a blank coordinator a network: a backup, else the newest one of the state folder, else a new one.

    Refuses a coordinator that has a network. The keys stay in the coordinator and in the state folder. With a
    backup the slaves need not join again; the coordinator that it was made of must not be used any more.
    """
    settings = load_settings(config, key=False)
    backup = None if file is None else read_backup(file)
    start_log(level=logging.WARNING)
    with hold_state(settings.state.directory):
        formed = run_and_close(form_network(zigbee_settings(settings), backup))
    network = formed.network
    facts = {
        "extended_pan_id": network.network_id[::-1].hex(":"),
        "pan_id": f"0x{network.pan_id:04x}",
        "channel": network.channel,
        "restored": formed.restored,
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    done = "Restored" if formed.restored else "Formed"
    click.echo(f"{done}: channel {network.channel}, PAN {facts['pan_id']}, {facts['extended_pan_id']}")


@zigbee.command()
@required_config
@click.option("--out", "file", type=FILE, required=True, help="A new file.")
@json_option()
def backup(config: Path, file: Path, as_json: bool) -> None:
    """Write the coordinator's network and its keys into a file, in the open coordinator backup format.

    The daemon must be stopped. `sunkeep zigbee form --backup FILE` gives the network to a blank stick.
    """
    settings = load_settings(config, key=False)
    start_log(level=logging.WARNING)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InputError(f"{file} exists and is not overwritten. Choose another name.") from None
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}.") from None
    whole = False
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream, hold_state(settings.state.directory):
            content = run_and_close(back_up(zigbee_settings(settings)))
            json.dump(content, stream, indent=2)
            stream.flush()
            os.fsync(stream.fileno())
        whole = True
    finally:
        if not whole:
            file.unlink(missing_ok=True)
    facts = {
        "file": str(file),
        "extended_pan_id": content["extended_pan_id"],
        "channel": content["channel"],
        "frame_counter": content["network_key"]["frame_counter"],
        "not_in_it": [str(settings.radio.key_file), str(settings.state.directory)],
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo(f"Wrote {file}: channel {facts['channel']}, frame counter {facts['frame_counter']}.")
    click.echo("It holds the keys of the network in clear: keep it where nobody else can read it.")
    click.echo(
        f"The site key ({settings.radio.key_file}) and the counter of the setpoint frames "
        f"({settings.state.directory}) are not in it: back them up, too."
    )


@zigbee.command()
@required_config
def key(config: Path) -> None:
    """Make the site key, and the frame counter that goes with it. An existing key is never replaced."""
    settings = load_settings(config, key=False)
    file, state = settings.radio.key_file, settings.state.directory
    there = f"{file} exists. Slaves know that key; move it away to commission a new one."
    if file.exists():
        raise InputError(there)
    try:  # the counter first: a key without one could not be completed, as an existing key is refused
        begin_state(state)
    except OSError as error:
        raise InputError(
            f"{state} cannot be written: {error.strerror}. Run this as root, or correct [state] directory."
        ) from None
    try:
        make_key(file)
    except FileExistsError:
        raise InputError(there) from None
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}.") from None
    click.echo(f"Made {file} and the frame counter in {state}.")
    click.echo("The user of the daemon must own both. Give the key to every slave, and to nobody else.")
