"""One update of every learner on a device that is not the CPU: no tensor is left behind.

This proves devices, not numbers: no value is computed, and fused kernels of a GPU are not run.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.training.no_cpu import AWAY, Luck, learner_away, sent_away, watched
from training.batched.randomization import JUDGED, DomainRandomization
from training.batched.windows import SolarDay, measured, reel_of
from training.data.lookahead import LookAheads
from training.dynamics.fit import FitPlan, fit
from training.dynamics.model import Shape, StateScaling
from training.imitation.policy_net import FeatureScaling
from training.learners import dyna
from training.learners.callback import Callback
from training.learners.clipping import with_clipped_rewards
from training.learners.data.hindsight import Hindsight
from training.learners.data.prioritized import PrioritizedSampler, PrioritySettings
from training.learners.data.transitions import Sampler, Transitions
from training.learners.dyna import Dyna, DynaSettings
from training.learners.learner import Learner, Space
from training.learners.loop import Source
from training.learners.networks import Residual
from training.learners.offline import clone, iql, iql_discrete, sac, td3bc
from training.learners.offline.clone import Clone
from training.learners.offline.iql import Iql
from training.learners.offline.iql_discrete import Choices, DiscreteIql
from training.learners.offline.sac import Sac, SacSettings
from training.learners.offline.td3bc import Td3Bc
from training.learners.online import ppo
from training.learners.online.exploration import FadingBonus
from training.learners.online.ppo import Ppo, PpoSettings, Rollout
from training.learners.online.reptile import Reptile, SiteTasks
from training.learners.online.training import Grounds
from training.learners.schedule import RateSchedule, RateSettings
from training.replay.differentiable_replay import Batch, ReplayPlan, judge, to_device, update
from training.replay.network import ReplayNet

HIDDEN = 8
SPACE = Space(FeatureScaling(torch.zeros(30), torch.ones(30)), 3, Residual(700.0), HIDDEN)
CHOICES = Choices(SPACE.scaling, 5, HIDDEN)
OFFLINE: dict[str, Callable[[], Learner[Transitions]]] = {
    "bc": lambda: Clone(SPACE),
    "sac": lambda: Sac(SPACE, SacSettings(cql_weight=0.0)),
    "cql": lambda: Sac(SPACE, SacSettings(cql_weight=1.0, cql_samples=3)),
    "iql": lambda: Iql(SPACE),
    "td3bc": lambda: Td3Bc(SPACE),
    "attention": lambda: Sac(replace(SPACE, attends=True, clip=5.0)),
}


@pytest.fixture(autouse=True)
def _plain_adam(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adam without fused kernels, which the stand-in device does not have."""

    def plain(parameters: Any, lr: float) -> torch.optim.Adam:
        return torch.optim.Adam(parameters, lr)

    for module in (clone, dyna, iql, iql_discrete, ppo, sac, td3bc):
        monkeypatch.setattr(module, "adam", plain)


def rows(actions: Tensor, mask: Tensor | None = None) -> Transitions:
    states, count = torch.rand(40, 30), torch.zeros(40)
    return Transitions(states, actions, torch.rand(40), states + 1.0, count, count, mask=mask)


def updated(learner: Learner[Transitions], table: Transitions, exchange: bool) -> None:
    learner_away(learner)
    source, rng = Sampler(table.to(AWAY), 16, exchange), Luck()
    for _ in range(2):  # the first fills the optimisers' state
        with watched(is_strict=True):
            learner.update(source(rng), rng)
    for values in learner.state_dict().values():
        assert values.device == AWAY
    for optimizer in learner.optimizers.values():
        assert optimizer.state  # there were gradients for what it holds


@pytest.mark.parametrize("name", list(OFFLINE))
def test_an_update_from_transitions(name: str) -> None:
    updated(OFFLINE[name](), rows(torch.rand(40, 3)), exchange=True)


def test_an_update_over_discrete_choices() -> None:
    mask = torch.ones(40, 5, dtype=torch.bool)
    updated(DiscreteIql(CHOICES), rows(torch.zeros(40, 1, dtype=torch.int64), mask), exchange=False)


def go_along(learner: Learner[Any], source: Source[Any], companions: tuple[Callback, ...]) -> None:
    """Two updates as the loop makes them; everything is away."""
    rng = Luck()
    for step in range(2):
        for companion in companions:
            companion.before(learner, step, 2)
        batch = source(rng)
        with watched(is_strict=True):
            learner.update(batch, rng)
            for companion in companions:
                companion.after(learner, step + 1)


def test_priorities_and_clipped_rewards() -> None:
    learner = Sac(SPACE)
    learner_away(learner)
    table = rows(torch.rand(40, 3)).to(AWAY)
    sampler = PrioritizedSampler(table, 16, PrioritySettings(), exchange=True)

    def draw(rng: torch.Generator) -> Transitions:
        with watched(is_strict=False):
            return with_clipped_rewards(sampler, 0.5)(rng)

    go_along(learner, draw, (sampler, RateSchedule(learner, RateSettings(2, "cosine", plateau=1))))
    assert sampler.priorities.device == sampler.rows.device == AWAY


def test_imagined_batches() -> None:
    learner = Sac(SPACE)
    ensemble = Dyna(SPACE, DynaSettings(horizon=2, hidden=HIDDEN, members=2, model_first=0))
    learner_away(learner)
    sent_away(ensemble, ensemble.optimizers)
    imagining = ensemble.beside(learner, Sampler(rows(torch.rand(40, 3)).to(AWAY), 16, exchange=True))

    def draw(rng: torch.Generator) -> Transitions:
        with watched(is_strict=True):
            return imagining(rng)

    go_along(learner, draw, (ensemble,))
    assert ensemble.optimizers["models"].state


def test_goals_of_hindsight() -> None:
    learner = Sac(SPACE)
    learner_away(learner)
    table = rows(torch.rand(40, 3)).to(AWAY)
    with watched(is_strict=True):
        hindsight = Hindsight(table, slice(28, 30), lambda x: x[:, :2], lambda x, goal: (x - goal).sum(1), 16)
        learner.update(hindsight(Luck()), Luck())


def test_sites_one_after_the_other() -> None:
    learner = Ppo(replace(SPACE, attends=True), PpoSettings(horizon=3, epochs=1, minibatch=6, noise_kept=0.5))
    learner_away(learner)
    tasks = SiteTasks(days(), DomainRandomization(), 2, 0)
    rollouts = Grounds(days(), 3, AWAY, count=4, scenery=tasks).rollouts(learner)

    def draw(rng: torch.Generator) -> Rollout:
        with watched(is_strict=False):  # days are drawn on the CPU and transferred
            return rollouts(rng)

    go_along(learner, draw, (tasks, FadingBonus(0.1), Reptile(learner, 2)))


def days() -> tuple[SolarDay, ...]:
    pv_w = np.full(3000, 6000.0, np.float32)
    return (SolarDay(np.full((3000, 3), 300.0, np.float32), pv_w, "3ph", (0, 3000)),)


def test_an_update_on_simulated_sites() -> None:
    learner = Ppo(SPACE, PpoSettings(horizon=3, epochs=1, minibatch=6))
    learner_away(learner)
    grounds, rng = Grounds(days(), 3, AWAY, count=4), Luck()
    with watched(is_strict=False):  # days are drawn on the CPU and transferred
        rollout = grounds.rollouts(learner)(rng)
    with watched(is_strict=True):
        learner.update(rollout, rng)


def test_an_update_of_the_replay() -> None:
    net = ReplayNet()
    optimizer = torch.optim.Adam(net.parameters())
    sent_away(net, {"adam": optimizer})
    plan = ReplayPlan(rows=2, groups=2, stretch_s=6, lead_s=1)
    batch = Batch(days(), plan, DomainRandomization(), AWAY, net)
    for step in range(2):
        with watched(is_strict=False):
            batch.enter(np.random.default_rng(step))
        with watched(is_strict=True):
            update(net, batch, optimizer, 0.001, plan)
    assert optimizer.state
    rng = np.random.default_rng(2)
    with watched(is_strict=False):
        judge(to_device(reel_of(measured(days(), 8)[:2], rng, JUDGED), AWAY), net.policy, lead_s=2)


def test_an_epoch_of_the_dynamics_model() -> None:
    rng = np.random.default_rng(0)
    states, actions_w = (rng.normal(size=(40, n)).astype(np.float32) for n in (30, 3))
    seconds = np.arange(40)
    table = LookAheads(states, actions_w, states, seconds, seconds * 0, np.full(40, "fallback"))
    plan = FitPlan(epochs=1, batch=16, device=AWAY.type)
    scaling = StateScaling(torch.zeros(30), torch.ones(30), torch.zeros(3), torch.ones(3))
    with watched(is_strict=False):  # the table begins on the CPU, predictions come back to it
        fit(table, table, scaling, plan, Shape(hidden_dim=HIDDEN, lstm_hidden=4))


class Forgetful(nn.Module):
    """A tensor that is neither parameter nor buffer: it stays where it was."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.scale = nn.Parameter(torch.ones(3)), torch.full((3,), 2.0)

    def forward(self) -> Tensor:
        return (self.weight * self.scale).sum()


def test_the_watch_sees_what_was_left_behind() -> None:
    net = Forgetful()
    sent_away(net, {})
    with pytest.raises((AssertionError, RuntimeError), match=r"CPU|cpu"), watched(is_strict=False):
        net()
    with pytest.raises(AssertionError, match=r"left on the CPU: \(3,\)"), watched(is_strict=True):
        torch.ones(3).exp()
