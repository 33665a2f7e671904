"""Every learner finds the known answer of a small control problem, from data of a behaviour that does not."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.training.learners.toys import (
    GAMMA,
    TwoSteps,
    bandit,
    bandit_answer,
    plain_space,
    two_step_answer,
    two_step_states,
    two_steps,
)
from training.learners.data.transitions import Sampler, Transitions
from training.learners.learner import ActorLearner, Space
from training.learners.loop import TrainingPlan, seeded, train
from training.learners.offline.clone import Clone, CloneSettings
from training.learners.offline.iql import Iql, IqlSettings
from training.learners.offline.sac import Sac, SacSettings
from training.learners.offline.td3bc import Td3Bc, Td3BcSettings
from training.learners.online.ppo import Ppo, PpoSettings

LR = 5e-3
CPU = torch.device("cpu")

Made = Callable[[Space], ActorLearner[Transitions]]


def sac(space: Space) -> Sac:
    return Sac(space, SacSettings(GAMMA, 0.02, LR, entropy_start=0.05, entropy_target=-2.0))


def cql(space: Space) -> Sac:
    return Sac(
        space,
        SacSettings(GAMMA, 0.02, LR, entropy_start=0.05, entropy_target=-2.0, cql_weight=0.02, cql_samples=4),
    )


def iql(space: Space) -> Iql:
    return Iql(space, IqlSettings(GAMMA, 0.02, LR, expectile=0.95, inverse_temperature=10.0))


def td3bc(space: Space) -> Td3Bc:
    return Td3Bc(space, Td3BcSettings(GAMMA, 0.02, LR, value_weight=100.0, noise=0.05))


def taught(made: Made, data: Transitions, steps: int) -> ActorLearner[Transitions]:
    torch.set_num_threads(1)
    generator = seeded(1, CPU)
    learner = made(plain_space(data.observation.shape[1]))
    train(learner, Sampler(data, batch=128), TrainingPlan(steps), generator)
    return learner


def miss(learner: ActorLearner[Transitions], states: Tensor, answer: Callable[[Tensor], Tensor]) -> float:
    """Root mean square deviation from the known answer."""
    with torch.no_grad():
        return float((learner.deployed()(states) - answer(states)).square().mean().sqrt())


@pytest.mark.parametrize(("made", "steps"), [(sac, 300), (cql, 250), (iql, 400), (td3bc, 700)])
def test_it_finds_the_best_action_of_a_bandit(made: Made, steps: int) -> None:
    states = torch.linspace(-0.9, 0.9, 19)[:, None]
    assert miss(taught(made, bandit(), 0), states, bandit_answer) > 0.25
    assert miss(taught(made, bandit(), steps), states, bandit_answer) < 0.08


@pytest.mark.parametrize(("made", "steps"), [(sac, 450), (iql, 600), (td3bc, 800)])
def test_it_gives_up_now_for_what_follows(made: Made, steps: int) -> None:
    states = two_step_states()
    assert miss(taught(made, two_steps(), 0), states, two_step_answer) > 0.2
    assert miss(taught(made, two_steps(), steps), states, two_step_answer) < 0.1


def test_ppo_gives_up_now_for_what_follows() -> None:
    torch.set_num_threads(1)
    generator = seeded(1, CPU)
    settings = PpoSettings(GAMMA, 0.9, LR, horizon=8, epochs=4, minibatch=256, log_std_start=-0.5)
    learner, environment = Ppo(plain_space(2), settings), TwoSteps(128)
    train(learner, lambda rng: learner.collect(environment, rng), TrainingPlan(50), generator)
    states = two_step_states()
    with torch.no_grad():
        wrong = (learner.deployed()(states) - two_step_answer(states)).square().mean().sqrt()
    assert float(wrong) < 0.08


def test_a_clone_does_what_was_done_and_not_what_is_best() -> None:
    data = bandit()
    habit = Transitions(
        data.observation,
        -0.7 * data.observation,
        data.reward,
        data.following,
        data.terminal,
        data.truncated,
    )
    learner = taught(lambda space: Clone(space, CloneSettings(LR)), habit, 500)
    states = torch.linspace(-0.9, 0.9, 19)[:, None]
    assert miss(learner, states, lambda state: -0.7 * state) < 0.03
