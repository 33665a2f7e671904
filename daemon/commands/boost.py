"""`sunkeep boost`: give one device power although there is no surplus."""

import json
import time
from datetime import datetime
from pathlib import Path

import click

from daemon.cli.options import config_option, json_option
from daemon.commands.pause import instant_of, seconds_of
from daemon.commands.requests import put_request
from daemon.config.settings import load_settings
from daemon.errors import InputError


@click.command()
@click.argument("device")
@click.option("--for", "span", metavar="SPAN", help='How long at most: "90min", "2h".')
@click.option("--until", "end", metavar="TIME", help='Until the next "HH:MM" of the site at most.')
@click.option("--end", "is_end", is_flag=True, help="End the boost of this device.")
@config_option("The configuration of the running daemon.")
@json_option()
def boost(device: str, span: str | None, end: str | None, is_end: bool, config: Path, as_json: bool) -> None:
    """Give DEVICE power although there is no surplus, within all limits of the site.

    It ends when the device takes no more (a boiler is full), when its time is over, and after a day at most.
    The order outlives a restart of the daemon, and is journalled. Devices are called as in the configuration.
    """
    if sum((span is not None, end is not None, is_end)) > 1:
        raise InputError("Say one of --for, --until and --end.")
    settings = load_settings(config, key=False)
    directory, zone = settings.state.directory, settings.zone()
    if is_end:
        answer = put_request(directory, {"command": "end_boost", "slave": device})
        click.echo(json.dumps(answer) if as_json else f"{device} takes part as usual again.")
        return
    until_unix_s = None
    if span is not None:
        until_unix_s = time.time() + seconds_of(span)
    elif end is not None:
        until_unix_s = instant_of(end, datetime.now(zone)).timestamp()
    request = {"command": "boost", "slave": device, "until_unix_s": until_unix_s}
    answer = put_request(directory, request)
    over = datetime.fromtimestamp(answer["boosts"][device], zone)
    said = f"{device} is boosted until it takes no more, at the latest until {over:%Y-%m-%d %H:%M}."
    click.echo(json.dumps(answer) if as_json else f"{said} `sunkeep status` shows what it gets.")
