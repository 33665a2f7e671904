"""Exploration of PPO: noise that lasts is still standard normal, and the bonus for entropy fades."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.training.learners.interrupted import CPU, is_the_same_after_an_interruption
from tests.training.learners.toys import TwoSteps, plain_space
from training.learners.loop import Source, TrainingPlan, seeded, train
from training.learners.online.environment import BatchStep
from training.learners.online.exploration import FadingBonus, bonus_at
from training.learners.online.noise import KeptNoise
from training.learners.online.ppo import Ppo, PpoSettings, Rollout

SETTINGS = PpoSettings(0.9, lr=1e-2, horizon=4, epochs=2, minibatch=64)


def sequence(kept: float, length: int = 2000) -> Tensor:
    noise, generator = KeptNoise(kept), torch.Generator().manual_seed(0)
    return torch.stack([noise.draw(torch.empty(200), generator) for _ in range(length)])


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.9])
def test_every_number_is_standard_normal_and_neighbours_are_correlated(kept: float) -> None:
    numbers = sequence(kept)
    assert numbers[0].std().item() == pytest.approx(1.0, abs=0.15)  # from the first step on
    assert numbers.mean().item() == pytest.approx(0.0, abs=0.03)
    assert numbers.std().item() == pytest.approx(1.0, abs=0.03)
    for lag in (1, 3):
        found = (numbers[lag:] * numbers[:-lag]).mean().item()
        assert found == pytest.approx(kept**lag, abs=0.03)


def test_with_nothing_kept_it_is_the_generators_own_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    fresh = torch.stack([torch.randn(200, generator=generator) for _ in range(3)])
    assert torch.equal(sequence(0.0, 3), fresh)


def test_noise_that_is_kept_for_good_is_refused() -> None:
    for kept in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match="cannot be kept"):
            KeptNoise(kept)


class Sluggish:
    """What moves is the mean of the last eight actions: noise that changes at every step moves it little."""

    def reset(self, generator: torch.Generator) -> Tensor:
        self._sent: list[Tensor] = []
        return torch.zeros(64, 1)

    def step(self, sent: Tensor) -> BatchStep:
        self._sent.append(sent)
        moved = torch.stack(self._sent[-8:]).mean(0)
        zero = torch.zeros(64)
        return BatchStep(torch.zeros(64, 1), torch.zeros(64, 1), moved.squeeze(1), zero, zero)


def test_lasting_noise_moves_what_is_sluggish() -> None:
    def spread(kept: float) -> float:
        generator = seeded(0, CPU)
        learner = Ppo(plain_space(1, 8), PpoSettings(horizon=40, noise_kept=kept))
        return float(learner.collect(Sluggish(), generator).reward[8:].std())

    assert spread(0.8) > 1.8 * spread(0.0)


def test_the_density_is_that_of_the_action_that_was_drawn() -> None:
    generator = seeded(0, CPU)
    learner = Ppo(plain_space(2, 8), PpoSettings(horizon=6, noise_kept=0.7))
    rollout = learner.collect(TwoSteps(32), generator)
    features = learner.normalize(rollout.observation.flatten(0, 1))
    known = learner.actor.log_density_of(features, torch.tanh(rollout.draw.flatten(0, 1)))
    assert torch.allclose(known, rollout.log_density.flatten(), atol=1e-4)


def test_the_bonus_fades_to_nothing() -> None:
    assert [bonus_at(step, 10, 0.4, 0.5) for step in (0, 1, 4, 5, 9)] == pytest.approx(
        [0.4, 0.32, 0.08, 0.0, 0.0]
    )


def practice(learner: Ppo) -> Source[Rollout]:
    environment = TwoSteps(32)
    return lambda rng: learner.collect(environment, rng)


def test_a_bonus_keeps_the_policy_wide() -> None:
    def width(start: float) -> float:
        generator = seeded(0, CPU)
        learner = Ppo(plain_space(2, 8), SETTINGS)
        bonus = FadingBonus(start, until=10.0)
        train(learner, practice(learner), TrainingPlan(15), generator, companions=(bonus,))
        with torch.no_grad():
            return float(learner.actor(torch.zeros(1, 2))[1].mean())

    assert width(0.3) > width(0.0) + 0.3


def test_an_interrupted_run_goes_on_with_noise_and_bonus(tmp_path: Path) -> None:
    def made() -> tuple[Ppo, Source[Rollout], tuple[FadingBonus, ...]]:
        learner = Ppo(plain_space(2, 8), PpoSettings(horizon=4, epochs=2, minibatch=16, noise_kept=0.6))
        return learner, practice(learner), (FadingBonus(0.1),)

    assert is_the_same_after_an_interruption(made, tmp_path)
