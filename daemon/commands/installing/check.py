"""`sunkeep check`: the checklist before the daemon starts."""

import json
import logging
from pathlib import Path
from typing import Any

import click

from daemon.cli.options import config_option, json_option
from daemon.cli.signals import run_and_close
from daemon.commissioning.preflight import Item, walk
from daemon.commissioning.step_checklist import walk_step
from daemon.config.settings import load_settings
from daemon.errors import EX_CONFIG
from daemon.operators.operator_socket import ask
from daemon.rollout.plan import RolloutStep
from daemon.system.log import start_log
from daemon.system.redaction import redact

ANSWER_S = 5.0


@click.command()
@config_option("The configuration to check.")
@click.option("--wires", is_flag=True, help="Also try meter, radio and slaves; the daemon must be stopped.")
@click.option(
    "--for",
    "step",
    type=click.Choice([step.value for step in RolloutStep]),
    help="The specification's checklist before this step of the plan, instead.",
)
@json_option()
def check(config: Path, wires: bool, step: str | None, as_json: bool) -> int:
    """Walk the checklist before the daemon starts.

    Looks at the configuration and everything it names, without opening a wire. With --wires it also reads the
    meter, starts the radio and tells every slave behind it 0 W for 20 seconds, and opens every device that is
    spoken to alone. Exits 78 when an item fails.
    With --for a step of the plan the running daemon is asked what it has seen; before the shadow everything
    above is looked at, too.
    """
    items = list(walk(config)) if step in (None, RolloutStep.SHADOW.value) else []
    if step is not None:
        settings = load_settings(config, key=False)
        items += walk_step(settings, RolloutStep(step), _plan_status(settings.state.directory))
    if wires and items and items[0].ok:
        items += run_and_close(_tried(config))
    ok = all(item.ok for item in items)
    if as_json:
        click.echo(json.dumps({"ok": ok, "items": [item.record() for item in items]}))
    else:
        for item in items:
            click.echo(f"{_word(item)}  {item.name:<15} {redact(item.detail)}")
    return 0 if ok else EX_CONFIG


def _plan_status(directory: Path) -> dict[str, Any]:
    """What the running daemon says of its plan; nothing without one."""
    try:
        return ask(directory, {"command": "rollout", "what": "status"}, ANSWER_S)
    except (OSError, ValueError):
        return {}


def _word(item: Item) -> str:
    if item.is_question:
        return click.style("ASK ", fg="yellow")
    return click.style("OK  ", fg="green") if item.ok else click.style("FAIL", fg="red")


async def _tried(config: Path) -> list[Item]:
    from daemon.commissioning.wire_check import walk_wires  # noqa: PLC0415 - the list alone needs no driver

    start_log(level=logging.ERROR)
    return [item async for item in walk_wires(load_settings(config, key=False), config)]
