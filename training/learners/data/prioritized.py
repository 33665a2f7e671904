"""Prioritised replay (Schaul et al. 2016, arXiv:1511.05952): rows in proportion to the critics' error.

Rows are drawn in proportion to priorities and weighted by the inverse of their chance, so that with `beta` 1
the critics' error is unbiased: on average every row counts as in uniform draws. Only that error is weighted:
in the penalty of cql, and in what actor and temperature learn from, a row counts as often as it is drawn.

The priorities are one tensor and a draw sums them up, so there is no tree to keep: 1.9 ms for 242 thousand
rows, an eighth of an update of sac.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from training.learners.callback import Callback
from training.learners.data.transitions import Exchange, Transitions
from training.learners.learner import CriticLearner, Learner

SURPRISE_MIN = 1e-6
"""In units of reward: below it critics are right."""


@dataclass(frozen=True)
class PrioritySettings:
    """Exponents as in the paper.

    Args:
        alpha: 0 draws uniformly, 1 in proportion to the surprise.
        beta_start: how much of the bias is taken out at first; 1 at the end of the training.
        floor: share of the draws that is uniform: no row is forgotten, and no weight exceeds 1 / floor.
    """

    alpha: float = 0.6
    beta_start: float = 0.4
    floor: float = 0.1


def priority_of(surprise: Tensor, alpha: float) -> Tensor:
    """What a row counts whose critics were off by `surprise`, [n]; never nothing."""
    return surprise.clamp(min=SURPRISE_MIN) ** alpha


def weights_of(chances: Tensor, count: int, beta: float) -> Tensor:
    """What rows drawn with these chances out of `count` weigh; with `beta` 1 they weigh 1 on average.

    The paper divides by the largest weight of the batch. That makes the size of a step depend on who else was
    drawn; here the floor bounds the weights instead.
    """
    return (count * chances) ** -beta


class PrioritizedSampler(Callback):
    """Draws batches of transitions and learns from the learner how surprising they were.

    Args:
        transitions: all of them, on the device where they are used.
        batch: rows of a batch.
        settings: exponents and floor.
        exchange: draw an order of the phases for every batch (30 features and 3 phases only).
    """

    name = "priorities"
    priorities: Tensor
    rows: Tensor

    def __init__(
        self, transitions: Transitions, batch: int, settings: PrioritySettings, exchange: bool = False
    ) -> None:
        super().__init__()
        self._transitions, self._batch, self._settings = transitions, batch, settings
        device = transitions.observation.device
        self._exchange, self._beta = Exchange(device) if exchange else None, settings.beta_start
        self.register_buffer("priorities", torch.full((len(transitions),), -1.0, device=device))
        self.register_buffer("rows", torch.zeros(batch, dtype=torch.long, device=device))

    def chances(self) -> Tensor:
        """How likely each row is in one draw, [n] float64.

        Rows that nobody has seen count as the average of those seen. The paper's largest priority would have
        a fixed table drawn once from end to end before anything is drawn twice.
        """
        known = self.priorities >= 0.0
        count, total = known.sum(), torch.where(known, self.priorities, 0.0).sum()
        mean = torch.where(count > 0, total / count.clamp(min=1), 1.0)
        priority = torch.where(known, self.priorities, mean).double()
        floor = self._settings.floor
        return priority * ((1.0 - floor) / priority.sum()) + floor / len(priority)

    def before(self, learner: Learner[Any], step: int, steps: int) -> None:
        """Take out more of the bias as the training goes on."""
        start = self._settings.beta_start
        self._beta = start + (1.0 - start) * min(1.0, step / max(1, steps - 1))

    def __call__(self, generator: torch.Generator) -> Transitions:
        """One batch: the chances are cut into as many equal parts as there are rows, with a draw in each."""
        chances = self.chances()
        sums = chances.cumsum(0)
        rng = torch.rand(self._batch, generator=generator, device=generator.device, dtype=torch.float64)
        places = torch.arange(self._batch, device=rng.device)
        drawn = ((places + rng) / self._batch).to(sums.device) * sums[-1]
        self.rows = torch.searchsorted(sums, drawn, right=True).clamp(max=len(sums) - 1)
        weight = weights_of(chances[self.rows], len(chances), self._beta).float()
        batch = replace(self._transitions.take(self.rows), weight=weight)
        return batch if self._exchange is None else self._exchange(batch, generator)

    def after(self, learner: Learner[Any], step: int) -> None:
        """Remember how surprising the rows of the last batch were."""
        assert isinstance(learner, CriticLearner), "only critics are surprised"
        assert learner.surprise is not None, "no update was made"
        self.priorities[self.rows] = priority_of(learner.surprise, self._settings.alpha)
