"""Many environments at once, as on-policy learners need them."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class BatchStep:
    """What one action brought in each of n environments."""

    following: Tensor  # [n, d], what the action led to
    observation: Tensor  # [n, d], what to act on next; another one where a new episode began
    reward: Tensor  # [n]
    terminal: Tensor  # [n], 1 where nothing follows
    truncated: Tensor  # [n], 1 where the episode was cut although life went on


class VectorEnvironment(Protocol):
    """n environments in step. All chance is drawn in `reset`, so that it does not depend on what is done."""

    def reset(self, generator: torch.Generator) -> Tensor:
        """Begin anew: [n, d]."""
        ...

    def step(self, sent: Tensor) -> BatchStep:
        """Act in all of them: [n, a]."""
        ...


class Baseline(Protocol):
    """A known controller living the same randomness as the environment it is compared with."""

    def reset(self, generator: torch.Generator) -> object:
        """Begin anew; the same generator state gives the randomness of the environment's reset."""
        ...

    def step(self) -> Tensor:
        """The reward it gets, [n]."""
        ...


class ControlVariate:
    """An environment whose reward is what is gained over a baseline in the same randomness.

    The baseline's reward does not depend on the action, so the best policy is the same, while the noise that
    both meet cancels (input-dependent baseline, Mao et al. 2018, arXiv:1807.02264).
    """

    def __init__(self, environment: VectorEnvironment, baseline: Baseline) -> None:
        self._environment, self._baseline = environment, baseline

    def reset(self, generator: torch.Generator) -> Tensor:
        """Begin anew, both in the same randomness."""
        rng = generator.get_state()
        self._baseline.reset(generator)
        generator.set_state(rng)
        return self._environment.reset(generator)

    def step(self, sent: Tensor) -> BatchStep:
        """Act; the reward is what the baseline did not get."""
        step = self._environment.step(sent)
        gained = step.reward - self._baseline.step()
        return BatchStep(step.following, step.observation, gained, step.terminal, step.truncated)
