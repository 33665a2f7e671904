"""The options of `sunkeep train` that change how a learner learns, as words of the command line."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from training.learners.options import TAKEN_BY, Options, flag

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_WORDS: dict[str, tuple[click.ParamType[Any], str]] = {
    "actor": (click.Choice(["mlp", "attention"]), "Network of the policy; attention treats all phases alike"),
    "clip_observation": (click.FloatRange(0.0), "Bound of observations in standard deviations, 0 none"),
    "clip_reward": (click.FloatRange(0.0), "Bound of rewards in units of 200 W, 0 none"),
    "warm_up": (click.IntRange(0), "Updates in which the learning rate rises"),
    "decay": (click.Choice(["none", "linear", "cosine"]), "How the learning rate falls"),
    "plateau": (click.IntRange(0), "Judgements without a better one until the rate is halved, 0 never"),
    "prioritized": (click.FloatRange(0.0, 1.0), "Exponent of the priorities, 0 draws uniformly"),
    "dyna": (click.IntRange(0), "Seconds of imagined rollouts, 0 none"),
    "kl_max": (click.FloatRange(0.0), "Nats after which the epochs of an update end, 0 never"),
    "entropy_weight": (click.FloatRange(0.0), "Bonus for entropy at the start, gone after 70 %"),
    "noise_kept": (click.FloatRange(0.0, 1.0, max_open=True), "Of an action's noise, to the next second"),
    "curriculum": (click.FloatRange(0.0, 1.0), "Share of the training until sites are as hard as they get"),
    "reptile": (click.IntRange(0), "Updates on one site after the other, 0 on all at once"),
}


def learner_options(command: CommandT) -> CommandT:
    """Add them all; each says in its help who takes it."""
    for name, (kind, words) in reversed(_WORDS.items()):
        help_ = f"{words}. Of {', '.join(TAKEN_BY[name])}."
        default = Options.model_fields[name].default
        command = click.option(flag(name), type=kind, default=default, show_default=True, help=help_)(command)
    return command


def taken(words: dict[str, Any]) -> Options:
    """Take them out of the words of a command line. Raises click.UsageError for one that is no number."""
    chosen = {name: words.pop(name) for name in Options.model_fields}
    try:
        return Options(**chosen)
    except ValidationError as error:
        wrong = [f"{flag(str(fault['loc'][0]))} {fault['input']}: {fault['msg']}" for fault in error.errors()]
        raise click.UsageError("; ".join(wrong)) from None
