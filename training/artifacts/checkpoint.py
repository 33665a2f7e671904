"""Checkpoints as safetensors: weights, optimisers, RNG state, progress; nothing in them executes on load."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

BEST_FILE, LAST_FILE = "best.safetensors", "last.safetensors"
LEARNER = "learner"
"""What a learner's own state is called in its checkpoints."""
_OPTIMIZER, _GENERATOR = "optimizer", "generator"


class CheckpointError(ValueError):
    """A file that cannot be continued from; the message says why."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands.

    `best` is the least judgement so far (of the champion J in W), found at `best_step`; `waited` counts the
    judgements since then without a better one.
    """

    seed: int = 0
    step: int = 0
    elapsed_s: float = 0.0
    best: float = inf
    best_step: int = 0
    waited: int = 0


@dataclass(frozen=True, slots=True)
class Contents:
    """What a checkpoint is written from and read into; `kind` names who can go on from it."""

    kind: str
    networks: Mapping[str, nn.Module]
    optimizers: Mapping[str, torch.optim.Optimizer] = field(default_factory=dict)
    generator: torch.Generator | None = None


def write_checkpoint(path: Path, contents: Contents, progress: Progress) -> None:
    """Write all that is needed to go on; the old file stays until the new one is whole."""
    tensors = {
        f"{name}/{key}": values
        for name, network in contents.networks.items()
        for key, values in network.state_dict().items()
    }
    for name, optimizer in contents.optimizers.items():
        for index, state in optimizer.state_dict()["state"].items():
            for key, values in state.items():
                tensors[f"{_OPTIMIZER}/{name}/{index}/{key}"] = torch.as_tensor(values)
    if contents.generator is not None:
        tensors[_GENERATOR] = contents.generator.get_state()
    write_tensors(path, tensors, {"learner": contents.kind, "progress": json.dumps(asdict(progress))})


def read_checkpoint(path: Path, contents: Contents) -> Progress:
    """Put networks, optimisers and randomness into the state of a checkpoint.

    Raises:
        CheckpointError: not a checkpoint, or one of something else or of other sizes.
    """
    tensors, header = read_tensors(path)
    if header.get("learner") != contents.kind:
        raise CheckpointError(f"{path}: of {header.get('learner')}, not of {contents.kind}")
    try:
        for name, network in contents.networks.items():
            network.load_state_dict(below(f"{name}/", tensors))
        for name, optimizer in contents.optimizers.items():
            state = below(f"{_OPTIMIZER}/{name}/", tensors)
            optimizer.load_state_dict(_optimizer_state(state, optimizer))
        if contents.generator is not None:
            contents.generator.set_state(tensors[_GENERATOR])
        return _progress(header)
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def steps_done(path: Path) -> int:
    """After how many updates a checkpoint was written, 0 where there is none. Raises CheckpointError."""
    if not path.exists():
        return 0
    try:
        return _progress(read_tensors(path)[1]).step
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def read_actor(path: Path, learner: nn.Module) -> None:
    """Begin with the actor (and the normalisation it was trained with) of another learner's checkpoint.

    Raises:
        CheckpointError: not a checkpoint, actors of other sizes, or observations bounded otherwise.
    """
    tensors = below(f"{LEARNER}/", read_tensors(path)[0])
    wanted = {name for name in learner.state_dict() if name.startswith(("actor.", "normalize."))}
    found = {name: values for name, values in tensors.items() if name in wanted}
    if not wanted - {"normalize.clip"} <= set(found):
        raise CheckpointError(f"{path}: holds no actor like this learner's")
    found |= {
        name: tensors[name.replace("actor_target.", "actor.")]
        for name in learner.state_dict()
        if name.startswith("actor_target.")
    }
    try:
        learner.load_state_dict(found, strict=False)
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def save_weights(path: Path, net: nn.Module, progress: Progress) -> None:
    """Write the weights of one network."""
    write_tensors(path, net.state_dict(), {"progress": json.dumps(asdict(progress))})


def load_weights(path: Path, net: nn.Module) -> Progress:
    """Put weights back. Raises CheckpointError when the file does not fit."""
    tensors, header = read_tensors(path)
    try:
        net.load_state_dict(tensors)
        return _progress(header)
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """One safetensors file, replaced at once or not at all."""
    content = {name: values.detach().cpu().contiguous().clone() for name, values in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(save(content, dict(header)))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header of a safetensors file. Raises CheckpointError when it is none."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with the prefix, without it."""
    return {name.removeprefix(prefix): v for name, v in tensors.items() if name.startswith(prefix)}


def _progress(header: Mapping[str, str]) -> Progress:
    facts = json.loads(header["progress"])
    if "best_j_w" in facts:  # what weights of the champion were written with at first
        facts["best"] = facts.pop("best_j_w")
    return Progress(**facts)


def _optimizer_state(tensors: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    state: dict[int, dict[str, Tensor]] = {}
    for name, values in tensors.items():
        index, key = name.split("/")
        state.setdefault(int(index), {})[key] = values
    return {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
