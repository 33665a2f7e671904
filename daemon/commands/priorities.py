"""`sunkeep priorities`: which devices are served first."""

import json
from pathlib import Path

import click

from daemon.cli.options import config_option, json_option
from daemon.commands.requests import put_request
from daemon.config.settings import load_settings
from daemon.errors import InputError


@click.command()
@click.argument("devices", nargs=-1)
@click.option("--reset", is_flag=True, help="Go back to the priorities of the configuration.")
@config_option("The configuration of the running daemon.")
@json_option()
def priorities(devices: tuple[str, ...], reset: bool, config: Path, as_json: bool) -> None:
    """Serve DEVICES first, in this order, before all others; those keep the order of the configuration.

    The order outlives a restart of the daemon, and is journalled.
    """
    if bool(devices) is reset:
        raise InputError("Name devices, the most important first, or say --reset.")
    directory = load_settings(config, key=False).state.directory
    answer = put_request(directory, {"command": "priorities", "first": list(devices)})
    said = f"Served first: {', '.join(devices)}." if devices else "The priorities of the configuration count."
    click.echo(json.dumps(answer) if as_json else said)
