"""`sunkeep zigbee drill`: a test of the radio before the first day."""

import json
import logging
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from daemon.cli.options import json_option, required_config
from daemon.cli.signals import run_and_close
from daemon.commissioning.radio_test_record import DrillResult, SlotResult, keep
from daemon.config.settings import load_settings, read_site_key
from daemon.errors import InputError
from daemon.runtime.state_directory import hold_state, open_counter
from daemon.system.log import start_log

EX_SILENT = 1
SECONDS = (10, 280)
"""Everybody is asked every 5 s; answers are kept for 5 minutes."""


@click.command()
@required_config
@click.option(
    "--seconds", type=click.IntRange(*SECONDS), default=60, show_default=True, help="Send for this long."
)
@json_option()
def drill(config: Path, seconds: int, as_json: bool) -> int:
    """Tell every slave 0 W for a minute, and show who answers.

    The daemon must be stopped. Nothing but 0 W is sent, through the daemon's own decision and gate and at the
    pace that the air allows; the frame counter goes on. Exits 1 when a slave never answered.
    """
    from daemon.commissioning.radio_test import run_radio_test  # noqa: PLC0415 - it loads what decides, and the other commands need not

    settings = load_settings(config)
    start_log(level=logging.WARNING)
    directory = settings.state.directory
    with (
        hold_state(directory),
        Progress(console=Console(stderr=True), transient=True, disable=as_json) as progress,
    ):
        bar = progress.add_task("0 W to every slave", total=seconds)
        result = run_and_close(
            run_radio_test(
                settings,
                read_site_key(settings, config),
                open_counter(directory),
                seconds,
                lambda over_s: progress.update(bar, completed=over_s),
            )
        )
    if as_json:
        click.echo(json.dumps(result.record()))
    else:
        Console().print(_table(result))
        click.echo("\n".join(_words(result)))
    try:  # last of all: a full disk must not cost what a minute of air has found
        keep(result, directory)
    except OSError as error:
        raise InputError(f"{directory} cannot be written: {error.strerror}.") from None
    return EX_SILENT if result.silent else 0


def _table(result: DrillResult) -> Table:
    table = Table(box=None)
    for heading in ("slot", "asked", "answered", "delay p50", "max"):
        table.add_column(heading, justify="right")
    table.add_column("slave")
    for slot in result.slots:
        table.add_row(
            str(slot.slot),
            str(slot.asked),
            str(slot.answered),
            _seconds(slot.delay_p50_s),
            _seconds(slot.delay_max_s),
            slot.name,
            style=_style(slot),
        )
    return table


def _style(slot: SlotResult) -> str:
    if slot.answered == 0:
        return "red"
    return "yellow" if slot.answered < slot.asked else ""


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"


def _words(result: DrillResult) -> list[str]:
    refused = f", {result.frames_refused} refused by the coordinator" if result.frames_refused else ""
    counters = f"counters {result.first_counter} to {result.last_counter}"
    lines = [f"{result.frames} frames of 0 W in {result.seconds:.0f} s ({counters}){refused}."]
    if not result.silent:
        return [*lines, "Every slave answers."]
    names = ", ".join(f"{slot.slot} ({slot.name})" for slot in result.silent)
    return [
        *lines,
        f"Never answered: slot {names}. Has it joined (`sunkeep zigbee devices`), is it powered, and was it "
        "given this slot and this site key?",
    ]
