"""Kinds of option values that several commands take."""

from math import isfinite
from typing import Any

import click

DAY_S = 86400


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
