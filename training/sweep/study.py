"""One trial of a sweep: a learner with some settings, judged again and again on the days that choose.

Nothing here knows Ray. A trial tells every judgement, writes its checkpoint before it does, and goes on from
a checkpoint that it finds.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf, isfinite
from pathlib import Path
from typing import Any

import torch

from training.artifacts.checkpoint import LAST_FILE, Progress, steps_done
from training.batched.windows import SolarDay, read_days
from training.data.days import find_days
from training.imitation.scaling import phase_scaling
from training.learners.data.files import read_transitions
from training.learners.data.transitions import Sampler, Transitions
from training.learners.evaluation import judge_on
from training.learners.learner import Space
from training.learners.loop import TrainingDiverged, TrainingPlan, seeded
from training.learners.loop import train as run_loop
from training.learners.networks import Residual
from training.learners.offline.defaults import BATCH, SPAN_W, USUAL, offline_learner
from training.replay.differentiable_replay import ReplayPlan
from training.replay.trainer import RunLength
from training.replay.trainer import train as run_course
from training.sweep.space import SPACES, Settings

REPLAY = "replay"
LEARNERS = tuple(SPACES)

Tell = Callable[[int, float], None]
"""Is told every judgement: its number from 1, and J in W on the days that choose."""


@dataclass(frozen=True)
class Study:
    """What all trials of a sweep share.

    Args:
        learner: one of `LEARNERS`.
        checks: judgements of a trial that is not ended early.
        every: updates between two of them; of replay with stretches of 60 s, so that a judgement comes after
            as many lived seconds whatever their length.
        seed: of weights and randomness, the same for every trial.
        choosing: days of the split "val".
        teaching: days of the split "train", for replay.
        table: transitions, for the others.
        windows: of the choosing days at most, each of `window_s`.
        plan: of replay; trials change some of it.
    """

    learner: str
    checks: int
    every: int
    seed: int
    choosing: tuple[SolarDay, ...]
    teaching: tuple[SolarDay, ...] = ()
    table: Transitions | None = None
    windows: int | None = 96
    window_s: int = 630
    plan: ReplayPlan = field(default_factory=ReplayPlan)

    @classmethod
    def read(cls, learner: str, traces: Path, data: Path | None, **terms: Any) -> "Study":
        """Load what trials need; days of the split "test" are never opened.

        Raises:
            DaysError, TraceError, TransitionsError: of the files.
        """
        choosing = read_days(find_days(traces, "val"))
        if learner == REPLAY:
            return cls(learner, choosing=choosing, teaching=read_days(find_days(traces, "train")), **terms)
        assert data is not None
        return cls(learner, choosing=choosing, table=read_transitions(data), **terms)


def settings_of(learner: str) -> type[Any]:
    """The dataclass that holds a learner's settings."""
    return ReplayPlan if learner == REPLAY else type(USUAL[learner])


def live(study: Study, settings: Settings, out: Path, tell: Tell) -> None:
    """Train one trial to its end, or until `tell` raises. A figure that is no number ends it as the worst.

    The state of the least judgement is in `out`'s `BEST_FILE`, the last one in `LAST_FILE`.
    """
    torch.set_num_threads(1)
    try:
        (_live_replay if study.learner == REPLAY else _live_offline)(study, settings, out, tell)
    except TrainingDiverged:
        tell(study.checks, inf)


def _live_replay(study: Study, settings: Settings, out: Path, tell: Tell) -> None:
    tuned: Any = settings
    plan = replace(study.plan, **tuned)
    every = max(1, round(study.every * study.plan.stretch_s / plan.stretch_s))
    course = RunLength(
        seed=study.seed,
        updates=every * study.checks,
        check_every=every,
        window_s=study.window_s,
        windows=study.windows,
    )
    first = steps_done(out / LAST_FILE)

    def told(progress: Progress, j_w: float) -> None:
        if not isfinite(j_w):
            raise TrainingDiverged(f"update {progress.step}: J is not finite")
        if progress.step > first:
            tell(progress.step // every, j_w)

    run_course(study.teaching, study.choosing, out, course, plan, told=told)


def _live_offline(study: Study, settings: Settings, out: Path, tell: Tell) -> None:
    assert study.table is not None
    cpu = torch.device("cpu")
    generator = seeded(study.seed, cpu)
    space = Space(phase_scaling(study.table.observation), 3, Residual(SPAN_W))
    tuned: Any = settings
    learner = offline_learner(study.learner, space, replace(USUAL[study.learner], **tuned))
    source = Sampler(study.table, BATCH, exchange=True)
    ask = judge_on(study.choosing, learner.deployed, cpu, study.windows, study.window_s)
    found_w: list[float] = []

    def judge() -> float:
        found_w.append(ask())
        return found_w[-1]

    first = steps_done(out / LAST_FILE)
    for check in range(first // study.every, study.checks):
        is_begun, plan = (
            (out / LAST_FILE).exists(),
            TrainingPlan((check + 1) * study.every, judge_every=study.every),
        )
        run_loop(learner, source, plan, generator, out, judge, is_begun)
        tell(check + 1, found_w[-1])
