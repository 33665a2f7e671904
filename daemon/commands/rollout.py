"""`sunkeep rollout`: the plan from shadow to production."""

import json
import time
from pathlib import Path
from typing import Any

import click

from daemon.cli.options import DEFAULT_CONFIG
from daemon.commands.requests import put_request
from daemon.config.settings import load_settings
from daemon.rollout.plan import RolloutStep

configured = click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The configuration of the running daemon.",
)
for_programs = click.option("--json", "as_json", is_flag=True, help="For programs.")
to_step = click.option(
    "--to", "target", type=click.Choice([step.value for step in RolloutStep]), help="The step."
)


@click.group()
def rollout() -> None:
    """Look after the plan from shadow to production.

    The daemon walks the plan of [rollout] by itself. Run these on its machine, as its user; what is ordered
    is on the disk when they return, and in the journal.
    """


@rollout.command()
@configured
@for_programs
def status(config: Path, as_json: bool) -> None:
    """Show the step, what the next one asks for, and the moves so far."""
    _tell(_order(config, what="status"), as_json)


@rollout.command()
@to_step
@click.option("--force", is_flag=True, help="Although something is missing; the journal says what.")
@configured
@for_programs
def advance(target: str | None, force: bool, config: Path, as_json: bool) -> None:
    """Take the next step, if everything it asks for holds.

    With --to a later one, which is a leap and wants --force. On a site without a plan --force takes over the
    mode that was refused in the configuration.
    """
    _tell(_order(config, what="advance", force=force, **_to(target)), as_json)


@rollout.command()
@click.option("--release", is_flag=True, help="Let it go on.")
@configured
@for_programs
def hold(release: bool, config: Path, as_json: bool) -> None:
    """Stop the plan where it is: no step is taken until it is released."""
    _tell(_order(config, what="release" if release else "hold"), as_json)


@rollout.command()
@to_step
@configured
@for_programs
def back(target: str | None, config: Path, as_json: bool) -> None:
    """Go back one step, or to an earlier one; always allowed, in force at once."""
    _tell(_order(config, what="back", **_to(target)), as_json)


def _to(target: str | None) -> dict[str, Any]:
    return {} if target is None else {"to": target}


def _order(config: Path, **request: Any) -> dict[str, Any]:
    directory = load_settings(config, key=False).state.directory
    return put_request(directory, {"command": "rollout", **request})


def _tell(answer: dict[str, Any], as_json: bool) -> None:
    click.echo(json.dumps(answer) if as_json else "\n".join(in_words(answer)))


def in_words(answer: dict[str, Any]) -> list[str]:
    """The plan as lines for people."""
    if not answer["plan"]:
        return [f"No plan: [mode] says who acts, {answer['mode']} now. Write [rollout] for a plan."]
    lines = [f"RolloutStep     {answer['step']} since {_when(answer['since_unix_s'])}, {_next(answer)}"]
    lines += [
        f"{'ok     ' if one['holds'] else 'missing'}  {one['name']:<10} {one['found']}"
        for one in answer["requirements"]
    ]
    lines += [_moved(move) for move in answer["moves"]]
    return lines


def _next(answer: dict[str, Any]) -> str:
    if answer["held"]:
        return f"held ({answer['held']}); `sunkeep rollout hold --release` lets it go on"
    if answer["ready"]:
        return "everything holds; `sunkeep rollout advance` takes the next step"
    return {
        "automatic": "the next step is taken by itself",
        "operator": "the next step waits for an operator",
        "": "the last one",
    }[answer["confirm"]]


def _moved(move: dict[str, Any]) -> str:
    where = move["target"] if move["source"] == move["target"] else f"{move['source']} to {move['target']}"
    forced = ", forced" if move["forced"] else ""
    why = f": {move['reasons'][0]}" if move["reasons"] else ""
    return f"{_when(move['at_unix_s'])}  {move['kind']:<8} {where} by {move['by']}{forced}{why}"


def _when(unix_s: float | None) -> str:
    return "an unknown time" if unix_s is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(unix_s))
