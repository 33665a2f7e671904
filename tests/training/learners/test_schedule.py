"""Learning rates: their course, what cuts them, and that an interrupted run goes on with them."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch

from tests.training.learners.interrupted import CPU, is_the_same_after_an_interruption
from tests.training.learners.toys import bandit, plain_space
from training.artifacts.checkpoint import Progress
from training.learners.data.transitions import Sampler
from training.learners.loop import TrainingPlan, seeded, train
from training.learners.offline.sac import Sac
from training.learners.schedule import Decay, RateSchedule, RateSettings, share_at


def test_the_rate_rises_in_equal_parts_and_the_first_update_learns() -> None:
    settings = RateSettings(warm_up=4)
    assert [share_at(step, 10, settings) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_it_falls_from_the_end_of_the_warm_up_to_the_last_update(decay: Decay) -> None:
    settings = RateSettings(warm_up=3, decay=decay, end_share=0.1)
    shares = [share_at(step, 14, settings) for step in range(14)]
    assert shares[2] == shares[3] == 1.0
    assert shares[-1] == pytest.approx(0.1)
    assert all(later < earlier for earlier, later in pairwise(shares[3:]))
    assert share_at(8, 14, settings) == pytest.approx(0.55)  # half-way


def rates(learner: Sac) -> set[float]:
    return {group["lr"] for optimizer in learner.optimizers.values() for group in optimizer.param_groups}


def test_judgements_that_bring_nothing_cut_the_rate_of_every_optimiser() -> None:
    learner = Sac(plain_space(1, 8))
    schedule = RateSchedule(learner, RateSettings(plateau=2, cut=0.5, least_share=0.2))
    seen = []
    for waited in (0, 1, 2, 3, 4, 0, 1, 2):  # judgements since the last better one
        schedule.judged(Progress(waited=waited))
        schedule.before(learner, 0, 10)
        (rate,) = rates(learner)
        seen.append(rate / 3e-4)
    assert seen == pytest.approx([1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2])


def test_the_loop_tells_the_schedule_of_every_judgement_and_step() -> None:
    learner, seen = Sac(plain_space(1, 8)), []
    schedule = RateSchedule(learner, RateSettings(warm_up=2, plateau=1))
    verdicts = iter([3.0, 4.0, 2.0, 5.0])
    sampler = Sampler(bandit(100), 16)

    def draw(generator: torch.Generator) -> object:
        seen.append(next(iter(rates(learner))) / 3e-4)
        return sampler(generator)

    plan = TrainingPlan(8, judge_every=2)
    train(learner, draw, plan, seeded(0, CPU), judge=lambda: next(verdicts), companions=(schedule,))  # type: ignore[arg-type]
    assert seen == pytest.approx([0.5, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5])
    assert int(schedule.cuts) == 2


def test_an_interrupted_run_goes_on_with_its_rates(tmp_path: Path) -> None:
    def made() -> tuple[Sac, Sampler, tuple[RateSchedule, ...]]:
        learner = Sac(plain_space(1, 8))
        settings = RateSettings(warm_up=4, decay="cosine", plateau=1)
        return learner, Sampler(bandit(200), 16), (RateSchedule(learner, settings),)

    assert is_the_same_after_an_interruption(made, tmp_path, judge=lambda: 1.0)
