"""The deterministic laws as policies of `training.batched.simulator`, under the same random draws."""

from typing import NamedTuple

import torch
from torch import Tensor

from safety.pi import PiGains
from safety.predictive import PredictiveGains, TrendState, step
from training.batched.rules import TORCH
from training.batched.simulator import Policy, View


class PiState(NamedTuple):
    """The error of the last tick, [n, 3] in W."""

    error_w: Tensor


def pi_law(gains: PiGains) -> Policy:
    """`safety.pi.PiFallback` for absorbing slaves, acting from the first tick."""

    def propose(view: View, memory: PiState | None) -> tuple[Tensor, PiState]:
        error_w = gains.margin_w - view.meter_w
        before_w = error_w if memory is None else memory.error_w
        action_w = view.safe_action_w + gains.kp * (error_w - before_w) + gains.ki * error_w
        return torch.minimum(action_w.clamp(min=0.0), view.capacity_w), PiState(error_w)

    return propose


def predictive_law(gains: PredictiveGains) -> Policy:
    """`safety.predictive.PredictiveFallback` for absorbing slaves."""

    def propose(view: View, memory: TrendState | None) -> tuple[Tensor, TrendState]:
        zero = torch.zeros_like(view.surplus_w)
        cell = memory or TrendState(zero, zero, zero, zero)
        action_w, cell = step(cell, view.surplus_w, gains, TORCH)
        return torch.minimum(action_w.clamp(min=0.0), view.capacity_w), cell

    return propose
