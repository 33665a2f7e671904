"""Callbacks of a training: schedules, curricula, priorities, world models; one class each."""

from typing import Any

import torch
from torch import nn

from training.artifacts.checkpoint import Contents, Progress
from training.learners.learner import Learner


class Callback(nn.Module):
    """An addition to a training, called before and after every update.

    Its buffers, networks and `optimizers` are in the checkpoints under its `name`, so that a resumed run goes
    on with them. What it needs to know beyond that is a function of the step.
    """

    name: str

    def __init__(self) -> None:
        super().__init__()
        self.optimizers: dict[str, torch.optim.Optimizer] = {}

    def before(self, learner: Learner[Any], step: int, steps: int) -> None:
        """An update is due; `step` of `steps` are done."""

    def after(self, learner: Learner[Any], step: int) -> None:
        """An update was made; it was the `step`-th, counted from 1."""

    def judged(self, progress: Progress) -> None:
        """The learner has been judged."""


def contents_of(
    learner: Learner[Any], companions: tuple[Callback, ...], generator: torch.Generator
) -> Contents:
    """What checkpoints of a learner hold when these go along with it."""
    own = learner.contents(generator)
    networks = {**own.networks, **{companion.name: companion for companion in companions}}
    optimizers = dict(own.optimizers)
    for companion in companions:
        optimizers |= {f"{companion.name}.{key}": value for key, value in companion.optimizers.items()}
    return Contents(own.kind, networks, optimizers, generator)
