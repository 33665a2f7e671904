"""The actor with attention: exchanged phases are exchanged actions, and phases do look at each other."""

from math import inf
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.bundle import load_bundle
from training.artifacts.checkpoint import LAST_FILE, CheckpointError, read_actor
from training.artifacts.export import Lineage, export_bundle
from training.imitation.demonstrations import orders
from training.imitation.policy_net import FeatureScaling
from training.learners.attention import PhaseActor
from training.learners.data.transitions import Sampler, Transitions
from training.learners.learner import Space
from training.learners.loop import TrainingPlan, seeded, train
from training.learners.networks import Actor, GaussianActor, Residual
from training.learners.offline.clone import Clone
from training.learners.offline.sac import Sac

SCALING = FeatureScaling(torch.zeros(30), torch.ones(30))


def drawn(actor: GaussianActor) -> GaussianActor:
    """The actor with every weight drawn, as training would leave it."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in actor.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return actor


def states(count: int = 20) -> Tensor:
    return torch.randn(count, 30, generator=torch.Generator().manual_seed(1))


def moved_by_exchange(actor: GaussianActor) -> float:
    """How far the answer for exchanged phases is from the exchanged answer, over all six orders."""
    features, worst = states(), 0.0
    with torch.no_grad():
        for columns, phases in zip(*map(torch.from_numpy, orders()), strict=True):
            for plain, exchanged in zip(actor(features), actor(features[:, columns]), strict=True):
                worst = max(worst, float((exchanged - plain[:, phases]).abs().max()))
    return worst


def test_exchanged_phases_are_exchanged_actions() -> None:
    assert moved_by_exchange(drawn(PhaseActor(16))) < 1e-5
    assert moved_by_exchange(drawn(Actor(30, 3, 16))) > 0.1  # which the plain actor has to learn


def test_statistics_common_to_all_phases_keep_it_so_from_observation_to_watts() -> None:
    learner = Clone(Space(SCALING, 3, Residual(700.0), 16, attends=True))
    drawn(learner.actor)
    policy, observation = learner.deployed(), 300.0 * states()
    with torch.no_grad():
        for columns, phases in zip(*map(torch.from_numpy, orders()), strict=True):
            assert torch.allclose(policy(observation[:, columns]), policy(observation)[:, phases], atol=0.01)


def test_every_phase_looks_at_the_others_and_at_the_site() -> None:
    actor, features = drawn(PhaseActor(16)), states(1).requires_grad_()
    actor(features)[0][0, 0].backward()
    assert features.grad is not None
    own, second, third, site = torch.split(features.grad[0].abs(), [9, 9, 9, 3])
    assert min(float(part.sum()) for part in (own, second, third, site)) > 1e-4


def test_it_begins_with_the_mean_at_zero() -> None:
    mean, log_std = PhaseActor(16, log_std_start=-1.5)(states())
    assert float(mean.detach().abs().max()) == 0.0
    assert log_std.detach().unique().tolist() == [-1.5]


def coupled(count: int = 2000) -> Transitions:
    """What is done in a phase is half of its own surplus minus a quarter of the sum of all."""
    observation = states(count)
    surplus = observation[:, 0:27:9]
    action = (0.5 * surplus - 0.25 * surplus.sum(1, keepdim=True)).clamp(-0.95, 0.95)
    zero = torch.zeros(count)
    return Transitions(observation, action, zero, observation, zero, zero)


def test_with_few_lessons_of_one_order_it_knows_the_others() -> None:
    """Lessons in which phase a alone has surplus; asked about phase c alone."""
    torch.set_num_threads(1)
    data = coupled()
    only_a, only_c = data.observation.clone(), data.observation.clone()
    only_a[:, 9:27] = 0.0
    only_c[:, :18] = 0.0

    def taught(attends: bool) -> float:
        generator = seeded(0, torch.device("cpu"))
        learner = Clone(Space(SCALING, 3, hidden=32, attends=attends))
        lessons = Transitions(only_a, answer(only_a), data.reward, only_a, data.terminal, data.truncated)
        train(learner, Sampler(lessons, 64), TrainingPlan(400), generator)
        with torch.no_grad():
            return float((learner.deployed()(only_c) - answer(only_c)).square().mean().sqrt())

    def answer(observation: Tensor) -> Tensor:
        surplus = observation[:, 0:27:9]
        return (0.5 * surplus - 0.25 * surplus.sum(1, keepdim=True)).clamp(-0.95, 0.95)

    assert taught(attends=True) < 0.1
    assert taught(attends=False) > 0.2


def test_its_bundle_verifies_and_answers_as_the_network(tmp_path: Path) -> None:
    learner = Sac(Space(SCALING, 3, Residual(700.0), 16, attends=True, clip=4.0))
    drawn(learner.actor)
    rows = 400.0 * states(700)
    lineage = Lineage.now("attention", 1, "net", "0" * 64)
    actions_w = torch.zeros(700, 3)
    exported = export_bundle(learner.deployed(), rows.numpy(), actions_w.numpy(), lineage, tmp_path / "b")
    assert exported.parity_w <= 0.01
    assert load_bundle(tmp_path / "b").golden_error_w <= 0.01


def test_observations_beyond_the_bound_count_as_the_bound() -> None:
    far, near = torch.full((1, 30), 1e4), torch.full((1, 30), 4.0)
    clipped = Sac(Space(SCALING, 3, hidden=16, clip=4.0))
    assert torch.equal(clipped.normalize(far), clipped.normalize(near))
    assert torch.equal(clipped.normalize(-far), -clipped.normalize(near))
    assert not torch.equal(Sac(Space(SCALING, 3, hidden=16, clip=inf)).normalize(far), clipped.normalize(far))


def test_one_network_does_not_begin_with_the_weights_of_the_other(tmp_path: Path) -> None:
    attending, plain = (Clone(Space(SCALING, 3, hidden=16, attends=attends)) for attends in (True, False))
    train(attending, Sampler(coupled(40), 8), TrainingPlan(1), seeded(0, torch.device("cpu")), tmp_path)
    with pytest.raises(CheckpointError, match="no actor like"):
        read_actor(tmp_path / LAST_FILE, plain)
    read_actor(tmp_path / LAST_FILE, attending)
