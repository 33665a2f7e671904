"""The clairvoyant bound: known answers, and no controller below it."""

from pathlib import Path

import numpy as np
import pytest

from core.site import Metering
from plant.radio.link import LOST, draw_delays, draw_link
from plant.radio.link import followed_ages as followed_ages_of_plant
from safety.pi import PiGains
from safety.predictive import PredictiveGains
from tests.training.site_days import ShippedDay
from training.batched.day_runs import DayScenario, rows_of, run
from training.batched.laws import pi_law, predictive_law
from training.evaluation import gap
from training.evaluation.bound import NEVER_S, Plant, best, followed_ages
from training.evaluation.gap import bound_wh, drawn_windows, measure_gaps

SHIPPED = ShippedDay(Path("shipped"), "val", "3ph")


def plant(surplus_w: list[float], *, phases: int = 1, delay_s: int = 1, share: float = 1.0) -> Plant:
    """One slave of 5000 W on each phase; the surplus is on the first."""
    table = np.zeros((len(surplus_w), phases))
    table[:, 0] = surplus_w
    second = np.arange(len(surplus_w))[:, None]
    ages = np.broadcast_to(np.where(second >= delay_s, delay_s, NEVER_S), (len(surplus_w), phases))
    ones = np.ones(phases)
    return Plant(table, ages, np.arange(phases), ones, share * ones, 5000.0 * ones)


def test_a_surplus_that_waits_for_the_first_frame_is_exported_until_then() -> None:
    found = best(plant([1500.0] * 6, delay_s=2))
    assert found.export_w == pytest.approx([1500.0, 1500.0, 0.0, 0.0, 0.0, 0.0], abs=1e-6)
    assert found.avoidable_w == pytest.approx([0.0] * 6, abs=1e-6)


def test_a_step_that_is_too_high_is_climbed_where_it_costs_least() -> None:
    """Within k seconds 1000 (k + 1) W: 1000, 2000 | 4000, 5000 is the cheapest way over a step of 5000 W.

    It imports 1000 and 2000 Ws before (half the price) and exports 1000 Ws after; any later start exports at
    least 1000 Ws more, any earlier one imports at least 3000 Ws more.
    """
    found = best(plant([0.0] * 5 + [5000.0] * 5))
    assert found.export_w.sum() + 0.5 * found.avoidable_w.sum() == pytest.approx(2500.0)
    course = found.action_w[:, 0]
    for span in (1, 2, 3):
        assert np.abs(course[span:] - course[:-span]).max() <= 1000.0 * (span + 1) + 1e-6


def test_a_lag_costs_what_it_leaves_behind() -> None:
    """A slave that goes half the way needs twice the surplus at first."""
    found = best(plant([0.0] + [800.0] * 5, share=0.5))
    assert found.export_w == pytest.approx([0.0] * 6, abs=1e-6)
    assert found.action_w[0, 0] == pytest.approx(1600.0)


def test_what_exceeds_the_slaves_stays() -> None:
    found = best(plant([6000.0] * 12), settle_s=5)
    assert found.export_w[5:] == pytest.approx([1000.0] * 7, abs=1e-6)


def test_phases_that_are_billed_together_help_each_other() -> None:
    found = best(plant([9000.0] * 14, phases=3), settle_s=6)
    assert found.export_w[6:] == pytest.approx([0.0] * 8, abs=1e-6)


def test_ages_are_those_of_the_plant_and_of_delays_beyond_it() -> None:
    rng = np.random.default_rng(3)
    delays = draw_delays(rng, draw_link(rng), 400, 5)
    expected = followed_ages_of_plant(delays, 60).astype(int)
    found = followed_ages(delays)
    assert (found[60:] == expected[60:]).all()
    lost = np.full((10, 1), LOST, np.int8)
    assert (followed_ages(lost) == NEVER_S).all()


@pytest.mark.parametrize("metering", list(Metering))
def test_no_controller_is_below_the_bound(metering: Metering) -> None:
    heats = [DayScenario(SHIPPED, from_s, metering, 4, 0) for from_s in (39_600, 46_800)]
    bounds_wh = np.array([bound_wh(heat, 150) for heat in heats])
    rows = rows_of(heats, 150)
    for law in (pi_law(PiGains()), predictive_law(PredictiveGains())):
        assert (run(rows, law).j_wh > bounds_wh).all()


def test_windows_are_spread_over_the_days() -> None:
    days = [ShippedDay(Path(name), "val", "3ph") for name in ("a", "b", "c")]
    found = drawn_windows(days, 7)
    assert [day.path.name for day, _ in found] == ["a", "b", "c", "a", "b", "c", "a"]
    assert len(set(found)) == 7
    assert drawn_windows(days, 7) == found


def test_the_share_of_the_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gap, "WINDOW_S", 40)
    monkeypatch.setattr(gap, "bound_wh", lambda heat, seconds: 0.0)
    seen: list[tuple[int, int]] = []
    laws = {"predictive": predictive_law(PredictiveGains()), "same": pi_law(PiGains())}
    found = measure_gaps([SHIPPED], laws, PiGains(), 2, tell=lambda *done: seen.append(done))
    assert seen == [(1, 2), (2, 2)]
    for row in found:
        assert row.windows == 2
        assert row.shares["pi"].value == row.shares["same"].value == 0.0
        expected = 1.0 - row.j_wh["predictive"] / row.j_wh["pi"]
        assert row.shares["predictive"].value == pytest.approx(expected)
    assert measure_gaps([SHIPPED], laws, PiGains(), 2, budget_s=-1.0) == []
