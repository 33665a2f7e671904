"""A training run of the champion: updates by schedule, checks on the days that choose, checkpoints."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress as Bar
from torch import Tensor
from torch.utils._pytree import tree_map
from torch.utils.tensorboard import SummaryWriter

from training.artifacts.checkpoint import (
    BEST_FILE,
    LAST_FILE,
    Contents,
    Progress,
    read_checkpoint,
    save_weights,
    write_checkpoint,
)
from training.batched.randomization import FAMILY, JUDGED, JUDGED_FAMILY, DomainRandomization
from training.batched.windows import RolloutWindow, SolarDay, measured, reel_of
from training.data.days import DaysError
from training.replay.differentiable_replay import (
    Batch,
    EvaluationResult,
    ReplayPlan,
    judge,
    rate_at,
    to_device,
    update,
)
from training.replay.network import ReplayNet

CHOICE_SEED = 12
"""Far ends of the choosing windows: the same for every run, so that runs can be compared."""

console = Console(stderr=True)


@dataclass(frozen=True)
class RunLength:
    """How long a run lasts (updates, or minutes where given) and how often it is checked.

    `net` is the share of sites that are billed net, where it is not the usual one. `is_family` is whether it
    teaches the family of sites and is judged on it, beside the usual one.
    """

    seed: int = 0
    updates: int = 1000
    minutes: float | None = None
    check_every: int = 150
    window_s: int = 1260
    windows: int | None = None
    device: str = "cpu"
    net: float | None = None
    is_family: bool = False

    def chances(self, usual: DomainRandomization) -> DomainRandomization:
        """How far ends are drawn, billed as this course wants it."""
        return usual if self.net is None else replace(usual, net=self.net)


def choosing_reel(days: tuple[SolarDay, ...], course: RunLength) -> RolloutWindow:
    """The windows that checkpoints are chosen on, whole days cut into pieces as they were measured.

    Raises:
        DaysError: no window is sunny.
    """
    windows = measured(days, course.window_s + 1)
    if not windows:
        raise DaysError(
            f"none of the days that choose has a sunny window of {course.window_s} s; give more of them"
        )
    if course.windows is not None:
        windows = windows[:: max(1, len(windows) // course.windows)][: course.windows]
    usual = reel_of(windows, np.random.default_rng(CHOICE_SEED), course.chances(JUDGED))
    if not course.is_family:
        return usual
    family = reel_of(windows, np.random.default_rng([CHOICE_SEED, 1]), course.chances(JUDGED_FAMILY))
    both: RolloutWindow = tree_map(lambda *leaves: torch.cat(leaves), usual, family)
    return both


def train(
    train_days: tuple[SolarDay, ...],
    val_days: tuple[SolarDay, ...],
    out: Path,
    course: RunLength,
    plan: ReplayPlan,
    start: ReplayNet | None = None,
    told: Callable[[Progress, float], None] = lambda progress, j_w: None,
) -> Progress:
    """Run to the end of the schedule; goes on from `out`'s last checkpoint if there is one.

    It begins with the weights of `start` where there are any; these are judged first. `told` hears every
    judgement, J in W, after its checkpoint is written. The best averaged weights by J on `val_days` are in
    `BEST_FILE`. On one machine a run of a number of updates gives the same weights again; a resumed one
    begins with new windows.
    """
    torch.manual_seed(course.seed)
    device = torch.device(course.device)
    net = deepcopy(start or ReplayNet()).to(device)
    average = deepcopy(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=plan.learning_rate, betas=(0.9, 0.98))
    contents = Contents(ReplayNet.__name__, {"net": net, "average": average}, {"adam": optimizer})
    progress = Progress(course.seed)
    if (out / LAST_FILE).exists():
        progress = read_checkpoint(out / LAST_FILE, contents)
    taught = course.chances(FAMILY if course.is_family else DomainRandomization())
    batch = Batch(train_days, plan, taught, device, net)
    reel = to_device(choosing_reel(val_days, course), device)
    began_s = monotonic() - progress.elapsed_s
    with SummaryWriter(str(out / "tensorboard")) as writer, Bar(console=console) as bar:
        shown = bar.add_task("replay", total=1.0)
        while True:
            progress = replace(progress, elapsed_s=monotonic() - began_s)
            done = _done(progress, course)
            if progress.step % course.check_every == 0 or done >= 1.0:
                progress, j_w = _check(average, reel, progress, out, writer)
                write_checkpoint(out / LAST_FILE, contents, progress)
                told(progress, j_w)
            if done >= 1.0:
                return progress
            batch.enter(np.random.default_rng([course.seed, progress.step]))
            rate = rate_at(done, progress.step, plan)
            cost_w = update(net, batch, optimizer, rate, plan)
            _follow(average, net, min(plan.average_kept, progress.step / (progress.step + 10.0)))
            writer.add_scalar("train/j_w", cost_w, progress.step)
            writer.add_scalar("train/rate", rate, progress.step)
            progress = replace(progress, step=progress.step + 1)
            bar.update(shown, completed=done)


def _done(progress: Progress, course: RunLength) -> float:
    """How far a run is, from 0 to 1."""
    if course.minutes is None:
        return progress.step / course.updates
    return progress.elapsed_s / max(60.0 * course.minutes, 1e-3)


@torch.no_grad()
def _follow(average: ReplayNet, net: ReplayNet, kept: float) -> None:
    for mean, newest in zip(average.parameters(), net.parameters(), strict=True):
        mean.lerp_(newest, 1.0 - kept)


def _check(
    net: ReplayNet, reel: RolloutWindow, progress: Progress, out: Path, writer: SummaryWriter
) -> tuple[Progress, float]:
    judged = judge(reel, net.policy)
    j_w = float(judged.j_w.mean())
    for name, value in parts(judged, reel).items():
        writer.add_scalar(f"val/{name}", value, progress.step)
    figures = "  ".join(f"{name} {value:.1f}" for name, value in parts(judged, reel).items())
    console.print(f"{progress.step:6d} updates {progress.elapsed_s:6.0f} s  {figures}", soft_wrap=True)
    if j_w < progress.best:
        progress = replace(progress, best=j_w, best_step=progress.step)
        save_weights(out / BEST_FILE, net, progress)
    return progress, j_w


def parts(judged: EvaluationResult, reel: RolloutWindow) -> dict[str, float]:
    """J in W over all rows and by what makes them differ."""

    def mean_w(rows: Tensor) -> float:
        return float(judged.j_w[rows].mean()) if bool(rows.any()) else float("nan")

    told, is_net = reel.rig.told.is_told, reel.rig.is_net
    usual = (reel.extra_s == 0) & ~told
    return {
        "j_w": float(judged.j_w.mean()),
        "net_j_w": mean_w(usual & is_net),
        "per_phase_j_w": mean_w(usual & ~is_net),
        "late_1s_j_w": mean_w((reel.extra_s == 1) & ~told),
        "late_2s_j_w": mean_w((reel.extra_s == 2) & ~told),
        "measured_j_w": mean_w(told),
        "export_w": float((judged.export_w - judged.beyond_w).mean()),
        "avoidable_w": float(judged.avoidable_w.mean()),
        "frames_per_min": judged.frames_per_min,
    }
