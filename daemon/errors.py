"""Errors whose text a user reads: what is wrong and what to do."""

import click

EX_INPUT = 2


class InputError(click.ClickException):
    """What the user gave or asked for cannot be used. The message says what to do."""

    exit_code = EX_INPUT


class StartError(Exception):
    """The daemon cannot begin. One sentence why, one what to do."""
