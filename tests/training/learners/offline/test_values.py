"""What the values mean: expectiles, cql_penalty, entropy, and what ends and what is only cut."""

from collections.abc import Callable
from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.learners.toys import bandit, plain_space, uniform
from training.learners.data.transitions import Sampler, Transitions
from training.learners.learner import ActorLearner
from training.learners.loop import TrainingPlan, seeded, train
from training.learners.offline.iql import Iql, IqlSettings, expectile_loss, extraction_weights
from training.learners.offline.sac import Sac, SacSettings
from training.learners.offline.td3bc import Td3Bc, Td3BcSettings

CPU = torch.device("cpu")


@pytest.mark.parametrize("expectile", [0.3, 0.5, 0.7, 0.9])
def test_the_expectile_loss_finds_the_expectile_of_a_known_distribution(expectile: float) -> None:
    """Of the exponential distribution with mean 1: e solves tau E[(X - e)+] = (1 - tau) E[(e - X)+]."""

    e = np.linspace(1e-6, 20.0, 2_000_001)
    above = np.exp(-e)
    known = float(e[np.argmin(np.abs(expectile * above - (1.0 - expectile) * (e - 1.0 + above)))])
    chances = (torch.arange(100_000) + 0.5) / 100_000
    samples = -torch.log1p(-chances)
    found = torch.tensor(0.0, requires_grad=True)
    descent = torch.optim.LBFGS([found], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        descent.zero_grad()
        loss = expectile_loss(samples - found, expectile)
        torch.autograd.backward(loss)
        return loss

    descent.step(closure)  # type: ignore[no-untyped-call]
    assert float(found.detach()) == pytest.approx(known, abs=5e-3)


def test_better_actions_weigh_more_up_to_the_bound() -> None:
    advantage = torch.tensor([-1.0, 0.0, 1.0, 50.0])
    plain = IqlSettings(inverse_temperature=2.0, normalize_advantage=False, weight_max=100.0)
    weights = extraction_weights(advantage, plain).tolist()
    assert weights == pytest.approx([np.exp(-2.0), 1.0, np.exp(2.0), 100.0], rel=1e-5)
    relative = replace(plain, normalize_advantage=True)
    assert torch.allclose(
        extraction_weights(advantage, relative), extraction_weights(1000.0 * advantage, relative)
    )


def narrow(count: int = 2000) -> Transitions:
    """Data that hold only actions near 0.2, all with reward 1, in every state."""
    state = uniform(count, 1, seed=5)
    action = 0.2 + 0.02 * uniform(count, 1, seed=6)
    ends = torch.ones(count)
    return Transitions(state, action, torch.ones(count), state, ends, torch.zeros(count))


def test_conservatism_lowers_values_off_the_data_and_not_on_it() -> None:
    torch.set_num_threads(1)
    data, states = narrow(), torch.linspace(-0.9, 0.9, 20)[:, None]
    on, off = torch.full_like(states, 0.2), torch.full_like(states, -0.8)
    values: dict[float, tuple[float, float]] = {}
    for weight in (0.0, 0.5):
        generator = seeded(0, CPU)
        settings = SacSettings(tau=0.02, lr=5e-3, entropy_start=0.01, cql_weight=weight, cql_samples=4)
        learner = Sac(plain_space(1), settings)
        train(learner, Sampler(data, 64), TrainingPlan(150), generator)
        with torch.no_grad():
            found = (float(learner.critic.min_q(learner.normalize(states), a).mean()) for a in (on, off))
            values[weight] = (next(found), next(found))
    assert values[0.5][1] < values[0.0][1] - 0.3
    assert values[0.5][0] > values[0.0][0] - 0.1
    assert values[0.5][0] > values[0.5][1] + 0.5


def test_the_penalty_is_the_log_integral_of_each_state_minus_the_recorded_value() -> None:
    torch.manual_seed(0)
    learner = Sac(plain_space(1), SacSettings(cql_samples=3000))
    torch.nn.init.normal_(learner.actor.mean.weight)
    seen = learner.seen(bandit(4))
    with torch.no_grad():
        recorded = learner.critic(seen.features, seen.action)
        penalty = float(learner.cql_penalty(seen, recorded, torch.Generator().manual_seed(0)))
        grid = torch.linspace(-1.0, 1.0, 2001)[None, :, None].expand(4, -1, -1)
        dense = learner.critic(seen.features[:, None].expand(-1, 2001, -1), grid)
    expected = 0.0
    for values, of_data in zip(dense, recorded, strict=True):
        integrals = np.trapezoid(np.exp(values.numpy()), grid.squeeze(2).numpy(), axis=1)
        expected += float(np.log(integrals).mean() - of_data.mean())
    assert penalty == pytest.approx(expected, abs=0.02)


def constant(net: torch.nn.Module, value: float) -> None:
    """Make every output of a critic or value network one number."""
    for module in net.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.zeros_(module.weight)
            torch.nn.init.constant_(module.bias, value if module.out_features == 1 else 0.0)


def cases() -> Transitions:
    """Three rows of reward 1: one goes on, one is cut by time, one is terminal."""
    state = torch.zeros(3, 1)
    return Transitions(
        state, state, torch.ones(3), state, torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 0.0])
    )


def test_a_cut_is_no_end_and_an_end_is_worth_nothing() -> None:
    space, generator = plain_space(1), torch.Generator().manual_seed(0)
    iql = Iql(space, IqlSettings(gamma=0.5))
    constant(iql.value, 10.0)
    assert iql.td_target(iql.seen(cases())).tolist() == [6.0, 6.0, 1.0]
    td3 = Td3Bc(space, Td3BcSettings(gamma=0.5))
    constant(td3.target, 10.0)
    assert td3.td_target(td3.seen(cases()), generator).tolist() == [6.0, 6.0, 1.0]


def test_the_soft_goal_holds_the_entropy_of_what_follows() -> None:
    learner = Sac(plain_space(1), SacSettings(gamma=0.5, entropy_start=0.3))
    constant(learner.target, 10.0)
    state = torch.zeros(20_000, 1)
    no, ends = torch.zeros(20_000), torch.ones(20_000)
    not_terminal = Transitions(state, state, no, state, no, no)
    generator = torch.Generator().manual_seed(0)
    soft = float(learner.td_target(learner.seen(not_terminal), generator).mean())
    with torch.no_grad():
        entropy = -float(learner.actor.sample(learner.normalize(state), generator)[1].mean())
    assert soft == pytest.approx(0.5 * (10.0 + 0.3 * entropy), abs=0.01)
    assert soft != pytest.approx(5.0, abs=0.01)
    over = replace(not_terminal, terminal=ends)
    assert float(learner.td_target(learner.seen(over), generator).abs().max()) == 0.0


@pytest.mark.parametrize(("target", "rises"), [(-3.0, False), (0.65, True)])
def test_the_temperature_moves_towards_the_wanted_entropy(target: float, rises: bool) -> None:
    """Entropy on [-1, 1] is at most log 2 = 0.69; at the start it lies between these targets."""
    learner = Sac(plain_space(1), SacSettings(entropy_target=target, lr=1e-2))
    assert target < log(2.0)
    before = float(learner.log_temperature.detach())
    train(learner, Sampler(bandit(500), 64), TrainingPlan(10), seeded(0, CPU))
    assert (float(learner.log_temperature.detach()) > before) is rises


def test_the_actor_of_td3_learns_at_every_second_step_only() -> None:
    generator = seeded(0, CPU)
    learner: ActorLearner[Transitions] = Td3Bc(plain_space(1), Td3BcSettings(actor_every=2))
    sampler, start = Sampler(bandit(500), 64), torch.zeros(1)
    start = learner.actor.mean.weight.detach().clone()
    learner.update(sampler(generator), generator)
    assert torch.equal(learner.actor.mean.weight, start)
    learner.update(sampler(generator), generator)
    assert not torch.equal(learner.actor.mean.weight, start)


@pytest.mark.parametrize(
    "made",
    [
        lambda first: Td3Bc(plain_space(1), Td3BcSettings(critic_warmup_steps=first, actor_every=1)),
        lambda first: Sac(plain_space(1), SacSettings(critic_warmup_steps=first)),
    ],
)
def test_the_actor_waits_for_the_critics_as_long_as_it_is_told(
    made: Callable[[int], ActorLearner[Transitions]],
) -> None:
    generator = seeded(0, CPU)
    learner, sampler = made(3), Sampler(bandit(400), 32)
    actor, critic = (
        [p.clone() for p in part.parameters()] for part in (learner.actor, learner.get_submodule("critic"))
    )

    def moved(part: str, before: list[Tensor]) -> bool:
        return any(
            not torch.equal(*pair)
            for pair in zip(learner.get_submodule(part).parameters(), before, strict=True)
        )

    for _ in range(3):
        learner.update(sampler(generator), generator)
    assert moved("critic", critic)
    assert not moved("actor", actor)
    learner.update(sampler(generator), generator)
    assert moved("actor", actor)
