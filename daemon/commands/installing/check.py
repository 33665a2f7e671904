"""`sunkeep check`: the checklist before the daemon starts."""

import json
import logging
from pathlib import Path

import click

from daemon.cli.options import config_option, json_option
from daemon.cli.signals import run_and_close
from daemon.commissioning.preflight import Item, walk
from daemon.config.settings import load_settings
from daemon.errors import EX_CONFIG
from daemon.system.log import start_log
from daemon.system.redaction import redact


@click.command()
@config_option("The configuration to check.")
@click.option("--wires", is_flag=True, help="Also try meter, radio and slaves; the daemon must be stopped.")
@json_option()
def check(config: Path, wires: bool, as_json: bool) -> int:
    """Walk the checklist before the daemon starts.

    Looks at the configuration and everything it names, without opening a wire. With --wires it also reads the
    meter, starts the radio and tells every slave 0 W for 20 seconds. Exits 78 when an item fails.
    """
    items = list(walk(config))
    if wires and items[0].ok:
        items += run_and_close(_tried(config))
    ok = all(item.ok for item in items)
    if as_json:
        click.echo(json.dumps({"ok": ok, "items": [item.record() for item in items]}))
    else:
        for item in items:
            word = click.style("OK  ", fg="green") if item.ok else click.style("FAIL", fg="red")
            click.echo(f"{word}  {item.name:<15} {redact(item.detail)}")
    return 0 if ok else EX_CONFIG


async def _tried(config: Path) -> list[Item]:
    from daemon.commissioning.wire_check import walk_wires  # noqa: PLC0415 - the list alone needs no driver

    start_log(level=logging.ERROR)
    return [item async for item in walk_wires(load_settings(config, key=False), config)]
