"""Masked choices: the infeasible is never taken, the best feasible one is."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.training.learners.toys import uniform
from training.imitation.policy_net import FeatureScaling
from training.learners.data.transitions import Sampler, Transitions, TransitionsError
from training.learners.loop import TrainingPlan, seeded, train
from training.learners.offline.iql import IqlSettings
from training.learners.offline.iql_discrete import Choices, DiscreteIql, masked

CHOICES = 4
PLAIN = Choices(FeatureScaling(torch.zeros(1), torch.ones(1)), CHOICES, hidden=32)


def masks(count: int, seed: int) -> Tensor:
    """Random masks, each with a feasible choice."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(count, CHOICES, generator=generator) < 0.6
    mask[torch.arange(count), torch.randint(CHOICES, (count,), generator=generator)] = True
    return mask


def pays(state: Tensor) -> Tensor:
    """Reward of every choice, [n, 4]: the one nearest to the state pays most."""
    return -(state - torch.linspace(-0.75, 0.75, CHOICES)).abs()


def recorded(count: int = 4000) -> Transitions:
    state, mask = uniform(count, 1, seed=0), masks(count, 1)
    choice = torch.multinomial(mask.float(), 1, generator=torch.Generator().manual_seed(2))
    ends = torch.ones(count)
    reward = pays(state).gather(1, choice).squeeze(1)
    return Transitions(state, choice, reward, state, ends, torch.zeros(count), mask=mask)


@given(st.integers(0, 2**31), st.floats(-50.0, 50.0))
def test_an_infeasible_choice_is_never_taken(seed: int, size: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    learner = DiscreteIql(PLAIN)
    with torch.no_grad():
        for bias in (p for p in learner.actor.parameters() if len(p) == CHOICES and p.dim() == 1):
            bias.copy_(torch.linspace(-size, size, CHOICES))
    state, mask = 10.0 * torch.randn(64, 1, generator=generator), masks(64, seed)
    rows = torch.arange(64)
    assert bool(mask[rows, learner.best(state, mask)].all())
    assert bool(mask[rows, learner.draw(state, mask, generator)].all())


def test_even_a_sure_favourite_is_not_taken_where_it_is_infeasible() -> None:
    logits, mask = torch.tensor([[1e9, 0.0, -5.0]]), torch.tensor([[False, True, True]])
    chances = torch.softmax(masked(logits, mask), -1)[0].tolist()
    assert chances[0] == 0.0
    assert sum(chances) == pytest.approx(1.0)


def test_a_state_without_a_choice_is_refused() -> None:
    with pytest.raises(TransitionsError, match="without any feasible"):
        masked(torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.bool))
    without, learner = replace(recorded(4), mask=None), DiscreteIql(PLAIN)
    with pytest.raises(TransitionsError, match="mask"):
        learner.update(without, torch.Generator())


def test_it_finds_the_best_feasible_choice() -> None:
    torch.set_num_threads(1)
    generator = seeded(0, torch.device("cpu"))
    learner = DiscreteIql(PLAIN, IqlSettings(lr=5e-3, tau=0.05, expectile=0.9, inverse_temperature=10.0))
    train(learner, Sampler(recorded(), 128), TrainingPlan(300), generator)
    state, mask = uniform(500, 1, seed=9), masks(500, 10)
    with torch.no_grad():
        taken = learner.best(state, mask)
    feasible = pays(state).masked_fill(~mask, -torch.inf)
    lost = feasible.amax(1) - feasible.gather(1, taken[:, None]).squeeze(1)
    assert float(lost.mean()) < 0.03
    assert float((taken == feasible.argmax(1)).float().mean()) > 0.85
