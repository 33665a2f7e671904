"""`sunkeep ack`: clear what waits for an operator."""

import json
from pathlib import Path
from typing import Any

import click

from daemon.cli.options import config_option, json_option
from daemon.config.settings import load_settings
from daemon.errors import InputError
from daemon.service.operator_socket import SOCKET_FILE, ask

TIMEOUT_S = 60.0
"""The longest period is 10 s, and an acknowledgement may take four."""


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
    answer = _ask(directory, request)
    if as_json:
        click.echo(json.dumps(answer))
        return
    click.echo("\n".join(in_words(answer, cause)))


def _ask(directory: Path, request: dict[str, Any]) -> dict[str, Any]:
    file = directory / SOCKET_FILE
    try:
        answer = ask(directory, request, TIMEOUT_S)
    except PermissionError:
        raise InputError(f"{file} belongs to another user. Run this as the daemon's user.") from None
    except TimeoutError:
        raise InputError(f"The daemon at {file} does not answer. Look at its log.") from None
    except OSError as error:
        raise InputError(
            f"No daemon listens at {file} ({error.strerror}). Latched causes are kept in the state directory "
            "and can be acknowledged when it runs: start it with `sunkeep run`, or name its --config."
        ) from None
    except ValueError:
        raise InputError(f"What answers at {file} is not a daemon of this version.") from None
    if "refused" in answer:
        raise InputError(f"Refused: {answer['refused']}")
    return answer


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
