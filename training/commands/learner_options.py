"""The options of `sunkeep train` that change how a learner learns, as words of the command line."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from daemon.cli.options import FiniteRange
from training.learners.options import TAKEN_BY, Options, flag
from training.learners.presets import PRESETS, with_preset

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_WORDS = {
    "actor": "Network of the policy; attention treats all phases alike",
    "clip_observation": "Bound of observations in standard deviations, 0 none",
    "clip_reward": "Bound of rewards in units of 200 W, 0 none",
    "warm_up": "Updates in which the learning rate rises",
    "decay": "How the learning rate falls",
    "plateau": "Judgements without a better one until the rate is halved, 0 never",
    "prioritized": "Exponent of the priorities, 0 draws uniformly",
    "dyna": "Seconds of imagined rollouts, 0 none",
    "kl_max": "Nats after which the epochs of an update end, 0 never",
    "entropy_weight": "Bonus for entropy at the start, gone after 70 %",
    "noise_kept": "Of an action's noise, to the next second",
    "curriculum": "Share of the training until sites are as hard as they get",
    "reptile": "Updates on one site after the other, 0 on all at once",
    "explore": "What acts beside the policy's own draws",
    "value_nets": "Networks of the value; the lesser one counts",
    "rate": "Learning rate",
    "lam": "Lambda of the advantages",
    "horizon": "Seconds of each of 64 sites in an update",
    "minibatch": "Rows of a step",
}


def learner_options(command: CommandT) -> CommandT:
    """Add them all; each says in its help who takes it."""
    schemas = Options.model_json_schema()["properties"]
    for name, words in reversed(_WORDS.items()):
        kind, default = _kind(schemas[name]), schemas[name]["default"]
        help_ = f"{words}. Of {', '.join(TAKEN_BY[name])}."
        command = click.option(flag(name), type=kind, default=default, show_default=True, help=help_)(command)
    preset = click.option(
        "--preset", type=click.Choice(tuple(PRESETS)), help="Options of ppo by name; those given go first."
    )
    return preset(command)


def _kind(schema: dict[str, Any]) -> click.ParamType[Any]:
    """What an option takes, with the bounds that it has in `Options`."""
    if "enum" in schema:
        return click.Choice(schema["enum"])
    least, below = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("exclusiveMaximum")
    most = schema.get("maximum", below)
    if schema["type"] == "integer":
        return click.IntRange(least, most)
    return FiniteRange(least, most, min_open="exclusiveMinimum" in schema, max_open=below is not None)


def taken(words: dict[str, Any], given: frozenset[str]) -> Options:
    """Take them out of the words of a command line, `given` of them not by default.

    Raises click.UsageError for one that is no number.
    """
    chosen = {name: words.pop(name) for name in Options.model_fields}
    if (preset := words.pop("preset")) is not None:
        chosen = with_preset(chosen, preset, given, is_judged=words["choose_on"] is not None)
    try:
        return Options(**chosen)
    except ValidationError as error:
        wrong = [f"{flag(str(fault['loc'][0]))} {fault['input']}: {fault['msg']}" for fault in error.errors()]
        raise click.UsageError("; ".join(wrong)) from None
