"""Small bundles for the tests, built with onnx alone."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.features import FEATURE_NAMES

MEMORY = [{"name_in": "memory_in", "name_out": "memory_out", "shape": [1, 3]}]


def recurrent_model() -> onnx.ModelProto:
    """action_w = memory_in + the first three features; memory_out = action_w / 2."""
    select = np.zeros((30, 3), np.float32)
    select[:3, :3] = np.eye(3)
    nodes = [
        helper.make_node("MatMul", ["state", "select"], ["picked"]),
        helper.make_node("Add", ["picked", "memory_in"], ["action_w"]),
        helper.make_node("Mul", ["action_w", "half"], ["memory_out"]),
    ]
    weights = [
        numpy_helper.from_array(select, "select"),
        numpy_helper.from_array(np.array([0.5], np.float32), "half"),
    ]
    return model(nodes, weights, ["memory_in"], ["memory_out"])


def plain_model(scale: float = 1.0) -> onnx.ModelProto:
    """action_w = scale x the first three features."""
    select = np.zeros((30, 3), np.float32)
    select[:3, :3] = np.eye(3) * scale
    nodes = [helper.make_node("MatMul", ["state", "select"], ["action_w"])]
    return model(nodes, [numpy_helper.from_array(select, "select")])


def model(
    nodes: list[onnx.NodeProto],
    weights: list[onnx.TensorProto],
    memory_in: list[str] | None = None,
    memory_out: list[str] | None = None,
    opset: int = 20,
) -> onnx.ModelProto:
    """A graph of the bundle's form."""
    value = helper.make_tensor_value_info
    inputs = [value("state", TensorProto.FLOAT, [1, 30])]
    inputs += [value(name, TensorProto.FLOAT, [1, 3]) for name in memory_in or []]
    outputs = [value("action_w", TensorProto.FLOAT, [1, 3])]
    outputs += [value(name, TensorProto.FLOAT, [1, 3]) for name in memory_out or []]
    graph = helper.make_graph(nodes, "toy", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def states() -> list[list[float]]:
    """32 observations."""
    rng = np.random.default_rng(3)
    rows: list[list[float]] = rng.normal(800.0, 100.0, (32, 30)).astype(np.float32).tolist()
    return rows


def answers(recurrent: bool) -> list[list[float]]:
    """What the toy models answer to `states`, in float32 like the runtime."""
    memory = np.zeros(3, np.float32)
    rows = []
    for state in states():
        action = np.asarray(state[:3], np.float32) + (memory if recurrent else np.float32(0.0))
        memory = action * np.float32(0.5)
        rows.append(action.astype(float).tolist())
    return rows


def write_bundle(
    folder: Path, graph: onnx.ModelProto | bytes, recurrent: bool = False, **changes: Any
) -> Path:
    """A bundle around a graph; `changes` replace keys of the manifest."""
    content = graph if isinstance(graph, bytes) else graph.SerializeToString()
    vectors = zip(states(), answers(recurrent), strict=True)
    contents = {
        "policy.onnx": content,
        "golden.json": dump({"vectors": [{"state": s, "action_w": a} for s, a in vectors]}),
        "normalization_params.json": dump(
            {
                "features": {name: {"mean": 0.0, "std": 1.0} for name in FEATURE_NAMES},
                "action_w": [{"mean": 0.0, "std": 1.0}] * 3,
            }
        ),
    }
    manifest = {
        "schema_version": 1,
        "name": "toy",
        "bundle_version": 1,
        "created_at_utc": "2026-06-01T00:00:00Z",
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()},
        "input": {"name": "state", "shape": [1, 30]},
        "output": {"name": "action_w", "shape": [1, 3]},
        "memory": MEMORY if recurrent else [],
        "feature_names": list(FEATURE_NAMES),
        "role": "absorb",
        "metering": "net",
        "period_s": 1.0,
        "training_range": {name: {"low": 0.0, "high": 1.0} for name in FEATURE_NAMES},
        "training_commit": "0" * 40,
        "training_data_sha256": "0" * 64,
        "minimum_daemon_version": "0.1.0",
    }
    contents["manifest.json"] = dump(manifest | changes)
    folder.mkdir(exist_ok=True)
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return folder


def dump(content: Any) -> bytes:
    return json.dumps(content).encode()
