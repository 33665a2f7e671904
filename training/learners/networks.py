"""The specification's networks: squashed Gaussian actor, twin critics, value; and what is around them.

Actions of the learners lie in [-1, 1]. A `Scale` turns them into watts and back; it goes into the exported
graph together with the normalisation, so that raw features go in and watts come out.
"""

from abc import abstractmethod
from math import inf, log, pi
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from core.limits import PHASE_CAP_W
from models.features import PHASE_FEATURES
from training.imitation.policy_net import FeatureScaling

HIDDEN = 256
LOG_STD_RANGE = (-20.0, 2.0)
ACTION_EDGE = 0.999
"""Recorded actions are held this far inside (-1, 1), where the inverse of tanh is still tame."""
_STRIDE = len(PHASE_FEATURES)
_SURPLUS = slice(PHASE_FEATURES.index("surplus_hat_w"), 3 * _STRIDE, _STRIDE)


def trunk(inputs: int, hidden: int) -> nn.Sequential:
    """Two layers with LayerNorm and ReLU."""
    layers: list[nn.Module] = []
    for width in (inputs, hidden):
        layers += [nn.Linear(width, hidden), nn.LayerNorm(hidden), nn.ReLU()]
    return nn.Sequential(*layers)


class Normalize(nn.Module):
    """Raw observations to asinh of their standard score: small values stay linear, large ones stay apart.

    Scores beyond +-`clip` count as `clip`. A state with another `clip` is another policy: loading it raises
    ValueError. A state that says none has none.
    """

    mean: Tensor
    std: Tensor
    clip: Tensor

    def __init__(self, scaling: FeatureScaling, clip: float = inf) -> None:
        super().__init__()
        self._clip = clip
        self.register_buffer("mean", scaling.mean.clone())
        self.register_buffer("std", scaling.std.clone())
        self.register_buffer("clip", torch.tensor(clip, dtype=torch.float64))
        self.register_load_state_dict_pre_hook(Normalize._require_same_clip)  # type: ignore[no-untyped-call]

    def forward(self, observation: Tensor) -> Tensor:
        """[n, d] to [n, d]."""
        score = (observation - self.mean) / self.std
        if self._clip < inf:
            score = score.clamp(-self._clip, self._clip)
        return torch.asinh(score)

    def raw(self, features: Tensor) -> Tensor:
        """The observation of some features, [n, d] to [n, d]."""
        return torch.sinh(features) * self.std + self.mean

    def _require_same_clip(self, state: dict[str, Any], prefix: str, *_about_loading: object) -> None:
        found = float(state.setdefault(f"{prefix}clip", torch.tensor(inf, dtype=torch.float64)))
        if found != self._clip:
            had, wanted = (
                f"--clip-observation {clip if clip < inf else 0:g}" for clip in (found, self._clip)
            )
            raise ValueError(f"its actor saw observations with {had}, not with {wanted}; give the same")


class Scale(Protocol):
    """Between actions in [-1, 1] and what is sent, [n, a]."""

    def outward(self, observation: Tensor, action: Tensor) -> Tensor: ...
    def inward(self, observation: Tensor, sent: Tensor) -> Tensor: ...


class UnscaledAction:
    """Actions are sent as they are."""

    def outward(self, observation: Tensor, action: Tensor) -> Tensor:
        """The action."""
        return action

    def inward(self, observation: Tensor, sent: Tensor) -> Tensor:
        """The action, held inside its open interval."""
        return sent.clamp(-ACTION_EDGE, ACTION_EDGE)


class Absolute:
    """The specification's scale: -1 is 0 W, +1 is 5000 W."""

    def outward(self, observation: Tensor, action: Tensor) -> Tensor:
        """Watts of an action."""
        return (action + 1.0) * (0.5 * PHASE_CAP_W)

    def inward(self, observation: Tensor, sent: Tensor) -> Tensor:
        """The action of some watts."""
        return (sent / (0.5 * PHASE_CAP_W) - 1.0).clamp(-ACTION_EDGE, ACTION_EDGE)


class Residual:
    """Watts added to the estimated surplus, so that a network need not learn the identity.

    0 W and 5000 W do not say how far beyond them an action would have gone; there the action nearest to
    zero that gives them is taken.
    """

    def __init__(self, span_w: float = 1000.0) -> None:
        self._span_w = span_w

    def outward(self, observation: Tensor, action: Tensor) -> Tensor:
        """Watts of an action."""
        return torch.clamp(observation[:, _SURPLUS] + self._span_w * action, 0.0, PHASE_CAP_W)

    def inward(self, observation: Tensor, sent: Tensor) -> Tensor:
        """The action of some watts."""
        action = (sent - observation[:, _SURPLUS]) / self._span_w
        action = torch.where(sent <= 0.0, action.clamp(max=0.0), action)
        action = torch.where(sent >= PHASE_CAP_W, action.clamp(min=0.0), action)
        return action.clamp(-ACTION_EDGE, ACTION_EDGE)


def log_density(z: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Log density of tanh(z), z normal: [..., a] to [...].

    log(1 - tanh(z)^2) is written as 2 (log 2 - z - softplus(-2 z)), which neither overflows nor loses digits.
    """
    normal = -0.5 * ((z - mean) / log_std.exp()) ** 2 - log_std - 0.5 * log(2.0 * pi)
    bend = 2.0 * (log(2.0) - z - nn.functional.softplus(-2.0 * z))
    return (normal - bend).sum(-1)


def kl_of(old: tuple[Tensor, Tensor], new: tuple[Tensor, Tensor]) -> Tensor:
    """KL divergence of Gaussians given as mean and log standard deviation, [n, a] each, to nats [n].

    Squashing moves both alike, so it is the divergence of the squashed policies as well.
    """
    (mean, log_std), (new_mean, new_log_std) = old, new
    spread = ((2.0 * log_std).exp() + (mean - new_mean).square()) / (2.0 * (2.0 * new_log_std).exp())
    return (new_log_std - log_std + spread - 0.5).sum(-1)


class GaussianActor(nn.Module):
    """A squashed Gaussian policy on normalised observations; its last layers are `mean` and `log_std`."""

    mean: nn.Linear
    log_std: nn.Linear

    @abstractmethod
    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation before squashing, [n, a] each."""

    def mode(self, features: Tensor) -> Tensor:
        """The deterministic action, tanh(mean)."""
        return torch.tanh(self(features)[0])

    def sample(
        self, features: Tensor, generator: torch.Generator, count: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Actions and their log densities; gradients pass through both.

        Returns:
            [n, a] and [n]; with `count` samples per row, [n, count, a] and [n, count].
        """
        mean, log_std = self(features)
        if count is not None:
            mean, log_std = (x[:, None].expand(-1, count, -1) for x in (mean, log_std))
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        z = mean + log_std.exp() * noise
        return torch.tanh(z), log_density(z, mean, log_std)

    def log_density_of(self, features: Tensor, action: Tensor) -> Tensor:
        """Log density of recorded actions inside (-1, 1): [n]."""
        return log_density(torch.atanh(action), *self(features))


def heads(hidden: int, actions: int, log_std_start: float) -> tuple[nn.Linear, nn.Linear]:
    """Layers of mean and log standard deviation: the mean starts at 0, the other at `log_std_start`."""
    mean, log_std = nn.Linear(hidden, actions), nn.Linear(hidden, actions)
    for layer in (mean, log_std):
        nn.init.zeros_(layer.weight)
    nn.init.zeros_(mean.bias)
    nn.init.constant_(log_std.bias, log_std_start)
    return mean, log_std


class Actor(GaussianActor):
    """The specification's: two layers with LayerNorm and ReLU. The mean starts at zero.

    Args:
        inputs, actions: numbers of features and of actions.
        hidden: width of both layers.
        log_std_range: bounds of the log standard deviation before squashing.
        log_std_start: where it starts.
    """

    def __init__(
        self,
        inputs: int,
        actions: int,
        hidden: int = HIDDEN,
        log_std_range: tuple[float, float] = LOG_STD_RANGE,
        log_std_start: float = -1.0,
    ) -> None:
        super().__init__()
        self._range = log_std_range
        self.body = trunk(inputs, hidden)
        self.mean, self.log_std = heads(hidden, actions, log_std_start)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation before squashing, [n, a] each."""
        hidden = self.body(features)
        return self.mean(hidden), self.log_std(hidden).clamp(*self._range)

    def mode(self, features: Tensor) -> Tensor:
        """The deterministic action, tanh(mean)."""
        return torch.tanh(self.mean(self.body(features)))


class Critic(nn.Module):
    """Value of an action: [..., d] and [..., a] to [...]."""

    def __init__(self, inputs: int, actions: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.net = nn.Sequential(trunk(inputs + actions, hidden), nn.Linear(hidden, 1))

    def forward(self, features: Tensor, action: Tensor) -> Tensor:
        """The value."""
        value: Tensor = self.net(torch.cat([features, action], -1)).squeeze(-1)
        return value


class TwinCritic(nn.Module):
    """Two critics; the lesser of them keeps errors from being taken for hopes."""

    def __init__(self, inputs: int, actions: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.first, self.second = (Critic(inputs, actions, hidden) for _ in range(2))

    def forward(self, features: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Both values."""
        return self.first(features, action), self.second(features, action)

    def min_q(self, features: Tensor, action: Tensor) -> Tensor:
        """The smaller value."""
        return torch.minimum(*self(features, action))


class Value(nn.Module):
    """Value of an observation, or of each of `outputs` choices in it: [n, d] to [n, outputs]."""

    def __init__(self, inputs: int, outputs: int = 1, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.net = nn.Sequential(trunk(inputs, hidden), nn.Linear(hidden, outputs))

    def forward(self, features: Tensor) -> Tensor:
        """The values."""
        values: Tensor = self.net(features)
        return values


@torch.no_grad()
def soft_update(target: nn.Module, source: nn.Module, tau: float) -> None:
    """Move the target's weights by the share `tau` towards the source's."""
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), tau)


class DeployedPolicy(nn.Module):
    """The deterministic policy as the daemon runs it: raw observations to what is sent."""

    def __init__(self, normalize: Normalize, actor: GaussianActor, scale: Scale) -> None:
        super().__init__()
        self.normalize, self.actor, self.scale = normalize, actor, scale

    def forward(self, state: Tensor) -> Tensor:
        """[n, d] to [n, a]."""
        return self.scale.outward(state, self.actor.mode(self.normalize(state)))
