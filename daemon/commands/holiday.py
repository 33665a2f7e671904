"""`sunkeep holiday`: nobody is at home, and devices rest."""

import json
from datetime import datetime
from pathlib import Path

import click

from daemon.cli.options import config_option, json_option
from daemon.commands.pause import instant_of
from daemon.commands.requests import put_request
from daemon.config.settings import load_settings
from daemon.errors import InputError


@click.command()
@click.option("--until", "end", metavar="DATE", help='"YYYY-MM-DD", from 00:00, or "YYYY-MM-DD HH:MM".')
@click.option("--keep", "kept", multiple=True, metavar="DEVICE", help="A device that goes on; repeatable.")
@click.option("--end", "is_end", is_flag=True, help="End the holiday now.")
@config_option("The configuration of the running daemon.")
@json_option()
def holiday(end: str | None, kept: tuple[str, ...], is_end: bool, config: Path, as_json: bool) -> None:
    """Let every device rest until DATE, but those that are kept: they go on taking the surplus.

    The daemon goes on measuring and controlling; `sunkeep pause` stops the control of all devices instead.
    A boost counts more than a holiday. The order outlives a restart of the daemon, and is journalled.
    """
    if (end is not None) is is_end:
        raise InputError("Say either --until or --end.")
    settings = load_settings(config, key=False)
    directory, zone = settings.state.directory, settings.zone()
    if end is None:
        answer = put_request(directory, {"command": "end_holiday"})
        said = "The holiday is over: every device takes part again."
    else:
        over = instant_of(end if " " in end else f"{end} 00:00", datetime.now(zone))
        request = {"command": "holiday", "until_unix_s": over.timestamp(), "kept": list(kept)}
        answer = put_request(directory, request)
        others = f"; {', '.join(kept)} goes on" if kept else ""
        said = f"Holiday until {over:%Y-%m-%d %H:%M}: devices rest{others}."
    click.echo(json.dumps(answer) if as_json else said)
