"""Policy bundles that are wrong in one way each, and what a policy may do wrong with a sound bundle."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from models.bundle import builtin_bundle
from tests.support.toy_bundles import dump, model, plain_model, states, write_bundle

NAN_ABOVE_W = 1500.0
"""The golden vectors of the toy lie below 1300 W; a sunny noon lies above."""
SLOW_SIDE = 1200
"""A product of two square matrices of this side takes 100 ms and more on one core."""


def copy_of_builtin(folder: Path) -> Path:
    """The bundle that ships, as a folder."""
    shutil.copytree(builtin_bundle(), folder)
    for path in folder.iterdir():
        path.chmod(0o600)
    return folder


def truncated(folder: Path) -> None:
    """Half of the graph is missing."""
    graph = copy_of_builtin(folder) / "policy.onnx"
    content = graph.read_bytes()
    graph.write_bytes(content[: len(content) // 2])


def empty(folder: Path) -> None:
    """The graph has no bytes."""
    (copy_of_builtin(folder) / "policy.onnx").write_bytes(b"")


def flipped_bit(folder: Path) -> None:
    """One bit of a weight."""
    graph = copy_of_builtin(folder) / "policy.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(bytes(content))


def missing(folder: Path) -> None:
    """No file at all."""


def other_statistics(folder: Path) -> None:
    """Normalisation of another policy."""
    path = copy_of_builtin(folder) / "normalization_params.json"
    path.write_text(path.read_text().replace("1", "2", 1))


def unsigned(folder: Path) -> None:
    """Sound bytes and matching hashes, signed by nobody."""
    write_bundle(folder, plain_model())


def wrong_shape(folder: Path) -> None:
    """An input of 31 features under a manifest that says 30."""
    select = numpy_helper.from_array(np.zeros((31, 3), np.float32), "select")
    graph = model([helper.make_node("MatMul", ["state", "select"], ["action_w"])], [select])
    graph.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 31
    write_bundle(folder, graph)


def new_opset(folder: Path) -> None:
    """A graph of a future opset."""
    graph = plain_model()
    graph.opset_import[0].version = 99
    write_bundle(folder, graph)


def external_data(folder: Path) -> None:
    """Weights in a file outside the bundle."""
    graph = plain_model()
    (weights,) = graph.graph.initializer
    raw = numpy_helper.to_array(weights).tobytes()
    (folder.parent / "outside").write_bytes(raw)
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "../outside"), ("offset", "0"), ("length", str(len(raw)))):
        weights.external_data.add(key=key, value=value)
    write_bundle(folder, graph)


REFUSED: dict[str, tuple[str, Callable[[Path], None]]] = {
    "no file": ("P1", missing),
    "half of the graph": ("P2", truncated),
    "empty graph": ("P2", empty),
    "one bit of the graph flipped": ("P3", flipped_bit),
    "files and hashes exchanged, no signature": ("P4", unsigned),
    "input of 31 features": ("P5", wrong_shape),
    "normalisation of another policy": ("P6", other_statistics),
    "opset 99": ("P7", new_opset),
    "weights in a file outside": ("P15", external_data),
}


def nan_in_the_sun(folder: Path) -> None:
    """Sound on the golden vectors; not a number once the surplus is above 1500 W."""
    select = np.zeros((30, 3), np.float32)
    select[:3, :3] = np.eye(3)
    first = np.zeros((30, 3), np.float32)
    first[0] = 1.0
    nodes = [
        helper.make_node("MatMul", ["state", "select"], ["picked"]),
        helper.make_node("MatMul", ["state", "first"], ["surplus"]),
        helper.make_node("Sub", ["most", "surplus"], ["left"]),
        helper.make_node("Sqrt", ["left"], ["root"]),
        helper.make_node("Mul", ["root", "nothing"], ["zero"]),
        helper.make_node("Add", ["picked", "zero"], ["action_w"]),
    ]
    constants = {"most": np.array([NAN_ABOVE_W], np.float32), "nothing": np.zeros(1, np.float32)}
    weights = [
        numpy_helper.from_array(value, name)
        for name, value in {"select": select, "first": first, **constants}.items()
    ]
    write_bundle(folder, model(nodes, weights))


def slow(folder: Path) -> None:
    """Right, but every answer takes far longer than a policy may."""
    side = np.array([SLOW_SIDE, SLOW_SIDE], np.int64)
    select = np.zeros((30, 3), np.float32)
    select[:3, :3] = np.eye(3)
    tiny = helper.make_tensor("value", TensorProto.FLOAT, [1], [0.0])
    nodes = [
        helper.make_node("MatMul", ["state", "select"], ["picked"]),
        helper.make_node("ReduceSum", ["state"], ["sum"], keepdims=0),
        helper.make_node("ConstantOfShape", ["side"], ["zeros"], value=tiny),
        helper.make_node("Add", ["zeros", "sum"], ["full"]),  # of the input: no optimiser folds it
        helper.make_node("MatMul", ["full", "full"], ["product"]),
        helper.make_node("ReduceMax", ["product"], ["most"], keepdims=0),
        helper.make_node("Mul", ["most", "nothing"], ["zero"]),
        helper.make_node("Add", ["picked", "zero"], ["action_w"]),
    ]
    weights = [
        numpy_helper.from_array(select, "select"),
        numpy_helper.from_array(side, "side"),
        numpy_helper.from_array(np.zeros(1, np.float32), "nothing"),
    ]
    write_bundle(folder, model(nodes, weights))


def constant(folder: Path) -> None:
    """The same answer to everything."""
    nodes = [
        helper.make_node("MatMul", ["state", "nothing"], ["zero"]),
        helper.make_node("Add", ["zero", "answer"], ["action_w"]),
    ]
    weights = [
        numpy_helper.from_array(np.zeros((30, 3), np.float32), "nothing"),
        numpy_helper.from_array(np.full(3, 800.0, np.float32), "answer"),
    ]
    write_bundle(folder, model(nodes, weights))
    _answers(folder, [[800.0] * 3 for _ in states()])


def _answers(folder: Path, answers: list[list[float]]) -> None:
    """Replace what the golden vectors expect."""
    golden = dump({"vectors": [{"state": s, "action_w": a} for s, a in zip(states(), answers, strict=True)]})
    (folder / "golden.json").write_bytes(golden)
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["golden.json"] = hashlib.sha256(golden).hexdigest()
    (folder / "manifest.json").write_bytes(dump(manifest))
