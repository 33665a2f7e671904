"""Discrete choices of a site: a few watts around the estimated surplus, one level for each phase."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import torch
from torch import Tensor, nn

from core.limits import PHASE_CAP_W
from models.features import PHASE_FEATURES
from training.learners.data.transitions import Transitions

OFFSETS_W = (-250.0, -70.0, 0.0, 70.0, 250.0)
"""Steps between the inner ones are near the radio's deadband (50 W); the outer ones are for ramps."""
_STRIDE = len(PHASE_FEATURES)
_SURPLUS = slice(PHASE_FEATURES.index("surplus_hat_w"), 3 * _STRIDE, _STRIDE)

Source = Callable[[torch.Generator], Transitions]


class Levels(nn.Module):
    """Every combination of offsets on the surplus of the three phases: k = offsets^3 choices.

    All levels below 0 W mean 0 W and all above 5000 W mean 5000 W; of those the nearest one stays feasible.
    """

    combinations: Tensor
    offsets_w: Tensor
    to_next_w: Tensor
    from_last_w: Tensor

    def __init__(self, offsets_w: tuple[float, ...] = OFFSETS_W) -> None:
        super().__init__()
        every = list(product(range(len(offsets_w)), repeat=3))
        self.register_buffer("combinations", torch.tensor(every))
        offsets = torch.tensor(offsets_w)
        nothing, gaps_w = torch.full((1,), torch.inf), offsets.diff()
        self.register_buffer("offsets_w", offsets)
        self.register_buffer("to_next_w", torch.cat([gaps_w, nothing]))
        self.register_buffer("from_last_w", torch.cat([nothing, gaps_w]))

    @property
    def count(self) -> int:
        """Number of choices."""
        return len(self.combinations)

    def feasible(self, observation: Tensor) -> Tensor:
        """[n, 30] raw to [n, k] bool; at least one choice of every row."""
        mask = self._useful(self._levels_w(observation))
        first, second, third = (mask[:, phase, self.combinations[:, phase]] for phase in range(3))
        return first & second & third

    def outward(self, observation: Tensor, choice: Tensor) -> Tensor:
        """Watts of a choice: [n, 30] and [n] to [n, 3]."""
        offsets_w = self.offsets_w[self.combinations[choice]]
        return (observation[:, _SURPLUS] + offsets_w).clamp(0.0, PHASE_CAP_W)

    def nearest(self, observation: Tensor, action_w: Tensor) -> Tensor:
        """The feasible choice nearest to some watts: [n, 30] and [n, 3] to [n, 1]."""
        levels_w = self._levels_w(observation)
        away_w = (levels_w.clamp(0.0, PHASE_CAP_W) - action_w[:, :, None]).abs()
        away_w = away_w.masked_fill(~self._useful(levels_w), torch.inf)
        level = away_w.argmin(2)
        base = len(self.offsets_w)
        return (level[:, :1] * base + level[:, 1:2]) * base + level[:, 2:]

    def _levels_w(self, observation: Tensor) -> Tensor:
        return observation[:, _SURPLUS, None] + self.offsets_w

    def _useful(self, levels_w: Tensor) -> Tensor:
        """Levels rise along the last axis: [n, 3, levels] to bool."""
        is_last_below = levels_w + self.to_next_w > 0.0
        is_first_above = levels_w - self.from_last_w < PHASE_CAP_W
        return is_last_below & is_first_above


def as_choices(source: Source, levels: Levels) -> Source:
    """Batches whose recorded watts are replaced by the nearest feasible choice, and say what was feasible."""

    def draw(generator: torch.Generator) -> Transitions:
        batch = source(generator)
        choice = levels.nearest(batch.observation, batch.action)
        return replace(batch, action=choice, mask=levels.feasible(batch.observation))

    return draw


class DeployedChoice(nn.Module):
    """The likeliest feasible choice as the daemon runs it: raw observations [n, 30] to watts [n, 3]."""

    def __init__(self, normalize: nn.Module, actor: nn.Module, levels: Levels) -> None:
        super().__init__()
        self.normalize, self.actor, self.levels = normalize, actor, levels

    def forward(self, state: Tensor) -> Tensor:
        """The watts of the choice."""
        logits = self.actor(self.normalize(state)).masked_fill(~self.levels.feasible(state), -torch.inf)
        return self.levels.outward(state, logits.argmax(-1))
