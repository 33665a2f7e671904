"""Rewards held within bounds, so that no single second outweighs all others."""

from dataclasses import replace
from typing import TypeVar

import torch

from training.learners.data.transitions import Transitions
from training.learners.loop import Source
from training.learners.online.ppo import Rollout

BatchT = TypeVar("BatchT", Transitions, Rollout)


def with_clipped_rewards(source: Source[BatchT], bound: float) -> Source[BatchT]:
    """Batches whose rewards lie in [-bound, bound].

    This changes what is best: a loss beyond the bound costs no more than the bound.
    """

    def draw(generator: torch.Generator) -> BatchT:
        batch = source(generator)
        return replace(batch, reward=batch.reward.clamp(-bound, bound))

    return draw
