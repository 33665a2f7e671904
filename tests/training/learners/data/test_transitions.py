"""Tables of transitions: what follows what, from memory and from files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from core.site import Metering
from models.features import FEATURE_NAMES
from training.imitation.scaling import phase_scaling
from training.learners.data.files import REWARD_W, read_transitions, write_log
from training.learners.data.transitions import Sampler, Transitions, TransitionsError, from_rows

SURPLUS = [FEATURE_NAMES.index(f"surplus_hat_w_{phase}") for phase in "abc"]


def rows(segment: list[int], terminal: list[bool] | None = None) -> Transitions:
    """Observation i, action 10 i, reward 100 i."""
    count = np.arange(len(segment), dtype=np.float32)
    return from_rows(
        count[:, None],
        10.0 * count[:, None],
        100.0 * count,
        np.array(segment),
        None if terminal is None else np.array(terminal),
    )


def test_a_row_is_followed_by_the_next_of_its_segment() -> None:
    table = rows([0, 0, 0, 1, 1])
    assert table.observation.squeeze(1).tolist() == [0.0, 1.0, 3.0]
    assert table.following.squeeze(1).tolist() == [1.0, 2.0, 4.0]
    assert table.action.squeeze(1).tolist() == [0.0, 10.0, 30.0]
    assert table.reward.tolist() == [0.0, 100.0, 300.0]
    assert table.terminal.tolist() == [0.0, 0.0, 0.0]
    assert table.truncated.tolist() == [0.0, 1.0, 1.0]


def test_a_terminal_row_teaches_although_nothing_follows() -> None:
    table = rows([0, 0, 1, 1], [False, True, False, False])
    assert table.observation.squeeze(1).tolist() == [0.0, 1.0, 2.0]
    assert table.terminal.tolist() == [0.0, 1.0, 0.0]
    assert table.truncated.tolist() == [0.0, 0.0, 1.0]


def test_columns_of_other_lengths_and_numbers_that_are_not_finite_are_refused() -> None:
    good = rows([0, 0, 0])
    with pytest.raises(TransitionsError, match="reward has 1 rows, not 2"):
        Transitions(
            good.observation, good.action, good.reward[:1], good.following, good.terminal, good.truncated
        )
    bad = good.reward.clone()
    bad[0] = float("nan")
    with pytest.raises(TransitionsError, match="reward holds numbers that are not finite"):
        Transitions(good.observation, good.action, bad, good.following, good.terminal, good.truncated)


def log(seconds: int = 6) -> dict[str, NDArray[Any]]:
    """A data set of a few seconds; the export of row i is 10 i W."""
    rng = np.random.default_rng(0)
    count = np.arange(seconds, dtype=np.float32)
    columns: dict[str, NDArray[Any]] = {
        name: rng.normal(size=seconds).astype(np.float32) for name in FEATURE_NAMES
    }
    for kind, start in (("applied", 1.0), ("fallback_action", 2.0), ("policy_action", 3.0)):
        columns |= {f"{kind}_w_{phase}": count + 1000.0 * np.float32(start) for phase in "abc"}
    return columns | {
        "export_w": 10.0 * count,
        "avoidable_import_w": np.full(seconds, 4.0, np.float32),
        "episode": np.zeros(seconds, np.int32),
        "is_fresh": np.ones(seconds, bool),
        "source": np.array(["fallback", "policy", "hold", "policy", "fallback", "fallback"][:seconds]),
    }


def test_what_an_action_brought_is_in_the_row_after_it(tmp_path: Path) -> None:
    write_log(tmp_path / "train.parquet", log(), Metering.NET)
    table = read_transitions(tmp_path / "train.parquet")
    assert len(table) == 5
    assert table.reward.tolist() == pytest.approx(
        [-(10.0 * (i + 1) + 0.5 * 4.0) / REWARD_W for i in range(5)]
    )


def test_a_log_that_knows_its_rewards_keeps_them(tmp_path: Path) -> None:
    write_log(tmp_path / "log.parquet", log() | {"reward": np.arange(6, dtype=np.float32)}, Metering.NET)
    assert read_transitions(tmp_path).reward.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_the_action_is_that_of_whoever_acted(tmp_path: Path) -> None:
    columns = log()
    columns["policy_action_w_b"] = columns["policy_action_w_b"].copy()
    columns["policy_action_w_b"][3] = np.nan  # unknown: what was on air counts
    write_log(tmp_path / "log.parquet", columns, Metering.NET)
    acted = read_transitions(tmp_path).action[:, 0].tolist()
    assert acted == [2000.0, 3001.0, 1002.0, 1003.0, 2004.0]
    for kind, start in (("applied", 1000.0), ("fallback", 2000.0)):
        assert read_transitions(tmp_path, kind).action[:, 0].tolist() == [start + i for i in range(5)]


def test_a_data_set_of_version_1_has_other_names_for_two_actions(tmp_path: Path) -> None:
    old = {"fallback_action": "steady", "policy_action": "wished"}
    columns = log()
    for new, was in old.items():
        for phase in "abc":
            columns[f"{was}_w_{phase}"] = columns.pop(f"{new}_w_{phase}")
    write_log(tmp_path / "log.parquet", columns, Metering.NET)
    assert read_transitions(tmp_path, "policy").action[:, 0].tolist() == [3000.0 + i for i in range(5)]
    assert read_transitions(tmp_path, "fallback").action[:, 0].tolist() == [2000.0 + i for i in range(5)]


def test_a_row_without_a_fresh_sample_ends_a_stretch(tmp_path: Path) -> None:
    columns = log()
    columns["is_fresh"][2] = False
    columns["episode"][5] = 1
    write_log(tmp_path / "log.parquet", columns, Metering.NET)
    table = read_transitions(tmp_path, "applied")
    assert table.action[:, 0].tolist() == [1000.0, 1003.0]
    assert table.truncated.tolist() == [1.0, 1.0]


def test_a_file_without_the_columns_is_refused_by_name(tmp_path: Path) -> None:
    columns = log()
    del columns["applied_w_b"]
    write_log(tmp_path / "log.parquet", columns, Metering.NET)
    with pytest.raises(TransitionsError, match="applied_w_b"):
        read_transitions(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(TransitionsError, match="no Parquet file"):
        read_transitions(other)
    (other / "broken.parquet").write_bytes(b"no")
    with pytest.raises(TransitionsError, match="broken"):
        read_transitions(other)


def test_an_order_of_the_phases_moves_features_and_actions_together() -> None:
    observation = torch.arange(60.0).reshape(2, 30)
    action = torch.tensor([[0.0, 9.0, 18.0], [30.0, 39.0, 48.0]])  # as the surplus of their phases
    nothing = torch.zeros(2)
    table = Transitions(observation, action, nothing, observation + 0.5, nothing, nothing)
    generator, seen = torch.Generator().manual_seed(0), set()
    for _ in range(60):
        batch = Sampler(table, 8, exchange=True)(generator)
        assert torch.equal(batch.observation[:, SURPLUS], batch.action)
        assert torch.equal(batch.following[:, SURPLUS], batch.action + 0.5)
        assert torch.equal(batch.observation[:, 27:] % 30.0, torch.tensor([[27.0, 28.0, 29.0]] * 8))
        seen.add(tuple((batch.action[0] % 30.0).tolist()))
    assert len(seen) == 6


def test_statistics_are_equal_for_all_phases() -> None:
    observation = torch.randn(500, 30, generator=torch.Generator().manual_seed(0))
    observation[:, 0] += 30.0
    observation[:, 29] = 7.0
    mean, std = phase_scaling(observation)
    assert mean[0] == mean[9] == mean[18]
    assert float(mean[0]) == pytest.approx(10.0, abs=0.2)
    assert float(std[29]) == 1.0  # never moves, counts as it is
    with pytest.raises(ValueError, match="5 features"):
        phase_scaling(observation[:, :5])
