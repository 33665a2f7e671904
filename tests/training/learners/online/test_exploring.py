"""What is tried beside the policy: how often, by whom, what it teaches, and that it goes on after a break."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training.learners.interrupted import CPU, is_the_same_after_an_interruption
from tests.training.learners.toys import TwoSteps, plain_space
from training.learners.callback import Callback
from training.learners.loop import Source, seeded
from training.learners.networks import log_density
from training.learners.online.exploring import (
    EPSILON_END,
    EPSILON_START,
    HELD_S,
    NOVELTY,
    Curiosity,
    EpsilonGreedy,
    ParameterNoise,
    epsilon_at,
)
from training.learners.online.ppo import PRIORITY_FLOOR, Ppo, PpoSettings, Rollout

SETTINGS = PpoSettings(0.9, lr=1e-2, horizon=8, epochs=2, minibatch=64)


def lived(settings: PpoSettings = SETTINGS, *explorers: Callback, sites: int = 200) -> tuple[Ppo, Rollout]:
    generator = seeded(0, CPU)
    learner = Ppo(plain_space(2, 16), settings)
    for explorer in explorers:
        explorer.before(learner, 0, 100)
    return learner, learner.collect(TwoSteps(sites), generator)


def test_random_actions_become_rare() -> None:
    assert epsilon_at(0, 100) == EPSILON_START
    assert epsilon_at(25, 100) == pytest.approx(0.5 * (EPSILON_START + EPSILON_END))
    assert [epsilon_at(step, 100) for step in (50, 99)] == pytest.approx([EPSILON_END] * 2)


def test_as_many_actions_are_random_as_is_said_and_they_are_held() -> None:
    _, rollout = lived(SETTINGS, EpsilonGreedy(), sites=4000)
    assert rollout.is_own is not None
    assert float(rollout.is_own.mean()) == pytest.approx(1.0 - EPSILON_START, abs=0.02)
    strange = rollout.is_own[0] == 0.0
    tried = rollout.draw[:HELD_S, strange]
    assert torch.equal(tried[0], tried[-1])
    assert float(torch.tanh(tried[0]).std()) == pytest.approx(1.0 / 3.0**0.5, abs=0.03)  # uniform in [-1, 1]
    own = rollout.draw[:HELD_S, ~strange]
    assert not torch.equal(own[0], own[-1])


def test_what_somebody_else_drew_teaches_the_values_and_not_the_actor() -> None:
    learner, rollout = lived()
    before = {name: p.detach().clone() for name, p in learner.named_parameters()}
    strange = replace(rollout, is_own=torch.zeros_like(rollout.reward))
    learner.update(strange, torch.Generator().manual_seed(0))
    moved = {name for name, p in learner.named_parameters() if not torch.equal(p, before[name])}
    assert not any(name.startswith("actor") for name in moved)
    assert any(name.startswith("value") for name in moved)


def test_half_of_the_sites_act_under_other_weights_and_carry_their_density() -> None:
    noise = ParameterNoise(3)
    learner, rollout = lived(SETTINGS, noise)
    features = learner.normalize(rollout.observation[0])
    off = (log_density(rollout.draw[0], *learner.actor(features)) - rollout.log_density[0]).abs().detach()
    assert float(off[100:].max()) < 1e-5
    assert float(off[:100].max()) > 1e-4
    (other,) = noise._other
    by_other = log_density(rollout.draw[0], *other(features))
    assert torch.allclose(by_other[:100], rollout.log_density[0, :100], atol=1e-5)


def test_how_far_other_weights_are_follows_how_far_they_act() -> None:
    found: list[float] = []
    for start in (0.02, 2.0):
        noise = ParameterNoise(0)
        noise.scale.fill_(start)
        generator, learner = seeded(0, CPU), Ppo(plain_space(2, 16), SETTINGS)
        for step in range(25):
            noise.before(learner, step, 100)
            learner.collect(TwoSteps(16), generator)
        found.append(float(noise.scale))
    assert found[0] > 0.02
    assert found[1] < 1.0
    assert found[0] == pytest.approx(found[1], rel=0.5)


def test_what_is_new_pays_and_what_is_known_no_longer_does() -> None:
    learner, rollout = lived()
    curiosity, generator = Curiosity(learner.space), torch.Generator()
    source = curiosity.beside(learner, lambda _: rollout)
    paid = source(generator).reward - rollout.reward
    assert float(paid.mean()) == pytest.approx(NOVELTY, rel=1e-3)  # everything is as new as usual
    known = torch.zeros(200, 2)
    seen = replace(rollout, following=known.expand(8, 200, 2))
    often = curiosity.beside(learner, lambda _: seen)
    for _ in range(300):
        often(generator)
    with torch.no_grad():
        assert float(curiosity.novelty(known + 5.0).mean()) > 5.0 * float(curiosity.novelty(known).mean())
    curiosity.before(learner, 70, 100)
    assert torch.equal(source(generator).reward, rollout.reward)


def test_of_two_values_the_lesser_counts_and_both_learn() -> None:
    learner, rollout = lived(replace(SETTINGS, value_nets=2))
    with torch.no_grad():
        features = learner.normalize(rollout.observation)
        said = learner.value(features)
        assert said.shape[-1] == 2
        assert torch.equal(learner._worth(features), torch.minimum(said[..., 0], said[..., 1]))
        following = learner._worth(learner.normalize(rollout.following[-1]))
    goal = rollout.reward[-1] + 0.9 * (1.0 - rollout.terminal[-1]) * following
    assert torch.allclose(learner._prepared(rollout)["goal"][-200:], goal, atol=1e-5)
    before = [p.detach().clone() for p in learner.value.parameters()]
    learner.update(rollout, torch.Generator().manual_seed(0))
    assert all(not torch.equal(p, old) for p, old in zip(learner.value.parameters(), before, strict=True))


def test_epochs_draw_what_surprises_and_weigh_it_down() -> None:
    learner = Ppo(plain_space(2, 8), replace(SETTINGS, prioritized=1.0))
    advantage = torch.cat([torch.full((500,), 0.1), torch.full((500,), -2.0)])
    rows, weight = learner._order(advantage, torch.Generator().manual_seed(0))
    assert weight is not None
    wanted = (1.0 - PRIORITY_FLOOR) * 2.0 / 2.1 + 0.5 * PRIORITY_FLOOR
    assert float((rows >= 500).float().mean()) == pytest.approx(wanted, abs=0.03)
    assert float(advantage[rows].mean()) < float(advantage.mean()) - 0.5
    assert float((weight[rows] * advantage[rows]).mean()) == pytest.approx(float(advantage.mean()), abs=0.05)
    assert float(weight.max()) <= 1.0 / PRIORITY_FLOOR + 1e-3


def test_an_epoch_weighs_each_row_by_its_own_weight() -> None:
    """With rows in order and weights that are zero from the middle on, the second half teaches nothing."""
    learner, rollout = lived(replace(SETTINGS, epochs=1, prioritized=0.5, minibatch=10_000))
    flat = learner._prepared(rollout)
    count = len(flat["draw"])
    weight = torch.cat([torch.ones(count // 2), torch.zeros(count // 2)])
    lie = flat["goal"].clone()
    lie[count // 2 :] += 1e3
    losses = [learner._improve({**flat, "goal": goal}, weight)["value_loss"] for goal in (flat["goal"], lie)]
    assert float(losses[1]) < 100.0 * max(1.0, float(losses[0]))


def test_an_update_says_how_wide_the_actions_spread_and_how_wrong_the_values_are() -> None:
    learner, rollout = lived()
    report = learner.update(rollout, torch.Generator().manual_seed(0))
    assert 0.0 < float(report["action_std"]) < 1.0
    with torch.no_grad():
        for parameter in learner.value.parameters():
            parameter.zero_()
    flat = learner._prepared(rollout)
    flat["goal"] = torch.full_like(flat["goal"], 3.0)
    assert float(learner._figures(flat)["value_error"]) == pytest.approx(3.0)


@pytest.mark.parametrize("kind", ["epsilon", "noise", "curiosity"])
def test_an_interrupted_run_goes_on_exploring(kind: str, tmp_path: Path) -> None:
    def made() -> tuple[Ppo, Source[Rollout], tuple[Callback, ...]]:
        learner, sites = Ppo(plain_space(2, 8), SETTINGS), TwoSteps(16)

        def source(rng: torch.Generator) -> Rollout:
            return learner.collect(sites, rng)

        if kind == "curiosity":
            curiosity = Curiosity(learner.space)
            return learner, curiosity.beside(learner, source), (curiosity,)
        return learner, source, (EpsilonGreedy() if kind == "epsilon" else ParameterNoise(5),)

    assert is_the_same_after_an_interruption(made, tmp_path)


def test_the_explorer_is_no_part_of_the_learners_weights() -> None:
    learner, _ = lived(SETTINGS, ParameterNoise(0))
    assert not any("scale" in name or "explor" in name for name in learner.state_dict())
