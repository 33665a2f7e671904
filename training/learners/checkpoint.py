"""Checkpoints as safetensors: weights, optimisers, luck and progress; nothing in them executes on load."""

import json
import os
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from training.learners.learner import Learner

_LEARNER, _OPTIMIZER, _GENERATOR = "learner/", "optimizer/", "generator"


class CheckpointError(Exception):
    """A file that cannot be continued from; the message says why."""


@dataclass(slots=True)
class Progress:
    """How far a training has come: steps done, the best judgement, judgements since without a better one."""

    step: int = 0
    best: float = inf
    waited: int = 0


def write_checkpoint(
    path: Path, learner: Learner[Any], generator: torch.Generator, progress: Progress
) -> None:
    """Write all that is needed to go on; the old file stays until the new one is whole."""
    tensors = {_LEARNER + name: values for name, values in learner.state_dict().items()}
    for name, optimizer in learner.optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            for field, values in state.items():
                tensors[f"{_OPTIMIZER}{name}/{index}/{field}"] = torch.as_tensor(values)
    tensors[_GENERATOR] = generator.get_state()
    content = {name: values.detach().contiguous().clone() for name, values in tensors.items()}
    metadata = {"learner": type(learner).__name__, "progress": json.dumps(asdict(progress))}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(save(content, metadata))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_checkpoint(path: Path, learner: Learner[Any], generator: torch.Generator) -> Progress:
    """Put a learner and a generator into the state of a checkpoint.

    Raises:
        CheckpointError: not a checkpoint, or one of another learner or of other sizes.
    """
    tensors, metadata = _read(path)
    if metadata.get("learner") != type(learner).__name__:
        raise CheckpointError(f"{path}: of {metadata.get('learner')}, not of {type(learner).__name__}")
    try:
        learner.load_state_dict(_below(tensors, _LEARNER))
        for name, optimizer in learner.optimizers.items():
            optimizer.load_state_dict(_optimizer_state(_below(tensors, f"{_OPTIMIZER}{name}/"), optimizer))
        generator.set_state(tensors[_GENERATOR])
        return Progress(**json.loads(metadata["progress"]))
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def read_actor(path: Path, learner: Learner[Any]) -> None:
    """Begin with the actor (and the normalisation it was trained with) of another learner's checkpoint.

    Raises:
        CheckpointError: not a checkpoint, or actors of other sizes.
    """
    tensors = _below(_read(path)[0], _LEARNER)
    wanted = {name for name in learner.state_dict() if name.startswith(("actor.", "normalize."))}
    found = {name: values for name, values in tensors.items() if name in wanted}
    if set(found) != wanted:
        raise CheckpointError(f"{path}: holds no actor like this learner's")
    found |= {
        name: tensors[name.replace("actor_target.", "actor.")]
        for name in learner.state_dict()
        if name.startswith("actor_target.")
    }
    try:
        learner.load_state_dict(found, strict=False)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): v for name, v in tensors.items() if name.startswith(prefix)}


def _optimizer_state(tensors: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    state: dict[int, dict[str, Tensor]] = {}
    for name, values in tensors.items():
        index, field = name.split("/")
        state.setdefault(int(index), {})[field] = values
    return {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
