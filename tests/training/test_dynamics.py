"""The forward dynamics model: shapes and loss as specified, learning, the best checkpoint, judgement."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.metering import exported_w
from core.site import Metering, Phases
from models.features import FEATURE_NAMES
from models.manifest import FeatureStatistics, Normalization
from training.data.lookahead import LookAheads
from training.dynamics.evaluate import HORIZON, LEVELS, criteria, judge, markdown, starts, tables
from training.dynamics.fit import Epoch, FitPlan, FittedModel, fit, squared_errors
from training.dynamics.model import (
    WEIGHTS,
    ForwardDynamicsModel,
    ForwardModelLoss,
    Shape,
    StateScaling,
    export_w,
    load_model,
    save_model,
)

SMALL = Shape(hidden_dim=32, lstm_hidden=16)
ROWS = 900
SCALING = StateScaling(torch.zeros(30), torch.ones(30), torch.zeros(3), torch.ones(3))


def drifting(rows: int, seed: int, sources: tuple[str, ...] = ("fallback",), push: float = 0.4) -> LookAheads:
    """A known law over five rows: every feature keeps 0.9 of itself, the action pushes the first three."""
    rng = np.random.default_rng(seed)
    actions = rng.normal(0.0, 1.0, (rows + 5, 3)).astype(np.float32)
    states = rng.normal(0.0, 1.0, (rows + 5, 30)).astype(np.float32)
    states[:, 27:] = 0.0
    for row in range(5, rows + 5):
        states[row] = 0.9 * states[row - 5]
        states[row, :3] += push * actions[row - 5]
    acted = np.array([sources[i * len(sources) // rows] for i in range(rows)], np.str_)
    where = np.arange(rows)
    return LookAheads(states[:-5], actions[:-5], states[5:], where, where * 0, acted)


def test_the_model_has_the_layers_of_the_specification() -> None:
    model = ForwardDynamicsModel()
    kinds = [type(layer).__name__ for layer in model.encoder]
    assert kinds == ["Linear", "LayerNorm", "ReLU", "Dropout", "Linear", "LayerNorm", "ReLU"]
    sizes = [tuple(weight.shape) for name, weight in model.encoder.named_parameters() if weight.dim() == 2]
    assert sizes == [(256, 33), (128, 256)]
    assert (model.lstm.hidden_size, model.lstm.num_layers, model.lstm.dropout) == (128, 2, 0.1)
    sizes = [tuple(weight.shape) for weight in model.predictor.parameters() if weight.dim() == 2]
    assert sizes == [(128, 128), (30, 128)]


def test_it_predicts_a_change_and_a_trajectory_is_one_prediction_after_the_other() -> None:
    torch.manual_seed(0)
    model = ForwardDynamicsModel(SMALL).eval()
    state, actions = torch.randn(4, 30), torch.randn(4, 6, 3)
    path = model.predict_trajectory(state, actions)
    assert path.shape == (4, 6, 30)
    expected = state
    for step in range(6):
        expected = model(expected, actions[:, step])
        torch.testing.assert_close(path[:, step], expected)
    for parameter in model.predictor.parameters():
        torch.nn.init.zeros_(parameter)
    torch.testing.assert_close(model(state, actions[:, 0]), state)


def test_the_loss_weighs_features_by_name() -> None:
    true = torch.zeros(1, 30)
    plain, weighted = ForwardModelLoss(weighted=False), ForwardModelLoss()
    for place, name in enumerate(FEATURE_NAMES):
        guess = torch.zeros(1, 30)
        guess[0, place] = 3.0
        assert float(plain(guess, true)) == pytest.approx(9.0 / 30.0)
        weight = WEIGHTS.get(name[:-2], 1.0)
        assert float(weighted(guess, true)) == pytest.approx(9.0 * weight / 30.0)
    assert set(WEIGHTS) <= {name[:-2] for name in FEATURE_NAMES}


WATTS = st.floats(-5000.0, 5000.0)


@given(
    grid_w=st.tuples(WATTS, WATTS, WATTS),
    model_w=st.tuples(WATTS, WATTS, WATTS),
    command_w=WATTS,
    metering=st.sampled_from(list(Metering)),
)
def test_export_is_read_off_the_state(
    grid_w: Phases, model_w: Phases, command_w: float, metering: Metering
) -> None:
    """surplus = believed slave power - meter, so the meter comes back whatever was believed or commanded."""
    state = torch.zeros(30, dtype=torch.float64)
    for phase, (grid, believed) in enumerate(zip(grid_w, model_w, strict=True)):
        surplus = believed - grid
        state[FEATURE_NAMES.index("command_minus_surplus_w_" + "abc"[phase])] = command_w - surplus
        state[FEATURE_NAMES.index("in_flight_w_" + "abc"[phase])] = command_w - believed
    assert float(export_w(state, metering)) == pytest.approx(exported_w(grid_w, metering), abs=1e-6)


def test_it_learns_and_keeps_the_best() -> None:
    train, val = drifting(ROWS, 0), drifting(400, 1)
    epochs: list[Epoch] = []
    kept: list[ForwardDynamicsModel] = []
    plan = FitPlan(epochs=8, batch=64, learning_rate=3e-3, seed=0)
    model = fit(train, val, SCALING, plan, SMALL, tell=epochs.append, keep=kept.append)
    losses = [epoch.val_loss for epoch in epochs]
    assert [epoch.is_best for epoch in epochs] == [
        loss < min([9e9, *losses[:i]]) for i, loss in enumerate(losses)
    ]
    assert len(kept) == sum(epoch.is_best for epoch in epochs)
    weights = ForwardModelLoss().weights
    assert float((squared_errors(model, val, SCALING) * weights).mean()) == pytest.approx(
        min(losses), rel=1e-5
    )
    assert min(losses) < 0.5 * losses[0]
    action_moved = squared_errors(model, val, SCALING)[:3].mean()
    still = ((torch.from_numpy(val.states - val.targets)) ** 2).mean(0)[:3].mean()
    assert action_moved < 0.5 * still


def test_a_setback_cuts_the_rate_and_time_ends_the_run() -> None:
    epochs: list[Epoch] = []
    plan = FitPlan(epochs=8, batch=32, learning_rate=0.1, patience=0)
    fit(drifting(128, 0), drifting(64, 1), SCALING, plan, SMALL, tell=epochs.append)
    best = float("inf")
    for before, after in pairwise(epochs):
        best = min(best, before.val_loss)
        share = 1.0 if before.val_loss <= best else 0.1
        assert after.learning_rate == pytest.approx(before.learning_rate * share)
    assert epochs[-1].learning_rate < 0.1
    epochs.clear()
    fit(drifting(128, 0), drifting(64, 1), SCALING, FitPlan(minutes=0.0), SMALL, tell=epochs.append)
    assert len(epochs) == 1


def test_the_same_seed_learns_the_same() -> None:
    train, val, plan = drifting(300, 0), drifting(100, 1), FitPlan(epochs=2, batch=64, seed=4)
    first, second = (fit(train, val, SCALING, plan, SMALL) for _ in range(2))
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_gradients_are_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = []
    clip = torch.nn.utils.clip_grad_norm_

    def noted(parameters: object, limit: float) -> object:
        limits.append(limit)
        return clip(parameters, limit)  # type: ignore[arg-type]

    monkeypatch.setattr("torch.nn.utils.clip_grad_norm_", noted)
    fit(drifting(128, 0), drifting(64, 1), SCALING, FitPlan(epochs=1, batch=64), SMALL)
    assert limits == [1.0, 1.0]


def test_a_checkpoint_reads_back_and_strangers_are_refused(tmp_path: Path) -> None:
    model = ForwardDynamicsModel(SMALL).eval()
    path = tmp_path / "dynamics.safetensors"
    save_model(path, model, SCALING, {"seed": "3"})
    again, scaling = load_model(path)
    state, action = torch.randn(2, 30), torch.randn(2, 3)
    torch.testing.assert_close(again(state, action), model(state, action))
    assert all(torch.equal(one, other) for one, other in zip(scaling, SCALING, strict=True))
    path.write_bytes(b"\x80\x04 no tensors")
    with pytest.raises(ValueError, match="not a forward dynamics model"):
        load_model(path)


def test_a_constant_feature_is_left_as_it_is() -> None:
    flat = FeatureStatistics(mean=2.0, std=0.0)
    scaling = StateScaling.of(
        Normalization(features=dict.fromkeys(FEATURE_NAMES, flat), action_w=(flat, flat, flat))
    )
    assert float(scaling.state(torch.full((30,), 5.0))[0]) == 3.0
    torch.testing.assert_close(scaling.raw_state(scaling.state(torch.arange(30.0))), torch.arange(30.0))


def test_trajectories_start_where_nothing_is_missing() -> None:
    rows = drifting(100, 0)
    rows.seconds[50:] += 3
    begin = starts(rows, 3, 5)
    assert begin.tolist() == [*range(40), *range(50, 90)]
    assert starts(rows.where(np.arange(100) < 5), 3, 5).size == 0


def test_the_judgement_of_a_perfect_and_of_a_wild_model() -> None:
    test = drifting(400, 2, ("fallback", "policy"), push=0.1)

    class Law(ForwardDynamicsModel):
        gain = 0.9

        def forward(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
            moved = self.gain * state
            return torch.cat([moved[:, :3] + 0.1 * action, moved[:, 3:]], 1)

    perfect = judge(FittedModel(Law(SMALL), SCALING, test, Metering.NET))
    assert set(perfect) == {"all", "fallback", "policy"}
    verdict = perfect["all"]
    assert (verdict.mse, verdict.export_mae_w) == pytest.approx((0.0, 0.0), abs=1e-5)
    assert len(verdict.steps) == HORIZON
    assert all(step.mse < 1e-8 < step.still_mse for step in verdict.steps)
    assert [holds for *_, holds in criteria(verdict)] == [True, True, True]
    wild = Law(SMALL)
    wild.gain = 1.4
    verdict = judge(FittedModel(wild, SCALING, test, Metering.NET))["all"]
    assert not verdict.is_stable
    assert not criteria(verdict)[-1][-1]
    assert len(tables(perfect)) == 5
    assert "| surplus_hat_w | 0.000 |" in markdown(perfect)
    assert len(LEVELS) == 12
