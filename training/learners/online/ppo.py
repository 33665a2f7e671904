"""Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347) on many environments at once."""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.learners.learner import ActorLearner, Report, Space, adam
from training.learners.networks import Value, log_density
from training.learners.online.environment import VectorEnvironment
from training.learners.online.noise import KeptNoise


@dataclass(frozen=True)
class PpoSettings:
    """`horizon` steps of every environment make one update; each begins at a reset.

    `kl_max` ends the epochs of an update as soon as the policy has moved further than that (nats per state,
    0 never). `noise_kept` is the correlation of the noise that draws actions, from one step to the next.
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
    noise_kept: float = 0.0


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


def kl_of(old: tuple[Tensor, Tensor], new: tuple[Tensor, Tensor]) -> Tensor:
    """KL divergence of Gaussians given as mean and log standard deviation, [n, a] each, to nats [n].

    Squashing moves both alike, so it is the divergence of the squashed policies as well.
    """
    (mean, log_std), (new_mean, new_log_std) = old, new
    spread = ((2.0 * log_std).exp() + (mean - new_mean).square()) / (2.0 * (2.0 * new_log_std).exp())
    return (new_log_std - log_std + spread - 0.5).sum(-1)


class Ppo(ActorLearner[Rollout]):
    """On-policy learner; observations are normalised with the statistics of `space`."""

    def __init__(self, space: Space, settings: PpoSettings | None = None) -> None:
        settings = settings or PpoSettings()
        super().__init__(space, log_std_start=settings.log_std_start)
        self.settings = settings
        self.entropy_weight = settings.entropy_weight
        self.value = Value(space.inputs, hidden=space.hidden)
        parameters = [*self.actor.parameters(), *self.value.parameters()]
        self.optimizers = {"both": adam(parameters, settings.lr)}

    @torch.no_grad()
    def collect(self, environment: VectorEnvironment, generator: torch.Generator) -> Rollout:
        """Live `horizon` steps from a reset, drawing every action."""
        observation, rows = environment.reset(generator), []
        noise = KeptNoise(self.settings.noise_kept)
        for _ in range(self.settings.horizon):
            mean, log_std = self.actor(self.normalize(observation))
            draw = mean + log_std.exp() * noise.draw(mean, generator)
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
        before = self._policy(flat["features"])
        count, size, report = len(flat["draw"]), self.settings.minibatch, dict[str, Tensor]()
        for epoch in range(1, self.settings.epochs + 1):
            shuffled = torch.randperm(count, generator=generator, device=generator.device)
            for rows in torch.split(shuffled, size):
                report |= self._improve({name: values[rows] for name, values in flat.items()})
            if self.settings.kl_max > 0.0 or epoch == self.settings.epochs:
                report["kl"] = kl_of(before, self._policy(flat["features"])).mean()
            report["epochs"] = torch.tensor(float(epoch))
            if self.settings.kl_max > 0.0 and float(report["kl"]) > self.settings.kl_max:
                break
        return report | {"reward": batch.reward.mean()}

    @torch.no_grad()
    def _policy(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of every state."""
        mean, log_std = self.actor(features)
        return mean, log_std

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
        loss = policy_loss + settings.value_weight * value_loss - self.entropy_weight * entropy
        self.optimizer_step("both", loss, norm_max=0.5)
        figures = {"actor_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}
        return {name: figure.detach() for name, figure in figures.items()}
