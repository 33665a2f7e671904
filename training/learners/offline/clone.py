"""Behaviour cloning: the recorded action, by least squares on tanh(mean)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.learners.data.transitions import Transitions
from training.learners.learner import ActorLearner, Report, Space, adam


@dataclass(frozen=True)
class CloneSettings:
    """Step size, and the spread before squashing of whoever starts from the clone, which does not learn it.

    exp(-2.5) of a residual of 1000 W is 80 W: who explores wider values actions that no log holds.
    """

    lr: float = 1e-3
    log_std: float = -2.5


class Clone(ActorLearner[Transitions]):
    """Learns what the behaviour does, and nothing about whether it is good."""

    def __init__(self, space: Space, settings: CloneSettings | None = None) -> None:
        settings = settings or CloneSettings()
        super().__init__(space, log_std_start=settings.log_std)
        self.optimizers = {"actor": adam(self.actor.parameters(), settings.lr)}

    def error(self, batch: Transitions) -> Tensor:
        """Mean squared deviation from the recorded actions, in units of [-1, 1]."""
        seen = self.seen(batch)
        return (self.actor.mode(seen.features) - seen.action).square().mean()

    def update(self, batch: Transitions, generator: torch.Generator) -> Report:
        """One step."""
        loss = self.error(batch)
        self.optimizer_step("actor", loss)
        return {"actor_loss": loss.detach()}
