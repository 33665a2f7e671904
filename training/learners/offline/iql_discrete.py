"""Implicit Q-learning over masked choices: infeasible ones are neither valued nor ever chosen."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.imitation.policy_net import FeatureScaling
from training.learners.data.transitions import Transitions, TransitionsError
from training.learners.learner import Learner, Report, adam
from training.learners.networks import HIDDEN, Normalize, Value, soft_update
from training.learners.offline.discrete_actions import DeployedChoice, Levels
from training.learners.offline.iql import IqlSettings, expectile_loss, extraction_weights


def masked(logits: Tensor, mask: Tensor) -> Tensor:
    """Logits whose softmax gives infeasible choices exactly nothing. Every row needs a feasible choice."""
    if not bool(mask.any(-1).all()):
        raise TransitionsError("a state without any feasible choice")
    return logits.masked_fill(~mask, -torch.inf)


@dataclass(frozen=True)
class Choices:
    """A learner's view of discrete choices: statistics of the observations, how many choices, layer width."""

    scaling: FeatureScaling
    count: int
    hidden: int = HIDDEN


class DiscreteIql(Learner[Transitions]):
    """`Transitions.action` holds the index of the choice, `mask` what was feasible.

    `levels` says what the choices are on a site; without them there is nothing to deploy.
    """

    def __init__(
        self, choices: Choices, settings: IqlSettings | None = None, levels: Levels | None = None
    ) -> None:
        super().__init__()
        self.levels = levels
        self.settings = settings = settings or IqlSettings()
        inputs, hidden = len(choices.scaling.mean), choices.hidden
        self.normalize = Normalize(choices.scaling)
        self.actor = Value(inputs, choices.count, hidden)
        self.first, self.second = (Value(inputs, choices.count, hidden) for _ in range(2))
        self.targets = nn.ModuleList(deepcopy([self.first, self.second])).requires_grad_(False)
        self.value = Value(inputs, hidden=hidden)
        critics = [*self.first.parameters(), *self.second.parameters()]
        self.optimizers = {
            "actor": adam(self.actor.parameters(), settings.lr),
            "critic": adam(critics, settings.lr),
            "value": adam(self.value.parameters(), settings.lr),
        }

    def deployed(self) -> DeployedChoice:
        """The likeliest feasible choice, raw observations to watts; it shares the weights."""
        assert self.levels is not None, "choices without levels"
        return DeployedChoice(self.normalize, self.actor, self.levels)

    def best(self, observation: Tensor, mask: Tensor) -> Tensor:
        """The likeliest feasible choice, [n]."""
        return masked(self.actor(self.normalize(observation)), mask).argmax(-1)

    def draw(self, observation: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
        """A feasible choice at random as the policy weighs them, [n]."""
        chances = torch.softmax(masked(self.actor(self.normalize(observation)), mask), -1)
        return torch.multinomial(chances, 1, generator=generator).squeeze(1)

    def update(self, batch: Transitions, generator: torch.Generator) -> Report:
        """One step of value, critics and actor."""
        if batch.mask is None:
            raise TransitionsError("discrete choices need a mask")
        features, choice = self.normalize(batch.observation), batch.action.long()
        with torch.no_grad():
            recorded = torch.minimum(*(net(features).gather(1, choice).squeeze(1) for net in self.targets))
            following = self.value(self.normalize(batch.following)).squeeze(1)
            goal = batch.reward + self.settings.gamma * (1.0 - batch.terminal) * following
        value_loss = expectile_loss(recorded - self.value(features).squeeze(1), self.settings.expectile)
        self.optimizer_step("value", value_loss)
        errors = [net(features).gather(1, choice).squeeze(1) - goal for net in (self.first, self.second)]
        critic_loss = torch.stack([error.square().mean() for error in errors]).sum()
        self.optimizer_step("critic", critic_loss)
        with torch.no_grad():
            weights = extraction_weights(recorded - self.value(features).squeeze(1), self.settings)
        log_chances = torch.log_softmax(masked(self.actor(features), batch.mask), -1)
        actor_loss = -(weights * log_chances.gather(1, choice).squeeze(1)).mean()
        self.optimizer_step("actor", actor_loss)
        for target, source in zip(self.targets, (self.first, self.second), strict=True):
            soft_update(target, source, self.settings.tau)
        losses = {"value_loss": value_loss, "critic_loss": critic_loss, "actor_loss": actor_loss}
        return {name: loss.detach() for name, loss in losses.items()}
