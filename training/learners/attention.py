"""An actor that looks at the three phases alike: attention between them, one set of weights for all.

Phases are exchangeable: whoever exchanges two of them in the observation must see the same two exchanged in
the action. A network over 30 numbers has to learn that; here it holds by construction, because every phase
is a token with the same encoder and head, and nothing says which of them comes first.
"""

import torch
from torch import Tensor, nn

from models.features import FEATURE_NAMES, PHASE_FEATURES
from training.learners.networks import HIDDEN, LOG_STD_RANGE, GaussianActor, heads

PHASES = 3
HEADS = 4
_OWN = len(PHASE_FEATURES)
_COMMON = len(FEATURE_NAMES) - PHASES * _OWN


class PhaseActor(GaussianActor):
    """Squashed Gaussian policy on the 30 normalised features of a site. The mean starts at zero.

    Args:
        hidden: width of a phase's token; a multiple of `HEADS`.
        log_std_range: bounds of the log standard deviation before squashing.
        log_std_start: where it starts.
    """

    def __init__(
        self,
        hidden: int = HIDDEN,
        log_std_range: tuple[float, float] = LOG_STD_RANGE,
        log_std_start: float = -1.0,
    ) -> None:
        super().__init__()
        self._range = log_std_range
        self.encoder = nn.Sequential(nn.Linear(_OWN + _COMMON, hidden), nn.LayerNorm(hidden), nn.ReLU())
        self.attention = nn.MultiheadAttention(hidden, HEADS, batch_first=True)
        self.joined = nn.LayerNorm(hidden)
        self.body = nn.Sequential(nn.Linear(hidden, hidden), nn.LayerNorm(hidden), nn.ReLU())
        self.mean, self.log_std = heads(hidden, 1, log_std_start)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation before squashing, [n, 30] to [n, 3] each."""
        hidden = self._tokens(features)
        return self.mean(hidden).squeeze(-1), self.log_std(hidden).squeeze(-1).clamp(*self._range)

    def _tokens(self, features: Tensor) -> Tensor:
        """What is known of each phase once it has looked at the others, [n, 3, hidden]."""
        own = features[:, : PHASES * _OWN].reshape(-1, PHASES, _OWN)
        common = features[:, None, PHASES * _OWN :].expand(-1, PHASES, _COMMON)
        tokens = self.encoder(torch.cat([own, common], -1))
        seen, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        hidden: Tensor = self.body(self.joined(tokens + seen))
        return hidden
