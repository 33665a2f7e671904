"""A loop that swings by itself is told from one that is driven, and loses gains, which come back slowly."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import exp, inf, isfinite, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.estimation.swinging import (
    CALM_S,
    FALL,
    LEAST_SHARE,
    WINDOW_S,
    Swinging,
    SwingState,
    damped,
    watch_swings,
    what_swings,
)
from core.roles import Role
from core.site import ZERO, Phases, Site, Slave
from core.snapshot import OnAirState, Snapshot

SITE = Site(tuple(Slave(slot, f"slave {slot}", slot, 5000) for slot in range(3)))
Surplus = Callable[[int], float]


def alike(power_w: float) -> Phases:
    return (power_w, power_w, power_w)


@dataclass
class LateLoop:
    """An integrating controller of three phases alike, whose slaves answer after `delay` s with a lag.

    It believes that they answer after `believed` s, with the same lag.
    """

    surplus_w: Surplus
    delay: int = 2
    believed: int = 2
    lag_s: float = 1.0
    gain: float = 0.25
    site: Site = SITE
    air_w: list[float] = field(default_factory=lambda: [0.0] * 12)
    power_w: float = 0.0
    model_w: float = 0.0
    action_w: float = 0.0
    at: int = 0
    state: SwingState = field(default_factory=SwingState)

    def tick(self) -> SwingState:
        way = 1.0 - exp(-1.0 / self.lag_s)
        self.power_w += way * (self.air_w[self.delay] - self.power_w)
        self.model_w += way * (self.air_w[self.believed] - self.model_w)
        grid_w = self.power_w - self.surplus_w(self.at)
        if self.site.role is Role.GENERATE:
            grid_w = -grid_w
        image = snapshot(float(self.at), alike(grid_w), alike(self.air_w[0]))
        self.state = watch_swings(self.site, image, alike(self.model_w), self.state)
        seen_w = self.surplus_w(self.at) - self.power_w
        wanted_w = min(max(self.action_w + self.gain * seen_w, 0.0), 5000.0)
        self.action_w = damped(alike(wanted_w), alike(self.action_w), self.state.gain_share, 1.0)[0]
        self.air_w = [self.action_w, *self.air_w[:-1]]
        self.at += 1
        return self.state

    def live(self, seconds: int) -> list[float]:
        return [self.tick().gain_share for _ in range(seconds)]


def snapshot(at_s: float, grid_w: Phases, air_w: Phases) -> Snapshot:
    return Snapshot(int(at_s), at_s, grid_w, 0.0, (), OnAirState(air_w))


def steady(_at: int) -> float:
    return 2500.0


def hob(at: int) -> float:
    """An appliance that takes 1500 W for 5 s of every 11."""
    return 3500.0 - (1500.0 if at % 11 < 5 else 0.0)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("delay", [5, 6])
def test_a_loop_that_is_later_than_its_gains_allow_falls_and_then_swings_no_longer(
    delay: int, role: Role
) -> None:
    loop = LateLoop(lambda at: 0.0 if at < 10 else 2500.0, delay=delay, site=replace(SITE, role=role))
    shares = loop.live(1200)
    fallen = next(at for at, share in enumerate(shares) if share < 1.0)
    assert fallen <= 300
    assert shares[-1] <= FALL
    found = what_swings(loop.state)
    assert found is not None
    assert abs(found.delay_s - delay) <= 1.0
    assert abs(loop.action_w - 2500.0) < 100.0


def test_an_appliance_that_cycles_makes_no_loop_fall() -> None:
    loop = LateLoop(hob)
    assert set(loop.live(3000)) == {1.0}
    assert max(loop.state.per_min) > 5.0  # it does turn the setpoints
    assert what_swings(loop.state) is None


def test_full_gains_are_tried_again_ever_more_seldom_and_kept_once_the_loop_can_bear_them() -> None:
    loop = LateLoop(lambda at: 2500.0 + (400.0 if at // 40 % 2 else 0.0), delay=6)
    shares = loop.live(7000)
    rises = [at for at, (one, other) in enumerate(pairwise(shares)) if other > one]
    assert len(rises) >= 2
    pauses = [later - sooner for sooner, later in pairwise((0, *rises))]
    assert pauses[-1] > 1.5 * pauses[0]
    assert loop.state.calm_s > CALM_S
    loop.delay = 2  # mended
    loop.state = loop.state._replace(calm_s=CALM_S)
    assert loop.live(6 * int(CALM_S))[-1] == 1.0


def test_nothing_is_tried_while_slaves_rest() -> None:
    loop = LateLoop(steady, delay=6)
    loop.live(900)
    share = loop.state.gain_share
    assert share < 1.0
    loop.surplus_w = lambda _at: -500.0
    assert set(loop.live(4 * int(CALM_S))[600:]) == {loop.state.gain_share}


def test_after_a_gap_what_was_seen_is_forgotten_and_the_gains_are_not() -> None:
    loop = LateLoop(steady, delay=6)
    loop.live(900)
    before = loop.state
    after = watch_swings(SITE, snapshot(loop.at + 60.0, ZERO, ZERO), ZERO, before)
    assert after.gain_share == before.gain_share < 1.0
    assert after.per_min == ZERO
    assert not any(after.moved_w2)


powers = st.one_of(
    st.floats(-20_000.0, 20_000.0), st.sampled_from([0.0, 5000.0, -5000.0]), st.just(nan), st.just(inf)
)
ticks = st.lists(
    st.tuples(
        powers, st.sampled_from([0.0, 300.0, 5000.0]), st.sampled_from([1.0, 1.0, 1.0, 0.5, 9.0, -3.0])
    ),
    max_size=60,
)


@given(ticks, st.sampled_from([0.2, 1.0, 5.0]))
@settings(max_examples=60, deadline=None)
def test_whatever_is_seen_the_share_stays_in_its_bounds_and_the_memory_finite(
    seen: list[tuple[float, float, float]], period_s: float
) -> None:
    site, at_s, state = replace(SITE, period_s=period_s), 0.0, SwingState()
    for _ in range(5):
        for power_w, air_w, step in seen:
            at_s += step * period_s
            image = snapshot(at_s, (power_w, 0.0, 0.0), (air_w, 0.0, 0.0))
            last, state = state, watch_swings(site, image, alike(air_w), state)
            assert state == watch_swings(site, image, alike(air_w), last)
            assert LEAST_SHARE <= state.gain_share <= 1.0
            assert all(map(isfinite, (*state.grid_w, *state.moved_w2, *state.left_w2, state.missed_w2)))
            if state.gain_share < last.gain_share:  # never sooner than there is something to judge by
                assert at_s - last.since_s >= WINDOW_S


phases = st.tuples(*[st.floats(0.0, 5000.0)] * 3)


@given(phases, phases, st.floats(LEAST_SHARE, 1.0), st.sampled_from([0.2, 1.0, 5.0]))
def test_less_of_the_gains_goes_a_part_of_the_same_way(
    action_w: Phases, before_w: Phases, share: float, period_s: float
) -> None:
    calm_w = damped(action_w, before_w, share, period_s)
    for w, was_w, calm in zip(action_w, before_w, calm_w, strict=True):
        assert min(w, was_w) - 1e-9 <= calm <= max(w, was_w) + 1e-9
    assert damped(action_w, before_w, 1.0, period_s) == action_w
    assert damped(action_w, None, share, period_s) == action_w


def test_a_part_of_a_second_goes_so_far_that_a_second_goes_the_share() -> None:
    way_w = alike(0.0)
    for _ in range(5):
        way_w = damped(alike(1000.0), way_w, 0.4, 0.2)
    assert way_w == pytest.approx(damped(alike(1000.0), alike(0.0), 0.4, 1.0))


def test_what_is_told_names_the_phase_that_turned_most() -> None:
    state = SwingState(gain_share=0.4, phase=2, delay_s=6.0, lag_s=1.5)
    assert what_swings(state) == Swinging(2, 0.4, 6.0, 1.5)
