"""Discrete choices of a site: what they mean, which are feasible, and what is exported."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.inference import open_graph
from training.artifacts.export import graph_bytes
from training.batched.bundle_policy import any_batch
from training.imitation.scaling import phase_scaling
from training.learners.data.transitions import Sampler, Transitions
from training.learners.loop import seeded
from training.learners.offline.discrete_actions import Levels, as_choices
from training.learners.offline.iql_discrete import Choices, DiscreteIql

SURPLUS = [0, 9, 18]
LEVELS = Levels()


def observed(surplus_w: Tensor) -> Tensor:
    """[n, 3] in W to observations that say nothing else."""
    states = torch.zeros(len(surplus_w), 30)
    states[:, SURPLUS] = surplus_w
    return states


def surpluses(count: int, seed: int) -> Tensor:
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(seed)) * 7000.0 - 1000.0


@settings(max_examples=50)
@given(st.integers(0, 2**31))
def test_feasible_choices_are_all_different_and_reach_both_bounds(seed: int) -> None:
    states = observed(surpluses(8, seed))
    mask = LEVELS.feasible(states)
    assert bool(mask.any(1).all())
    for state, feasible in zip(states, mask, strict=True):
        choices = torch.nonzero(feasible).squeeze(1)
        sent_w = LEVELS.outward(state.expand(len(choices), -1), choices)
        assert len(torch.unique(sent_w, dim=0)) == len(choices)
        everything_w = LEVELS.outward(state.expand(LEVELS.count, -1), torch.arange(LEVELS.count))
        assert torch.equal(torch.unique(sent_w, dim=0), torch.unique(everything_w, dim=0))


@settings(max_examples=50)
@given(st.integers(0, 2**31))
def test_the_nearest_choice_is_feasible_and_none_is_nearer(seed: int) -> None:
    states = observed(surpluses(8, seed))
    action_w = surpluses(8, seed + 1).clamp(0.0, 5000.0)
    choice = LEVELS.nearest(states, action_w)
    assert bool(LEVELS.feasible(states).gather(1, choice).all())
    away_w = (LEVELS.outward(states, choice.squeeze(1)) - action_w).abs()
    for other in range(LEVELS.count):
        others_w = LEVELS.outward(states, torch.full((8,), other))
        assert bool((away_w <= (others_w - action_w).abs() + 1e-3).all())


def test_batches_keep_everything_but_the_action() -> None:
    states, ends = observed(surpluses(50, 0)), torch.zeros(50)
    table = Transitions(states, states[:, SURPLUS].clamp(0.0, 5000.0), torch.arange(50.0), states, ends, ends)
    plain, choices = Sampler(table, 16), as_choices(Sampler(table, 16), LEVELS)
    watts, chosen = (draw(torch.Generator().manual_seed(1)) for draw in (plain, choices))
    assert torch.equal(watts.reward, chosen.reward)
    assert torch.equal(watts.observation, chosen.observation)
    assert chosen.action.dtype == torch.int64
    assert chosen.mask is not None
    sent_w = LEVELS.outward(chosen.observation, chosen.action.squeeze(1))
    assert torch.allclose(sent_w, watts.action, atol=1e-2)


def test_the_graph_sends_the_likeliest_feasible_choice_for_one_site_and_for_many() -> None:
    seeded(3, torch.device("cpu"))
    states = observed(surpluses(40, 5)) + torch.randn(40, 30)
    learner = DiscreteIql(Choices(phase_scaling(states), LEVELS.count, hidden=16), levels=LEVELS)
    expected_w = LEVELS.outward(states, learner.best(states, LEVELS.feasible(states))).numpy()
    content = graph_bytes(learner.deployed())
    alone, together = open_graph(content), open_graph(any_batch(content))
    answers = [alone.run(None, {"state": state[None]})[0] for state in states.numpy()]
    assert np.concatenate(answers) == pytest.approx(expected_w, abs=0.01)
    assert together.run(None, {"state": states.numpy()})[0] == pytest.approx(expected_w, abs=0.01)
    assert len(np.unique(expected_w - states[:, SURPLUS].numpy())) > 3
