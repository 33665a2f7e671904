"""The forward dynamics model: from state and action to the state some seconds later.

States are the 30 features and actions the three totals on air, both in units of their spread over the
training days (`normalization_params.json`); `StateScaling` converts. One step of a trajectory is one
look-ahead.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from core.site import Metering
from models.features import FEATURE_NAMES
from models.manifest import Normalization
from training.artifacts.checkpoint import below, read_tensors, write_tensors

DROPOUT = 0.1
CONSTANT = 1e-6
"""A feature that never moved while training counts as it is."""
WEIGHTS = {"command_minus_surplus_w": 5.0, "in_flight_w": 5.0, "surplus_hat_w": 3.0}
"""By feature of a phase. Export is made of the first two (`export_w`), phase power is the third."""
_GRID = [
    [FEATURE_NAMES.index(f"{name}_{phase}") for phase in "abc"]
    for name in ("in_flight_w", "command_minus_surplus_w")
]


class Shape(BaseModel):
    """Sizes of a model; the defaults are the specification's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state_dim: int = len(FEATURE_NAMES)
    action_dim: int = 3
    hidden_dim: int = 256
    lstm_hidden: int = 128
    num_lstm_layers: int = 2
    lookahead_steps: int = 5


class StateScaling(NamedTuple):
    """Mean and spread of states, [30], and actions, [3]."""

    state_mean: Tensor
    state_std: Tensor
    action_mean: Tensor
    action_std: Tensor

    @classmethod
    def of(cls, normalization: Normalization) -> "StateScaling":
        """Those of a data set."""
        states = [normalization.features[name] for name in FEATURE_NAMES]
        columns = []
        for statistics in (states, normalization.action_w):
            columns.append(torch.tensor([s.mean for s in statistics]))
            columns.append(torch.tensor([s.std if s.std > CONSTANT else 1.0 for s in statistics]))
        return cls(*columns)

    def state(self, raw: Tensor) -> Tensor:
        """Raw to normalised, [..., 30]."""
        return (raw - self.state_mean) / self.state_std

    def action(self, raw_w: Tensor) -> Tensor:
        """Raw to normalised, [..., 3]."""
        return (raw_w - self.action_mean) / self.action_std

    def raw_state(self, state: Tensor) -> Tensor:
        """Normalised to raw, [..., 30]."""
        return state * self.state_std + self.state_mean


class ForwardDynamicsModel(nn.Module):
    """Encoder, LSTM over one element, and a head that predicts the change of the state."""

    def __init__(self, shape: Shape | None = None) -> None:
        super().__init__()
        self.shape = shape = shape or Shape()
        half = shape.hidden_dim // 2
        self.encoder = nn.Sequential(
            nn.Linear(shape.state_dim + shape.action_dim, shape.hidden_dim),
            nn.LayerNorm(shape.hidden_dim),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(shape.hidden_dim, half),
            nn.LayerNorm(half),
            nn.ReLU(),
        )
        layers = shape.num_lstm_layers
        self.lstm = nn.LSTM(
            half, shape.lstm_hidden, layers, batch_first=True, dropout=DROPOUT if layers > 1 else 0.0
        )
        self.predictor = nn.Sequential(
            nn.Linear(shape.lstm_hidden, half), nn.ReLU(), nn.Linear(half, shape.state_dim)
        )

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """The state one look-ahead later: [batch, 30] and [batch, 3] to [batch, 30]."""
        encoded = self.encoder(torch.cat([state, action], dim=-1))
        out, _ = self.lstm(encoded[:, None])
        delta: Tensor = self.predictor(out[:, 0])
        return state + delta

    def predict_trajectory(self, state: Tensor, actions: Tensor) -> Tensor:
        """States after each step: [batch, 30] and [batch, horizon, 3] to [batch, horizon, 30]."""
        states = []
        for step in range(actions.shape[1]):
            state = self(state, actions[:, step])
            states.append(state)
        return torch.stack(states, dim=1)


class ForwardModelLoss(nn.Module):
    """Mean squared error, weighted by the names of the features; unweighted for comparison."""

    weights: Tensor

    def __init__(self, *, weighted: bool = True) -> None:
        super().__init__()
        by_name = [WEIGHTS.get(name.rsplit("_", 1)[0], 1.0) for name in FEATURE_NAMES]
        self.register_buffer("weights", torch.tensor(by_name if weighted else [1.0] * len(by_name)))

    def forward(self, predicted: Tensor, true: Tensor) -> Tensor:
        """[batch, 30] each, normalised; a scalar."""
        return ((predicted - true) ** 2 * self.weights).mean()


def export_w(raw_states: Tensor, metering: Metering) -> Tensor:
    """Export in W as billed that states describe: [..., 30] raw to [...].

    What is in flight minus what the command exceeds the surplus by is the surplus that is not placed: the
    believed slave power cancels out and the meter's reading remains.
    """
    in_flight, beyond = (raw_states[..., columns] for columns in _GRID)
    unplaced = in_flight - beyond
    return unplaced.sum(-1).clamp(min=0.0) if metering is Metering.NET else unplaced.clamp(min=0.0).sum(-1)


def save_model(
    path: Path, model: ForwardDynamicsModel, scaling: StateScaling, lineage: dict[str, str]
) -> None:
    """Weights, scaling and sizes in one safetensors file; `lineage` goes into its header."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"scaling.{name}": tensor for name, tensor in scaling._asdict().items()}
    header = {**lineage, "shape": model.shape.model_dump_json(), "feature_names": ",".join(FEATURE_NAMES)}
    write_tensors(path, tensors, header)


def load_model(path: Path) -> tuple[ForwardDynamicsModel, StateScaling]:
    """A saved model, ready to predict.

    Raises:
        ValueError: not such a file, or made with other features.
    """
    try:
        tensors, header = read_tensors(path)
        if header.get("feature_names") != ",".join(FEATURE_NAMES):
            raise ValueError("made with other features")
        model = ForwardDynamicsModel(Shape.model_validate_json(header["shape"]))
        model.load_state_dict(below("model.", tensors))
        scaling = StateScaling(*(tensors[f"scaling.{name}"] for name in StateScaling._fields))
    except (KeyError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path}: not a forward dynamics model: {error}") from error
    return model.eval(), scaling


def as_tensors(states: np.ndarray, actions_w: np.ndarray, scaling: StateScaling) -> tuple[Tensor, Tensor]:
    """Raw arrays to normalised tensors."""
    return scaling.state(torch.from_numpy(states)), scaling.action(torch.from_numpy(actions_w))
