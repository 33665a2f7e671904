"""Soft actor-critic (Haarnoja et al. 2018, arXiv:1812.05905), with conservative critics when wanted
(CQL, Kumar et al. 2020, arXiv:2006.04779)."""

from copy import deepcopy
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor, nn

from training.learners.data.transitions import Transitions
from training.learners.learner import CriticLearner, NormalizedBatch, Report, Space, adam
from training.learners.networks import ACTION_EDGE, TwinCritic, log_density, soft_update


@dataclass(frozen=True)
class SacSettings:
    """The specification's values. `entropy_target` is the wanted entropy in nats; by default -1 per action.

    `cql_weight` 0 is plain SAC. In the first `critic_warmup_steps` updates only the critics learn: a good
    actor would follow critics that know nothing yet. `entropy_start` is the temperature at the start, or for
    good where `tunes_entropy` is off.
    """

    gamma: float = 0.99
    tau: float = 0.005
    lr: float = 3e-4
    entropy_start: float = 0.2
    entropy_target: float | None = None
    tunes_entropy: bool = True
    cql_weight: float = 0.0
    cql_samples: int = 10
    critic_warmup_steps: int = 0


class Sac(CriticLearner):
    """Off-policy learner of a stochastic policy."""

    updates: Tensor

    def __init__(self, space: Space, settings: SacSettings | None = None) -> None:
        super().__init__(space)
        self.settings = settings = settings or SacSettings()
        self.critic = TwinCritic(space.inputs, space.actions, space.hidden)
        self.target = deepcopy(self.critic).requires_grad_(False)
        self.log_temperature = nn.Parameter(torch.tensor(log(settings.entropy_start)))
        target = settings.entropy_target
        self.register_buffer("updates", torch.tensor(0))
        self._entropy_target = -float(space.actions) if target is None else target
        self.optimizers = {
            "actor": adam(self.actor.parameters(), settings.lr),
            "critic": adam(self.critic.parameters(), settings.lr),
            "temperature": adam([self.log_temperature], settings.lr),
        }

    def update(self, batch: Transitions, generator: torch.Generator) -> Report:
        """One step of the critics, the actor and the temperature."""
        seen = self.seen(batch)
        report = self._improve_critic(seen, generator)
        self.updates += 1
        if int(self.updates) > self.settings.critic_warmup_steps:
            report |= self._improve_actor(seen.features, generator)
        soft_update(self.target, self.critic, self.settings.tau)
        return report

    def td_target(self, seen: NormalizedBatch, generator: torch.Generator) -> Tensor:
        """What the critics should say: reward and, where life goes on, the soft value of what follows."""
        with torch.no_grad():
            action, density = self.actor.sample(seen.following, generator)
            soft = self.target.min_q(seen.following, action) - self.log_temperature.exp() * density
            return seen.reward + self.settings.gamma * seen.not_terminal * soft

    def _improve_critic(self, seen: NormalizedBatch, generator: torch.Generator) -> Report:
        goal = self.td_target(seen, generator)
        values = self.critic(seen.features, seen.action)
        error = self.miss(values, goal, seen.weight)
        report = {"critic_loss": error.detach(), "value": values[0].mean().detach()}
        loss = error
        if self.settings.cql_weight > 0.0:
            penalty = self.cql_penalty(seen, values, generator)
            report["penalty"] = penalty.detach()
            loss = error + self.settings.cql_weight * penalty
        self.optimizer_step("critic", loss)
        return report

    def cql_penalty(
        self, seen: NormalizedBatch, values: tuple[Tensor, Tensor], generator: torch.Generator
    ) -> Tensor:
        """CQL(H): how much better than the recorded action the others of its state seem, summed over critics.

        log of the integral of exp(Q) over the actions of each state, minus Q of the recorded action. The
        integral is sampled from three proposals (uniform, the policy here, the policy there), each sample
        weighted by the density of their mixture, so that no weight is larger than uniform samples need.
        """
        actions, log_densities = self._proposed(seen, generator)
        samples = actions.shape[1]
        states = seen.features[:, None].expand(-1, samples, -1)
        gaps = [
            torch.logsumexp(sampled - log_densities, 1).mean() - log(samples) - value.mean()
            for sampled, value in zip(self.critic(states, actions), values, strict=True)
        ]
        return torch.stack(gaps).sum()

    @torch.no_grad()
    def _proposed(self, seen: NormalizedBatch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Actions for each state, [n, m, a], and the log densities of their mixture, [n, m]."""
        shape = (len(seen.features), self.settings.cql_samples, self.space.actions)
        device = seen.features.device
        uniform = 2.0 * torch.rand(shape, generator=generator, device=device) - 1.0
        draws, normals = [torch.atanh(uniform.clamp(-ACTION_EDGE, ACTION_EDGE))], []
        for features in (seen.features, seen.following):
            mean, log_std = (x[:, None] for x in self.actor(features))
            noise = torch.randn(shape, generator=generator, device=device)
            draws.append(mean + log_std.exp() * noise)
            normals.append((mean, log_std))
        z = torch.cat(draws, 1)
        densities = [log_density(z, mean, log_std) for mean, log_std in normals]
        flat = torch.full_like(densities[0], -self.space.actions * log(2.0))
        return torch.tanh(z), torch.logsumexp(torch.stack([flat, *densities]), 0) - log(3.0)

    def _improve_actor(self, features: Tensor, generator: torch.Generator) -> Report:
        temperature = self.log_temperature.exp().detach()
        action, density = self.actor.sample(features, generator)
        loss = (temperature * density - self.critic.min_q(features, action)).mean()
        self.optimizer_step("actor", loss)
        entropy = -density.detach().mean()
        if self.settings.tunes_entropy:
            self.optimizer_step("temperature", self.log_temperature * (entropy - self._entropy_target))
        return {"actor_loss": loss.detach(), "entropy": entropy, "temperature": temperature}
