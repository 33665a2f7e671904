"""The loop every learner runs in: batches, progress, TensorBoard, judgements, checkpoints, early stop."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from torch.utils.tensorboard import SummaryWriter

from training.artifacts.checkpoint import BEST_FILE, LAST_FILE, Progress, read_checkpoint, write_checkpoint
from training.learners.callback import Callback, contents_of
from training.learners.learner import Learner, Report

BatchT = TypeVar("BatchT")
Source = Callable[[torch.Generator], BatchT]
"""Gives the next batch; all randomness comes from the generator."""
Judge = Callable[[], float]
"""How bad the learner is now; less is better."""

console = Console(stderr=True)


class TrainingDiverged(Exception):
    """A figure is no longer finite."""


@dataclass(frozen=True)
class TrainingPlan:
    """How long, and what is done in between, in steps; 0 means never.

    Args:
        steps: updates of the learner.
        report_every: figures to TensorBoard and the progress bar.
        judge_every: judgements; the best so far is kept.
        judge_after: no judgement in these first steps, in which what is judged does not learn.
        patience: judgements without a better one after which training stops.
        save_every: checkpoints on the way; the last state is always kept.
    """

    steps: int
    report_every: int = 100
    judge_every: int = 0
    judge_after: int = 0
    patience: int = 0
    save_every: int = 1000


@dataclass(frozen=True)
class TrainingResult:
    """What a training came to. `figures` are those of the last report."""

    step: int
    best: float
    figures: dict[str, float]
    steps_per_s: float


def seeded(seed: int, device: torch.device) -> torch.Generator:
    """Start all randomness of a training: networks made after this, and the generator for everything else.

    The same seed gives the same result on the CPU with one thread.
    """
    torch.manual_seed(seed)
    return torch.Generator(device).manual_seed(seed)


def train(
    learner: Learner[BatchT],
    source: Source[BatchT],
    plan: TrainingPlan,
    generator: torch.Generator,
    out: Path | None = None,
    judge: Judge | None = None,
    resume: bool = False,
    companions: tuple[Callback, ...] = (),
) -> TrainingResult:
    """Train until the plan is fulfilled or patience is at its end.

    Args:
        learner: is changed in place.
        source: of batches, on the learner's device.
        plan: how long.
        generator: all randomness of source and learner.
        out: folder of checkpoints and TensorBoard events; without one nothing is written.
        judge: asked every `plan.judge_every` steps.
        resume: go on from the last checkpoint in `out`, as if there had been no interruption.
        companions: go along with the learner, asked in this order; the checkpoints hold their state.

    Raises:
        TrainingDiverged: a reported figure is not finite.
        CheckpointError: there is nothing to resume from.
    """
    contents = contents_of(learner, companions, generator)
    progress = read_checkpoint(_in(out, LAST_FILE), contents) if resume else Progress()
    writer = None if out is None else SummaryWriter(str(out / "tensorboard"), purge_step=progress.step)
    try:
        return _run(_Training(learner, source, plan, generator, out, judge, companions, progress, writer))
    finally:
        if writer is not None:
            writer.close()


@dataclass
class _Training:
    learner: Learner[Any]
    source: Source[Any]
    plan: TrainingPlan
    generator: torch.Generator
    out: Path | None
    judge: Judge | None
    companions: tuple[Callback, ...]
    progress: Progress
    writer: SummaryWriter | None

    def save(self, name: str) -> None:
        if self.out is not None:
            contents = contents_of(self.learner, self.companions, self.generator)
            write_checkpoint(self.out / name, contents, self.progress)

    def note(self, figures: dict[str, float]) -> None:
        if bad := [name for name, value in figures.items() if not isfinite(value)]:
            raise TrainingDiverged(f"step {self.progress.step}: {', '.join(bad)} is not finite")
        if self.writer is not None:
            for name, value in figures.items():
                self.writer.add_scalar(name, value, self.progress.step)


def _run(training: _Training) -> TrainingResult:
    plan, first = training.plan, training.progress.step
    began_s, figures = perf_counter(), dict[str, float]()
    with _bar() as bar:
        task = bar.add_task(type(training.learner).__name__, total=plan.steps, completed=first, figures="")
        while training.progress.step < plan.steps and not _is_over(plan, training.progress):
            report = _update(training)
            progress = training.progress
            if _is_due(plan.report_every, plan, progress):
                figures = {name: float(value) for name, value in report.items()}
                training.note(figures)
                shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
                bar.update(task, completed=progress.step, figures=shown)
            if training.judge is not None and is_judged(plan, progress):
                _judge(training, training.judge)
            if plan.save_every and progress.step % plan.save_every == 0:
                training.save(LAST_FILE)
    training.save(LAST_FILE)
    elapsed_s = max(perf_counter() - began_s, 1e-9)
    step = training.progress.step
    return TrainingResult(step, training.progress.best, figures, (step - first) / elapsed_s)


def _update(training: _Training) -> Report:
    learner, step = training.learner, training.progress.step
    learner.train()
    for companion in training.companions:
        companion.before(learner, step, training.plan.steps)
    report = learner.update(training.source(training.generator), training.generator)
    training.progress = replace(training.progress, step=step + 1)
    for companion in training.companions:
        companion.after(learner, step + 1)
    return report


def _judge(training: _Training, judge: Judge) -> None:
    training.learner.eval()
    found = judge()
    training.note({"judgement": found})
    progress = training.progress
    if found < progress.best:
        training.progress = replace(progress, best=found, best_step=progress.step, waited=0)
        training.save(BEST_FILE)
    else:
        training.progress = replace(progress, waited=progress.waited + 1)
    for companion in training.companions:
        companion.judged(training.progress)


def _is_due(every: int, plan: TrainingPlan, progress: Progress) -> bool:
    return progress.step == plan.steps or (every > 0 and progress.step % every == 0)


def is_judged(plan: TrainingPlan, progress: Progress) -> bool:
    """Whether a plan wants a judgement now."""
    return (
        plan.judge_every > 0
        and progress.step > plan.judge_after
        and _is_due(plan.judge_every, plan, progress)
    )


def _is_over(plan: TrainingPlan, progress: Progress) -> bool:
    return 0 < plan.patience <= progress.waited


def _in(out: Path | None, name: str) -> Path:
    if out is None:
        raise ValueError("resuming needs the folder of the checkpoints")
    return out / name


def _bar() -> Bar:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    return Bar(*columns, console=console, transient=True, disable=not console.is_terminal)
