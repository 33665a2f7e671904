"""A device that stands for a GPU where there is none, and a watch that sees every tensor left on the CPU.

Tensors on torch's device "meta" have shapes and no values. Like on a GPU, networks get there with `.to`, so
whatever is no parameter and no buffer stays behind; autograd and optimisers work as usual. The watch is asked
before every operation. What has no value cannot be read: truth, integers, numbers and copies read from a
tensor are made up; on a GPU they are a wait for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from training.learners.learner import Learner

AWAY = torch.device("meta")
_TRANSFERS = ("aten._to_copy.default", "aten.copy_.default")


class Luck(torch.Generator):
    """A generator that says it is on the device, as the one of a training there."""

    device = AWAY


class DeviceWatch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses operations that mix devices, and while `is_strict` all that touch a tensor on the CPU.

    Tensors without dimensions may be anywhere: a GPU takes them as numbers. Transfers are what they are.
    """

    def __init__(self, *, is_strict: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.is_strict = is_strict
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.operations += 1
        if str(func) in _TRANSFERS:
            return result
        tensors = [x for x in tree_leaves((args, kwargs, result)) if isinstance(x, Tensor) and x.dim()]
        here = [x for x in tensors if x.device != AWAY]
        if here and (self.is_strict or len(here) < len(tensors)):
            shapes = ", ".join(str(tuple(x.shape)) for x in here)
            raise AssertionError(f"{func} on tensors left on the CPU: {shapes}")
        return result


@contextmanager
def watched(*, is_strict: bool) -> Iterator[DeviceWatch]:
    """Watch what is done inside; values read from tensors are made up."""
    with pytest.MonkeyPatch.context() as patch, DeviceWatch(is_strict=is_strict) as watch:
        patch.setattr(Tensor, "__bool__", lambda _: True)
        patch.setattr(Tensor, "__int__", lambda _: 4)
        patch.setattr(Tensor, "__float__", lambda _: 0.5)
        patch.setattr(Tensor, "cpu", lambda x: torch.zeros(x.shape, dtype=x.dtype))
        yield watch
        assert watch.operations


def sent_away(network: nn.Module, optimizers: dict[str, torch.optim.Optimizer]) -> None:
    """`network.to` the device; its optimisers hold the same parameters as before, as they do on a GPU."""
    before = dict(network.named_parameters())
    network.to(AWAY)
    moved = {id(old): new for (_, old), new in zip(before.items(), network.parameters(), strict=True)}
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            group["params"] = [moved.get(id(p), p) for p in group["params"]]


def learner_away(learner: Learner[Any]) -> None:
    """A learner on the device."""
    sent_away(learner, learner.optimizers)
