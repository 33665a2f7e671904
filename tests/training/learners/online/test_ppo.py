"""Advantages by hand, and what a control variate is for."""

from dataclasses import replace

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from tests.training.learners.toys import DoingNothing, NoisyBandit, plain_space
from training.learners.loop import TrainingPlan, seeded, train
from training.learners.networks import kl_of, log_density
from training.learners.online.environment import ControlVariate, VectorEnvironment
from training.learners.online.ppo import Ppo, PpoSettings, advantages

CPU = torch.device("cpu")
SETTINGS = PpoSettings(gamma=0.9, lr=1e-2, horizon=4, epochs=3, minibatch=64, log_std_start=-1.0)


def test_advantages_are_those_computed_by_hand() -> None:
    """gamma 0.5, lambda 0.5. First episode: goes on, then cut by time. Second: goes on, then terminal."""
    reward = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    value = torch.tensor([[10.0], [20.0], [30.0], [40.0]])
    following = torch.tensor([[20.0], [60.0], [40.0], [999.0]])
    terminal = torch.tensor([[0.0], [0.0], [0.0], [1.0]])
    truncated = torch.tensor([[0.0], [1.0], [0.0], [0.0]])
    fourth = 4.0 - 40.0  # nothing follows
    third = 3.0 + 0.5 * 40.0 - 30.0 + 0.25 * fourth
    second = 2.0 + 0.5 * 60.0 - 20.0  # what follows counts, the next episode does not
    first = 1.0 + 0.5 * 20.0 - 10.0 + 0.25 * second
    found = advantages(reward, value, following, terminal, truncated, gamma=0.5, lam=0.5)
    assert found.squeeze(1).tolist() == pytest.approx([first, second, third, fourth])


def test_with_lambda_one_the_advantage_is_the_return_minus_the_value() -> None:
    reward, value = torch.tensor([[1.0], [1.0], [1.0]]), torch.tensor([[0.3], [0.2], [0.1]])
    no, ends = torch.zeros(3, 1), torch.tensor([[0.0], [0.0], [1.0]])
    following = torch.cat([value[1:], torch.full((1, 1), 77.0)])
    found = advantages(reward, value, following, ends, no, gamma=0.9, lam=1.0)
    assert found.squeeze(1).tolist() == pytest.approx([2.71 - 0.3, 1.9 - 0.2, 1.0 - 0.1])


def learnt(environment: VectorEnvironment, updates: int) -> float:
    torch.set_num_threads(1)
    generator = seeded(0, CPU)
    learner = Ppo(plain_space(1, 16), SETTINGS)
    train(learner, lambda rng: learner.collect(environment, rng), TrainingPlan(updates), generator)
    with torch.no_grad():
        return float(learner.deployed()(torch.zeros(1, 1)))


def test_a_control_variate_finds_what_the_noise_hides() -> None:
    """Luck of 30 against a gain of at most 0.09: only the difference to the baseline shows it."""
    compared = ControlVariate(NoisyBandit(32), DoingNothing(32))
    assert learnt(compared, 40) == pytest.approx(0.3, abs=0.08)
    assert abs(learnt(NoisyBandit(32), 40) - 0.3) > 0.08


def test_both_live_the_same_draws_and_the_generator_moves_on_once() -> None:
    generator, alone = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    compared = ControlVariate(NoisyBandit(8), DoingNothing(8))
    compared.reset(generator)
    NoisyBandit(8).reset(alone)
    assert torch.equal(generator.get_state(), alone.get_state())
    assert compared.step(torch.zeros(8, 1)).reward.tolist() == [0.0] * 8
    gained = compared.step(torch.full((8, 1), 0.3)).reward
    assert gained.tolist() == pytest.approx([0.09] * 8, abs=1e-5)


def test_the_divergence_is_that_of_the_textbook() -> None:
    generator = torch.Generator().manual_seed(0)
    old, new = ((torch.randn(6, 2, generator=generator), 0.3 * torch.randn(6, 2, generator=generator)),) * 2
    assert kl_of(old, new).tolist() == [0.0] * 6
    new = (new[0] + 0.4, new[1] - 0.2)
    normals = [Normal(mean, log_std.exp()) for mean, log_std in (old, new)]
    assert torch.allclose(kl_of(old, new), kl_divergence(*normals).sum(1), atol=1e-6)


def updated(settings: PpoSettings) -> tuple[dict[str, float], list[float]]:
    """The report of one update, and the sums of all weights after it."""
    generator = seeded(0, CPU)
    learner = Ppo(plain_space(1, 16), settings)
    rollout = learner.collect(ControlVariate(NoisyBandit(32), DoingNothing(32)), generator)
    report = learner.update(rollout, generator)
    figures = {name: float(value) for name, value in report.items()}
    return figures, [float(p.detach().sum()) for p in learner.parameters()]


def test_the_epochs_end_exactly_when_the_policy_has_moved_further_than_it_may() -> None:
    settings = replace(SETTINGS, minibatch=128, epochs=12)
    moved = [updated(replace(settings, epochs=epochs))[0]["kl"] for epochs in range(1, 13)]
    assert moved[0] > 0.0
    for bound in (0.5 * moved[0], 0.5 * (moved[2] + moved[3]), 0.99 * max(moved)):
        first_beyond = next(epoch for epoch, kl in enumerate(moved, 1) if kl > bound)
        figures, weights = updated(replace(settings, kl_max=bound))
        assert figures["epochs"] == first_beyond
        assert figures["kl"] == pytest.approx(moved[first_beyond - 1], rel=1e-5)
        assert weights == updated(replace(settings, epochs=first_beyond))[1]
    figures, weights = updated(replace(settings, kl_max=1.01 * max(moved)))
    assert (figures["epochs"], weights) == (12.0, updated(settings)[1])


def test_no_action_becomes_likelier_than_the_clip_allows_by_what_it_gains() -> None:
    """Beyond the clip the loss is flat: with one sample and a huge rate the ratio stops mattering."""
    learner = Ppo(plain_space(1, 16), replace(SETTINGS, clip=0.2))
    features, draw = torch.zeros(1, 1), torch.tensor([[0.5]])
    density = log_density(draw, *learner.actor(features)).detach()
    before = [p.detach().clone() for p in learner.actor.parameters()]
    for gain, shift in ((1.0, -0.3), (-1.0, 0.3)):  # likelier than 1.2 and gaining, less than 0.8 and losing
        rows = {"features": features, "draw": draw, "log_density": density + shift}
        learner._improve(rows | {"advantage": torch.tensor([gain]), "goal": torch.zeros(1)})
        after = [p.detach() for p in learner.actor.parameters()]
        assert all(torch.equal(x, y) for x, y in zip(before, after, strict=True))
    rows = {"features": features, "draw": draw, "log_density": density}
    learner._improve(rows | {"advantage": torch.tensor([1.0]), "goal": torch.zeros(1)})
    assert any(
        not torch.equal(x, p.detach()) for x, p in zip(before, learner.actor.parameters(), strict=True)
    )
