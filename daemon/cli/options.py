"""Options, and kinds of their values, that several commands take."""

from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import click

DEFAULT_CONFIG = Path("/etc/sunkeep/sunkeep.toml")
"""Where packages and guides put the configuration."""
FILE = click.Path(path_type=Path)
DAY_S = 86400

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def config_option(help_text: str) -> Callable[[CommandT], CommandT]:
    """``--config FILE``; without it the usual place."""
    return click.option("--config", type=FILE, default=DEFAULT_CONFIG, show_default=True, help=help_text)


def required_config(command: CommandT) -> CommandT:
    """``--config FILE``, which must be given: the command opens the wires of the site."""
    return click.option("--config", type=FILE, required=True, help="The configuration.")(command)


def json_option(help_text: str = "For programs.") -> Callable[[CommandT], CommandT]:
    """``--json``, as `as_json`: the result as JSON on standard output."""
    return click.option("--json", "as_json", is_flag=True, help=help_text)


class FiniteRange(click.FloatRange):
    """A number within a range. The range of click lets NaN through, which is neither below nor above it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number, finite."""
        number = float(super().convert(value, param, ctx))
        if isfinite(number):
            return number
        raise click.BadParameter(f"{value} is not a finite number", ctx, param)


class TimeOfDay(click.ParamType[int]):
    """HH:MM as seconds since midnight; 24:00 is the end of the day."""

    name = "HH:MM"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Seconds since midnight."""
        if isinstance(value, int):
            return value
        hour, _, minute = str(value).partition(":")
        if hour.isdecimal() and minute.isdecimal() and len(minute) == 2 and int(minute) < 60:
            seconds = int(hour) * 3600 + int(minute) * 60
            if seconds <= DAY_S:
                return seconds
        raise click.BadParameter(f"{value!r} is not a time of day such as 11:30", ctx, param)
