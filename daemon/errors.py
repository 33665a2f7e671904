"""Errors whose text a user reads: what is wrong and what to do."""

import click

EX_INPUT = 2
"""What the user gave cannot be used (as of click)."""
EX_SOFTWARE = 70
EX_CONFIG = 78
"""As in sysexits.h: a fault of Sunkeep's own, and a site or configuration that has to be mended."""


class InputError(click.ClickException):
    """What the user gave or asked for cannot be used. The message says what to do."""

    exit_code = EX_INPUT


class StartError(Exception):
    """The daemon cannot begin. One sentence why, one what to do."""
