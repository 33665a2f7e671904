"""Reptile (Nichol et al. 2018, arXiv:1803.02999): weights from which a few updates on one site go far.

An inner loop trains on one site; then the weights from before it move some of the way towards what it came
to, and the next site follows. Unlike MAML (Finn et al. 2017) it needs no second derivatives, and any learner
of this package can be in the inner loop.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from training.batched.randomization import DomainRandomization
from training.batched.windows import RolloutWindow, SolarDay, reel_of, varied
from training.learners.callback import Callback
from training.learners.learner import Learner


class Reptile(Callback):
    """Moves weights from site to site.

    Args:
        learner: whose parameters are meant.
        inner: updates on one site.
        outer_rate: share of the way that the weights move.
    """

    name = "reptile"

    def __init__(self, learner: Learner[Any], inner: int, outer_rate: float = 0.5) -> None:
        super().__init__()
        self._inner, self._outer_rate = inner, outer_rate
        slow = [nn.Parameter(p.detach().clone(), requires_grad=False) for p in trained(learner)]
        self._slow = nn.ParameterList(slow)

    @torch.no_grad()
    def before(self, learner: Learner[Any], step: int, steps: int) -> None:
        """Keep the weights that an inner loop begins with."""
        if step % self._inner == 0:
            torch._foreach_copy_(self.slow, trained(learner))

    @torch.no_grad()
    def after(self, learner: Learner[Any], step: int) -> None:
        """At the end of an inner loop go back, and from there some of the way."""
        if step % self._inner == 0:
            fast, slow = trained(learner), self.slow
            torch._foreach_lerp_(slow, fast, self._outer_rate)
            torch._foreach_copy_(fast, slow)

    @property
    def slow(self) -> list[Tensor]:
        """The weights that the current inner loop began with, in the order of `trained`."""
        return list(self._slow)


def trained(learner: Learner[Any]) -> list[Tensor]:
    """The parameters that optimisers change; targets follow by themselves."""
    return [p for p in learner.parameters() if p.requires_grad]


class SiteTasks(Callback):
    """A scenery that is one site for the length of an inner loop: one day, one billing, one delay.

    Args:
        days: of the split "train".
        chances: what a site's far end is drawn from.
        inner: updates on one site.
        seed: of the training; with the number of the inner loop it decides which site comes.
    """

    name = "tasks"

    def __init__(self, days: Sequence[SolarDay], chances: DomainRandomization, inner: int, seed: int) -> None:
        super().__init__()
        self._days, self._chances, self._inner, self._seed = days, chances, inner, seed
        self._task = 0

    def before(self, learner: Learner[Any], step: int, steps: int) -> None:
        """Find the site of this update."""
        self._task = step // self._inner

    def __call__(self, count: int, seconds: int, rng: np.random.Generator) -> RolloutWindow:
        """Draw windows of the site's day, all with far ends of its kind."""
        day, chances = self.site(self._task)
        return reel_of([varied((day,), seconds, rng) for _ in range(count)], rng, chances)

    def site(self, task: int) -> tuple[SolarDay, DomainRandomization]:
        """The day and the far ends of a site; the same number is always the same site."""
        rng, chances = np.random.default_rng([self._seed, task]), self._chances
        day = self._days[int(rng.integers(len(self._days)))]
        extra_s = int(rng.choice(len(chances.extra_s), p=chances.extra_s))
        one = tuple(float(second == extra_s) for second in range(len(chances.extra_s)))
        return day, replace(chances, net=float(rng.random() < chances.net), extra_s=one)
