"""What critics and actors are taught, number by number: lesser and slow critics, ends, blur, scale."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from tests.training.learners.offline.test_values import cases, constant
from tests.training.learners.toys import bandit, plain_space
from training.imitation.policy_net import FeatureScaling
from training.learners.data.transitions import Transitions
from training.learners.learner import CriticLearner
from training.learners.networks import TwinCritic
from training.learners.offline.iql import Iql, IqlSettings
from training.learners.offline.iql_discrete import Choices, DiscreteIql
from training.learners.offline.sac import Sac, SacSettings
from training.learners.offline.td3bc import Td3Bc, Td3BcSettings

LESSER, GREATER = 4.0, 10.0


@pytest.fixture
def rng() -> torch.Generator:
    torch.manual_seed(0)
    return torch.Generator().manual_seed(0)


def twins(critics: TwinCritic, first: float, second: float) -> None:
    """Critics that each say one number."""
    constant(critics.first, first)
    constant(critics.second, second)


@pytest.mark.parametrize("said", [(LESSER, GREATER), (GREATER, LESSER)])
def test_the_lesser_critic_counts_whichever_it_is(said: tuple[float, float], rng: torch.Generator) -> None:
    td3, sac = (
        Td3Bc(plain_space(1), Td3BcSettings(gamma=0.5)),
        Sac(plain_space(1), SacSettings(gamma=0.5, entropy_start=1e-9)),
    )
    for learner in (td3, sac):
        twins(learner.target, *said)
        goal = learner.td_target(learner.seen(cases()), rng)
        assert goal.tolist() == pytest.approx([1.0 + 0.5 * LESSER, 1.0 + 0.5 * LESSER, 1.0])
    iql = Iql(plain_space(1), IqlSettings(lr=1e-9))
    twins(iql.target, *said)
    constant(iql.value, 0.0)
    assert float(iql.update(cases(), rng)["advantage"]) == pytest.approx(LESSER, abs=1e-3)


@pytest.mark.parametrize("said", [(LESSER, GREATER), (GREATER, LESSER)])
def test_the_actor_follows_the_lesser_critic(said: tuple[float, float], rng: torch.Generator) -> None:
    sac = Sac(plain_space(1), SacSettings(entropy_start=1e-9))
    twins(sac.critic, *said)
    report = sac._improve_actor(torch.zeros(8, 1), rng)
    assert float(report["actor_loss"]) == pytest.approx(-LESSER, abs=1e-3)


def test_iql_asks_the_slow_critics_what_a_recorded_action_is_worth(rng: torch.Generator) -> None:
    iql = Iql(plain_space(1), IqlSettings(lr=1e-9))
    constant(iql.target, LESSER)
    constant(iql.critic, 50.0)
    constant(iql.value, 0.0)
    assert float(iql.update(cases(), rng)["advantage"]) == pytest.approx(LESSER, abs=1e-3)


def test_values_move_towards_what_the_recorded_actions_are_worth_and_not_away(rng: torch.Generator) -> None:
    for worth in (5.0, -5.0):
        iql = Iql(plain_space(1), IqlSettings(lr=1e-2))
        constant(iql.target, worth)
        constant(iql.value, 0.0)
        iql.update(cases(), rng)
        moved = float(iql.value(torch.zeros(1, 1)).detach())
        assert moved * worth > 0.0


def discrete() -> DiscreteIql:
    spread = FeatureScaling(torch.zeros(1), torch.ones(1))
    return DiscreteIql(Choices(spread, 3, hidden=8), IqlSettings(gamma=0.5, lr=1e-9))


def chosen() -> Transitions:
    """The three rows of `cases` with the first of three choices, all feasible."""
    rows = cases()
    wide = torch.zeros(3, 1, dtype=torch.long)
    columns = (rows.reward, rows.following, rows.terminal, rows.truncated)
    return Transitions(rows.observation, wide, *columns, mask=torch.ones(3, 3, dtype=torch.bool))


def goals_of(report: dict[str, Tensor]) -> float:
    """Mean square of the goals, told by critics that say 0."""
    return float(report["critic_loss"]) / 2.0


@pytest.mark.parametrize("kind", ["iql", "iql-discrete"])
def test_an_end_is_worth_nothing_to_the_critics_that_are_taught(kind: str, rng: torch.Generator) -> None:
    """Goals 1 + 0.5 x 10 where life goes on, also where the record is cut, and 1 at the end."""
    wanted = (6.0**2 + 6.0**2 + 1.0**2) / 3.0
    if kind == "iql":
        iql = Iql(plain_space(1), IqlSettings(gamma=0.5, lr=1e-9))
        constant(iql.value, 10.0)
        constant(iql.critic, 0.0)
        assert goals_of(iql.update(cases(), rng)) == pytest.approx(wanted, rel=1e-4)
        return
    learner = discrete()
    constant(learner.value, 10.0)
    for net in (learner.first, learner.second):
        silence(net)
    assert goals_of(learner.update(chosen(), rng)) == pytest.approx(wanted, rel=1e-4)


def silence(net: nn.Module, value: float = 0.0) -> None:
    """Make a network say one number for every choice."""
    last = [module for module in net.modules() if isinstance(module, nn.Linear)][-1]
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, value)


def test_discrete_values_ask_the_lesser_of_the_slow_critics(rng: torch.Generator) -> None:
    """An expectile of 0.7: of what the value is too low by, the square counts 0.7 times."""
    for said in ((LESSER, GREATER), (GREATER, LESSER)):
        learner = discrete()
        constant(learner.value, 0.0)
        for net, value in zip(learner.targets, said, strict=True):
            silence(net, value)
        for net in (learner.first, learner.second):
            silence(net, 50.0)
        report = learner.update(chosen(), rng)
        assert float(report["value_loss"]) == pytest.approx(0.7 * LESSER**2, rel=1e-4)


def made() -> list[Callable[[], CriticLearner]]:
    return [
        lambda: Sac(plain_space(1, 8), SacSettings(tau=0.25, lr=1e-2)),
        lambda: Td3Bc(plain_space(1, 8), Td3BcSettings(tau=0.25, lr=1e-2, actor_every=1)),
    ]


@pytest.mark.parametrize("make", made())
def test_the_slow_critics_follow_after_every_update(
    make: Callable[[], CriticLearner], rng: torch.Generator
) -> None:
    learner = make()
    target, critic = (learner.get_submodule(name) for name in ("target", "critic"))
    before = deepcopy(list(target.parameters()))
    learner.update(bandit(64), rng)
    wanted = [old.lerp(new, 0.25) for old, new in zip(before, critic.parameters(), strict=True)]
    assert all(map(torch.allclose, target.parameters(), wanted))
    assert not all(map(torch.equal, target.parameters(), before))


class ActionIsWorth(nn.Module):
    """Critics that say the action itself."""

    def min_q(self, features: Tensor, action: Tensor) -> Tensor:
        return action.squeeze(1)


def test_the_target_policy_of_td3_is_blurred_within_bounds(rng: torch.Generator) -> None:
    """The goal is the target's action, 0 at first, and noise of 0.2 that is cut at 0.3."""
    learner = Td3Bc(plain_space(1), Td3BcSettings(gamma=1.0, noise=0.2, noise_max=0.3))
    learner.target = ActionIsWorth()  # type: ignore[assignment]
    count, zero = 20_000, torch.zeros(20_000, 1)
    rows = Transitions(zero, zero, torch.zeros(count), zero, torch.zeros(count), torch.zeros(count))
    goal = learner.td_target(learner.seen(rows), rng)
    assert float(goal.abs().max()) == pytest.approx(0.3)
    assert float((goal.abs() == 0.3).float().mean()) == pytest.approx(0.1336, abs=0.01)  # 2 (1 - Phi(1.5))
    inner = goal[goal.abs() < 0.299]
    assert float(goal.mean()) == pytest.approx(0.0, abs=0.01)
    assert float(inner.std()) > 0.1


def test_the_unit_of_the_reward_does_not_decide_how_near_td3_stays_to_the_data(rng: torch.Generator) -> None:
    """The value counts in units of its own mean size: critics a thousand times as large move the same."""
    first, moved = Td3Bc(plain_space(1), Td3BcSettings(lr=1e-2)), []
    constant(first.critic, 0.0)
    for times in (1.0, 1000.0):
        learner = deepcopy(first)
        learner.optimizers = {"actor": torch.optim.SGD(learner.actor.parameters(), 1e-2)}
        weight, bias = learner.critic.first.net[-1].parameters()
        with torch.no_grad():
            weight.fill_(0.1 * times)
            bias.fill_(times)
            for parameter in learner.critic.first.net[0].parameters():
                nn.init.normal_(parameter, generator=torch.Generator().manual_seed(1))
        learner._improve_actor(learner.seen(bandit(64)))
        moved.append(torch.cat([p.detach().flatten() for p in learner.actor.parameters()]))
    start = torch.cat([p.detach().flatten() for p in first.actor.parameters()])
    assert torch.allclose(moved[0], moved[1], atol=1e-6)
    assert not torch.allclose(moved[0], start, atol=1e-6)


def test_distance_to_the_data_is_measured_in_their_spread_where_that_is_wanted(rng: torch.Generator) -> None:
    rows = bandit(64)
    plain, relative = (
        Td3Bc(plain_space(1), Td3BcSettings(value_weight=0.0, normalize_advantage=is_relative))
        for is_relative in (False, True)
    )
    one, other = (learner._improve_actor(learner.seen(rows))["distance"] for learner in (plain, relative))
    assert float(other) == pytest.approx(float(one) / float(rows.action.var()), rel=1e-4)


def test_surprise_is_the_mean_of_what_both_critics_are_off_by() -> None:
    learner, goal = Sac(plain_space(1)), torch.zeros(2)
    loss = learner.miss((torch.tensor([1.0, 2.0]), torch.tensor([-3.0, 0.0])), goal, None)
    assert learner.surprise is not None
    assert learner.surprise.tolist() == [2.0, 1.0]
    assert float(loss) == pytest.approx((1.0 + 4.0) / 2.0 + (9.0 + 0.0) / 2.0)
