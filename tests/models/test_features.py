"""The features against hand-computed sequences, and as arrays against plain floats."""

from collections.abc import Sequence
from math import exp, inf, isfinite, isnan, log, nan

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.arrays import SCALAR
from core.estimation.state_estimate import StateEstimate
from core.site import Phases
from core.snapshot import METER_LOST_S, Snapshot
from models.features import (
    FEATURE_NAMES,
    PHASE_FEATURES,
    POWER_MAX_W,
    FeatureObserver,
    Observed,
    advance,
    begin,
    describe,
)


def estimate(surplus_w: Phases, fresh: bool = True, command_w: Phases = (0.0, 0.0, 0.0)) -> StateEstimate:
    return StateEstimate(
        fresh=fresh,
        meter_w=(0.0, 0.0, 0.0),
        surplus_w=surplus_w,
        model_w=(10.0, 20.0, 30.0),
        command_w=command_w,
        capacity_w=(1000.0, 2000.0, 3000.0),
        credit_s=1.0,
        delay_s=2.07,
        sign=1.0,
    )


def snapshot(at_s: float, link_loss_rate: float = 0.0) -> Snapshot:
    return Snapshot(0, at_s, (0.0, 0.0, 0.0), 0.1, (), link_loss_rate=link_loss_rate)


def run(surpluses_w: Sequence[float]) -> dict[str, float]:
    """Features of phase a after a sequence at 1 s, the other phases at rest."""
    observer = FeatureObserver()
    memory = observer.cold
    observation: tuple[float, ...] = ()
    for second, surplus_w in enumerate(surpluses_w):
        observation, memory = observer.observe(
            snapshot(100.0 + second), estimate((surplus_w, 0.0, 0.0)), memory
        )
    return dict(zip(FEATURE_NAMES, observation, strict=True))


def test_thirty_names_phase_by_phase_then_the_site() -> None:
    assert len(FEATURE_NAMES) == len(set(FEATURE_NAMES)) == 30
    assert FEATURE_NAMES[0] == "surplus_hat_w_a"
    assert FEATURE_NAMES[9] == "surplus_hat_w_b"
    assert FEATURE_NAMES[26] == "last_step_decayed_w_c"
    assert FEATURE_NAMES[27:] == ("delay_estimate_s", "link_loss_rate", "capacity_headroom_w")


def test_the_first_tick_is_at_rest() -> None:
    features = run([800.0])
    assert features["surplus_hat_w_a"] == 800.0
    for name in PHASE_FEATURES[1:5] + PHASE_FEATURES[7:]:
        assert features[f"{name}_a"] == 0.0


def test_changes_and_slopes_follow_their_definitions() -> None:
    # changes: +100, then -40
    features = run([800.0, 900.0, 860.0])
    fast = 0.25 * 100.0
    slow = 0.08 * 60.0  # the change of 100 W is bounded to 60
    unrest = 0.03 * 100.0
    assert features["surplus_change_1s_w_a"] == -40.0
    assert features["slope_fast_w_s_a"] == pytest.approx(fast + 0.25 * (-40.0 - fast))
    assert features["slope_slow_w_s_a"] == pytest.approx(slow + 0.08 * (-40.0 - slow))
    assert features["log_volatility_a"] == pytest.approx(log(1.0 + unrest + 0.03 * (40.0 - unrest)))
    assert features["max_10s_minus_now_w_a"] == 40.0
    assert features["last_step_decayed_w_a"] == 0.0


def test_a_step_is_bounded_in_the_slopes_and_remembered_with_its_sign() -> None:
    features = run([3000.0, 1000.0, 1000.0, 1100.0])
    assert features["last_step_decayed_w_a"] == pytest.approx(-2000.0 * exp(-2.0 / 30.0))
    first = run([3000.0, 1000.0])
    assert first["slope_fast_w_s_a"] == -0.25 * 200.0
    assert first["log_volatility_a"] == pytest.approx(log(1.0 + 0.03 * 200.0))
    assert first["last_step_decayed_w_a"] == -2000.0


def test_exactly_200_w_is_no_step() -> None:
    assert run([0.0, 200.0])["last_step_decayed_w_a"] == 0.0
    assert run([0.0, 200.5])["last_step_decayed_w_a"] == 200.5


def test_the_maximum_forgets_after_ten_estimates() -> None:
    assert run([900.0] + [100.0] * 9)["max_10s_minus_now_w_a"] == 800.0
    assert run([900.0] + [100.0] * 10)["max_10s_minus_now_w_a"] == 0.0


def test_commands_and_site_features() -> None:
    command_w = (100.0, 50.0, 0.0)
    observation, _ = FeatureObserver().observe(
        snapshot(5.0, link_loss_rate=0.25),
        estimate((400.0, 0.0, -70.0), command_w=command_w),
        Observed(0.0, ()),
    )
    features = dict(zip(FEATURE_NAMES, observation, strict=True))
    assert features["command_minus_surplus_w_a"] == -300.0
    assert features["command_minus_surplus_w_c"] == 70.0
    assert features["in_flight_w_a"] == 90.0
    assert features["in_flight_w_c"] == -30.0
    assert features["delay_estimate_s"] == 2.07
    assert features["link_loss_rate"] == 0.25
    assert features["capacity_headroom_w"] == 6000.0 - 150.0


def test_a_sight_that_is_not_fresh_leaves_the_history_and_shows_what_is_on_air() -> None:
    observer = FeatureObserver()
    _, memory = observer.observe(snapshot(1.0), estimate((500.0, 0.0, 0.0)), observer.cold)
    _, memory = observer.observe(snapshot(2.0), estimate((600.0, 0.0, 0.0)), memory)
    stale = estimate((600.0, 0.0, 0.0), fresh=False, command_w=(650.0, 0.0, 0.0))
    observation, after = observer.observe(snapshot(3.0), stale, memory)
    assert after == memory
    assert observation[FEATURE_NAMES.index("surplus_change_1s_w_a")] == 100.0
    assert observation[FEATURE_NAMES.index("command_minus_surplus_w_a")] == 50.0


def test_before_the_first_sample_nothing_is_remembered() -> None:
    observer = FeatureObserver()
    observation, memory = observer.observe(
        snapshot(1.0), estimate((0.0, 0.0, 0.0), fresh=False), observer.cold
    )
    assert memory == observer.cold
    assert len(observation) == 30
    assert all(map(isfinite, observation))


@pytest.mark.parametrize("step_s", [METER_LOST_S + 0.1, 0.0, -5.0])
def test_after_a_gap_or_a_clock_that_ran_back_the_history_begins_anew(step_s: float) -> None:
    observer = FeatureObserver()
    _, memory = observer.observe(snapshot(50.0), estimate((500.0, 0.0, 0.0)), observer.cold)
    _, memory = observer.observe(snapshot(51.0), estimate((900.0, 0.0, 0.0)), memory)
    back, _ = observer.observe(snapshot(51.0 + step_s), estimate((100.0, 0.0, 0.0)), memory)
    cold, _ = observer.observe(snapshot(51.0 + step_s), estimate((100.0, 0.0, 0.0)), observer.cold)
    assert back == cold


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_a_sight_that_is_not_finite_is_shown_as_unknown(value: float) -> None:
    observer = FeatureObserver()
    _, memory = observer.observe(snapshot(1.0), estimate((500.0, 0.0, 0.0)), observer.cold)
    observation, after = observer.observe(snapshot(2.0), estimate((500.0, value, 0.0)), memory)
    assert all(map(isnan, observation))
    assert after == memory


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(FINITE, FINITE, FINITE), min_size=1, max_size=15))
def test_finite_sight_gives_finite_bounded_features(surpluses_w: list[Phases]) -> None:
    observer = FeatureObserver()
    memory = observer.cold
    for second, surplus_w in enumerate(surpluses_w):
        observation, memory = observer.observe(
            snapshot(1.0 + second), estimate(surplus_w, command_w=surplus_w), memory
        )
        assert all(abs(x) <= 2.0 * POWER_MAX_W for x in observation)


def traces() -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """60 s of four sites: ramps, noise and steps. [60, 4, 3]"""
    rng = np.random.default_rng(7)
    steps = np.cumsum(rng.choice([0.0, 0.0, 0.0, 1500.0, -1500.0], (60, 4, 3)), axis=0)
    ramp = np.linspace(0.0, 4000.0, 60)[:, None, None]
    return steps + ramp + rng.normal(0.0, 30.0, (60, 4, 3))


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_a_batch_of_sites_runs_the_same_law(kind: str) -> None:
    surplus_w = traces()
    command_w, model_w = 0.9 * surplus_w, 0.8 * surplus_w
    wrap = torch.from_numpy if kind == "torch" else np.asarray
    xp = torch if kind == "torch" else np
    batch = begin(wrap(surplus_w[0]), xp)
    cells = {(i, p): begin(float(surplus_w[0, i, p])) for i in range(4) for p in range(3)}
    for t in range(1, 60):
        batch = advance(batch, wrap(surplus_w[t]), xp)
        arrays = describe(batch, wrap(command_w[t]), wrap(model_w[t]), xp)
        for (i, p), cell in cells.items():
            cells[i, p] = advance(cell, float(surplus_w[t, i, p]))
            numbers = describe(cells[i, p], float(command_w[t, i, p]), float(model_w[t, i, p]), SCALAR)
            # the logarithm of different libraries may differ in the last place
            assert [float(array[i, p]) for array in arrays] == pytest.approx(numbers, rel=1e-14, abs=1e-12)
