"""Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347) on many environments at once."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from training.learners.learner import ActorLearner, Report, Space, adam
from training.learners.networks import GaussianActor, Value, kl_of, log_density
from training.learners.online.environment import VectorEnvironment
from training.learners.online.noise import KeptNoise


@dataclass(frozen=True)
class PpoSettings:
    """`horizon` steps of every environment make one update; each begins at a reset.

    `kl_max` ends the epochs of an update as soon as the policy has moved further than that (nats per state,
    0 never). `noise_kept` is the correlation of the noise that draws actions, from one step to the next.
    Of `value_nets` the lesser one counts. With `prioritized` above 0 the epochs draw rows by the size of
    their advantage to this power and weigh them down by as much, so that the gradient keeps its mean.
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
    value_nets: int = 1
    prioritized: float = 0.0


PRIORITY_FLOOR = 0.1
"""Share of the draws that is uniform: no weight exceeds its inverse."""


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
    is_own: Tensor | None = None  # [T, n], 0 where somebody else than the policy drew; None: nowhere


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


class Drawn(NamedTuple):
    """Actions of n sites before squashing: [n, a], their log density [n], and 1 where the policy drew it."""

    draw: Tensor
    log_density: Tensor
    is_own: Tensor


class ActionSource(Protocol):
    """Draws actions in the place of the policy alone."""

    def draw(
        self, actor: GaussianActor, features: Tensor, noise: Tensor, generator: torch.Generator
    ) -> Drawn:
        """Of these features, with standard normal noise, [n, d] and [n, a]."""
        ...


def drawn_by(actor: GaussianActor, features: Tensor, noise: Tensor) -> Drawn:
    """What a Gaussian actor draws with this noise."""
    mean, log_std = actor(features)
    draw = mean + log_std.exp() * noise
    return Drawn(draw, log_density(draw, mean, log_std), torch.ones(len(draw), device=draw.device))


class ValueTwins(nn.Module):
    """Networks of their own for one value: [..., d] to [..., nets]."""

    def __init__(self, inputs: int, nets: int, hidden: int) -> None:
        super().__init__()
        self.nets = nn.ModuleList(Value(inputs, hidden=hidden) for _ in range(nets))

    def forward(self, features: Tensor) -> Tensor:
        """What each of them says."""
        return torch.cat([net(features) for net in self.nets], -1)


class Ppo(ActorLearner[Rollout]):
    """On-policy learner; observations are normalised with the statistics of `space`."""

    def __init__(self, space: Space, settings: PpoSettings | None = None) -> None:
        settings = settings or PpoSettings()
        super().__init__(space, log_std_start=settings.log_std_start)
        self.settings = settings
        self.entropy_weight = settings.entropy_weight
        self._sources: tuple[ActionSource, ...] = ()
        self.value: nn.Module = Value(space.inputs, hidden=space.hidden)
        if settings.value_nets > 1:  # networks of their own, so that they err apart
            self.value = ValueTwins(space.inputs, settings.value_nets, space.hidden)
        parameters = [*self.actor.parameters(), *self.value.parameters()]
        self.optimizers = {"both": adam(parameters, settings.lr)}

    def explore_with(self, source: ActionSource) -> None:
        """Let somebody draw actions in the place of the policy alone; no part of the learner's state."""
        self._sources = (source,)

    @torch.no_grad()
    def collect(self, environment: VectorEnvironment, generator: torch.Generator) -> Rollout:
        """Live `horizon` steps from a reset, drawing every action."""
        observation, rows = environment.reset(generator), []
        noise = KeptNoise(self.settings.noise_kept)
        for _ in range(self.settings.horizon):
            features = self.normalize(observation)
            fresh = noise.draw(features[:, : self.space.actions], generator)
            drawn = drawn_by(self.actor, features, fresh)
            for source in self._sources:
                drawn = source.draw(self.actor, features, fresh, generator)
            step = environment.step(self.space.scale.outward(observation, torch.tanh(drawn.draw)))
            lived = (step.reward, step.following, step.terminal, step.truncated)
            rows.append((observation, drawn.draw, drawn.log_density, *lived, drawn.is_own))
            observation = step.observation
        return Rollout(*(torch.stack(column) for column in zip(*rows, strict=True)))

    def update(self, batch: Rollout, generator: torch.Generator) -> Report:
        """Some epochs over one rollout."""
        flat = self._prepared(batch)
        before = self._policy(flat["features"])
        size, report = self.settings.minibatch, dict[str, Tensor]()
        for epoch in range(1, self.settings.epochs + 1):
            drawn, weight = self._order(flat["advantage"], generator)
            for rows in torch.split(drawn, size):
                part = {name: values[rows] for name, values in flat.items()}
                report |= self._improve(part, None if weight is None else weight[rows])
            if self.settings.kl_max > 0.0 or epoch == self.settings.epochs:
                report["kl"] = kl_of(before, self._policy(flat["features"])).mean()
            report["epochs"] = torch.tensor(float(epoch))
            if self.settings.kl_max > 0.0 and float(report["kl"]) > self.settings.kl_max:
                break
        return report | self._figures(flat) | {"reward": batch.reward.mean()}

    def _order(self, advantage: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Rows of an epoch in their order, and what each row weighs where they are drawn by priority."""
        count, device = len(advantage), generator.device
        if self.settings.prioritized == 0.0:
            return torch.randperm(count, generator=generator, device=device), None
        priority = advantage.abs().clamp(min=1e-6) ** self.settings.prioritized
        chances = (1.0 - PRIORITY_FLOOR) * priority / priority.sum() + PRIORITY_FLOOR / count
        rows = torch.multinomial(chances, count, replacement=True, generator=generator)
        return rows, 1.0 / (count * chances)

    @torch.no_grad()
    def _figures(self, flat: dict[str, Tensor]) -> Report:
        """Spread of the actions in [-1, 1], and how far the values were off what came, of all rows."""
        mean, log_std = self.actor(flat["features"])
        error = self._worth(flat["features"]) - flat["goal"]
        spread = log_std.exp() * (1.0 - torch.tanh(mean).square())
        return {"action_std": spread.mean(), "value_error": error.square().mean().sqrt()}

    def _worth(self, features: Tensor) -> Tensor:
        """The lesser value, [..., d] to [...]."""
        values: Tensor = self.value(features)
        return values.amin(-1)

    @torch.no_grad()
    def _policy(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of every state."""
        mean, log_std = self.actor(features)
        return mean, log_std

    @torch.no_grad()
    def _prepared(self, batch: Rollout) -> dict[str, Tensor]:
        """What the epochs need, one row per step and environment."""
        features = self.normalize(batch.observation)
        value = self._worth(features)
        following = self._worth(self.normalize(batch.following))
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
        if batch.is_own is not None:
            columns["is_own"] = batch.is_own
        return {name: values.flatten(0, 1) for name, values in columns.items()}

    def _improve(self, rows: dict[str, Tensor], weight: Tensor | None = None) -> Report:
        """One step; a row without the policy's own draw teaches the values only."""
        mean, log_std = self.actor(rows["features"])
        moved = log_density(rows["draw"], mean, log_std) - rows["log_density"]
        ratio, settings = moved.exp(), self.settings
        bounded = ratio.clamp(1.0 - settings.clip, 1.0 + settings.clip)
        gains = torch.minimum(ratio * rows["advantage"], bounded * rows["advantage"])
        errors = (self.value(rows["features"]) - rows["goal"][:, None]).square().sum(-1)
        if weight is not None:
            gains, errors = weight * gains, weight * errors
        policy_loss = -(gains * rows["is_own"] if "is_own" in rows else gains).mean()
        value_loss = errors.mean()
        entropy = log_std.sum(-1).mean()  # of the normal, up to a constant
        loss = policy_loss + settings.value_weight * value_loss - self.entropy_weight * entropy
        self.optimizer_step("both", loss, norm_max=0.5)
        figures = {"actor_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}
        return {name: figure.detach() for name, figure in figures.items()}
