"""Hindsight: goals are what the same stretch came to later; what was never met becomes learnable."""

import pytest
import torch
from torch import Tensor

from tests.training.learners.toys import uniform
from training.imitation.policy_net import FeatureScaling
from training.learners.data.hindsight import Hindsight, ends_of
from training.learners.data.transitions import Sampler, Transitions
from training.learners.learner import Space
from training.learners.loop import Source, TrainingPlan, seeded, train
from training.learners.networks import ACTION_EDGE
from training.learners.offline.sac import Sac, SacSettings

GOAL = slice(2, 4)
NEAR, REACH = 0.15, 0.3
UNMET = 7.0
"""Every recorded goal lies out of reach, so that no recorded reward says anything."""


def place(observation: Tensor) -> Tensor:
    return observation[:, :2]


def met(achieved: Tensor, goal: Tensor) -> Tensor:
    """0 near the goal, -1 elsewhere."""
    away: Tensor = torch.linalg.vector_norm(achieved - goal, dim=1)
    return (away < NEAR).float() - 1.0


def wandered(stretches: int = 150, length: int = 12) -> Transitions:
    """A point on a plane that is pushed at random, stretch by stretch; the goal was never near."""
    at, rows = uniform(stretches, 2, seed=0), []
    for second in range(length):
        action = ACTION_EDGE * uniform(stretches, 2, seed=second + 1)
        then = (at + REACH * action).clamp(-1.0, 1.0)
        rows.append((at, action, then))
        at = then
    before, action, after = (torch.stack(column, 1).flatten(0, 1) for column in zip(*rows, strict=True))
    goal = torch.full_like(before, UNMET)
    observation, following = torch.cat([before, goal], 1), torch.cat([after, goal], 1)
    cut = torch.zeros(stretches, length)
    cut[:, -1] = 1.0
    return Transitions(
        observation, action, met(after, goal), following, torch.zeros(cut.numel()), cut.flatten()
    )


def test_every_row_knows_where_its_stretch_ends() -> None:
    table = wandered(3, 4)
    assert ends_of(table).tolist() == [3] * 4 + [7] * 4 + [11] * 4


def test_goals_are_what_the_same_stretch_came_to_later() -> None:
    table = wandered(20, 5)
    source = Hindsight(table, GOAL, place, met, batch=400, share=1.0)
    batch = source(torch.Generator().manual_seed(0))
    steps_on = []
    for action, goal in zip(batch.action, batch.observation[:, GOAL], strict=True):
        row = int((table.action == action).all(1).nonzero()[0])
        stretch = range(row, row - row % 5 + 5)
        found = [at - row for at in stretch if torch.equal(place(table.following[at : at + 1])[0], goal)]
        assert found, "not of this stretch, or before the row"
        steps_on.append(found[0])
    assert set(steps_on) == {0, 1, 2, 3, 4}
    assert torch.equal(batch.observation[:, GOAL], batch.following[:, GOAL])
    assert torch.equal(batch.reward, met(place(batch.following), batch.observation[:, GOAL]))
    assert 0.2 < float((batch.reward == 0.0).float().mean()) < 0.8
    assert float(table.observation[:, GOAL].min()) == UNMET  # the record itself is as it was


def test_some_rows_keep_their_own_goal() -> None:
    batch = Hindsight(wandered(), GOAL, place, met, batch=2000, share=0.8)(torch.Generator().manual_seed(0))
    own = (batch.observation[:, 2] == UNMET).float().mean()
    assert float(own) == pytest.approx(0.2, abs=0.03)


def missed(source: Source[Transitions]) -> float:
    """Share of goals that are not met within eight pushes."""
    torch.set_num_threads(1)
    generator = seeded(0, torch.device("cpu"))
    space = Space(FeatureScaling(torch.zeros(4), torch.ones(4)), 2, hidden=64)
    learner = Sac(space, SacSettings(0.9, 0.02, 2e-3, entropy_start=0.05, tunes_entropy=False))
    train(learner, source, TrainingPlan(600), generator)
    policy, at, goal = learner.deployed(), uniform(300, 2, seed=90), 0.9 * uniform(300, 2, seed=91)
    was_met = torch.zeros(300, dtype=torch.bool)
    with torch.no_grad():
        for _ in range(8):
            at = (at + REACH * policy(torch.cat([at, goal], 1))).clamp(-1.0, 1.0)
            was_met |= torch.linalg.vector_norm(at - goal, dim=1) < NEAR
    return 1.0 - float(was_met.float().mean())


def test_goals_that_were_never_met_are_learnt_all_the_same() -> None:
    table = wandered()
    assert missed(Sampler(table, 128)) > 0.6
    assert missed(Hindsight(table, GOAL, place, met, batch=128)) < 0.2
