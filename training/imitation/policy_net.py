"""The policy network: raw features in, watts out, so that the exported graph needs nothing around it."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from core.limits import PHASE_CAP_W
from models.features import FEATURE_NAMES, PHASE_FEATURES

HIDDEN = 256
RESIDUAL_SPAN_W = 4000.0
"""Reach of the residual: a lead of 0.9 x the largest step (5000 W) needs nearly as much."""
_STRIDE = len(PHASE_FEATURES)
_SURPLUS = PHASE_FEATURES.index("surplus_hat_w")


class FeatureScaling(NamedTuple):
    """Mean and standard deviation of the 30 features, shape [30] each."""

    mean: Tensor
    std: Tensor


class PolicyNet(nn.Module):
    """The specification's actor (30 - 256 - 256, LayerNorm, ReLU, tanh mean) as a residual on the surplus.

    The answer is ``clip(surplus_hat + span * tanh(mean), 0, 5000)`` in W: the network learns what a good
    controller adds to the surplus it sees, not the identity. Inputs pass asinh, which keeps small values
    linear and large steps inside what LayerNorm can tell apart; a linear path carries their size past it.
    The last layers start at zero, so an untrained network answers with the surplus.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, scaling: FeatureScaling) -> None:
        super().__init__()
        inputs = len(FEATURE_NAMES)
        self.register_buffer("mean", scaling.mean)
        self.register_buffer("std", scaling.std)
        self.body = nn.Sequential(
            nn.Linear(inputs, HIDDEN),
            nn.LayerNorm(HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.LayerNorm(HIDDEN),
            nn.ReLU(),
        )
        self.head = nn.Linear(HIDDEN, 3)
        self.straight = nn.Linear(inputs, 3, bias=False)
        for layer in (self.head, self.straight):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.head.bias)

    def unbounded_w(self, state: Tensor) -> Tensor:
        """The answer before it is clipped to 0..5000 W: [batch, 30] -> [batch, 3]."""
        scaled = (state - self.mean) / self.std
        mean = self.head(self.body(torch.asinh(scaled))) + self.straight(scaled)
        surplus_w = state[:, _SURPLUS : 3 * _STRIDE : _STRIDE]
        return surplus_w + RESIDUAL_SPAN_W * torch.tanh(mean)

    def forward(self, state: Tensor) -> Tensor:
        """Watts per phase: [batch, 30] -> [batch, 3]."""
        return torch.clamp(self.unbounded_w(state), 0.0, PHASE_CAP_W)
