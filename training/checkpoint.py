"""Checkpoints of a run: weights and the optimiser's state as safetensors, the rest as JSON in the header."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn


@dataclass(frozen=True)
class Progress:
    """Where a run stands. `best_j_w` is the smallest J on the days that choose, in W."""

    seed: int
    step: int = 0
    elapsed_s: float = 0.0
    best_j_w: float = float("inf")
    best_step: int = 0


def save_run(
    path: Path, net: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write everything a run needs to go on; the file is replaced at once or not at all."""
    tensors = {f"net.{name}": x for name, x in net.state_dict().items()}
    tensors |= {f"average.{name}": x for name, x in average.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(x) for name, x in moments.items()}
    _write(path, tensors, progress)


def load_run(path: Path, net: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Put a saved run back. Raises OSError or RuntimeError when the file does not fit."""
    tensors, progress = _read(path)
    net.load_state_dict(_under("net.", tensors))
    average.load_state_dict(_under("average.", tensors))
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in _under("optimizer.", tensors).items():
        index, moment = name.split(".", 1)
        moments.setdefault(int(index), {})[moment] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    return progress


def save_weights(path: Path, net: nn.Module, progress: Progress) -> None:
    """Write the weights of one network."""
    _write(path, net.state_dict(), progress)


def load_weights(path: Path, net: nn.Module) -> Progress:
    """Put weights back. Raises OSError or RuntimeError when the file does not fit."""
    tensors, progress = _read(path)
    net.load_state_dict(tensors)
    return progress


def _write(path: Path, tensors: dict[str, Tensor], progress: Progress) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    contiguous = {name: x.detach().cpu().contiguous() for name, x in tensors.items()}
    save_file(contiguous, beside, {"progress": json.dumps(asdict(progress))})
    beside.replace(path)


def _read(path: Path) -> tuple[dict[str, Tensor], Progress]:
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
        return tensors, Progress(**json.loads(file.metadata()["progress"]))


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}
