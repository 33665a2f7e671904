"""A training that is broken off between two checkpoints and goes on must end as if nothing had happened."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from training.learners.callback import Callback
from training.learners.learner import Learner
from training.learners.loop import Judge, Source, TrainingPlan, seeded, train

CPU = torch.device("cpu")
STEPS, BROKEN_AFTER = 12, 7
PLAN = TrainingPlan(STEPS, judge_every=2, save_every=3)

Made = Callable[[], tuple[Learner[Any], Source[Any], tuple[Callback, ...]]]
"""A learner, the source of its batches and its companions, made anew."""


class PowerCut(Exception):
    """The training ends here."""


def is_the_same_after_an_interruption(made: Made, out: Path, judge: Judge | None = None) -> bool:
    """Whether learner and companions end equal, bit by bit, and moved at all."""
    whole, began = _run(made, 3, None, judge), _state(made, 3)
    try:
        _run(made, 3, out, judge, breaks=True)
    except PowerCut:
        resumed = _run(made, 99, out, judge, resume=True)
    moved = any(not torch.equal(x, y) for x, y in zip(whole, began, strict=True))
    return moved and all(torch.equal(x, y) for x, y in zip(whole, resumed, strict=True))


def _state(made: Made, seed: int) -> list[torch.Tensor]:
    seeded(seed, CPU)
    learner, _, companions = made()
    return [values for part in (learner, *companions) for values in part.state_dict().values()]


def _run(
    made: Made,
    seed: int,
    out: Path | None,
    judge: Judge | None,
    *,
    breaks: bool = False,
    resume: bool = False,
) -> list[torch.Tensor]:
    torch.set_num_threads(1)
    generator, drawn = seeded(seed, CPU), 0
    learner, source, companions = made()

    def draw(rng: torch.Generator) -> Any:
        nonlocal drawn
        drawn += 1
        if breaks and drawn > BROKEN_AFTER:
            raise PowerCut
        return source(rng)

    train(learner, draw, PLAN, generator, out, judge, resume, companions)
    return [values for part in (learner, *companions) for values in part.state_dict().values()]
