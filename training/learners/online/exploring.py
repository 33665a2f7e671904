"""Ways for an on-policy learner to try what it would not do: random actions, other weights, and curiosity.

What was drawn by somebody else must not count as the policy's own. Random actions teach the values and not
the actor; actions under other weights carry the density with which those drew them.
"""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from training.learners.callback import Callback
from training.learners.learner import Learner, Space, adam
from training.learners.loop import Source
from training.learners.networks import GaussianActor, kl_of
from training.learners.online.ppo import Drawn, Ppo, Rollout, drawn_by

EPSILON_START, EPSILON_END, EPSILON_UNTIL = 0.3, 0.05, 0.5
"""The specification's shares of random actions; the share of the training until which they fall is ours."""
HELD_S = 4
"""A frame goes out every other second at most and acts seconds later: a shorter try moves nothing."""
KL_WANTED, SCALE_START, SCALE_STEP = 0.05, 0.02, 1.05
"""How far other weights may act from the policy's (nats), and how their distance follows it (Plappert et al.
2018, arXiv:1706.01905, adapts it the same way)."""
NOVELTY, NOVELTY_UNTIL, NOVELTY_KEPT = 0.1, 0.7, 0.99
"""Reward of an observation as new as usual, the share of the training until which it fades, and how slowly
what is usual moves."""
CODE = 32


def epsilon_at(step: int, steps: int) -> float:
    """The share of random actions: evenly from the first to the last value, then the last."""
    done = min(1.0, step / max(1.0, EPSILON_UNTIL * steps))
    return EPSILON_START + (EPSILON_END - EPSILON_START) * done


class EpsilonGreedy(Callback):
    """Now and then an action from anywhere in the range, held for `HELD_S`."""

    name = "epsilon"

    def __init__(self) -> None:
        super().__init__()
        self.epsilon = EPSILON_START
        self._second, self._random = 0, torch.zeros(0, dtype=torch.bool)
        self._action = torch.zeros(0)

    def before(self, learner: Learner[Any], step: int, steps: int) -> None:
        """Set the share of this update; a rollout begins."""
        assert isinstance(learner, Ppo), "only PPO explores"
        self.epsilon, self._second = epsilon_at(step, steps), 0
        learner.explore_with(self)

    def draw(
        self, actor: GaussianActor, features: Tensor, noise: Tensor, generator: torch.Generator
    ) -> Drawn:
        """The policy's draws, some replaced."""
        own = drawn_by(actor, features, noise)
        if self._second % HELD_S == 0:
            coin = torch.rand((len(features), 1), generator=generator, device=features.device)
            self._random = coin < self.epsilon
            anywhere = torch.rand(own.draw.shape, generator=generator, device=features.device)
            self._action = torch.atanh((2.0 * anywhere - 1.0).clamp(-0.99, 0.99))
        self._second += 1
        draw = torch.where(self._random, self._action, own.draw)
        return Drawn(draw, own.log_density, own.is_own * (~self._random.squeeze(1)).float())


class ParameterNoise(Callback):
    """Half of the sites act under other weights, the same ones for a whole rollout.

    Args:
        seed: of the training; with the number of the update it decides the weights.
    """

    name = "parameter-noise"
    scale: Tensor

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed
        self._other: list[GaussianActor] = []
        self.register_buffer("scale", torch.tensor(SCALE_START))

    def before(self, learner: Learner[Any], step: int, steps: int) -> None:
        """Draw the weights of this rollout."""
        assert isinstance(learner, Ppo), "only PPO explores"
        rng = torch.Generator().manual_seed(hash((self._seed, step)) % 2**63)
        other = deepcopy(learner.actor).requires_grad_(False)
        with torch.no_grad():
            for parameter in other.parameters():
                noise = torch.randn(parameter.shape, generator=rng).to(parameter.device)
                parameter.add_(self.scale * noise)
        self._other = [other]
        learner.explore_with(self)

    def draw(
        self, actor: GaussianActor, features: Tensor, noise: Tensor, generator: torch.Generator
    ) -> Drawn:
        """The first half of the rows under the other weights; their distance follows how far those act."""
        half, (other,) = len(features) // 2, self._other
        tried, own = drawn_by(other, features[:half], noise[:half]), drawn_by(actor, features, noise)
        apart = kl_of(other(features[:half]), actor(features[:half])).mean()
        self.scale *= SCALE_STEP if float(apart) < KL_WANTED else 1.0 / SCALE_STEP
        parts = zip(tried, own, strict=True)
        return Drawn(*(torch.cat([mine, whole[half:]]) for mine, whole in parts))


class Curiosity(Callback):
    """Pays for what is new, by random network distillation (Burda et al. 2018, arXiv:1810.12894).

    One network never learns; another learns to say what it says. Where it cannot, nobody has been often.
    """

    name = "curiosity"
    usual: Tensor

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.fixed, self.learnt = (
            nn.Sequential(nn.Linear(space.inputs, 64), nn.ReLU(), nn.Linear(64, CODE)) for _ in range(2)
        )
        self.fixed.requires_grad_(False)
        self.register_buffer("usual", torch.tensor(0.0))
        self.weight = NOVELTY
        self.optimizers = {"learnt": adam(self.learnt.parameters(), 1e-3)}

    def before(self, learner: Learner[Any], step: int, steps: int) -> None:
        """Set what novelty pays in this update."""
        self.weight = NOVELTY * max(0.0, 1.0 - step / (NOVELTY_UNTIL * steps))

    def novelty(self, features: Tensor) -> Tensor:
        """How far the one is off the other, [..., d] to [...]."""
        error: Tensor = (self.learnt(features) - self.fixed(features)).square().mean(-1)
        return error

    def beside(self, learner: Ppo, source: Source[Rollout]) -> Source[Rollout]:
        """Rollouts whose reward holds the bonus; the network learns from each once."""

        def draw(generator: torch.Generator) -> Rollout:
            rollout = source(generator)
            features = learner.normalize(rollout.following)
            novelty = self.novelty(features)
            optimizer = self.optimizers["learnt"]
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(novelty.mean())
            optimizer.step()
            found = novelty.detach()
            kept = NOVELTY_KEPT if float(self.usual) > 0.0 else 0.0
            self.usual.lerp_(found.mean(), 1.0 - kept)
            bonus = self.weight * found / self.usual.clamp(min=1e-9)
            return replace(rollout, reward=rollout.reward + bonus)

        return draw
