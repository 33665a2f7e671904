"""`sunkeep pause`: let every device rest for a while."""

import json
import re
import time
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from daemon.cli.options import config_option, json_option
from daemon.commands.requests import put_request
from daemon.config.sections import minute_of_day
from daemon.config.settings import load_settings
from daemon.errors import InputError

_SPAN = re.compile(r"(\d{1,4})(min|h|d)")
_SECONDS = {"min": 60.0, "h": 3600.0, "d": 86_400.0}


@click.command()
@click.option("--for", "span", metavar="SPAN", help='How long: "90min", "2h", "14d".')
@click.option(
    "--until", "end", metavar="TIME", help='Until the next "HH:MM" of the site, or "YYYY-MM-DD HH:MM".'
)
@config_option("The configuration of the running daemon.")
@json_option()
def pause(span: str | None, end: str | None, config: Path, as_json: bool) -> None:
    """Let every device rest: for a span, until a time, or until `sunkeep resume`.

    The pause outlives a restart of the daemon. It is journalled, and the page says that it is in force.
    """
    if span is not None and end is not None:
        raise InputError("Say either --for or --until.")
    settings = load_settings(config, key=False)
    zone = settings.zone()
    until_unix_s = None
    if span is not None:
        until_unix_s = time.time() + seconds_of(span)
    elif end is not None:
        until_unix_s = instant_of(end, datetime.now(zone)).timestamp()
    answer = put_request(settings.state.directory, {"command": "pause", "until_unix_s": until_unix_s})
    click.echo(json.dumps(answer) if as_json else in_words(until_unix_s, zone))


def in_words(until_unix_s: float | None, zone: ZoneInfo) -> str:
    """What was ordered."""
    if until_unix_s is None:
        return "Paused. Every device rests until `sunkeep resume`."
    return f"Paused until {datetime.fromtimestamp(until_unix_s, zone):%Y-%m-%d %H:%M}. Every device rests."


def seconds_of(span: str) -> float:
    """A span such as "2h" in s. Raises InputError."""
    found = _SPAN.fullmatch(span)
    if found is None or not int(found[1]):
        raise InputError(f'{span!r} is no span. Write a number and "min", "h" or "d": "90min", "2h", "14d".')
    return int(found[1]) * _SECONDS[found[2]]


def instant_of(text: str, now: datetime) -> datetime:
    """The next such time of day, or that instant, in the zone of `now`. Raises InputError."""
    try:
        minute = minute_of_day(text)
    except ValueError:
        try:
            return datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=now.tzinfo)
        except ValueError:
            raise InputError(f'{text!r} is no time. Write "18:30" or "2026-07-01 18:30".') from None
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    end = midnight + timedelta(minutes=minute)
    return end if end > now else end + timedelta(days=1)
