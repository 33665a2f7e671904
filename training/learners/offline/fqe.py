"""Fitted Q evaluation (Le, Voloshin, Yue, arXiv:1903.08738): a policy's value from logs of another one.

    Q(s, a) <- reward + gamma Q'(s', pi(s'))

The value of the policy is the mean of Q(s, pi(s)) over the logged observations. It needs no model of the
plant, and trusts the critic where pi does what the logs never did; so it is a check, not a judge.
"""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.learners.data.transitions import Transitions, TransitionsError
from training.learners.learner import Learner, Report, Space, adam
from training.learners.networks import Critic, Normalize, soft_update


@dataclass(frozen=True)
class FqeSettings:
    """Discount, speed of the target, learning rate, and where squares of an error become its size."""

    gamma: float = 0.93
    tau: float = 0.005
    lr: float = 5e-4
    huber: float = 1.0


@dataclass(frozen=True, slots=True)
class Followed:
    """Logged transitions, and what the judged policy does in each observation and in the next one."""

    logged: Transitions
    policy_action: Tensor  # [n, a]
    policy_following: Tensor  # [n, a]

    def __post_init__(self) -> None:
        if not len(self.logged) == len(self.policy_action) == len(self.policy_following):
            raise TransitionsError("as many actions of the policy are needed as there are transitions")

    def __len__(self) -> int:
        return len(self.logged)

    def draw(self, batch: int, generator: torch.Generator) -> "Followed":
        """Some of them, uniformly and with replacement."""
        rows = torch.randint(len(self), (batch,), generator=generator)
        return Followed(self.logged.take(rows), self.policy_action[rows], self.policy_following[rows])


class Fqe(Learner[Followed]):
    """A critic of one fixed policy."""

    def __init__(self, space: Space, settings: FqeSettings | None = None) -> None:
        super().__init__()
        self.space, self.settings = space, settings or FqeSettings()
        self.normalize = Normalize(space.scaling)
        self.critic = Critic(space.inputs, space.actions, space.hidden)
        self.target = deepcopy(self.critic).requires_grad_(False)
        self.optimizers = {"critic": adam(self.critic.parameters(), self.settings.lr)}

    def update(self, batch: Followed, generator: torch.Generator) -> Report:
        """One step towards what is logged and what the policy would do next."""
        logged, settings = batch.logged, self.settings
        with torch.no_grad():
            following = self._of(self.target, logged.following, batch.policy_following)
            goal = logged.reward + settings.gamma * (1.0 - logged.terminal) * following
        value = self._of(self.critic, logged.observation, logged.action)
        loss = nn.functional.huber_loss(value, goal, delta=settings.huber)
        self.optimizer_step("critic", loss)
        soft_update(self.target, self.critic, settings.tau)
        return {"critic_loss": loss.detach(), "value": value.detach().mean()}

    @torch.no_grad()
    def worth(self, table: Followed) -> float:
        """Mean value of the policy over the logged observations, of the averaged critic."""
        return float(self._of(self.target, table.logged.observation, table.policy_action).mean())

    def _of(self, critic: Critic, observation: Tensor, action: Tensor) -> Tensor:
        value: Tensor = critic(self.normalize(observation), self.space.scale.inward(observation, action))
        return value
