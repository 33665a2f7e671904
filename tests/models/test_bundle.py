"""A bundle is used only when every byte of it holds; every refusal says why and what to do."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.roles import Role
from core.site import Metering, Site
from daemon.config import sections
from models.bundle import (
    SHIPPED,
    BundleError,
    builtin_bundle,
    bundle_of,
    load_bundle,
    read_files,
    require_fit,
)
from models.features import FEATURE_NAMES
from tests.support.toy_bundles import model, plain_model, recurrent_model, write_bundle

FILES = ("manifest.json", "policy.onnx", "normalization_params.json", "golden.json")


def refused(directory: Path, *words: str) -> None:
    with pytest.raises(BundleError) as caught:
        load_bundle(directory)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 700
    assert caught.value.remedy.endswith(".")
    for word in words:
        assert word in message


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    return Path(shutil.copytree(builtin_bundle(), tmp_path / "bundle"))


def test_the_shipped_bundle_holds() -> None:
    bundle = load_bundle(builtin_bundle())
    assert bundle.golden_error_w <= 0.01
    assert len(bundle.golden.vectors) >= 32
    assert bundle.manifest.feature_names == FEATURE_NAMES
    assert set(bundle.normalization.features) == set(FEATURE_NAMES)
    size = sum(path.stat().st_size for path in builtin_bundle().iterdir())
    assert size < 2_000_000


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(shipped: Path, name: str) -> None:
    (shipped / name).unlink()
    refused(shipped, name)


@pytest.mark.parametrize("name", FILES)
def test_a_cut_file_is_refused(shipped: Path, name: str) -> None:
    content = (shipped / name).read_bytes()
    (shipped / name).write_bytes(content[: len(content) // 2])
    refused(shipped, name)


@pytest.mark.parametrize("name", FILES[1:])
@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_one_flipped_bit_is_refused(shipped: Path, name: str, place: float) -> None:
    content = bytearray((shipped / name).read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    (shipped / name).write_bytes(bytes(content))
    refused(shipped, name, "SHA-256")


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sha256"])
def test_no_flipped_bit_of_the_manifest_passes(tmp_path: Path, name: str) -> None:
    """Also in words that nothing else depends on: the name, the commit, the date."""
    contents = read_files(builtin_bundle())
    sound = contents[name]
    for bit in range(0, 8 * len(sound), 7):
        damaged = bytearray(sound)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BundleError):
            bundle_of(tmp_path, {**contents, name: bytes(damaged)})


def test_a_bundle_of_before_needs_no_digest(shipped: Path) -> None:
    (shipped / "manifest.sha256").unlink()
    assert load_bundle(shipped).sha256 == load_bundle(builtin_bundle()).sha256


def test_a_hash_changed_in_the_manifest_is_refused(shipped: Path) -> None:
    manifest = json.loads((shipped / "manifest.json").read_text())
    manifest["files"]["policy.onnx"] = "0" * 64
    (shipped / "manifest.json").write_text(json.dumps(manifest))
    refused(shipped, "policy.onnx", "SHA-256")


def test_an_extra_file_is_refused(shipped: Path) -> None:
    (shipped / "policy.onnx.data").write_bytes(b"weights")
    refused(shipped, "policy.onnx.data", "manifest")


@pytest.mark.parametrize("name", FILES)
def test_a_link_is_refused(shipped: Path, tmp_path: Path, name: str) -> None:
    shutil.move(shipped / name, tmp_path / name)
    (shipped / name).symlink_to(tmp_path / name)
    refused(shipped, name, "plain")


def test_a_folder_or_a_pipe_in_the_place_of_a_file_is_refused(shipped: Path) -> None:
    (shipped / "policy.onnx").unlink()
    os.mkfifo(shipped / "policy.onnx")
    refused(shipped, "policy.onnx", "plain")
    (shipped / "policy.onnx").unlink()
    (shipped / "policy.onnx").mkdir()
    refused(shipped, "policy.onnx", "plain")


def test_a_path_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "absent", "No such file")
    (tmp_path / "file").write_text("")
    refused(tmp_path / "file", "Not a directory")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"bundle_version": 0}, "bundle_version"),
        ({"bundle_version": "1"}, "bundle_version"),
        ({"surprise": 1}, "surprise"),
        ({"role": "both"}, "role"),
        ({"created_at_utc": "2026-06-01T00:00:00"}, "created_at_utc"),
        ({"files": {"../policy.onnx": "0" * 64}}, "files"),
        ({"golden_tolerance_w": 5000.0}, "golden_tolerance_w"),
        ({"feature_names": list(reversed(FEATURE_NAMES))}, "features"),
        ({"training_range": {}}, "training_range"),
        ({"input": {"name": "state", "shape": [1, 29]}}, "shapes"),
        ({"input": {"name": "observation", "shape": [1, 30]}}, "inputs"),
        ({"output": {"name": "watts", "shape": [1, 3]}}, "outputs"),
        ({"memory": [{"name_in": "a", "name_out": "b", "shape": [1, 3]}]}, "inputs"),
        ({"minimum_daemon_version": "99.0"}, "99.0"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], word: str) -> None:
    refused(write_bundle(tmp_path / "toy", plain_model(), **changes), word)


def test_versions_compare_by_number(tmp_path: Path) -> None:
    directory = write_bundle(tmp_path / "toy", plain_model(), minimum_daemon_version="0.9")
    assert load_bundle(directory, "0.10.0").manifest.minimum_daemon_version == "0.9"
    with pytest.raises(BundleError, match=r"0\.9"):
        load_bundle(directory, "0.8.7")


def test_answers_beside_the_golden_vectors_are_refused(tmp_path: Path) -> None:
    refused(write_bundle(tmp_path / "toy", plain_model(scale=1.001)), "golden")


def test_a_weight_that_is_not_a_number_is_refused(tmp_path: Path) -> None:
    graph = plain_model()
    weights = numpy_helper.to_array(graph.graph.initializer[0]).copy()
    weights[5, 1] = np.nan
    graph.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "select"))
    refused(write_bundle(tmp_path / "toy", graph), "golden")


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "/dev/zero"])
def test_weights_outside_the_graph_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    graph = plain_model()
    tensor = graph.graph.initializer[0]
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")  # where a runtime given bytes would look
    for folder in (tmp_path, tmp_path / "inner"):
        (folder / "weights.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    refused(write_bundle(tmp_path / "toy", graph.SerializeToString()), "policy.onnx", "xternal data")


def test_a_graph_from_the_future_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["state", "select"], ["action_w"])]
    weights = [numpy_helper.from_array(np.zeros((30, 3), np.float32), "select")]
    refused(write_bundle(tmp_path / "toy", model(nodes, weights, opset=99)), "policy.onnx")


def test_an_operator_of_a_foreign_domain_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("RunShell", ["state"], ["action_w"], domain="org.example")
    graph = model([node], [])
    graph.opset_import.append(helper.make_opsetid("org.example", 1))
    refused(write_bundle(tmp_path / "toy", graph), "policy.onnx")


def test_a_graph_of_doubles_is_refused(tmp_path: Path) -> None:
    graph: onnx.ModelProto = plain_model()
    graph.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    refused(write_bundle(tmp_path / "toy", graph), "policy.onnx")


def test_bytes_that_are_no_graph_are_refused(tmp_path: Path) -> None:
    refused(write_bundle(tmp_path / "toy", b"not a graph"), "policy.onnx")


def test_a_recurrent_bundle_holds(tmp_path: Path) -> None:
    bundle = load_bundle(write_bundle(tmp_path / "toy", recurrent_model(), recurrent=True))
    assert bundle.session.cold == ((0.0, 0.0, 0.0),)
    assert bundle.golden_error_w == 0.0


def test_a_policy_for_another_kind_of_site_is_refused(tmp_path: Path) -> None:
    manifest = load_bundle(write_bundle(tmp_path / "toy", plain_model())).manifest
    require_fit(manifest, Site(()))
    require_fit(manifest, Site((), metering=Metering.PER_PHASE))
    with pytest.raises(BundleError, match="generate"):
        require_fit(manifest, Site((), role=Role.GENERATE))
    with pytest.raises(BundleError, match=r"0\.5 s"):
        require_fit(manifest, Site((), period_s=0.5))


def test_every_bundle_that_ships_holds() -> None:
    for name in SHIPPED:
        assert load_bundle(builtin_bundle(name)).manifest.feature_names == FEATURE_NAMES
    assert set(sections.SHIPPED) == set(SHIPPED)
