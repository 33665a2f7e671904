"""Control problems with known answers, small enough to be solved in seconds."""

import torch
from torch import Tensor

from training.imitation.policy_net import FeatureScaling
from training.learners.data.transitions import Transitions
from training.learners.learner import Space
from training.learners.online.environment import BatchStep

GAMMA = 0.9


def plain_space(inputs: int, hidden: int = 32) -> Space:
    """Observations as they are, one action."""
    return Space(FeatureScaling(torch.zeros(inputs), torch.ones(inputs)), 1, hidden=hidden)


def uniform(*shape: int, seed: int) -> Tensor:
    """Numbers in (-1, 1)."""
    return 2.0 * torch.rand(shape, generator=torch.Generator().manual_seed(seed)) - 1.0


def bandit(count: int = 4000, seed: int = 0) -> Transitions:
    """One step, reward -(a - s/2)^2: the best action is s/2. Recorded actions are uniform."""
    state, action = uniform(count, 1, seed=seed), uniform(count, 1, seed=seed + 1)
    reward = -(action - 0.5 * state).square().squeeze(1)
    ends = torch.ones(count)
    return Transitions(state, action, reward, torch.full_like(state, 1e3), ends, torch.zeros(count))


def bandit_answer(state: Tensor) -> Tensor:
    return 0.5 * state


def two_steps(count: int = 3000, seed: int = 0) -> Transitions:
    """Observation (x, step). Step 0 costs a^2/2 and leads to x + a; step 1 costs (x + a)^2 + a^2 and ends.

    The last action should be -x/2, which leaves a cost of x^2/2, so the first should be
    -gamma x / (1 + gamma).
    """
    x0, a0, a1 = (uniform(count, 1, seed=seed + i) for i in range(3))
    x0 = 0.9 * x0
    x1, zero, one = x0 + a0, torch.zeros(count, 1), torch.ones(count, 1)
    reward0 = -0.5 * a0.square()
    reward1 = -(x1 + a1).square() - a1.square()
    first, last = torch.cat([x0, zero], 1), torch.cat([x1, one], 1)
    return Transitions(
        observation=torch.cat([first, last]),
        action=torch.cat([a0, a1]),
        reward=torch.cat([reward0, reward1]).squeeze(1),
        following=torch.cat([last, torch.full_like(last, 1e3)]),  # must not be looked at
        terminal=torch.cat([zero, one]).squeeze(1),
        truncated=torch.zeros(2 * count),
    )


def two_step_answer(observation: Tensor) -> Tensor:
    x, is_last = observation[:, :1], observation[:, 1:] > 0.5
    return torch.where(is_last, -0.5 * x, -GAMMA / (1.0 + GAMMA) * x)


def two_step_states() -> Tensor:
    """A grid of both steps."""
    x = torch.linspace(-0.8, 0.8, 17)[:, None]
    return torch.cat([torch.cat([x, torch.zeros_like(x)], 1), torch.cat([x, torch.ones_like(x)], 1)])


class TwoSteps:
    """The same problem as environments that begin anew after the second step."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._rng = torch.empty(0)
        self._at = 0
        self._x = torch.empty(0)
        self._is_last = False

    def reset(self, generator: torch.Generator) -> Tensor:
        self._rng = 1.8 * torch.rand(64, self._count, 1, generator=generator) - 0.9
        self._at = 0
        return self._begin()

    def step(self, sent: Tensor) -> BatchStep:
        zero, one = torch.zeros(self._count), torch.ones(self._count)
        x = self._x + sent
        if self._is_last:
            reward = -(x.square() + sent.square()).squeeze(1)
            return BatchStep(torch.full((self._count, 2), 1e3), self._begin(), reward, one, zero)
        self._x, self._is_last = x, True
        seen = torch.cat([x, torch.ones_like(x)], 1)
        return BatchStep(seen, seen, -0.5 * sent.square().squeeze(1), zero, zero)

    def _begin(self) -> Tensor:
        self._x, self._is_last = self._rng[self._at % len(self._rng)], False
        self._at += 1
        return torch.cat([self._x, torch.zeros_like(self._x)], 1)


class NoisyBandit:
    """One step, reward -(a - 0.3)^2 plus randomness far larger than what the action decides."""

    NOISE = 30.0

    def __init__(self, count: int) -> None:
        self._count = count
        self._rng = torch.empty(0)
        self._at = 0

    def reset(self, generator: torch.Generator) -> Tensor:
        self._rng = self.NOISE * torch.randn(64, self._count, generator=generator)
        self._at = 0
        return torch.zeros(self._count, 1)

    def step(self, sent: Tensor) -> BatchStep:
        reward = self._rng[self._at % 64] - (sent.squeeze(1) - 0.3).square()
        self._at += 1
        nothing, one = torch.zeros(self._count, 1), torch.ones(self._count)
        return BatchStep(nothing, nothing, reward, one, torch.zeros(self._count))


class DoingNothing:
    """The baseline of the noisy bandit: its action is always zero."""

    def __init__(self, count: int) -> None:
        self._bandit, self._count = NoisyBandit(count), count

    def reset(self, generator: torch.Generator) -> Tensor:
        return self._bandit.reset(generator)

    def step(self) -> Tensor:
        return self._bandit.step(torch.zeros(self._count, 1)).reward
