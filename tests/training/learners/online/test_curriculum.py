"""Easy before hard: calm windows on punctual sites first, the usual ones at the end."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.learners.interrupted import CPU, is_the_same_after_an_interruption
from tests.training.learners.test_no_cpu import SPACE
from training.batched.randomization import DomainRandomization
from training.batched.windows import SolarDay, roughness_w
from training.learners.loop import Source
from training.learners.online.curriculum import Curriculum, difficulty_at, eased
from training.learners.online.ppo import Ppo, PpoSettings, Rollout
from training.learners.online.training import Grounds

FULL = DomainRandomization()


def two_weathers(seed: int = 0) -> SolarDay:
    """A day whose first half is calm and whose second half flickers."""
    seconds = np.arange(6000)
    flicker_w = np.where(seconds < 3000, 0.0, 2500.0 * ((seconds // 15) % 2))
    pv_w = (5000.0 + flicker_w).astype(np.float32)
    return SolarDay(np.full((6000, 3), 300.0, np.float32), pv_w, "3ph", (0, 6000))


def test_difficulty_rises_to_the_full_one_and_stays() -> None:
    found = [difficulty_at(step, 10, 0.5) for step in range(10)]
    assert found == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0])


def test_far_ends_are_the_usual_ones_at_full_difficulty() -> None:
    hard = eased(FULL, 1.0)
    assert hard.extra_s == pytest.approx(FULL.extra_s)
    assert (hard.told_right, hard.other_slaves, hard.dead_slave, hard.lossy) == pytest.approx(
        (FULL.told_right, FULL.other_slaves, FULL.dead_slave, FULL.lossy)
    )


def test_trouble_grows_step_by_step_from_none() -> None:
    easy = eased(FULL, 0.0)
    assert easy.extra_s == (1.0, 0.0, 0.0)
    assert (easy.other_slaves, easy.dead_slave, easy.lossy) == (0.0, 0.0, 0.0)
    assert easy.told_nothing + easy.told_right == pytest.approx(1.0)  # nobody is told anything wrong
    steps = [eased(FULL, difficulty) for difficulty in np.linspace(0.0, 1.0, 6)]
    for before, after in pairwise(steps):
        assert sum(after.extra_s) == pytest.approx(1.0)
        assert after.extra_s[1] > before.extra_s[1]
        assert after.extra_s[2] > before.extra_s[2]
        assert after.lossy > before.lossy
        assert after.net == FULL.net  # how a site is billed is no trouble


def at(difficulty: float) -> tuple[float, float]:
    """Mean roughness in W and mean extra delay in s of what is drawn."""
    curriculum = Curriculum((two_weathers(),), FULL)
    curriculum.difficulty = difficulty
    reel = curriculum(60, 90, np.random.default_rng(0))
    rough_w = np.mean([roughness_w(-window.numpy()) for window in reel.bare_w])
    return float(rough_w), float(reel.extra_s.float().mean())


def test_what_is_drawn_becomes_rougher_and_later() -> None:
    drawn = [at(difficulty) for difficulty in (0.0, 0.5, 1.0)]
    assert drawn[0][1] == 0.0
    for easier, harder in pairwise(drawn):
        assert harder[0] > 1.2 * easier[0] + 10.0
        assert harder[1] > easier[1]


def test_an_interrupted_run_goes_on_at_its_difficulty(tmp_path: Path) -> None:
    seen: list[float] = []

    def made() -> tuple[Ppo, Source[Rollout], tuple[Curriculum, ...]]:
        curriculum = Curriculum((two_weathers(),), FULL, until=0.8)
        grounds = Grounds((two_weathers(),), 3, CPU, count=2, scenery=curriculum)
        learner = Ppo(SPACE, PpoSettings(horizon=3, epochs=1, minibatch=6))
        rollouts = grounds.rollouts(learner)

        def draw(rng: torch.Generator) -> Rollout:
            seen.append(curriculum.difficulty)
            return rollouts(rng)

        return learner, draw, (curriculum,)

    assert is_the_same_after_an_interruption(made, tmp_path)
    assert seen[:12] == pytest.approx([min(1.0, step / 9.6) for step in range(12)])
