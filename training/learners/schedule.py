"""Learning-rate schedules: warm-up, decay, and a cut when evaluations stop improving."""

from dataclasses import dataclass
from math import cos, pi
from typing import Any, Literal

import torch
from torch import Tensor

from training.artifacts.checkpoint import Progress
from training.learners.callback import Callback
from training.learners.learner import Learner

Decay = Literal["none", "linear", "cosine"]


@dataclass(frozen=True)
class RateSettings:
    """All of a learner's rates are multiplied by the same share.

    Args:
        warm_up: updates in which the share rises evenly to 1. The first update already has one of `warm_up`
            parts: with 0 it would teach nothing.
        decay: how the share falls from the end of the warm-up to `end_share` at the last update.
        plateau: judgements without a better one after which the share is multiplied by `cut`, 0 never.
        least_share: below it nothing is cut.
    """

    warm_up: int = 0
    decay: Decay = "none"
    end_share: float = 0.05
    plateau: int = 0
    cut: float = 0.5
    least_share: float = 0.01


def share_at(step: int, steps: int, settings: RateSettings) -> float:
    """The share of the learning rate after `step` of `steps` updates, without cuts."""
    if step < settings.warm_up:
        return (step + 1) / settings.warm_up
    done = (step - settings.warm_up) / max(1, steps - 1 - settings.warm_up)
    fallen = {"none": 0.0, "linear": done, "cosine": 0.5 * (1.0 - cos(pi * done))}[settings.decay]
    return 1.0 - (1.0 - settings.end_share) * fallen


class RateSchedule(Callback):
    """Sets the rates of all optimisers before every update."""

    name = "rates"
    cuts: Tensor

    def __init__(self, learner: Learner[Any], settings: RateSettings) -> None:
        super().__init__()
        self._settings = settings
        self._full = {
            name: [group["lr"] for group in optimizer.param_groups]
            for name, optimizer in learner.optimizers.items()
        }
        self.register_buffer("cuts", torch.tensor(0))

    def before(self, learner: Learner[Any], step: int, steps: int) -> None:
        """Set the rates of this update."""
        settings = self._settings
        kept = max(settings.cut ** int(self.cuts), settings.least_share)
        share = kept * share_at(step, steps, settings)
        for name, rates in self._full.items():
            for group, rate in zip(learner.optimizers[name].param_groups, rates, strict=True):
                group["lr"] = rate * share

    def judged(self, progress: Progress) -> None:
        """Cut where the last `plateau` judgements brought nothing better."""
        plateau = self._settings.plateau
        if plateau > 0 and progress.waited > 0 and progress.waited % plateau == 0:
            self.cuts += 1
