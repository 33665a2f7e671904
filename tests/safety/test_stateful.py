"""The whole floor in a house where everything goes wrong, as Hypothesis likes it and at random."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from core.decision import Authority, State
from core.roles import Role
from core.site import Phases
from safety.causes import CAUSES
from tests.safety.campaign import random_ticks
from tests.safety.house import WILD_W, House, Referee

wild = st.one_of(st.floats(), st.sampled_from(WILD_W), st.floats(-100.0, 6000.0))
powers = st.floats(-20_000.0, 20_000.0)


class AnyHouse(RuleBasedStateMachine):
    @initialize(
        of_grid=st.booleans(),
        role=st.sampled_from(Role),
        predictive=st.booleans(),
        minimum_w=st.sampled_from([0, 700]),
    )
    def build(self, of_grid: bool, role: Role, predictive: bool, minimum_w: int) -> None:
        self.house = House(of_grid=of_grid, role=role, predictive=predictive, minimum_w=minimum_w)

    @rule(
        wished_w=st.none() | st.tuples(wild, wild, wild),
        grid_w=st.tuples(powers, powers, powers),
        step_s=st.sampled_from([1.0, 1.0, 1.0, 0.001, 0.7, 1.9, 5.0]),
        is_heard=st.booleans(),
        latency_s=st.sampled_from([0.001, 0.5]),
    )
    def live(
        self, wished_w: Phases | None, grid_w: Phases, step_s: float, is_heard: bool, latency_s: float
    ) -> None:
        self.house.tick(wished_w, grid_w, step_s=step_s, is_heard=is_heard, latency_s=latency_s)

    @rule(
        authority=st.sampled_from(Authority),
        alarms=st.lists(st.sampled_from([*sorted(CAUSES), "no such alarm"]), max_size=2).map(tuple),
        grid_w=st.none() | st.tuples(powers, powers, powers),
        acknowledged=st.sampled_from([(), tuple(CAUSES)]),
    )
    def fail(
        self,
        authority: Authority,
        alarms: tuple[str, ...],
        grid_w: Phases | None,
        acknowledged: tuple[str, ...],
    ) -> None:
        self.house.tick((100.0, 100.0, 100.0), grid_w, authority, alarms, acknowledged=acknowledged)

    @rule(count=st.integers(1, 100), toward=st.sampled_from([0.0, 800.0, 4000.0]))
    def recover(self, count: int, toward: float) -> None:
        for _ in range(count):
            self.house.tick((toward, toward, toward), (0.0, 0.0, 0.0), acknowledged=tuple(CAUSES))

    @rule(wished_w=st.tuples(wild, wild, wild), count=st.integers(1, 4))
    def go_silent(self, wished_w: Phases, count: int) -> None:
        for _ in range(count):
            self.house.tick(wished_w, None)

    @rule(slot=st.integers(0, 6))
    def slave_comes_or_goes(self, slot: int) -> None:
        self.house.available[slot] = not self.house.available[slot]

    @rule(is_reboot=st.booleans(), is_lost=st.booleans(), off_s=st.sampled_from([1.0, 20.0, 4000.0]))
    def restart(self, is_reboot: bool, is_lost: bool, off_s: float) -> None:
        self.house.restart(is_reboot=is_reboot, is_lost=is_lost, off_s=off_s)

    @rule(seconds=st.sampled_from([3.0, 60.0, 4000.0, 90_000.0]))
    def sleep(self, seconds: float) -> None:
        self.house.skip(seconds)


def live_any_house(examples: int) -> None:
    """Up to fifty rules for every example."""
    run_state_machine_as_test(
        AnyHouse,
        settings=settings(
            max_examples=examples,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_any_house() -> None:
    live_any_house(60)


def test_random_ticks_meet_every_state_and_no_unsafe_frame() -> None:
    houses = random_ticks(4000, seed=1)
    met = {state for house in houses for state, count in house.acted.items() if count}
    assert met == set(State)
    assert sum(house.referee.frames for house in houses) > 500


@pytest.mark.parametrize("bad", ["box", "step", "imbalance", "safe", "stale", "lost", "blocked", "negative"])
def test_the_referee_sees_what_is_unsafe(bad: str) -> None:
    house = House()
    referee = Referee(house.site, [0, 1, 2], last_at_s=0.0)
    watts, age_s, safe, acts, at_s = [900, 0, 0], 0.1, False, False, 1.0
    referee.judge(at_s, watts, safe, (0.0, 0.0, 0.0), age_s, acts, blocked=True)
    at_s = 2.0
    if bad == "box":
        watts, at_s, referee.last_w[:] = [5001, 4900, 4900], 9.0, (4900, 4900, 4900)
    elif bad == "negative":
        watts = [-1, 0, 0]
    elif bad == "step":
        watts = [1901, 0, 0]
    elif bad == "imbalance":
        watts, referee.last_w[0] = [4300, 0, 0], 4200
    elif bad == "safe":
        safe = True
    elif bad == "stale":
        watts, age_s = [901, 0, 0], 1.0
    elif bad == "lost":
        age_s = 2.6
    elif bad == "blocked":
        acts = True
    with pytest.raises(AssertionError):
        referee.judge(at_s, watts, safe, (0.0, 0.0, 0.0), age_s, acts, blocked=True)


def test_the_same_seed_gives_the_same_ticks() -> None:
    first, second = (random_ticks(300, seed=5) for _ in range(2))
    assert [house.air for house in first] == [house.air for house in second]
