"""A slave of the plant on the shipped day is switched; what the readings say is compared with the truth."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.site import Site, Slave
from daemon.identification.fit import ResponseFit, fit_response
from daemon.identification.response import Smoothing, step_response
from daemon.identification.switching import HOLDS_S, LENGTHS_S, QUIET_S, switching_instants
from daemon.identification.verdict import IdentificationOutcome, draws_nothing, is_exact, judge_fit
from tests.support.switched_site import (
    EVENING_S,
    NOON_S,
    SwitchedSite,
    fine,
    switched_site,
    until,
)


def _fit(site: SwitchedSite) -> ResponseFit:
    return fit_response(site.switch_at_s, site.changes_w, site.reading_at_s, site.grid_w)


def _first_exact(site: SwitchedSite) -> ResponseFit:
    fit = _fit(until(site, LENGTHS_S[0]))
    for length_s in LENGTHS_S[1:]:
        if is_exact(fit):
            break
        fit = _fit(until(site, length_s))
    return fit


@pytest.mark.parametrize(
    ("member", "dead_error_s"),
    [("fast", 0.25), ("usual", 0.7), ("slow-8", 0.7), ("late-4", 0.7), ("meter-2s", 0.35)],
)
@pytest.mark.parametrize("start_s", [EVENING_S, NOON_S])
def test_dead_time_lag_and_gain_are_found(member: str, dead_error_s: float, start_s: float) -> None:
    site = switched_site(fine(member), start_s, seed=0)
    fit = _first_exact(site)
    assert is_exact(fit)
    assert fit.phase == site.phase
    assert abs(fit.dead_time_s.value - site.dead_time_s) <= dead_error_s
    assert fit.dead_time_s.low <= site.dead_time_s <= fit.dead_time_s.high
    assert abs(fit.lag_s.value - site.lag_s) <= 0.2 * max(1.0, site.lag_s)
    assert abs(fit.gain - site.gain) <= 0.06


def _heaters(phase: int = 0) -> Site:
    return Site((Slave(0, "boiler", phase, 1700),))


def test_what_contradicts_the_configuration_is_a_sentence() -> None:
    site = switched_site(fine("fast"), EVENING_S, seed=1)
    fit = _fit(until(site, 240.0))
    wrong = _heaters(phase=(site.phase + 1) % 3)
    said = judge_fit(fit, wrong.slaves[0], wrong).contradictions
    assert said == ("boiler is on phase a, the file says b.",)
    turned = _fit(replace(until(site, 240.0), grid_w=-until(site, 240.0).grid_w))
    right = _heaters(site.phase)
    (sentence,) = judge_fit(turned, right.slaves[0], right).contradictions
    assert "feeds in when it is told more" in sentence


@pytest.mark.parametrize("start_s", [EVENING_S, NOON_S])
def test_a_full_boiler_is_told_from_a_restless_house(start_s: float) -> None:
    """The readings of one that was never switched, beside the sequence of one that was."""
    site = switched_site(fine("usual"), start_s, seed=2, told_w=0)
    asked = replace(site, changes_w=1700.0 * np.where(np.arange(site.switch_at_s.size) % 2 == 0, 1.0, -1.0))
    fit = _fit(until(asked, 240.0))
    assert not is_exact(fit)
    assert draws_nothing(fit)
    assert judge_fit(fit, _heaters().slaves[0], _heaters()).outcome is IdentificationOutcome.DRAWS_NOTHING


def test_a_house_that_drowns_the_slave_is_too_restless() -> None:
    site = switched_site(fine("usual"), NOON_S, seed=3, told_w=100)
    noise_w = np.random.default_rng(0).normal(0.0, 900.0, site.grid_w.shape)
    fit = _fit(until(replace(site, grid_w=site.grid_w + noise_w), LENGTHS_S[0]))
    assert judge_fit(fit, _heaters().slaves[0], _heaters()).outcome is IdentificationOutcome.TOO_RESTLESS


@given(st.integers(0, 2**32), st.sampled_from(LENGTHS_S), st.sampled_from([0.2, 1.0, 5.0]))
@settings(max_examples=60)
def test_what_is_switched_on_is_switched_off_again(seed: int, length_s: float, period_s: float) -> None:
    at_s = np.array(switching_instants(np.random.default_rng(seed), length_s, period_s))
    assert at_s.size % 2 == 0
    assert at_s[0] >= QUIET_S
    assert at_s[-1] <= length_s - QUIET_S + 2.0
    assert np.all(np.diff(at_s) >= HOLDS_S[0] - 2.0)


@given(st.floats(0.05, 20.0), st.floats(0.0, 5.0), st.floats(0.0, 2.0))
def test_a_step_response_rises_from_nothing_to_all(lag_s: float, window_s: float, ramp_s: float) -> None:
    age_s = np.linspace(-1.0, 8.0 * lag_s + 8.0, 500)
    share = step_response(age_s, lag_s, Smoothing(window_s, ramp_s))
    assert np.all(share[age_s <= 0.0] <= 1e-9)
    assert np.all(np.diff(share) >= -1e-9)
    assert 0.99 <= share[-1] <= 1.0 + 1e-9
