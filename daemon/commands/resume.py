"""`sunkeep resume`: end a pause."""

import json
from pathlib import Path

import click

from daemon.cli.options import config_option, json_option
from daemon.commands.requests import put_request
from daemon.config.settings import load_settings


@click.command()
@config_option("The configuration of the running daemon.")
@json_option()
def resume(config: Path, as_json: bool) -> None:
    """End a pause: the site is controlled again."""
    directory = load_settings(config, key=False).state.directory
    answer = put_request(directory, {"command": "resume"})
    click.echo(json.dumps(answer) if as_json else "Resumed. The site is controlled again.")
