"""Imagination: models learn what follows, know where they do not know, and make few lessons go further."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.training.learners.interrupted import CPU, is_the_same_after_an_interruption
from tests.training.learners.toys import GAMMA, plain_space, uniform
from training.learners.callback import Callback
from training.learners.data.transitions import Sampler, Transitions
from training.learners.dyna import Dyna, DynaSettings
from training.learners.learner import CriticLearner
from training.learners.loop import Source, TrainingPlan, seeded, train
from training.learners.offline.sac import Sac, SacSettings

SMALL = DynaSettings(horizon=3, share=0.5, hidden=32, members=4, lr=3e-3, model_first=0)


def shifted(count: int, seed: int = 0, reach: float = 0.5) -> Transitions:
    """The state moves by 0.4 of the action; the reward is minus its square. Recorded within reach."""
    state, action = reach * uniform(count, 1, seed=seed), 0.95 * uniform(count, 1, seed=seed + 1)
    following, zero = moved(state, action), torch.zeros(count)
    return Transitions(state, action, -following.square().squeeze(1), following, zero, zero)


def moved(state: Tensor, action: Tensor) -> Tensor:
    return (state + 0.4 * action).clamp(-1.5, 1.5)


def informed(settings: DynaSettings = SMALL, steps: int = 400) -> tuple[Dyna, Sac]:
    """An ensemble that has learned from recorded transitions, and a learner that has not."""
    torch.set_num_threads(1)
    generator = seeded(0, CPU)
    learner = Sac(plain_space(1, 16))
    dyna, sampler = Dyna(learner.space, settings), Sampler(shifted(2000), 64)
    for _ in range(steps):
        dyna.learn(learner.seen(sampler(generator)), generator)
    return dyna, learner


@pytest.fixture(scope="module")
def known() -> tuple[Dyna, Sac]:
    return informed()


def test_every_model_learns_what_follows_and_what_it_is_worth(known: tuple[Dyna, Sac]) -> None:
    dyna, learner = known
    unseen = learner.seen(shifted(300, seed=5))
    with torch.no_grad():
        guesses = dyna.guesses(unseen.features, unseen.action)
    truth = torch.cat([unseen.following, unseen.reward[:, None]], 1)
    assert guesses.shape == (4, 300, 2)
    for guess in guesses:
        assert float((guess - truth).square().mean().sqrt()) < 0.05


def test_they_disagree_where_nothing_was_recorded(known: tuple[Dyna, Sac]) -> None:
    dyna, learner = known
    recorded, beyond = (learner.seen(shifted(300, seed=5, reach=reach)) for reach in (0.5, 8.0))
    on, off = (dyna.disagreement(seen.features, seen.action).mean() for seen in (recorded, beyond))
    assert float(on) == pytest.approx(float(dyna.usual), rel=0.5)
    assert float(off) > 4.0 * float(on)


def test_rollouts_follow_the_present_policy_through_a_model(known: tuple[Dyna, Sac]) -> None:
    dyna, learner = known
    starts, generator = shifted(40, seed=7, reach=0.2), torch.Generator().manual_seed(0)
    imagined = dyna.imagined(learner, starts, generator)
    assert len(imagined) == 3 * 40
    new = ~(imagined.action[:40] == starts.action).squeeze(1)
    assert bool(new.float().mean() > 0.8)
    first = imagined.take(torch.arange(40)[new])
    assert torch.equal(first.observation, starts.observation[new])
    assert torch.allclose(first.following, moved(first.observation, first.action), atol=0.12)
    assert torch.allclose(first.reward, -first.following.square().squeeze(1), atol=0.1)
    second = imagined.take(torch.arange(40, 80)[new])
    not_terminal = (second.observation == first.following).squeeze(1)
    assert bool(not_terminal.float().mean() > 0.7)  # elsewhere the models disagreed by then


def test_in_every_second_each_rollout_asks_a_model_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that each say a reward of their own: all of them are heard in one second, evenly."""
    dyna, learner = Dyna(plain_space(1, 16), SMALL), Sac(plain_space(1, 16))
    count, said = 400, torch.tensor([0.0, 1.0, 2.0, 3.0])

    def guesses(features: Tensor, action: Tensor) -> Tensor:
        same = torch.zeros_like(features).expand(4, -1, -1)
        return torch.cat([same, said[:, None, None].expand(4, len(features), 1)], 2)

    monkeypatch.setattr(dyna, "guesses", guesses)
    dyna.usual.fill_(1e9)
    imagined = dyna.imagined(learner, shifted(count, seed=7), torch.Generator().manual_seed(0))
    for second in range(SMALL.horizon):
        heard = torch.bincount(imagined.reward[count * second : count * (second + 1)].long(), minlength=4)
        assert int(heard.sum()) == count
        assert int(heard.min()) > count // 8
    first, second_ = imagined.reward[:count], imagined.reward[count : 2 * count]
    assert not torch.equal(first, second_)


def test_the_models_of_an_ensemble_are_different_ones(known: tuple[Dyna, Sac]) -> None:
    dyna, _ = known
    assert len(dyna.models) == SMALL.members
    weights = [torch.cat([p.detach().flatten() for p in model.parameters()]) for model in dyna.models]
    assert all(not torch.equal(weights[0], other) for other in weights[1:])


def test_a_rollout_ends_where_they_disagree_and_the_record_stands_instead(known: tuple[Dyna, Sac]) -> None:
    dyna, learner = known
    far = shifted(40, seed=7, reach=0.1)
    far = Transitions(
        far.observation + 9.0, far.action, far.reward, far.following, far.terminal, far.truncated
    )
    imagined = dyna.imagined(learner, far, torch.Generator().manual_seed(0))
    for second in range(3):
        part = imagined.take(torch.arange(40 * second, 40 * (second + 1)))
        for column in ("observation", "action", "reward", "following"):
            assert torch.equal(getattr(part, column), getattr(far, column))


def test_a_batch_keeps_its_size_and_nothing_is_imagined_before_the_models_know(
    known: tuple[Dyna, Sac],
) -> None:
    generator = seeded(0, CPU)
    learner = Sac(plain_space(1, 16))
    dyna = Dyna(learner.space, DynaSettings(horizon=3, share=0.5, hidden=16, model_first=2, trust=1e9))
    drawn: list[Transitions] = []

    def recorded(rng: torch.Generator) -> Transitions:
        drawn.append(Sampler(shifted(100), 20)(rng))
        return drawn[-1]

    source = dyna.beside(learner, recorded)
    for step in range(4):
        batch = source(generator)
        assert len(batch) == 20
        fresh = ~torch.isin(batch.action, drawn[-1].action).squeeze(1)
        assert int(fresh.sum()) == (0 if step < 2 else 9)  # 3 starts of 3 s


def regulated(settings: DynaSettings | None) -> float:
    """Mean cost of ten steps after a short training on 24 recorded transitions."""
    torch.set_num_threads(1)
    generator = seeded(0, CPU)
    learner = Sac(plain_space(1, 32), SacSettings(GAMMA, 0.02, 3e-3, entropy_start=0.02, entropy_target=-2.0))
    source: Source[Transitions] = Sampler(shifted(24, seed=3, reach=1.0), 64)
    companions: tuple[Callback, ...] = ()
    if settings is not None:
        dyna = Dyna(learner.space, settings)
        source, companions = dyna.beside(learner, source), (dyna,)
    train(learner, source, TrainingPlan(350), generator, companions=companions)
    policy, state, cost = learner.deployed(), torch.linspace(-1.0, 1.0, 41)[:, None], 0.0
    with torch.no_grad():
        for _ in range(10):
            state = moved(state, policy(state))
            cost += float(state.square().mean()) / 10
    return cost


def test_few_lessons_go_further() -> None:
    with_models = regulated(
        DynaSettings(horizon=3, share=0.5, hidden=32, members=4, lr=3e-3, model_first=100)
    )
    assert with_models < 0.7 * regulated(None)


def test_an_interrupted_run_goes_on_with_its_models(tmp_path: Path) -> None:
    def made() -> tuple[CriticLearner, Source[Transitions], tuple[Dyna, ...]]:
        learner = Sac(plain_space(1, 8))
        dyna = Dyna(learner.space, DynaSettings(horizon=2, hidden=8, members=2, model_first=4))
        return learner, dyna.beside(learner, Sampler(shifted(60), 16)), (dyna,)

    assert is_the_same_after_an_interruption(made, tmp_path)
