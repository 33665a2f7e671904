"""TD3+BC (Fujimoto and Gu 2021, arXiv:2106.06860): a deterministic policy gradient held near the data."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from training.learners.data.transitions import Transitions
from training.learners.learner import CriticLearner, NormalizedBatch, Report, Space, adam
from training.learners.networks import TwinCritic, soft_update


@dataclass(frozen=True)
class Td3BcSettings:
    """`value_weight` is the paper's alpha: how much value counts against one square of distance to the data.

    With `is_relative` the distance is measured in spreads of the recorded actions. `noise` and `noise_max`
    smooth the target policy; the actor learns at every `actor_every`-th step, and not in the first
    `critic_warmup_steps` ones: a good actor would follow critics that know nothing yet.
    """

    gamma: float = 0.99
    tau: float = 0.005
    lr: float = 3e-4
    value_weight: float = 2.5
    normalize_advantage: bool = False
    noise: float = 0.2
    noise_max: float = 0.5
    actor_every: int = 2
    critic_warmup_steps: int = 0


class Td3Bc(CriticLearner):
    """Off-policy learner of a deterministic policy."""

    updates: Tensor

    def __init__(self, space: Space, settings: Td3BcSettings | None = None) -> None:
        super().__init__(space)
        self.settings = settings = settings or Td3BcSettings()
        self.critic = TwinCritic(space.inputs, space.actions, space.hidden)
        self.target = deepcopy(self.critic).requires_grad_(False)
        self.actor_target = deepcopy(self.actor).requires_grad_(False)
        self.register_buffer("updates", torch.tensor(0))
        self.optimizers = {
            "actor": adam(self.actor.parameters(), settings.lr),
            "critic": adam(self.critic.parameters(), settings.lr),
        }

    def update(self, batch: Transitions, generator: torch.Generator) -> Report:
        """One step of the critics; of the actor and the targets now and then."""
        seen = self.seen(batch)
        goal = self.td_target(seen, generator)
        values = self.critic(seen.features, seen.action)
        critic_loss = self.miss(values, goal, seen.weight)
        self.optimizer_step("critic", critic_loss)
        self.updates += 1
        report = {"critic_loss": critic_loss.detach(), "value": values[0].mean().detach()}
        updates = int(self.updates)
        if updates % self.settings.actor_every == 0:
            if updates > self.settings.critic_warmup_steps:
                report |= self._improve_actor(seen)
            soft_update(self.target, self.critic, self.settings.tau)
            soft_update(self.actor_target, self.actor, self.settings.tau)
        return report

    def td_target(self, seen: NormalizedBatch, generator: torch.Generator) -> Tensor:
        """What the critics should say; the target action is blurred, so that no peak is exploited."""
        settings = self.settings
        with torch.no_grad():
            action = self.actor_target.mode(seen.following)
            noise = torch.randn(action.shape, generator=generator, device=action.device) * settings.noise
            action = (action + noise.clamp(-settings.noise_max, settings.noise_max)).clamp(-1.0, 1.0)
            value = self.target.min_q(seen.following, action)
            return seen.reward + settings.gamma * seen.not_terminal * value

    def _improve_actor(self, seen: NormalizedBatch) -> Report:
        action = self.actor.mode(seen.features)
        value = self.critic.first(seen.features, action)
        distance = (action - seen.action).square().mean()
        if self.settings.normalize_advantage:
            distance = distance / seen.action.var().clamp(min=1e-6)
        size = value.detach().abs().mean().clamp(min=1e-6)
        loss = distance - self.settings.value_weight * value.mean() / size
        self.optimizer_step("actor", loss)
        return {"actor_loss": loss.detach(), "distance": distance.detach()}
