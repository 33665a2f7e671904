"""Implicit Q-learning (Kostrikov et al. 2021, arXiv:2110.06169): no unrecorded action is ever valued."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from training.learners.data.transitions import Transitions
from training.learners.learner import ActorLearner, NormalizedBatch, Report, Space, adam
from training.learners.networks import TwinCritic, Value, soft_update


@dataclass(frozen=True)
class IqlSettings:
    """The specification's values. An action weighs exp(advantage x `inverse_temperature`), at most
    `weight_max`.

    `is_relative` divides the advantage by its spread in the batch first, so that `inverse_temperature` does
    not depend on the unit of the reward.
    """

    gamma: float = 0.99
    tau: float = 0.005
    lr: float = 3e-4
    expectile: float = 0.7
    inverse_temperature: float = 3.0
    weight_max: float = 100.0
    normalize_advantage: bool = True


def expectile_loss(excess: Tensor, expectile: float) -> Tensor:
    """Asymmetric squares, whose minimiser is the expectile of what the excess is measured from."""
    weight = torch.where(excess > 0.0, expectile, 1.0 - expectile)
    return (weight * excess.square()).mean()


def extraction_weights(advantage: Tensor, settings: IqlSettings) -> Tensor:
    """How much each recorded action counts for the policy, [n]."""
    if settings.normalize_advantage:
        advantage = advantage / advantage.std().clamp(min=1e-6)
    return (settings.inverse_temperature * advantage).exp().clamp(max=settings.weight_max)


class Iql(ActorLearner[Transitions]):
    """Values by expectile, critics towards them, policy by weighted imitation."""

    def __init__(self, space: Space, settings: IqlSettings | None = None) -> None:
        super().__init__(space, log_std_range=(-5.0, 2.0))
        self.settings = settings = settings or IqlSettings()
        self.critic = TwinCritic(space.inputs, space.actions, space.hidden)
        self.target = deepcopy(self.critic).requires_grad_(False)
        self.value = Value(space.inputs, hidden=space.hidden)
        self.optimizers = {
            "actor": adam(self.actor.parameters(), settings.lr),
            "critic": adam(self.critic.parameters(), settings.lr),
            "value": adam(self.value.parameters(), settings.lr),
        }

    def update(self, batch: Transitions, generator: torch.Generator) -> Report:
        """One step of value, critics and actor."""
        seen = self.seen(batch)
        with torch.no_grad():
            recorded = self.target.min_q(seen.features, seen.action)
            goal = self.td_target(seen)
        value_loss = expectile_loss(recorded - self.value(seen.features).squeeze(1), self.settings.expectile)
        self.optimizer_step("value", value_loss)
        values = self.critic(seen.features, seen.action)
        critic_loss = torch.stack([(value - goal).square().mean() for value in values]).sum()
        self.optimizer_step("critic", critic_loss)
        with torch.no_grad():
            advantage = recorded - self.value(seen.features).squeeze(1)
            weights = extraction_weights(advantage, self.settings)
        actor_loss = -(weights * self.actor.log_density_of(seen.features, seen.action)).mean()
        self.optimizer_step("actor", actor_loss)
        soft_update(self.target, self.critic, self.settings.tau)
        losses = {"value_loss": value_loss, "critic_loss": critic_loss, "actor_loss": actor_loss}
        figures = {"advantage": advantage.mean(), "weight": weights.mean()}
        return {name: loss.detach() for name, loss in losses.items()} | figures

    def td_target(self, seen: NormalizedBatch) -> Tensor:
        """What the critics should say."""
        following: Tensor = self.value(seen.following).squeeze(1)
        return seen.reward + self.settings.gamma * seen.not_terminal * following
