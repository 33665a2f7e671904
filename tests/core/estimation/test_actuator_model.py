"""The believed power of slaves follows the commands as a simulated actuator with the same numbers does."""

from dataclasses import replace
from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.estimation.actuator_model import (
    AGE_SHARES,
    GAIN_RANGE,
    LAG_RANGE_S,
    MEAN_AGE_S,
    ResponseGroup,
    commands_w,
    follow,
    history_ticks,
    mean_delay_s,
    phase_gains,
    response_groups,
)
from core.estimation.state_estimate import EstimatorState, estimate_state
from core.site import Site, Slave
from core.snapshot import OnAirState, SlaveState, Snapshot

FINE_S = 0.01


def slave(place: int, phase: int = 0, **numbers: float) -> Slave:
    """A measured slave of 2 kW."""
    return replace(Slave(place, f"slave {place}", phase, 2000), **{"lag_s": 1.0, **numbers})  # type: ignore[arg-type]


def simulated(commands: list[float], dead_time_s: float, lag_s: float, period_s: float) -> list[float]:
    """Power at the end of each period, in steps that are short against everything."""
    power_w, found = commands[0], []
    for step in range(1, round(len(commands) * period_s / FINE_S) + 1):
        at_s = (step - 0.5) * FINE_S - dead_time_s
        heard_w = commands[max(0, int(at_s / period_s))] if at_s > 0.0 else commands[0]
        power_w += (1.0 - exp(-FINE_S / lag_s)) * (heard_w - power_w)
        if step % round(period_s / FINE_S) == 0:
            found.append(power_w)
    return found


@given(
    commands=st.lists(st.sampled_from([0.0, 500.0, 2000.0]), min_size=4, max_size=12),
    dead_time_s=st.integers(0, 450).map(lambda n: n * FINE_S),
    lag_s=st.sampled_from([0.2, 1.0, 4.0]),
    period_s=st.sampled_from([0.2, 1.0, 2.0]),
)
def test_a_measured_slave_is_followed_exactly(
    commands: list[float], dead_time_s: float, lag_s: float, period_s: float
) -> None:
    group = ResponseGroup(0, dead_time_s=dead_time_s, lag_s=lag_s)
    sent: tuple[float, ...] = (commands[0],) * history_ticks([group], period_s)
    model_w = commands[0]
    for command_w, true_w in zip(commands, simulated(commands, dead_time_s, lag_s, period_s), strict=True):
        sent = (command_w, *sent[:-1])
        model_w = follow(group, model_w, sent, period_s, period_s, 0.0)
        assert model_w == pytest.approx(true_w, abs=1.0)


def test_a_dead_time_that_differs_from_command_to_command_smears_the_step() -> None:
    sharp = ResponseGroup(0, dead_time_s=2.0, lag_s=0.2)
    smeared = replace(sharp, dead_time_sd_s=0.8)
    rising = [
        follow(group, 0.0, (1000.0,) * kept + (0.0,) * 8, 1.0, 1.0, 0.0)
        for group in (smeared, sharp)
        for kept in (2, 5)
    ]
    early_w, late_w, sharp_early_w, sharp_late_w = rising
    assert sharp_early_w < early_w < late_w < sharp_late_w


def test_where_nothing_was_measured_every_phase_is_one_group_as_before() -> None:
    site = Site((Slave(0, "a", 0, 2000), Slave(1, "b", 1, 2000)))
    groups = response_groups(site)
    assert groups == tuple(ResponseGroup(phase) for phase in range(3))
    assert commands_w(groups, OnAirState((1.0, 2.0, 3.0), (9, 9))) == (1.0, 2.0, 3.0)
    assert mean_delay_s(groups, 0.5) == MEAN_AGE_S + 0.5
    assert sum(AGE_SHARES) == pytest.approx(1.0)


def test_slaves_that_answer_alike_are_one_group_and_others_are_not() -> None:
    alike = [slave(0, dead_time_s=1.0), slave(1, dead_time_s=1.0)]
    site = Site((*alike, slave(2, dead_time_s=3.0, gain=0.8), Slave(3, "unmeasured", 1, 1000)))
    groups = response_groups(site)
    assert [(group.phase, group.dead_time_s, group.shares) for group in groups] == [
        (0, 1.0, ((0, 1.0), (1, 1.0))),
        (0, 3.0, ((2, 1.0),)),
        (1, None, ((3, 1.0),)),
    ]
    assert commands_w(groups, OnAirState((0.0,) * 3, (100, 200, 400, 800))) == (300.0, 400.0, 800.0)
    assert phase_gains(groups) == pytest.approx(((2.0 + 0.8) / 3.0, 1.0, 1.0))


def test_a_three_phase_slave_is_in_a_group_of_every_phase() -> None:
    groups = response_groups(Site((replace(slave(0, dead_time_s=1.0), is_three_phase=True),)))
    assert [group.phase for group in groups] == [0, 1, 2]
    assert commands_w(groups, OnAirState((0.0,) * 3, (900,))) == pytest.approx((300.0,) * 3)


@given(
    dead_time_s=st.floats(0.0, 1e9),
    spread_s=st.floats(0.0, 1e9),
    lag_s=st.floats(1e-9, 1e9),
    gain=st.floats(1e-9, 1e9),
    meter_delay_s=st.floats(0.0, 10.0),
)
def test_whatever_was_measured_the_estimate_is_bounded(
    dead_time_s: float, spread_s: float, lag_s: float, gain: float, meter_delay_s: float
) -> None:
    measured = slave(0, dead_time_s=dead_time_s, dead_time_sd_s=spread_s, lag_s=lag_s, gain=gain)
    site = Site((measured,), meter_delay_s=meter_delay_s)
    (group,) = response_groups(site)
    assert LAG_RANGE_S[0] <= group.lag_s <= LAG_RANGE_S[1]
    assert GAIN_RANGE[0] <= group.gain <= GAIN_RANGE[1]
    belief = EstimatorState()
    for tick, told_w in enumerate((0, 2000, 0, 2000, 2000)):
        on_air = OnAirState((float(told_w), 0.0, 0.0), (told_w,), 1.0)
        seen = Snapshot(
            tick, 1000.0 + tick, (-3000.0, 0.0, 0.0), 0.0, (SlaveState(report_age_s=0.0),), on_air
        )
        estimate, belief = estimate_state(site, seen, belief)
        assert 0.0 <= estimate.model_w[0] <= 2000.0
        assert len(belief.sent_w) <= 30


def test_a_weak_slave_is_told_more_until_the_surplus_is_used() -> None:
    """Told 750 W where it draws 600: the surplus of 1000 W takes 1250 W of telling."""
    site = Site((slave(0, dead_time_s=1.0, gain=0.8),))
    on_air = OnAirState((750.0, 0.0, 0.0), (750,), 1.0)
    seen = Snapshot(0, 1000.0, (-400.0, 0.0, 0.0), 0.0, (SlaveState(report_age_s=0.0),), on_air)
    estimate, _ = estimate_state(site, seen, EstimatorState())
    assert sum(estimate.surplus_w) == pytest.approx(1250.0)
