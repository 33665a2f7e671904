"""Reptile: the outer step by hand, one site at a time, and weights that learn a new task sooner."""

from functools import partial
from math import pi
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tests.training.learners.interrupted import CPU, is_the_same_after_an_interruption
from tests.training.learners.online.test_curriculum import two_weathers
from tests.training.learners.test_no_cpu import SPACE
from tests.training.learners.toys import plain_space, uniform
from training.batched.randomization import DomainRandomization
from training.learners.callback import Callback
from training.learners.data.transitions import Transitions
from training.learners.loop import Source, TrainingPlan, seeded, train
from training.learners.offline.clone import Clone, CloneSettings
from training.learners.online.ppo import Ppo, PpoSettings, Rollout
from training.learners.online.reptile import Reptile, SiteTasks, trained
from training.learners.online.training import Grounds


def lessons(state: Tensor, action: Tensor) -> Transitions:
    zero = torch.zeros(len(state))
    return Transitions(state, action, zero, state, zero, zero)


def test_after_an_inner_loop_the_weights_are_some_of_the_way() -> None:
    generator = seeded(0, CPU)
    learner, plain = Clone(plain_space(1, 8)), Clone(plain_space(1, 8))
    plain.load_state_dict(learner.state_dict())
    began = [p.detach().clone() for p in trained(learner)]
    data = lessons(uniform(16, 1, seed=0), uniform(16, 1, seed=1))
    reptile = Reptile(learner, inner=3, outer_rate=0.25)
    train(plain, lambda _: data, TrainingPlan(3), generator)
    train(learner, lambda _: data, TrainingPlan(3), generator, companions=(reptile,))
    for start, far, found in zip(began, trained(plain), trained(learner), strict=True):
        assert torch.allclose(found, start + 0.25 * (far - start), atol=1e-6)
    kept = [p.detach().clone() for p in trained(learner)]
    train(learner, lambda _: data, TrainingPlan(2), generator, companions=(reptile,))  # within an inner loop
    assert all(torch.equal(x, y) for x, y in zip(reptile.slow, kept, strict=True))
    assert not all(torch.equal(x, y) for x, y in zip(trained(learner), kept, strict=True))


def test_an_inner_loop_is_one_site_and_the_next_another() -> None:
    days = (two_weathers(), two_weathers()._replace(connection="A"), two_weathers()._replace(connection="B"))
    tasks, learner = SiteTasks(days, DomainRandomization(), inner=4, seed=1), Clone(plain_space(1, 8))
    seen = []
    for step in range(80):
        tasks.before(learner, step, 80)
        reel = tasks(3, 40, np.random.default_rng(step))
        assert len(set(reel.extra_s.tolist())) == len(set(reel.rig.is_net.tolist())) == 1
        seen.append((tasks.site(step // 4)[0].connection, int(reel.extra_s[0]), bool(reel.rig.is_net[0])))
    loops = [seen[at : at + 4] for at in range(0, 80, 4)]
    assert all(len(set(loop)) == 1 for loop in loops)
    for aspect in range(3):
        assert len({loop[0][aspect] for loop in loops}) > 1


def of_phase(phase: Tensor, rng: torch.Generator) -> Transitions:
    """One task: actions are a wave; on average over all phases they are nothing."""
    state = 2.0 * torch.rand(64, 1, generator=rng) - 1.0
    return lessons(state, 0.9 * torch.sin(3.0 * state + phase))


def adapted(inner: int) -> float:
    """Error after eight updates on each of eight new tasks; without `inner` all tasks were taught mixed."""
    torch.set_num_threads(1)
    generator, settings = seeded(0, CPU), CloneSettings(lr=1e-2)
    learner, phase, drawn = Clone(plain_space(1, 32), settings), torch.zeros(1), 0

    def source(rng: torch.Generator) -> Transitions:
        nonlocal drawn, phase
        if drawn % max(1, inner) == 0:
            phase = 2.0 * pi * torch.rand(1, generator=rng)
        drawn += 1
        return of_phase(phase, rng)

    companions: tuple[Callback, ...] = (Reptile(learner, inner, 0.3),) if inner else ()
    train(learner, source, TrainingPlan(1600), generator, companions=companions)
    errors = []
    for new in torch.linspace(0.0, 2.0 * pi, 9)[:-1]:
        pupil = Clone(plain_space(1, 32), settings)
        pupil.load_state_dict(learner.state_dict())
        train(pupil, partial(of_phase, new), TrainingPlan(8), generator)
        with torch.no_grad():
            errors.append(float(pupil.error(of_phase(new, generator))))
    return sum(errors) / len(errors)


def test_a_new_task_is_learnt_sooner() -> None:
    assert adapted(inner=8) < 0.6 * adapted(inner=0)


def test_an_interrupted_run_goes_on_in_its_inner_loop(tmp_path: Path) -> None:
    def made() -> tuple[Ppo, Source[Rollout], tuple[Callback, ...]]:
        tasks = SiteTasks((two_weathers(),), DomainRandomization(), inner=4, seed=2)
        grounds = Grounds((two_weathers(),), 3, CPU, count=2, scenery=tasks)
        learner = Ppo(SPACE, PpoSettings(horizon=3, epochs=1, minibatch=6))
        return learner, grounds.rollouts(learner), (tasks, Reptile(learner, 4))

    assert is_the_same_after_an_interruption(made, tmp_path)
