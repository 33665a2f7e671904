"""Evaluation of a learner on validation days: J of its deterministic policy in the batched simulator."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from training.batched.simulator import Policy, View
from training.batched.windows import RolloutWindow, SolarDay, read_days
from training.data.days import Day
from training.learners.loop import Judge
from training.replay.differentiable_replay import judge, to_device
from training.replay.trainer import RunLength, choosing_reel

WINDOWS, WINDOW_S = 96, 630
"""Spread over the days; the champion's training chooses on the same days and far ends, in longer windows."""


def memoryless(net: nn.Module) -> Policy:
    """A network from features to watts as a policy of `training.batched.simulator`."""

    def propose(view: View, memory: Any) -> tuple[Tensor, None]:
        return net(view.features), None

    return propose


def windows_of(
    days: tuple[SolarDay, ...],
    device: torch.device,
    windows: int | None = WINDOWS,
    window_s: int = WINDOW_S,
) -> RolloutWindow:
    """The windows that `j_on` lives, always the same ones of the same days."""
    return to_device(choosing_reel(days, RunLength(window_s=window_s, windows=windows)), device)


def j_on(days: Sequence[Day], deployed: Callable[[], nn.Module], device: torch.device) -> Judge:
    """Mean J in W on windows of these days, the same draws every time it is asked.

    Args:
        days: of the split "val".
        deployed: gives the policy as it would be exported now.
        device: where the learner lives.
    """
    return judge_on(read_days(days), deployed, device)


def judge_on(
    days: tuple[SolarDay, ...],
    deployed: Callable[[], nn.Module],
    device: torch.device,
    windows: int | None = WINDOWS,
    window_s: int = WINDOW_S,
) -> Judge:
    """The same on days that are read already, with other windows where they are wanted."""
    reel = windows_of(days, device, windows, window_s)

    def found() -> float:
        return float(judge(reel, memoryless(deployed())).j_w.mean())

    return found
