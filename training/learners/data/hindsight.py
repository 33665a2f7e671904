"""Hindsight experience replay (Andrychowicz et al. 2017, arXiv:1707.01495): what was reached was the goal.

For tasks whose observation holds a goal and whose reward says only whether it was met. A row is taught again
with a goal that its own stretch came to later; what it is worth then is computed, not recorded.

Self-consumption is no such task: its goal is always the same, no power over the meter, its reward says in
every second by how many watts it was missed, and the policy's 30 inputs have no room for another goal.
`sunkeep train` therefore has no option of it, and nothing else of the training draws from it.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from training.learners.data.transitions import Transitions

Achieved = Callable[[Tensor], Tensor]
"""What an observation has come to, [n, d] to [n, g]."""
Worth = Callable[[Tensor, Tensor], Tensor]
"""The reward of what was achieved, [n, g], for a goal, [n, g]: [n]."""


def ends_of(transitions: Transitions) -> Tensor:
    """For every row the last one of its stretch, [n]; the table holds whole stretches, row after row."""
    stops = torch.maximum(transitions.terminal, transitions.truncated) > 0.0
    rows = torch.arange(len(stops), device=stops.device)
    return torch.where(stops, rows, len(stops) - 1).flip(0).cummin(0).values.flip(0)


class Hindsight:
    """Draws batches in which a share of the rows has a goal that was achieved later in the same stretch.

    Args:
        transitions: all of them, stretch by stretch, on the device where they are used.
        goal: columns of the observation that hold the goal.
        achieved: what an observation has come to.
        worth: the reward.
        batch: rows of a batch.
        share: of the rows that get another goal (the paper's 4 of 5).
    """

    def __init__(
        self,
        transitions: Transitions,
        goal: slice,
        achieved: Achieved,
        worth: Worth,
        batch: int = 256,
        share: float = 0.8,
    ) -> None:
        self._transitions, self._ends = transitions, ends_of(transitions)
        self._goal, self._achieved, self._worth = goal, achieved, worth
        self._batch, self._share = batch, share

    def __call__(self, generator: torch.Generator) -> Transitions:
        """One batch."""
        device, table = generator.device, self._transitions
        rows = torch.randint(len(table), (self._batch,), generator=generator, device=device)
        batch = table.take(rows)
        rng = torch.rand((2, self._batch), generator=generator, device=device)
        later = rows + (rng[0] * (self._ends[rows] - rows + 1)).long()
        wanted = self._achieved(table.following[later])
        goal = torch.where((rng[1] < self._share)[:, None], wanted, batch.observation[:, self._goal])
        observation, following = batch.observation.clone(), batch.following.clone()
        observation[:, self._goal] = following[:, self._goal] = goal
        reward = self._worth(self._achieved(following), goal)
        return replace(batch, observation=observation, following=following, reward=reward)
