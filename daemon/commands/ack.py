"""`sunkeep ack`: clear what waits for an operator."""

import json
from pathlib import Path
from typing import Any

import click

from daemon.cli.options import config_option, json_option
from daemon.commands.requests import put_request
from daemon.config.settings import load_settings


@click.command()
@click.argument("cause", required=False)
@config_option("The configuration of the running daemon.")
@json_option()
def ack(cause: str | None, config: Path, as_json: bool) -> None:
    """Acknowledge CAUSE, which keeps a running daemon stopped or away from the policy.

    Without CAUSE, shows what is latched. Run it on the daemon's machine, as the daemon's user. A cause that
    is still raised is not cleared; running times are never shortened.
    """
    directory = load_settings(config, key=False).state.directory
    request = {"command": "list"} if cause is None else {"command": "acknowledge", "cause": cause}
    answer = put_request(directory, request)
    if as_json:
        click.echo(json.dumps(answer))
        return
    click.echo("\n".join(in_words(answer, cause)))


def in_words(answer: dict[str, Any], cause: str | None) -> list[str]:
    """An answer as lines for people."""
    latched, active = answer["latched"], [name for name in answer["active"] if name != cause]
    lines = [] if cause is None else [f"Acknowledged {cause}."]
    if latched:
        lines += [f"Latched: {', '.join(latched)}."]
        if cause is None:
            lines += [f"Acknowledge with: sunkeep ack {latched[0]}"]
    else:
        lines += ["Nothing is latched." if cause is None else "Nothing else is latched."]
    others = [name for name in active if name not in latched]
    lines += [f"Active: {', '.join(others)}."] if others else []
    lines += [f"{name} runs for {left_s / 3600.0:.1f} h more." for name, left_s in answer["left_s"].items()]
    return lines
