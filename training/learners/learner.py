"""What every learner is: networks, optimisers, and an update from one batch."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from training.artifacts.checkpoint import LEARNER, Contents
from training.imitation.policy_net import FeatureScaling
from training.learners.attention import PhaseActor
from training.learners.data.transitions import Transitions
from training.learners.networks import (
    HIDDEN,
    Actor,
    DeployedPolicy,
    GaussianActor,
    Normalize,
    Scale,
    UnscaledAction,
)

BatchT = TypeVar("BatchT")
Report = dict[str, Tensor]
"""Figures of one update, detached, by name."""


@dataclass(frozen=True)
class Space:
    """What a learner sees and does.

    Args:
        scaling: mean and standard deviation of the observations, [d] each.
        actions: number of actions.
        scale: from actions in [-1, 1] to what is sent.
        hidden: width of the layers.
        attends: the actor looks at three phases alike (`training.learners.attention`), in tokens half as
            wide; for the 30 features of a site only.
        clip: observations further from their mean count as this many standard deviations; inf: as they are.
    """

    scaling: FeatureScaling
    actions: int
    scale: Scale = field(default_factory=UnscaledAction)
    hidden: int = HIDDEN
    attends: bool = False
    clip: float = inf

    @property
    def inputs(self) -> int:
        """Number of features."""
        return len(self.scaling.mean)


def adam(parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Adam:
    """The optimiser of all learners; fused, as small networks spend most of a step in its calls."""
    return torch.optim.Adam(parameters, lr, fused=True)


class Learner(nn.Module, Generic[BatchT]):
    """Networks with their optimisers. Its state, with theirs, is all that a checkpoint holds."""

    def __init__(self) -> None:
        super().__init__()
        self.optimizers: dict[str, torch.optim.Optimizer] = {}

    @abstractmethod
    def update(self, batch: BatchT, generator: torch.Generator) -> Report:
        """Learn from one batch."""

    def contents(self, generator: torch.Generator) -> Contents:
        """What its checkpoints hold, with the randomness of its training."""
        return Contents(type(self).__name__, {LEARNER: self}, self.optimizers, generator)

    def optimizer_step(self, name: str, loss: Tensor, norm_max: float = 10.0) -> None:
        """One step of the named optimiser, with the norm of the gradient bounded."""
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss, inputs=[p for g in optimizer.param_groups for p in g["params"]])
        nn.utils.clip_grad_norm_((p for g in optimizer.param_groups for p in g["params"]), norm_max)
        optimizer.step()


@dataclass(frozen=True)
class NormalizedBatch:
    """A batch as the networks see it."""

    features: Tensor  # [n, d] normalised
    action: Tensor  # [n, a] in (-1, 1)
    reward: Tensor  # [n]
    following: Tensor  # [n, d] normalised
    not_terminal: Tensor  # [n], 0 where the transition is terminal
    weight: Tensor | None = None  # [n], how much the row counts for the critics


class ActorLearner(Learner[BatchT]):
    """A learner with a squashed Gaussian actor that can be deployed."""

    def __init__(
        self, space: Space, log_std_range: tuple[float, float] = (-20.0, 2.0), log_std_start: float = -1.0
    ) -> None:
        super().__init__()
        self.space = space
        self.normalize = Normalize(space.scaling, space.clip)
        self.actor: GaussianActor
        if space.attends:
            self.actor = PhaseActor(space.hidden // 2, log_std_range, log_std_start)
        else:
            self.actor = Actor(space.inputs, space.actions, space.hidden, log_std_range, log_std_start)

    def deployed(self) -> DeployedPolicy:
        """The deterministic policy, raw observations to what is sent; it shares the weights."""
        return DeployedPolicy(self.normalize, self.actor, self.space.scale)

    def seen(self, batch: Transitions) -> NormalizedBatch:
        """Normalise observations and scale actions. Truncation does not end anything; termination does."""
        return NormalizedBatch(
            self.normalize(batch.observation),
            self.space.scale.inward(batch.observation, batch.action),
            batch.reward,
            self.normalize(batch.following),
            1.0 - batch.terminal,
            batch.weight,
        )


class CriticLearner(ActorLearner[Transitions]):
    """A learner whose critics follow a goal. `surprise` is how far they were off in the last batch, [n]."""

    surprise: Tensor | None = None

    def miss(self, values: tuple[Tensor, Tensor], goal: Tensor, weight: Tensor | None) -> Tensor:
        """Mean square of what each critic is off by, weighted by row, summed over both."""
        errors = torch.stack([value - goal for value in values])
        self.surprise = errors.detach().abs().mean(0)
        squares = errors.square()
        return (squares if weight is None else weight * squares).mean(1).sum()
