"""`sunkeep export`: what becomes a bundle, what it says of itself, and what is refused in which words."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from core.site import PHASE_NAMES, Metering
from daemon.commands.engineering.model import model
from models.bundle import load_bundle
from models.features import FEATURE_NAMES
from models.manifest import MANIFEST_FILE
from training.artifacts.checkpoint import Contents, Progress, save_weights, write_checkpoint
from training.commands.export import export
from training.commands.train import train
from training.data.table import ACTION_NAMES
from training.dynamics.model import ForwardDynamicsModel, Shape, StateScaling, save_model
from training.imitation.policy_net import FeatureScaling as Spread
from training.learners.data.files import transitions_sha256, write_log
from training.learners.offline.iql_discrete import Choices, DiscreteIql
from training.learners.options import SETTINGS_OF
from training.replay.network import ReplayNet
from training.run_record import RECORD_FILE, read_record

ROWS = 300


def write_rows(path: Path, seed: int, metering: Metering = Metering.NET) -> None:
    """A log of random states; the action is the surplus."""
    rng = np.random.default_rng(seed)
    states = rng.normal(500.0, 200.0, (ROWS, 30)).astype(np.float32)
    columns: dict[str, Any] = {name: states[:, i] for i, name in enumerate(FEATURE_NAMES)}
    for name, phase in zip(ACTION_NAMES, PHASE_NAMES, strict=True):
        columns[name] = np.clip(columns[f"surplus_hat_w_{phase}"], 0.0, 5000.0)
    write_log(
        path,
        {
            **columns,
            "reward": rng.normal(size=ROWS).astype(np.float32),
            "episode": np.zeros(ROWS, np.int32),
            "is_fresh": np.ones(ROWS, bool),
            "source": np.full(ROWS, "logged"),
        },
        metering,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone after five updates, with its data beside it."""
    folder = tmp_path_factory.mktemp("clone")
    teach(folder, "bc")
    return folder


def teach(folder: Path, learner: str) -> None:
    """Five updates into `out`, of `rows.parquet` beside it."""
    write_rows(folder / "rows.parquet", 1)
    options = ["--learner", learner, "--steps", "5", "--batch", "16", "--seed", "3"]
    if learner in SETTINGS_OF["span_w"]:
        options += ["--span-w", "700"]
    made = CliRunner().invoke(
        train, [*options, "--data", str(folder / "rows.parquet"), "--out", str(folder / "out")]
    )
    assert made.exit_code == 0, made.output


def run(*arguments: object) -> Result:
    return CliRunner().invoke(export, [str(argument) for argument in arguments])


def facts(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def test_a_run_becomes_a_bundle_that_verifies_and_says_where_it_comes_from(
    trained: Path, tmp_path: Path
) -> None:
    told = facts(trained / "out", "--out", tmp_path / "bundle", "--name", "mine", "--metering", "per_phase")
    assert told["parity_w"] <= 0.01
    record = read_record(trained / "out" / "run")
    assert record is not None
    assert (record.learner, record.span_w) == ("bc", 700.0)
    manifest = load_bundle(tmp_path / "bundle").manifest
    assert (manifest.name, manifest.role, manifest.metering) == ("mine", "absorb", "per_phase")
    assert manifest.training_data_sha256 == transitions_sha256(trained / "rows.parquet")
    assert manifest.training_commit == record.training_commit
    assert manifest.memory == ()
    verified = CliRunner().invoke(model, ["verify", str(tmp_path / "bundle"), "--json"])
    assert json.loads(verified.output)["sha256"] == told["sha256"]


def test_the_exported_policy_is_the_one_that_training_exported(trained: Path, tmp_path: Path) -> None:
    told = facts(trained / "out", "--out", tmp_path / "bundle")
    there = load_bundle(trained / "out" / "bundle").manifest
    assert told["files"] == there.files
    assert told["name"] == there.name == "bc-3"


def test_a_policy_over_choices_is_exported_as_training_did(tmp_path: Path) -> None:
    teach(tmp_path, "iql-discrete")
    told = facts(tmp_path / "out", "--out", tmp_path / "bundle")
    assert told["files"] == load_bundle(tmp_path / "out" / "bundle").manifest.files
    assert told["parity_w"] <= 0.01


def test_versions_only_grow(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    given = ("--bundle-version", 5)
    numbers = [facts(trained / "out", "--out", out, *more)["bundle_version"] for more in ((), given, ())]
    assert numbers == [1, 5, 6]
    before = (out / MANIFEST_FILE).read_bytes()
    refused = run(trained / "out", "--out", out, "--bundle-version", 6)
    assert refused.exit_code == 2
    assert "holds version 6 already" in refused.output
    assert (out / MANIFEST_FILE).read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle"]


def test_a_folder_of_something_else_is_left_alone(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    refused = run(trained / "out", "--out", tmp_path)
    assert refused.exit_code == 2
    assert "letter.txt, which is no part of a bundle" in refused.output
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_recurrent_weights_need_a_source_of_statistics_and_become_a_bundle_with_memory(
    tmp_path: Path,
) -> None:
    torch.manual_seed(4)
    net = ReplayNet()
    torch.nn.init.normal_(net.last.weight, std=0.05)
    weights, out = tmp_path / "best.safetensors", tmp_path / "bundle"
    save_weights(weights, net, Progress())
    refused = run(weights, "--out", out)
    assert refused.exit_code == 2
    assert "give the folder of traces with --statistics" in refused.output
    write_rows(tmp_path / "rows.parquet", 2)
    told = facts(weights, "--out", out, "--statistics", tmp_path / "rows.parquet", "--commit", "abc")
    assert told["memory"] == [[1, 3, 68]]
    assert told["parity_w"] <= 0.01
    assert told["training_commit"] == "abc"


def test_what_is_no_policy_is_refused_by_its_name(tmp_path: Path) -> None:
    spread = StateScaling(torch.zeros(30), torch.ones(30), torch.zeros(3), torch.ones(3))
    save_model(tmp_path / "dynamics.safetensors", ForwardDynamicsModel(Shape(hidden_dim=8)), spread, {})
    choices = DiscreteIql(Choices(Spread(torch.zeros(30), torch.ones(30)), 5, 8))
    rng = torch.Generator()
    write_checkpoint(tmp_path / "discrete.safetensors", choices.contents(rng), Progress())
    write_checkpoint(tmp_path / "empty.safetensors", Contents("Clone", {}), Progress())
    (tmp_path / "text.safetensors").write_text("weights")
    for name, words in (
        ("dynamics", "forward dynamics model"),
        ("discrete", "DiscreteIql does not answer in watts"),
        ("empty", "Clone does not answer in watts"),
        ("text", "text.safetensors"),
    ):
        refused = run(tmp_path / f"{name}.safetensors", "--out", tmp_path / "bundle")
        assert refused.exit_code == 2, refused.output
        assert words in refused.output.replace("\n", " ")
    assert not (tmp_path / "bundle").exists()
    assert "no best.safetensors or last.safetensors" in run(tmp_path, "--out", tmp_path / "b").output


def test_data_that_changed_or_is_gone_must_be_named(trained: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.parquet", 1)
    out = tmp_path / "out"
    options = ["--learner", "bc", "--steps", "2", "--batch", "16", "--out", str(out)]
    assert CliRunner().invoke(train, [*options, "--data", str(tmp_path / "rows.parquet")]).exit_code == 0
    write_rows(tmp_path / "rows.parquet", 9)
    changed = run(out, "--out", tmp_path / "bundle")
    assert "has changed since" in changed.output
    (tmp_path / "rows.parquet").rename(tmp_path / "moved.parquet")
    assert "is gone" in run(out, "--out", tmp_path / "bundle").output
    told = facts(out, "--out", tmp_path / "bundle", "--statistics", tmp_path / "moved.parquet")
    record = read_record(out / "run")
    assert record is not None
    assert told["training_data_sha256"] == record.data_sha256 == transitions_sha256(trained / "rows.parquet")
    more = [*options, "--resume", "--span-w", "1", "--data", str(tmp_path / "moved.parquet")]
    assert "was trained with --span-w 1000" in CliRunner().invoke(train, more).output
    (out / "run" / RECORD_FILE).unlink()
    assert "--resume" in run(out, "--out", tmp_path / "bundle").output
