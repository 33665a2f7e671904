"""Bundles in a batch, sites in trouble, and intervals over hours and days."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from core.site import Metering
from daemon.simulation.controllers import pilot
from daemon.simulation.simulate import Scenario, default_site, simulate
from models.bundle import BundleError, load_bundle
from plant.radio.link import LOST
from plant.site.trace import load_trace
from safety.pi import PiGains
from tests.training.site_days import ShippedDay
from training.batched import bundle_policy
from training.batched.bundle_policy import BundlePolicy, open_bundle
from training.batched.day_runs import DayScenario, breaks_limit, rows_of, run
from training.batched.laws import pi_law
from training.batched.scenarios import FaultScenario, far_end
from training.batched.simulator import PLACES, View
from training.contest.bootstrap import change_of, draws_of, interval
from training.data.days import Day

ARTIFACTS = Path(bundle_policy.__file__).parents[2] / "models" / "artifacts"
FROM_S = 11 * 3600


SHIPPED = ShippedDay(Path("shipped"), "val", "3ph")


def views(count: int, seed: int) -> View:
    states = np.random.default_rng(seed).normal(0.0, 800.0, (count, 30)).astype(np.float32)
    powers = torch.full((count, 3), 700.0)
    return View(torch.from_numpy(states), powers, powers, powers, powers)


@pytest.mark.parametrize("name", ["builtin", "clone"])
def test_a_bundle_answers_many_sites_as_it_answers_each(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    together = open_bundle(ARTIFACTS / name)
    monkeypatch.setattr(bundle_policy, "any_batch", lambda content: content)
    alone = open_bundle(ARTIFACTS / name)
    assert together.is_batched
    assert not alone.is_batched
    memories = [None, None]
    for second in range(5):
        view = views(4, second)
        answers = []
        for place, policy in enumerate((together, alone)):
            action_w, memories[place] = policy(view, memories[place])  # type: ignore[call-overload]
            answers.append(action_w)
        assert torch.allclose(answers[0], answers[1], atol=0.01)


def test_a_graph_that_answers_otherwise_among_others_is_run_site_by_site(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    freed = bundle_policy.any_batch

    def disturbed(content: bytes) -> bytes:
        model = onnx.load_from_string(freed(content))
        weights = model.graph.initializer[0]
        values = onnx.numpy_helper.to_array(weights) * 1.01
        weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
        return bytes(model.SerializeToString())

    monkeypatch.setattr(bundle_policy, "any_batch", disturbed)
    assert not open_bundle(ARTIFACTS / "builtin").is_batched


def test_an_answer_that_is_no_number_leaves_the_action_as_it_was() -> None:
    policy, view = open_bundle(ARTIFACTS / "builtin"), views(3, 0)
    view.features[1] = torch.nan
    action_w, memory = policy(view, None)
    assert action_w[1].tolist() == [700.0] * 3
    assert policy.unanswered == 1
    assert np.isfinite(memory[0]).all()
    assert not memory[0][1].any()


def test_a_bundle_for_other_slaves_is_refused() -> None:
    bundle = load_bundle(ARTIFACTS / "clone")
    generating = bundle.manifest.model_copy(update={"role": "generate"})
    with pytest.raises(BundleError, match="absorbing"):
        BundlePolicy(replace(bundle, manifest=generating))


def test_a_bundle_lives_minutes_of_the_batch_as_it_lives_them_in_the_product() -> None:
    site = default_site()
    scenario = Scenario(load_trace(), site, "3ph", FROM_S, FROM_S + 300, 5)
    lived = simulate(scenario, pilot("policy", site, bundle=ARTIFACTS / "builtin")).score.summary()
    tally = run(
        rows_of([DayScenario(SHIPPED, FROM_S, Metering.NET, 5, 0)] * 2, 300),
        open_bundle(ARTIFACTS / "builtin"),
    )
    assert tally.export_wh == pytest.approx(lived["export_wh"], rel=5e-3)
    assert tally.avoidable_wh == pytest.approx(lived["avoidable_import_wh"], rel=5e-3)
    assert tally.peak_export_w == pytest.approx(lived["peak_export_w"], rel=5e-3)
    assert tally.violations.tolist() == [0.0, 0.0]


def test_trouble_changes_what_its_name_says_and_nothing_else() -> None:
    usual = far_end(3, 0, FaultScenario.NONE)
    lossy, missing, misled = (
        far_end(3, 0, trouble)
        for trouble in (FaultScenario.LOSSY, FaultScenario.MISSING_SLAVE, FaultScenario.MISLED)
    )
    places = usual.delays[:, :, :3]
    assert 0.0 < (places == LOST).mean() < 0.06
    assert (lossy.delays[:, :, :3] == LOST).mean() == pytest.approx(0.10, abs=0.01)
    heard = lossy.delays != LOST
    assert (lossy.delays[heard] == usual.delays[heard]).all()
    assert (missing.gain == 0.0).sum() == 1
    assert ((missing.gain == usual.gain) | (missing.gain == 0.0)).all()
    assert (missing.delays == usual.delays).all()
    assert misled.told_s == 1
    assert (misled.delays == usual.delays).all()
    assert (lossy.noise_w == usual.noise_w).all()


def test_other_sites_have_two_to_four_slaves_per_phase() -> None:
    ends = [far_end(seed, 0, FaultScenario.OTHER_SITES) for seed in range(12)]
    counts = np.stack([end.slaves for end in ends])
    assert set(counts.flatten().tolist()) == {2, 3, 4}
    for end in ends:
        in_use = np.arange(PLACES) < end.slaves[:, None]
        assert (end.delays[:, ~in_use] == LOST).all()
        assert (end.delays[:, in_use] != LOST).any(0).all()


def test_a_missing_slave_costs_and_a_lossy_radio_too() -> None:
    troubles, seeds = (FaultScenario.NONE, FaultScenario.LOSSY, FaultScenario.MISSING_SLAVE), (0, 1, 2)
    heats = [DayScenario(SHIPPED, FROM_S, Metering.NET, seed, 0, 0.0, t) for t in troubles for seed in seeds]
    usual, lossy, missing = run(rows_of(heats, 400), pi_law(PiGains())).j_wh.reshape(3, 3).sum(1)
    assert missing > 1.02 * usual
    assert lossy > 1.02 * usual


def test_limits_are_judged_on_what_is_on_air() -> None:
    def broken(action_w: list[float], before_w: list[float], elapsed_s: float = 1.0) -> bool:
        rows = (torch.tensor([action_w]), torch.tensor([before_w]))
        return bool(breaks_limit(*rows, torch.tensor([elapsed_s]), torch.full((1, 3), 5000.0))[0])

    assert not broken([1000.0, 0.0, 0.0], [0.0, 0.0, 0.0])
    assert broken([1001.0, 0.0, 0.0], [0.0, 0.0, 0.0])
    assert not broken([2000.0, 0.0, 0.0], [0.0, 0.0, 0.0], 60.0)
    assert broken([2001.0, 0.0, 0.0], [0.0, 0.0, 0.0], 60.0)
    assert broken([-1.0, 0.0, 0.0], [0.0, 0.0, 0.0])
    assert broken([5001.0, 5000.0, 5000.0], [5000.0, 5000.0, 5000.0])
    assert broken([4500.0, 0.0, 0.0], [4500.0, 0.0, 0.0])
    assert broken([torch.nan, 0.0, 0.0], [0.0, 0.0, 0.0])


def hours(days: int, per_day: int, seeds: int = 1) -> list[DayScenario]:
    return [
        DayScenario(Day(Path(f"{day}"), "val", "3ph"), 3600 * hour, Metering.NET, seed, 0)
        for day in range(days)
        for hour in range(per_day)
        for seed in range(seeds)
    ]


def test_days_that_differ_make_the_interval_over_days_wide() -> None:
    draws = draws_of(hours(5, 12))
    values = np.repeat([0.0, 1.0, 2.0, 3.0, 4.0], 12)
    found = change_of(lambda weights: weights @ values / weights.sum(1), draws)
    assert found.value == pytest.approx(2.0)
    low, high = found.over_hours
    assert high - low == pytest.approx(2 * 1.96 * (2.0 / 60) ** 0.5, rel=0.15)  # standard error sqrt(2 / 60)
    reach = 2.7764 * (2.5 / 5) ** 0.5  # t of 4 degrees of freedom; the days' variance is 2.5
    assert found.over_days == pytest.approx((2.0 - reach, 2.0 + reach), abs=1e-3)


def test_days_that_are_alike_leave_no_doubt_about_days() -> None:
    values = np.random.default_rng(1).normal(size=12)[np.tile(np.arange(12), 5)]
    found = change_of(lambda weights: weights @ values / weights.sum(1), draws_of(hours(5, 12)))
    assert found.over_days == pytest.approx((found.value, found.value))


def test_the_radios_of_an_hour_are_drawn_together() -> None:
    draws = draws_of(hours(2, 3, seeds=2))
    for weights, rows in ((draws.hours, 12), (draws.by_day, 6)):
        assert (weights[:, 0::2] == weights[:, 1::2]).all()
        assert (weights.sum(1) == rows).all()


def test_an_interval_of_what_is_mostly_unknown_is_unknown() -> None:
    values = np.arange(100.0)
    assert interval(values) == pytest.approx((2.475, 96.525))
    values[:20] = np.nan
    assert np.isnan(interval(values)).all()
