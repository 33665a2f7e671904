"""Gains follow from what was measured, and only where it was."""

from dataclasses import replace

import pytest

from core.estimation.learned_response import LearnedResponse
from core.site import Site, Slave
from daemon.runtime.assembly import pi_rule_on, predictive_rule_on
from safety.gain_rule import KP_RANGE, pi_gains_by_phase, predictive_gains_by_phase
from safety.pi import PiFallback, PiGains
from safety.predictive import PredictiveFallback, PredictiveGains
from tests.support.examples import estimate, snapshot


def site(dead_time_s: float, lag_s: float, period_s: float = 1.0, meter_delay_s: float = 0.0) -> Site:
    slaves = tuple(
        Slave(phase, f"slave {phase}", phase, 2000, dead_time_s=dead_time_s, lag_s=lag_s)
        for phase in range(3)
    )
    return Site(slaves, period_s=period_s, meter_delay_s=meter_delay_s)


@pytest.mark.parametrize(
    ("measured", "kp", "ki"),
    [  # the published rule by hand: kp = (0.6 lag + 0.33 dead) / w, ki = 0.9 / w, w = dead + period / 2
        (site(2.0, 1.5), (0.9 + 0.66) / 2.5, 0.9 / 2.5),
        (site(0.3, 0.3), (0.18 + 0.099) / 0.8, 0.9 / 0.8),
        (site(6.0, 1.5), (0.9 + 1.98) / 6.5, 0.9 / 6.5),
        (site(0.1, 0.3, 0.2), (0.18 + 0.033) / 0.2, 4.0),
        (site(1.0, 60.0), KP_RANGE[1], 0.6),
        (site(1.5, 1.5, meter_delay_s=0.5), (0.9 + 0.66) / 2.5, 0.9 / 2.5),
    ],
)
def test_pi_gains(measured: Site, kp: float, ki: float) -> None:
    for gains in pi_gains_by_phase(measured, PiGains(margin_w=17.0)):
        assert gains.kp == pytest.approx(kp)
        assert gains.ki == pytest.approx(ki)
        assert gains.margin_w == 17.0


def test_the_pi_is_told_the_most_that_the_dead_time_may_be() -> None:
    measured = site(2.0, 1.5)
    slaves = (replace(measured.slaves[0], dead_time_high_s=2.6), *measured.slaves[1:])
    first, second, _ = pi_gains_by_phase(replace(measured, slaves=slaves), PiGains())
    assert first.ki == pytest.approx(0.9 / 3.1)
    assert second.ki == pytest.approx(0.9 / 2.5)
    below = (replace(measured.slaves[0], dead_time_high_s=1.0), *measured.slaves[1:])
    assert pi_gains_by_phase(replace(measured, slaves=below), PiGains())[0] == second


def test_a_phase_with_a_slave_that_was_not_measured_keeps_what_is_given() -> None:
    measured = site(0.3, 0.3)
    mixed = replace(measured, slaves=(*measured.slaves, Slave(9, "new", 0, 1000)))
    first, second, _ = pi_gains_by_phase(mixed, PiGains())
    assert first == PiGains()
    assert second != PiGains()
    assert pi_gains_by_phase(Site((Slave(0, "a", 0, 1000),)), PiGains()) == (PiGains(),) * 3


def test_the_slowest_slave_of_a_phase_sets_its_dead_time() -> None:
    measured = site(0.5, 1.0)
    slow = replace(measured, slaves=(*measured.slaves, replace(measured.slaves[0], slot=7, dead_time_s=4.0)))
    assert pi_gains_by_phase(slow, PiGains())[0].ki == pytest.approx(0.9 / 4.5)


@pytest.mark.parametrize(
    ("measured", "trend_s"),
    [(site(2.0, 1.5), 0.9), (site(1.0, 4.0), 2.8), (site(2.0, 0.3), 0.58), (site(2.0, 8.0), 5.2)],
)
def test_the_trend_looks_as_far_as_the_lag(measured: Site, trend_s: float) -> None:
    for gains in predictive_gains_by_phase(measured, PredictiveGains()):
        assert gains.trend_s == pytest.approx(trend_s)
        assert replace(gains, trend_s=0.9) == PredictiveGains()


LEARNED = LearnedResponse(4.0, 4.5, 3.0, 1.0, 600.0, True)


def test_what_was_learned_of_a_phase_gives_its_gains_as_if_it_had_been_measured() -> None:
    at = site(4.5, 3.0)
    assert pi_rule_on(at)(LEARNED) == pi_gains_by_phase(at, PiGains())[0]
    assert predictive_rule_on(at)(LEARNED) == predictive_gains_by_phase(site(4.0, 3.0), PredictiveGains())[0]
    assert predictive_rule_on(at)(replace(LEARNED, lag_s=8.0)).trend_s == pytest.approx(5.2)
    assert pi_rule_on(at, margin_w=33.0)(LEARNED).margin_w == 33.0


def test_both_laws_act_with_it_on_that_phase_alone() -> None:
    at = site(2.0, 1.5)
    seen = snapshot((500.0,) * 3, grid_power_w=(-900.0,) * 3, slaves=3)
    told = replace(estimate(seen, at), learned=(LEARNED, None, None))
    pi = PiFallback(at, rule=pi_rule_on(at))
    first, second, third = pi.propose(told, pi.cold)[0]
    assert first == pytest.approx(500.0 + pi_rule_on(at)(LEARNED).ki * 910.0)
    assert second == third == pytest.approx(500.0 + PiGains().ki * 910.0)
    rising = replace(told, surplus_w=(1600.0,) * 3)
    for rule, is_other in ((predictive_rule_on(at), True), (None, False)):
        law = PredictiveFallback(at, rule=rule)
        _, memory = law.propose(replace(told, learned=(replace(LEARNED, lag_s=8.0), None, None)), law.cold)
        proposed, _ = law.propose(replace(rising, learned=(replace(LEARNED, lag_s=8.0), None, None)), memory)
        assert (proposed[0] > proposed[1]) is is_other
        assert proposed[1] == proposed[2]
