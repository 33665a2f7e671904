"""`sunkeep check`: the checklist before the daemon starts."""

import json
from pathlib import Path

import click

from daemon.cli.errors import EX_CONFIG
from daemon.commissioning.preflight import walk
from daemon.system.redaction import redact

DEFAULT_CONFIG = Path("/etc/sunkeep/sunkeep.toml")


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The configuration to check.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def check(config: Path, as_json: bool) -> int:
    """Walk the checklist before the daemon starts.

    Looks at the configuration and everything it names, without opening a wire. Exits 78 when an item fails.
    """
    items = list(walk(config))
    ok = all(item.ok for item in items)
    if as_json:
        click.echo(json.dumps({"ok": ok, "items": [item.record() for item in items]}))
    else:
        for item in items:
            word = click.style("OK  ", fg="green") if item.ok else click.style("FAIL", fg="red")
            click.echo(f"{word}  {item.name:<15} {redact(item.detail)}")
    return 0 if ok else EX_CONFIG
