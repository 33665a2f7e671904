"""The networks and the scales around them."""

from copy import deepcopy
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.imitation.policy_net import FeatureScaling
from training.learners.learner import Space
from training.learners.networks import (
    Absolute,
    Actor,
    Normalize,
    Residual,
    Scale,
    TwinCritic,
    UnscaledAction,
    log_density,
    soft_update,
)
from training.learners.offline.sac import Sac

PLAIN = FeatureScaling(torch.zeros(30), torch.ones(30))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.floats(-3.0, 3.0), st.floats(-2.0, 1.0))
def test_the_density_of_a_squashed_normal_integrates_to_one(mean: float, log_std: float) -> None:
    z = torch.linspace(-25.0, 25.0, 20_001, dtype=torch.float64)[:, None]
    density = log_density(z, torch.tensor(mean), torch.tensor(log_std)).exp().numpy()
    action = torch.tanh(z).squeeze(1).numpy()
    assert np.trapezoid(density, action) == pytest.approx(1.0, abs=2e-3)


def test_the_density_gives_the_chances_that_samples_show() -> None:
    mean, log_std = torch.tensor([0.4]), torch.tensor([-0.3])
    z = mean + log_std.exp() * torch.randn(200_000, 1, generator=rng())
    action = torch.tanh(z).squeeze(1).numpy()
    edges = np.linspace(-0.9, 0.9, 10)
    for low, high in pairwise(edges):
        inside = torch.linspace(float(low), float(high), 200, dtype=torch.float64)[:, None]
        density = log_density(torch.atanh(inside), mean, log_std).exp().numpy()
        chance = np.trapezoid(density, inside.squeeze(1).numpy())
        assert np.mean((action > low) & (action <= high)) == pytest.approx(chance, abs=5e-3)


def test_the_density_stays_finite_where_tanh_has_long_reached_one() -> None:
    z = torch.tensor([[50.0], [-50.0]], requires_grad=True)
    density = log_density(z, torch.zeros(1), torch.zeros(1))
    torch.autograd.backward(density.sum())
    assert z.grad is not None
    assert bool(density.isfinite().all())
    assert bool(z.grad.isfinite().all())


def test_a_sample_and_its_density_agree_with_the_density_of_a_recorded_action() -> None:
    torch.manual_seed(0)
    actor = Actor(4, 2, hidden=16)
    torch.nn.init.normal_(actor.mean.weight)
    features = torch.randn(50, 4, generator=rng())
    action, density = actor.sample(features, rng())
    assert action.shape == (50, 2)
    assert torch.allclose(actor.log_density_of(features, action), density, atol=1e-3)
    many, densities = actor.sample(features, rng(), 7)
    assert many.shape == (50, 7, 2)
    assert densities.shape == (50, 7)
    assert float(many.detach().std(1).min()) > 0.0


@pytest.mark.parametrize("scale", [Absolute(), Residual(1000.0)])
def test_the_deployed_action_is_the_scaled_tanh_of_the_mean(scale: Scale) -> None:
    torch.manual_seed(0)
    learner = Sac(Space(PLAIN, 3, scale, hidden=16))
    torch.nn.init.normal_(learner.actor.mean.weight)
    state = 300.0 * torch.rand(20, 30, generator=rng())
    with torch.no_grad():
        mean, _ = learner.actor(learner.normalize(state))
        squashed = torch.tanh(mean)
        sent = learner.deployed()(state)
    if isinstance(scale, Absolute):
        expected = (squashed + 1.0) * 2500.0
    else:
        expected = (state[:, 0:27:9] + 1000.0 * squashed).clamp(0.0, 5000.0)
    assert float((mean - squashed).abs().max()) > 0.1  # the mean itself would be another action
    assert torch.allclose(sent, expected)


surplus = st.floats(-3000.0, 8000.0, width=32)


@given(surplus, st.floats(0.0, 5000.0, width=32))
def test_watts_survive_the_way_in_and_out_where_they_are_in_reach(surplus_w: float, sent_w: float) -> None:
    state, sent = torch.zeros(1, 30), torch.full((1, 3), sent_w)
    state[:, 0:27:9] = surplus_w
    nearest = min(max(sent_w, surplus_w - 999.0), surplus_w + 999.0)
    scale = Residual(1000.0)
    back = scale.outward(state, scale.inward(state, sent))
    assert back.tolist()[0] == pytest.approx([min(max(nearest, 0.0), 5000.0)] * 3, abs=0.01)
    absolute = Absolute()
    assert absolute.outward(state, absolute.inward(state, sent)).tolist()[0] == pytest.approx(
        [sent_w] * 3, abs=2.6
    )


def test_an_action_at_a_bound_says_no_more_than_the_bound() -> None:
    state = torch.zeros(2, 30)
    state[0, 0:27:9], state[1, 0:27:9] = -700.0, 5600.0
    sent = torch.tensor([[0.0] * 3, [5000.0] * 3])
    assert Residual(1000.0).inward(state, sent).tolist() == [[0.0] * 3, [0.0] * 3]


def test_targets_move_by_tau() -> None:
    torch.manual_seed(0)
    source, target = TwinCritic(3, 1, 8), TwinCritic(3, 1, 8)
    before = deepcopy(target)
    soft_update(target, source, 0.25)
    for was, new, towards in zip(before.parameters(), target.parameters(), source.parameters(), strict=True):
        assert torch.allclose(new, was + 0.25 * (towards - was), atol=1e-6)


def test_small_deviations_stay_linear_and_large_ones_apart() -> None:
    normalize = Normalize(FeatureScaling(torch.tensor([100.0]), torch.tensor([50.0])))
    values = normalize(torch.tensor([[100.0], [105.0], [5100.0], [10100.0]])).squeeze(1).tolist()
    assert values[0] == 0.0
    assert values[1] == pytest.approx(0.1, abs=1e-3)
    assert values[3] - values[2] > 0.5


def test_without_a_scale_actions_are_what_they_are() -> None:
    action = torch.tensor([[0.3], [-1.0], [1.0]])
    assert UnscaledAction().outward(action, action) is action
    assert UnscaledAction().inward(action, action).abs().max() < 1.0
