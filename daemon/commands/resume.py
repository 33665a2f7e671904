"""`sunkeep resume`: end a pause."""

import json
from pathlib import Path

import click

from daemon.commands.requests import put_request
from daemon.config.settings import load_settings

DEFAULT_CONFIG = Path("/etc/sunkeep/sunkeep.toml")


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The configuration of the running daemon.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def resume(config: Path, as_json: bool) -> None:
    """End a pause: the site is controlled again."""
    directory = load_settings(config, key=False).state.directory
    answer = put_request(directory, {"command": "resume"})
    click.echo(json.dumps(answer) if as_json else "Resumed. The site is controlled again.")
