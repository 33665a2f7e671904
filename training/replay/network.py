"""The champion's network: a recurrent residual on the predictive law, shared by the phases."""

import torch
from torch import Tensor, nn

from core.estimation.actuator_model import MEAN_AGE_S
from core.limits import PHASE_CAP_W
from models.features import FEATURE_NAMES, PHASE_FEATURES
from safety.predictive import PredictiveGains, TrendState, step
from training.batched.rules import TORCH
from training.batched.simulator import View

HIDDEN = 64
_LAW = len(TrendState._fields)
MEMORY = HIDDEN + _LAW
"""Memory of one phase: the recurrent state, then the law's cell. All zero means the first tick."""
COARSE_W, FINE_W = 1000.0, 300.0
"""The residual is a coarse and a fine share, so that small corrections need no large weights."""
_STRIDE = len(PHASE_FEATURES)
_WIDTH = 3 * _STRIDE
_DELAY = FEATURE_NAMES.index("delay_estimate_s")
_HEADROOM = FEATURE_NAMES.index("capacity_headroom_w")
SCALES = {
    "surplus_hat_w": 1000.0,
    "surplus_change_1s_w": 50.0,
    "slope_fast_w_s": 20.0,
    "slope_slow_w_s": 10.0,
    "log_volatility": 1.0,
    "command_minus_surplus_w": 100.0,
    "in_flight_w": 100.0,
    "max_10s_minus_now_w": 100.0,
    "last_step_decayed_w": 200.0,
}
"""What counts as one unit of a feature of a phase; beyond, its asinh grows as a logarithm."""
_SHARED = ("surplus_hat_w", "surplus_change_1s_w", "slope_slow_w_s", "command_minus_surplus_w", "in_flight_w")
"""Features that a phase also sees as the mean over all phases."""
_INPUTS = _STRIDE + len(_SHARED) + 3


class ReplayNet(nn.Module):
    """Predictive law plus residual: raw features [n, 30] and memory [n, 3, 68] to watts [n, 3] and memory.

    One network for each phase, the same weights for all. It sees the nine features of its phase, the means
    of some over the phases, what the law's filter holds back, the believed delay and the headroom. The last
    layer starts at zero, so training starts at the law itself.
    """

    scales: Tensor

    def __init__(self, gains: PredictiveGains | None = None) -> None:
        super().__init__()
        self.gains = gains or PredictiveGains()
        self.register_buffer("scales", torch.tensor([SCALES[name] for name in PHASE_FEATURES]))
        self._shared = [PHASE_FEATURES.index(name) for name in _SHARED]
        self.body = nn.Sequential(
            nn.Linear(_INPUTS, HIDDEN), nn.LayerNorm(HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU()
        )
        self.recurrent = nn.GRUCell(_INPUTS, HIDDEN)
        self.head = nn.Sequential(nn.Linear(2 * HIDDEN, HIDDEN), nn.SiLU())
        self.last = nn.Linear(HIDDEN, 2)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def cold(self, n: int) -> Tensor:
        """The memory of n sites that have seen nothing."""
        return torch.zeros(n, 3, MEMORY, device=self.scales.device)

    def forward(self, state: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """One tick."""
        phases = state[:, :_WIDTH].reshape(-1, 3, _STRIDE)
        surplus_w = phases[:, :, 0]
        base_w, cell = step(TrendState(*memory[:, :, HIDDEN:].unbind(2)), surplus_w, self.gains, TORCH)
        inputs = self._inputs(state, phases, cell.filtered_w - surplus_w)
        hidden = self.recurrent(inputs.flatten(0, 1), memory[:, :, :HIDDEN].flatten(0, 1))
        hidden = hidden.reshape(-1, 3, HIDDEN)
        coarse, fine = self.last(self.head(torch.cat([self.body(inputs), hidden], 2))).unbind(2)
        action_w = torch.clamp(base_w + COARSE_W * coarse + FINE_W * fine, 0.0, PHASE_CAP_W)
        following = torch.cat(
            [hidden, torch.stack([torch.broadcast_to(x, surplus_w.shape) for x in cell], 2)], 2
        )
        return action_w, following

    def _inputs(self, state: Tensor, phases: Tensor, held_back_w: Tensor) -> Tensor:
        own = torch.asinh(phases / self.scales)
        means = phases[:, :, self._shared].mean(1, keepdim=True) / self.scales[self._shared]
        delay = (state[:, _DELAY, None, None] - MEAN_AGE_S).expand(-1, 3, 1)
        headroom = (state[:, _HEADROOM, None, None] / 5000.0).expand(-1, 3, 1)
        held_back = torch.asinh(held_back_w / 100.0)[:, :, None]
        return torch.cat([own, torch.asinh(means).expand(-1, 3, -1), held_back, delay, headroom], 2)

    def policy(self, view: View, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        """As a policy of `training.batched.simulator`."""
        answer: tuple[Tensor, Tensor] = self(
            view.features, self.cold(len(view.features)) if memory is None else memory
        )
        return answer
