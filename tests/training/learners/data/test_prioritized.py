"""Priorities: rows come as often as they should, weights undo it, and a rare lesson is learnt sooner."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training.learners.interrupted import CPU, is_the_same_after_an_interruption
from tests.training.learners.toys import bandit, plain_space
from training.learners.callback import Callback
from training.learners.data.prioritized import PrioritizedSampler, PrioritySettings, priority_of, weights_of
from training.learners.data.transitions import Sampler, Transitions
from training.learners.learner import CriticLearner
from training.learners.loop import Source, TrainingPlan, seeded, train
from training.learners.offline.sac import Sac, SacSettings
from training.learners.offline.td3bc import Td3Bc

UNBIASED = PrioritySettings(alpha=0.7, beta_start=1.0, floor=0.1)
SURPRISES = torch.tensor([0.1, 1.0, 3.0, 0.0, 10.0])


def numbered(count: int) -> Transitions:
    """The observation and the reward of a row are its number."""
    number = torch.arange(count, dtype=torch.float32)
    wide = number[:, None]
    return Transitions(wide, wide, number, wide, torch.zeros(count), torch.zeros(count))


def surprised(settings: PrioritySettings) -> PrioritizedSampler:
    sampler = PrioritizedSampler(numbered(len(SURPRISES)), 50, settings)
    sampler.priorities.copy_(priority_of(SURPRISES, settings.alpha))
    return sampler


def test_rows_come_as_often_as_their_surprise_says() -> None:
    sampler, generator = surprised(UNBIASED), torch.Generator().manual_seed(0)
    powers = SURPRISES.clamp(min=1e-6) ** 0.7
    wanted = 0.9 * powers / powers.sum() + 0.1 / 5
    assert sampler.chances().tolist() == pytest.approx(wanted.tolist(), abs=1e-6)
    counted = torch.zeros(5)
    for _ in range(400):
        counted += torch.bincount(sampler(generator).observation.squeeze(1).long(), minlength=5)
    assert (counted / counted.sum()).tolist() == pytest.approx(wanted.tolist(), abs=0.01)


def test_with_alpha_zero_every_row_comes_as_often() -> None:
    sampler = surprised(PrioritySettings(alpha=0.0))
    assert sampler.chances().tolist() == pytest.approx([0.2] * 5)


def test_weights_give_the_mean_of_uniform_draws_and_none_is_large() -> None:
    sampler, generator = surprised(UNBIASED), torch.Generator().manual_seed(1)
    found, weights = torch.zeros(2), []
    for _ in range(400):
        batch = sampler(generator)
        assert batch.weight is not None
        weights.append(batch.weight)
        found += torch.stack([(batch.weight * batch.reward).mean(), batch.weight.mean()]) / 400
    assert found.tolist() == pytest.approx([2.0, 1.0], abs=0.03)  # mean of 0..4, and of 1
    assert float(torch.cat(weights).max()) <= 1.0 / UNBIASED.floor + 1e-3
    exact = sampler.chances()
    assert float((exact * weights_of(exact, 5, 1.0) * torch.arange(5.0)).sum()) == pytest.approx(2.0)
    assert float((exact * weights_of(exact, 5, 0.0) * torch.arange(5.0)).sum()) > 2.9  # what it undoes


def test_bias_is_taken_out_by_the_end_of_the_training() -> None:
    sampler, generator = surprised(PrioritySettings(beta_start=0.0)), torch.Generator().manual_seed(1)
    learner = Sac(plain_space(1, 8))
    sampler.before(learner, 0, 10)
    first = sampler(generator)
    assert first.weight is not None
    assert first.weight.tolist() == [1.0] * 50
    sampler.before(learner, 9, 10)
    last = sampler(generator)
    assert last.weight is not None
    assert last.weight.tolist() == pytest.approx(
        (1.0 / (5 * sampler.chances()[sampler.rows])).tolist(), rel=1e-5
    )


def test_rows_nobody_has_seen_count_as_the_average() -> None:
    sampler = PrioritizedSampler(numbered(4), 8, PrioritySettings(alpha=1.0, floor=0.0))
    assert sampler.chances().tolist() == pytest.approx([0.25] * 4)
    sampler.priorities[:2] = torch.tensor([1.0, 3.0])
    assert sampler.chances().tolist() == pytest.approx([1 / 8, 3 / 8, 2 / 8, 2 / 8])


@pytest.mark.parametrize("kind", [Sac, Td3Bc])
def test_the_learner_says_how_surprised_it_was(kind: type[Sac] | type[Td3Bc]) -> None:
    sampler, generator = PrioritizedSampler(bandit(60), 16, PrioritySettings()), seeded(0, CPU)
    learner = kind(plain_space(1, 8))
    train(learner, sampler, TrainingPlan(1), generator, companions=(sampler,))
    assert learner.surprise is not None
    rows = sampler.rows.tolist()
    told = dict(zip(rows, (learner.surprise**0.6).tolist(), strict=True))
    assert {row: float(sampler.priorities[row]) for row in told} == pytest.approx(told)
    assert bool((sampler.priorities >= 0.0).sum() == len(told))


def test_a_row_without_weight_teaches_the_critics_nothing() -> None:
    data = bandit(40)
    weight = torch.cat([torch.ones(20), torch.zeros(20)])
    lie = data.reward.clone()
    lie[20:] = 1e3
    taught = []
    for reward in (data.reward, lie):
        generator, learner = seeded(0, CPU), Sac(plain_space(1, 8))
        columns = (data.action, reward, data.following, data.terminal, data.truncated)
        learner.update(Transitions(data.observation, *columns, weight=weight), generator)
        taught.append(torch.cat([p.detach().flatten() for p in learner.critic.parameters()]))
    assert torch.equal(*taught)


def test_conservatism_takes_rows_as_they_are_drawn() -> None:
    data = replace(bandit(40), weight=torch.zeros(40))
    for weight, is_moved in ((0.0, False), (1.0, True)):
        generator, learner = seeded(0, CPU), Sac(plain_space(1, 8), SacSettings(cql_weight=weight))
        before = [p.detach().clone() for p in learner.critic.parameters()]
        learner.update(data, generator)
        assert is_moved != all(map(torch.equal, before, learner.critic.parameters()))


def rare(count: int = 4000) -> Transitions:
    """In one row of a thousand the observation is 1 and the reward 1, elsewhere both are 0."""
    is_rare = (torch.arange(count) % 1000 == 0).float()
    action = 2.0 * torch.rand(count, 1, generator=torch.Generator().manual_seed(0)) - 1.0
    ends = torch.ones(count)
    return Transitions(is_rare[:, None], action, is_rare, is_rare[:, None], ends, torch.zeros(count))


def valued(source: Source[Transitions], companions: tuple[Callback, ...]) -> float:
    """What the critics say of the rare state after a short training; 1 is right."""
    torch.set_num_threads(1)
    generator, learner = seeded(0, CPU), Sac(plain_space(1, 16), SacSettings(lr=3e-3))
    train(learner, source, TrainingPlan(200), generator, companions=companions)
    with torch.no_grad():
        return float(learner.critic.min_q(torch.ones(1, 1), torch.zeros(1, 1)))


def test_a_rare_lesson_is_learnt_sooner() -> None:
    data = rare()
    sampler = PrioritizedSampler(data, 32, PrioritySettings(alpha=1.0, beta_start=0.0))
    plain, prioritized = valued(Sampler(data, 32), ()), valued(sampler, (sampler,))
    assert prioritized > plain + 0.2
    assert abs(prioritized - 1.0) < 0.4


def test_an_interrupted_run_goes_on_with_its_priorities(tmp_path: Path) -> None:
    def made() -> tuple[CriticLearner, PrioritizedSampler, tuple[PrioritizedSampler, ...]]:
        sampler = PrioritizedSampler(bandit(60), 16, PrioritySettings())
        return Sac(plain_space(1, 8)), sampler, (sampler,)

    assert is_the_same_after_an_interruption(made, tmp_path)
