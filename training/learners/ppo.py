"""Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347) on many environments at once."""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.learners.environment import VectorEnvironment
from training.learners.learner import ActorLearner, Report, Space, adam
from training.learners.networks import Value, log_density


@dataclass(frozen=True)
class PpoSettings:
    """`horizon` steps of every environment make one update; each begins at a reset.

    `kl_max` ends the epochs of an update early when the policy has moved that far (in nats), 0 never.
    """

    gamma: float = 0.93
    lam: float = 0.9
    lr: float = 5e-4
    horizon: int = 48
    epochs: int = 6
    minibatch: int = 2304
    clip: float = 0.2
    value_weight: float = 0.5
    entropy_weight: float = 0.0
    log_std_start: float = -1.5
    kl_max: float = 0.0


@dataclass(frozen=True, slots=True)
class Rollout:
    """T steps of n environments. `draw` is the action before squashing."""

    observation: Tensor  # [T, n, d]
    draw: Tensor  # [T, n, a]
    log_density: Tensor  # [T, n], of the squashed action when it was drawn
    reward: Tensor  # [T, n]
    following: Tensor  # [T, n, d]
    terminal: Tensor  # [T, n]
    truncated: Tensor  # [T, n]


def advantages(
    reward: Tensor,
    value: Tensor,
    following_value: Tensor,
    terminal: Tensor,
    truncated: Tensor,
    gamma: float,
    lam: float,
) -> Tensor:
    """Generalised advantage estimation (Schulman et al. 2016, arXiv:1506.02438), [T, n] throughout.

    What follows a truncated step still counts as its value says, but nothing is carried over from the episode
    after it; what follows a terminal step is worth nothing.
    """
    surprise = reward + gamma * (1.0 - terminal) * following_value - value
    kept = gamma * lam * (1.0 - torch.maximum(terminal, truncated))
    result, running = torch.empty_like(reward), torch.zeros_like(reward[0])
    for t in range(len(reward) - 1, -1, -1):
        running = surprise[t] + kept[t] * running
        result[t] = running
    return result


class Ppo(ActorLearner[Rollout]):
    """On-policy learner; observations are normalised with the statistics of `space`."""

    def __init__(self, space: Space, settings: PpoSettings | None = None) -> None:
        settings = settings or PpoSettings()
        super().__init__(space, log_std_start=settings.log_std_start)
        self.settings = settings
        self.value = Value(space.inputs, hidden=space.hidden)
        parameters = [*self.actor.parameters(), *self.value.parameters()]
        self.optimizers = {"both": adam(parameters, settings.lr)}

    @torch.no_grad()
    def collect(self, environment: VectorEnvironment, generator: torch.Generator) -> Rollout:
        """Live `horizon` steps from a reset, drawing every action."""
        observation, rows = environment.reset(generator), []
        for _ in range(self.settings.horizon):
            mean, log_std = self.actor(self.normalize(observation))
            noise = torch.randn(mean.shape, generator=generator, device=mean.device)
            draw = mean + log_std.exp() * noise
            step = environment.step(self.space.scale.outward(observation, torch.tanh(draw)))
            density = log_density(draw, mean, log_std)
            rows.append(
                (observation, draw, density, step.reward, step.following, step.terminal, step.truncated)
            )
            observation = step.observation
        return Rollout(*(torch.stack(column) for column in zip(*rows, strict=True)))

    def update(self, batch: Rollout, generator: torch.Generator) -> Report:
        """Some epochs over one rollout."""
        flat = self._prepared(batch)
        count, size = len(flat["draw"]), self.settings.minibatch
        report: Report = {"reward": batch.reward.mean()}
        for _ in range(self.settings.epochs):
            shuffled = torch.randperm(count, generator=generator, device=generator.device)
            for rows in torch.split(shuffled, size):
                figures = self._improve({name: values[rows] for name, values in flat.items()})
            report |= figures
            if 0.0 < self.settings.kl_max < float(report["kl"]):
                break
        return report

    @torch.no_grad()
    def _prepared(self, batch: Rollout) -> dict[str, Tensor]:
        """What the epochs need, one row per step and environment."""
        features = self.normalize(batch.observation)
        value = self.value(features).squeeze(-1)
        following = self.value(self.normalize(batch.following)).squeeze(-1)
        advantage = advantages(
            batch.reward,
            value,
            following,
            batch.terminal,
            batch.truncated,
            self.settings.gamma,
            self.settings.lam,
        )
        columns = {
            "features": features,
            "draw": batch.draw,
            "log_density": batch.log_density,
            "advantage": (advantage - advantage.mean()) / (advantage.std() + 1e-8),
            "goal": advantage + value,
        }
        return {name: values.flatten(0, 1) for name, values in columns.items()}

    def _improve(self, rows: dict[str, Tensor]) -> Report:
        mean, log_std = self.actor(rows["features"])
        moved = log_density(rows["draw"], mean, log_std) - rows["log_density"]
        ratio, settings = moved.exp(), self.settings
        bounded = ratio.clamp(1.0 - settings.clip, 1.0 + settings.clip)
        policy_loss = -torch.minimum(ratio * rows["advantage"], bounded * rows["advantage"]).mean()
        value_loss = (self.value(rows["features"]).squeeze(-1) - rows["goal"]).square().mean()
        entropy = log_std.sum(-1).mean()  # of the normal, up to a constant
        loss = policy_loss + settings.value_weight * value_loss - settings.entropy_weight * entropy
        self.descend("both", loss, norm_max=0.5)
        kl = (ratio - 1.0 - moved).mean()  # Schulman's estimate, never negative
        return {"actor_loss": policy_loss.detach(), "value_loss": value_loss.detach(), "kl": kl.detach()}
