"""From a trained network to a bundle: one directory with everything the daemon verifies."""

import hashlib
import json
import logging
import shutil
import subprocess
import warnings
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn

from core.roles import Role
from models.bundle import Bundle, digest_line, load_bundle
from models.features import FEATURE_NAMES
from models.manifest import DIGEST_FILE, GOLDEN_FILE, MANIFEST_FILE, NORMALIZATION_FILE, POLICY_FILE, Manifest
from training.artifacts.destination import ExportError, require_place, take_place

GOLDEN_VECTORS = 64
PARITY_W = 0.01
"""Largest allowed difference between torch and ONNX Runtime on the machine that exports."""
OPSET = 20
PARITY_TICKS = 600
"""Ticks in a row on which a recurrent graph is compared with its network, with a restart half-way."""
MEMORY_IN, MEMORY_OUT = "memory_in", "memory_out"

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a policy comes from."""

    name: str
    bundle_version: int
    created_at_utc: datetime
    role: str
    metering: str
    training_commit: str
    training_data_sha256: str
    minimum_daemon_version: str
    period_s: float = 1.0
    parent_sha256: str | None = None
    training_sources: tuple[str, ...] | None = None

    @classmethod
    def now(
        cls,
        name: str,
        number: int,
        metering: str,
        data_sha256: str,
        commit: str = "",
        parent_sha256: str | None = None,
        sources: tuple[str, ...] = (),
    ) -> "Lineage":
        """Of a policy for absorbing slaves, exported now from data and source that are named by their hashes.

        Args:
            number: the bundle's version.
            commit: the source it was trained with; this one by default.
            parent_sha256: of the bundle it was fine-tuned from.
            sources: the data sets that the data come from, as far as they are named.
        """
        return cls(
            name=name,
            bundle_version=number,
            created_at_utc=datetime.now(UTC),
            role=Role.ABSORB.value,
            metering=metering,
            training_commit=commit or current_commit(),
            training_data_sha256=data_sha256,
            minimum_daemon_version=version("sunkeep"),
            parent_sha256=parent_sha256,
            training_sources=sources or None,
        )


@dataclass(frozen=True, slots=True)
class Exported:
    """A verified bundle; `parity_w` is the largest deviation between graph and network in W."""

    bundle: Bundle
    parity_w: float


def export_bundle(
    net: nn.Module,
    states: Floats,
    actions_w: Floats,
    lineage: Lineage,
    out: Path,
    memory_shape: tuple[int, ...] | None = None,
) -> Exported:
    """Write a bundle and verify it as the daemon will, before it takes the place of what is at `out`.

    Args:
        net: [1, 30] raw features to [1, 3] W; with a memory, features and memory to W and memory.
        states: training features, [n, 30]; statistics, ranges and golden vectors come from them.
        actions_w: the actions that go with them, [n, 3].
        lineage: goes into the manifest.
        out: directory; a bundle in it is replaced.
        memory_shape: of the network's memory; all zero must mean the first tick.

    Raises:
        ExportError: the graph deviates from the network by more than 0.01 W, or `out` holds something else.
        BundleError: the bundle does not verify.
    """
    require_place(out)
    golden_states = _golden_states(states)
    answers = _answers(net, golden_states, memory_shape)
    contents = {
        POLICY_FILE: graph_bytes(net, memory_shape),
        NORMALIZATION_FILE: _json(_normalization(states, actions_w)),
        GOLDEN_FILE: _json({"vectors": _golden(golden_states, answers)}),
    }
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    manifest = _manifest(states, lineage, hashes, memory_shape)
    contents[MANIFEST_FILE] = (manifest.model_dump_json(indent=1, exclude_none=True) + "\n").encode()
    contents[DIGEST_FILE] = digest_line(contents[MANIFEST_FILE])
    beside = out.with_name(f".{out.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        for name, content in contents.items():
            (beside / name).write_bytes(content)
        bundle = load_bundle(beside, lineage.minimum_daemon_version)
        along_w = sequence_error_w(net, bundle, states[:PARITY_TICKS], memory_shape)
        parity_w = max(bundle.golden_error_w, along_w)
        if not parity_w <= PARITY_W:
            raise ExportError(f"graph and network differ by {parity_w:.4f} W, {PARITY_W:g} W are allowed")
        take_place(beside, out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Exported(replace(bundle, directory=out), parity_w)


def sequence_error_w(
    net: nn.Module, bundle: Bundle, states: Floats, memory_shape: tuple[int, ...] | None
) -> float:
    """Largest deviation in W between graph and network over ticks in a row, with a restart half-way."""
    half, worst_w = len(states) // 2, 0.0
    for part in (states[:half], states[half:]):
        memory = bundle.session.cold
        for row, expected in zip(part, _answers(net, part, memory_shape), strict=True):
            answer = bundle.session.run(row.tolist(), memory)
            if answer is None:
                raise ExportError("the graph does not answer a training state")
            action_w, memory = answer
            worst_w = max(worst_w, float(np.abs(np.asarray(action_w) - expected).max()))
    return worst_w


def _answers(net: nn.Module, states: Floats, memory_shape: tuple[int, ...] | None) -> Floats:
    """What the network says to states, [n, 3]; with a memory they follow each other from cold."""
    rows: list[Tensor] = []
    memory = None if memory_shape is None else torch.zeros(memory_shape)
    with torch.no_grad():
        for row in states:
            state = torch.from_numpy(row[None])
            if memory is None:
                rows.append(net(state))
            else:
                action_w, memory = net(state, memory)
                rows.append(action_w)
    return np.asarray(torch.cat(rows).numpy(), np.float32)


def graph_bytes(net: nn.Module, memory_shape: tuple[int, ...] | None = None) -> bytes:
    """The network as ONNX, weights inside, without the exporter's notes on source files.

    The same weights give the same bytes on one machine and one set of library versions.
    """
    net = net.eval()
    example: tuple[Tensor, ...] = (torch.zeros(1, len(FEATURE_NAMES)),)
    inputs, outputs = ["state"], ["action_w"]
    if memory_shape is not None:
        example = (*example, torch.zeros(memory_shape))
        inputs, outputs = [*inputs, MEMORY_IN], [*outputs, MEMORY_OUT]
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # notes on torchvision being absent
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of the exporter about itself
        program = torch.onnx.export(
            net,
            example,
            input_names=inputs,
            output_names=outputs,
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise ExportError("the exporter returned no graph")
    model = program.model_proto
    _strip(model)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def current_commit() -> str:
    """The commit of the source that trains, with ``+`` when files differ from it; ``unknown`` outside git."""
    folder = Path(__file__).parent
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603


def _strip(model: Any) -> None:
    """Drop metadata (it holds stack traces and paths of the exporting machine)."""
    del model.metadata_props[:]
    model.doc_string = ""
    graph = model.graph
    graph.doc_string = ""
    parts = (graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info)
    for part in parts:
        del part.metadata_props[:]
        part.doc_string = ""


def _normalization(states: Floats, actions_w: Floats) -> dict[str, Any]:
    return {
        "features": dict(zip(FEATURE_NAMES, _statistics(states), strict=True)),
        "action_w": _statistics(actions_w),
    }


def _statistics(values: Floats) -> list[dict[str, float]]:
    exact = values.astype(np.float64)
    columns = zip(exact.mean(axis=0).tolist(), exact.std(axis=0).tolist(), strict=True)
    return [{"mean": mean, "std": std} for mean, std in columns]


def _golden_states(states: Floats) -> Floats:
    """Observations drawn from the statistics of the training data, inside its range; none is measured."""
    rng = np.random.default_rng(0)
    drawn = rng.normal(states.mean(axis=0), states.std(axis=0), (GOLDEN_VECTORS, states.shape[1]))
    return np.clip(drawn, states.min(axis=0), states.max(axis=0)).astype(np.float32)


def _golden(states: Floats, answers: Floats) -> list[dict[str, list[float]]]:
    pairs = zip(states.tolist(), answers.tolist(), strict=True)
    return [{"state": state, "action_w": action_w} for state, action_w in pairs]


def _manifest(
    states: Floats, lineage: Lineage, hashes: dict[str, str], memory_shape: tuple[int, ...] | None
) -> Manifest:
    columns = zip(FEATURE_NAMES, states.min(axis=0).tolist(), states.max(axis=0).tolist(), strict=True)
    content = {
        "schema_version": 1,
        "name": lineage.name,
        "bundle_version": lineage.bundle_version,
        "created_at_utc": lineage.created_at_utc.isoformat(),
        "files": hashes,
        "input": {"name": "state", "shape": [1, len(FEATURE_NAMES)]},
        "output": {"name": "action_w", "shape": [1, 3]},
        "memory": [] if memory_shape is None else [_memory_tensor(memory_shape)],
        "feature_names": list(FEATURE_NAMES),
        "role": lineage.role,
        "metering": lineage.metering,
        "period_s": lineage.period_s,
        "training_range": {name: {"low": low, "high": high} for name, low, high in columns},
        "training_commit": lineage.training_commit,
        "training_data_sha256": lineage.training_data_sha256,
        "training_sources": lineage.training_sources,
        "parent_sha256": lineage.parent_sha256,
        "minimum_daemon_version": lineage.minimum_daemon_version,
    }
    return Manifest.model_validate_json(json.dumps(content))


def _memory_tensor(shape: tuple[int, ...]) -> dict[str, Any]:
    return {"name_in": MEMORY_IN, "name_out": MEMORY_OUT, "shape": list(shape)}


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()
