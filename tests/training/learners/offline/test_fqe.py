"""Fitted Q evaluation finds values that are known."""

import pytest
import torch
from torch import Tensor

from safety.pi import PiGains
from tests.training.learners.toys import bandit, plain_space, uniform
from training.batched.laws import pi_law
from training.batched.simulator import View
from training.evaluation.fqe_check import WARM_UP_S, actions_of, followed, view_of
from training.learners.data.transitions import Transitions, TransitionsError
from training.learners.loop import TrainingPlan, seeded, train
from training.learners.offline.fqe import Followed, Fqe, FqeSettings

GAMMA = 0.8
COUNT = 4000


def worth(logged: Transitions, slope: float) -> float:
    """Of the policy slope * s, learnt from uniform actions."""
    rng = seeded(0, torch.device("cpu"))
    learner = Fqe(plain_space(1), FqeSettings(GAMMA, tau=0.03, lr=3e-3))
    table = Followed(logged, slope * logged.observation, slope * logged.following)
    train(learner, lambda generator: table.draw(128, generator), TrainingPlan(500), rng)
    return learner.worth(table)


def endless() -> Transitions:
    """Each state is drawn anew; reward -(a - s)^2: the policy c s is worth -(1 - c)^2 / 3 / (1 - gamma)."""
    state, action = uniform(COUNT, 1, seed=0), uniform(COUNT, 1, seed=1)
    reward = -(action - state).square().squeeze(1)
    nothing = torch.zeros(COUNT)
    return Transitions(state, action, reward, uniform(COUNT, 1, seed=2), nothing, nothing)


@pytest.mark.parametrize("slope", [0.5, -0.2])
def test_a_policy_is_worth_what_it_earns_for_ever(slope: float) -> None:
    known = -((1.0 - slope) ** 2) / 3.0 / (1.0 - GAMMA)
    assert worth(endless(), slope) == pytest.approx(known, rel=0.12)


def test_where_a_record_is_terminal_only_its_own_reward_counts() -> None:
    """The bandit's reward is -(a - s/2)^2, and what follows must not be looked at."""
    assert worth(bandit(), 0.0) == pytest.approx(-1.0 / 12.0, abs=0.02)


def test_every_transition_needs_an_answer_of_the_policy() -> None:
    logged = endless()
    with pytest.raises(TransitionsError, match="as many actions"):
        Followed(logged, logged.action[:5], logged.action)


def test_a_law_sees_in_the_features_what_it_would_have_seen() -> None:
    """Surplus 2000 W, command 1500 W, of which 100 W are not yet drawn, in phase a."""
    features = torch.zeros(1, 30)
    features[0, [0, 5, 6]] = torch.tensor([2000.0, -500.0, 100.0])
    view = view_of(features)
    assert view.surplus_w[0, 0] == 2000.0
    assert view.safe_action_w[0, 0] == 1500.0
    assert view.meter_w[0, 0] == -600.0


def test_the_policy_answers_along_the_stretch_and_the_warm_up_is_left_out() -> None:
    def counting(view: View, memory: int | None) -> tuple[Tensor, int]:
        tick = 0 if memory is None else memory + 1
        return view.safe_action_w + tick, tick

    states = torch.zeros(2, WARM_UP_S + 4, 30)
    table = followed(states, states[:, :, :3], states[:, :, 0], counting)
    assert len(table) == 2 * 3
    assert table.policy_action[:, 0].tolist() == [60.0, 61.0, 62.0] * 2
    assert table.policy_following[:, 0].tolist() == [61.0, 62.0, 63.0] * 2


def test_answers_are_brought_into_reach() -> None:
    features = torch.zeros(1, 1, 30)
    features[0, 0, 0] = 5000.0  # a surplus that the law would place at once
    features[0, 0, 5] = -5000.0
    answer = actions_of(pi_law(PiGains(5.0, 5.0, 0.0)), features)[0, 0]
    assert float(answer.square().sum().sqrt()) <= 2000.0
    assert float(answer[0]) > 1900.0
