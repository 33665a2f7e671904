"""Gradients through the replayed plant are right, and following them lowers the cost."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import training.batched.rules
import training.batched.simulator
import training.replay.trainer
from safety.predictive import PredictiveGains
from training.artifacts.checkpoint import (
    BEST_FILE,
    LAST_FILE,
    CheckpointError,
    Contents,
    Progress,
    load_weights,
    write_checkpoint,
    write_tensors,
)
from training.batched.laws import predictive_law
from training.batched.randomization import FAMILY, JUDGED, DomainRandomization
from training.batched.simulator import View, believed, tick
from training.batched.windows import RolloutWindow, SolarDay, measured, read_days, reel_of, surplus_of, varied
from training.data.days import DaysError
from training.replay.differentiable_replay import Batch, ReplayPlan, judge, rate_at, settled, update
from training.replay.network import ReplayNet
from training.replay.trainer import RunLength, choosing_reel, train

LIT_S = (36_000, 39_600)
SMALL = ReplayPlan(rows=6, groups=2, stretch_s=40, learning_rate=4e-3, warm_up=3)


def square_day(period_s: int = 90) -> SolarDay:
    """A load that goes on and off on phase a under a steady sun."""
    second = np.arange(86_400)
    load_w = np.full((86_400, 3), 300.0, np.float32)
    load_w[:, 0] += 1500.0 * (second // (period_s // 2) % 2)
    lit = (second >= LIT_S[0]) & (second < LIT_S[1])
    return SolarDay(load_w, np.where(lit, 9000.0, 0.0).astype(np.float32), "3ph", LIT_S)


@pytest.fixture
def exact() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def some_reel(seconds: int, count: int, chances: DomainRandomization = JUDGED) -> RolloutWindow:
    rng = np.random.default_rng(1)
    return reel_of([varied([square_day()], seconds + 1, rng) for _ in range(count)], rng, chances)


@pytest.mark.usefixtures("exact")
def test_gradients_through_the_replay_match_finite_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (training.batched.simulator, training.batched.rules):
        monkeypatch.setattr(module, "whole", lambda values: values)  # steps of 1 W have no slope
    reel = some_reel(40, 6, DomainRandomization(extra_s=(0.5, 0.5), told_nothing=0.5))
    belief = believed(reel.rig)

    def cost(theta: Tensor) -> Tensor:
        def propose(view: View, memory: Any) -> tuple[Tensor, Any]:
            phases = view.features[:, :27].reshape(-1, 3, 9)
            return theta[0] * view.surplus_w + (phases * theta[1:10]).sum(2) + theta[10], None

        site, memory, total = settled(reel, 0), None, torch.zeros(())
        for second in range(reel.seconds):
            site, memory, outcome = tick(reel.rig, site, belief, reel.moment(second), propose, memory)
            total = total + (outcome.export_w + 0.5 * outcome.avoidable_w).mean()
        return total

    theta = torch.tensor([0.95, 0.0, 0.3, 0.4, 0.1, 5.0, 0.05, -0.1, 0.02, 0.03, 20.0], requires_grad=True)
    (slope,) = torch.autograd.grad(cost(theta), theta)
    for index in range(len(theta)):
        aside = torch.zeros_like(theta)
        aside[index] = 1e-6
        with torch.no_grad():
            difference = (cost(theta + aside) - cost(theta - aside)) / 2e-6
        assert float(slope[index]) == pytest.approx(float(difference), rel=1e-3, abs=1e-3)
    assert float(slope.abs().min()) > 0.0


def test_updates_lower_the_cost_below_that_of_the_law_the_network_starts_from() -> None:
    torch.manual_seed(0)
    days, net = (square_day(),), ReplayNet()
    reel = some_reel(300, 8)
    law_w = float(judge(reel, predictive_law(PredictiveGains())).j_w.mean())
    assert float(judge(reel, net.policy).j_w.mean()) == pytest.approx(law_w, rel=1e-3)
    batch = Batch(days, SMALL, DomainRandomization(), torch.device("cpu"), net)
    optimizer = torch.optim.Adam(net.parameters())
    for step in range(30):
        batch.enter(np.random.default_rng(step))
        update(net, batch, optimizer, rate_at(step / 30, step, SMALL), SMALL)
    assert float(judge(reel, net.policy).j_w.mean()) < 0.95 * law_w


def test_an_update_moves_no_further_than_the_clipped_gradient_allows() -> None:
    torch.manual_seed(0)
    net = ReplayNet()
    batch = Batch((square_day(),), SMALL, DomainRandomization(), torch.device("cpu"), net)
    batch.enter(np.random.default_rng(0))
    before = torch.cat([p.detach().flatten().clone() for p in net.parameters()])
    update(net, batch, torch.optim.SGD(net.parameters(), lr=1.0), 0.01, SMALL)
    after = torch.cat([p.detach().flatten() for p in net.parameters()])
    assert 0.0 < float((after - before).norm()) <= 0.01 * SMALL.gradient_max * 1.001


def test_the_rate_warms_up_and_falls_as_a_cosine() -> None:
    plan = ReplayPlan(learning_rate=1.0, learning_rate_end=0.1, warm_up=10)
    assert rate_at(0.0, 0, plan) == pytest.approx(0.1)
    assert rate_at(0.0, 9, plan) == pytest.approx(1.0)
    assert rate_at(0.5, 100, plan) == pytest.approx(0.55)
    assert rate_at(1.0, 200, plan) == pytest.approx(0.1)
    assert rate_at(1.2, 300, plan) == pytest.approx(0.1)


def test_the_memory_lives_on_from_stretch_to_stretch() -> None:
    """What a row remembers at the end of a stretch is what the next one begins with, one group further on."""
    torch.manual_seed(0)
    net, begun = ReplayNet(), list[Tensor]()
    policy = net.policy

    def noted(view: View, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        assert memory is not None
        begun.append(memory.detach().clone())
        return policy(view, memory)

    net.policy = noted  # type: ignore[method-assign]
    batch = Batch((square_day(),), SMALL, DomainRandomization(), torch.device("cpu"), net)
    batch.enter(np.random.default_rng(0))
    batch.stretch(training.batched.simulator.DEFAULT_RULES)
    ended = batch._memory.clone()
    batch.enter(np.random.default_rng(1))
    batch.stretch(training.batched.simulator.DEFAULT_RULES)
    first = begun[SMALL.stretch_s]
    assert len(first) == SMALL.rows * SMALL.groups
    assert float(first[: SMALL.rows].abs().max()) == 0.0  # the group that has just come in
    assert torch.equal(first[SMALL.rows :], ended[: SMALL.rows * (SMALL.groups - 1)])
    assert float(first[SMALL.rows :].abs().amax((1, 2)).min()) > 0.0


def test_what_is_judged_and_kept_is_the_mean_of_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After updates 1 and 2 the mean is 1/11 of the first weights and 10/11 of the second."""
    seen, judged = list[Tensor](), list[Tensor]()
    whole, plain = update, judge

    def flat(net: ReplayNet) -> Tensor:
        return torch.cat([p.detach().flatten().clone() for p in net.parameters()])

    def updated(net: ReplayNet, *rest: Any) -> float:
        cost_w = whole(net, *rest)
        seen.append(flat(net))
        return cost_w

    def asked(reel: RolloutWindow, policy: Any) -> Any:
        judged.append(flat(policy.__self__))
        return plain(reel, policy)

    monkeypatch.setattr(training.replay.trainer, "update", updated)
    monkeypatch.setattr(training.replay.trainer, "judge", asked)
    days = (square_day(),)
    course = RunLength(seed=3, updates=2, check_every=2, window_s=120, windows=1)
    train(days, days, tmp_path, course, replace(SMALL, average_kept=0.99))
    assert torch.allclose(judged[-1], seen[0] / 11.0 + 10.0 * seen[1] / 11.0, atol=1e-7)
    assert not torch.allclose(judged[-1], seen[1], atol=1e-7)


def test_days_without_sun_are_no_days_to_choose_on() -> None:
    dark = square_day()._replace(pv_w=np.zeros(86_400, np.float32))
    with pytest.raises(DaysError, match="none of the days that choose has a sunny window of 120 s"):
        choosing_reel((dark,), RunLength(window_s=120))


def test_a_run_goes_on_where_it_was_left(tmp_path: Path) -> None:
    days = (square_day(),)
    course = RunLength(seed=3, updates=2, check_every=1, window_s=120, windows=2)
    first = train(days, days, tmp_path, course, SMALL)
    assert first.step == 2
    longer = RunLength(seed=3, updates=3, check_every=1, window_s=120, windows=2)
    second = train(days, days, tmp_path, longer, SMALL)
    assert second.step == 3
    assert second.best <= first.best
    assert second.elapsed_s > first.elapsed_s
    assert (tmp_path / LAST_FILE).exists()
    net = ReplayNet()
    assert load_weights(tmp_path / BEST_FILE, net).best_step == second.best_step
    reel = choosing_reel(days, course)
    assert float(judge(reel, net.policy).j_w.mean()) == pytest.approx(second.best, rel=1e-4)


def test_weights_written_before_the_best_judgement_was_renamed_still_load(tmp_path: Path) -> None:
    torch.manual_seed(1)
    net, path = ReplayNet(), tmp_path / "best.safetensors"
    header = '{"seed": 4, "step": 9, "elapsed_s": 1.5, "best_j_w": 61.25, "best_step": 6}'
    write_tensors(path, net.state_dict(), {"progress": header})
    torch.manual_seed(2)
    other = ReplayNet()
    assert load_weights(path, other) == Progress(4, 9, 1.5, 61.25, 6)
    pairs = zip(net.state_dict().values(), other.state_dict().values(), strict=True)
    assert all(torch.equal(x, y) for x, y in pairs)


def test_the_state_of_a_learner_is_not_a_state_of_the_replay(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / LAST_FILE, Contents("Clone", {}), Progress())
    days, course = (square_day(),), RunLength(updates=1, check_every=1, window_s=120, windows=1)
    with pytest.raises(CheckpointError, match="of Clone, not of ReplayNet"):
        train(days, days, tmp_path, course, SMALL)


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    days = (square_day(),)
    course = RunLength(seed=5, updates=2, check_every=2, window_s=120, windows=1)

    def weights(folder: Path) -> bytes:
        train(days, days, folder, course, SMALL)
        return (folder / BEST_FILE).read_bytes().partition(b"}}")[2]

    a, b = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert a[-4000:] == b[-4000:]


def test_windows_vary_and_measured_ones_do_not() -> None:
    day = square_day()
    rng = np.random.default_rng(2)
    one, other = (varied((day,), 300, rng) for _ in range(2))
    assert one.shape == other.shape == (300, 3)
    assert not np.array_equal(one, other)
    found = measured((day,), 300)
    assert len(found) == 11
    expected = surplus_of(day.pv_w, day.load_w, "3ph")[LIT_S[0] : LIT_S[0] + 300]
    assert np.array_equal(found[0], expected)


def test_far_ends_are_drawn_with_their_chances() -> None:
    reel = some_reel(30, 300, DomainRandomization())
    assert float((reel.extra_s == 0).float().mean()) == pytest.approx(
        DomainRandomization().extra_s[0], abs=0.08
    )
    assert float(reel.rig.is_net.float().mean()) == pytest.approx(DomainRandomization().net, abs=0.08)
    assert set(reel.rig.slaves.flatten().tolist()) == {2.0, 3.0, 4.0}
    assert bool((reel.rig.told_s != reel.extra_s).any())
    assert bool((reel.rig.told_s == reel.extra_s).any())
    assert float((reel.rig.gain == 0.0).any(2).any(1).float().mean()) == pytest.approx(0.04, abs=0.035)
    judged = some_reel(30, 100)
    assert not judged.rig.told_s.any()
    assert set(judged.rig.slaves.flatten().tolist()) == {3.0}


def test_the_family_is_drawn_with_its_chances_and_told_its_numbers() -> None:
    rig = some_reel(400, 300, FAMILY).rig
    told, is_told = rig.told, rig.told.is_told
    assert float(is_told.float().mean()) == pytest.approx(FAMILY.measured, abs=0.08)
    lag_s = -1.0 / torch.log1p(-rig.share)
    assert float(lag_s[~is_told].max()) <= 2.0 < 8.0 < float(lag_s.max())
    assert float(lag_s.min()) < 0.4
    right = (told.lag_s / lag_s - 1.0).abs().amax((1, 2)) < 1e-3
    share = float(right[is_told].float().mean())
    assert share == pytest.approx(1.0 - FAMILY.wrong - FAMILY.stale, abs=0.1)
    assert float((rig.meter.period_s > 1).float().mean()) == pytest.approx(0.7 * 0.3 * 2.0 / 3.0, abs=0.06)
    assert float(told.dead_time_s[is_told].max()) > 6.0
    belief = believed(rig)
    added = belief.weights.sum(1)
    assert torch.allclose(
        belief.kept + added, torch.ones_like(added), atol=1e-5
    )  # at rest it believes the command


def test_days_without_light_teach_nothing() -> None:
    night = square_day()._replace(pv_w=np.zeros(86_400, np.float32), lit_s=(0, 86_400))
    assert measured((night,), 600) == []
    assert read_days(()) == ()
