"""The whole floor in a house where everything goes wrong, as Hypothesis likes it and at random."""

import hypothesis
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, get_state_machine_test, initialize, invariant, rule

from core.decision import Authority, State
from core.roles import Role
from core.site import Phases
from safety.faults import FAULTS
from tests.safety.search.house import WILD_W, Fate, SearchedHouse
from tests.safety.search.lives import ALARMS, EVENTS, LivesTally, live

FRAMES_MOST = 3
wild = st.one_of(st.floats(), st.sampled_from(WILD_W), st.floats(-100.0, 6000.0))
powers = st.floats(-20_000.0, 20_000.0)


class AnyHouse(RuleBasedStateMachine):
    """The numbers count what all houses lived, and the frames that those with several had."""

    lived_steps = lived_ticks = several = 0
    house: SearchedHouse

    @invariant()
    def count(self) -> None:
        AnyHouse.lived_steps += 1

    def teardown(self) -> None:
        AnyHouse.lived_ticks += self.house.ticks
        AnyHouse.several += self.house.counter if len(self.house.groups) > 1 else 0

    @initialize(
        of_grid=st.booleans(),
        role=st.sampled_from(Role),
        predictive=st.booleans(),
        minimum_w=st.sampled_from([0, 700]),
        is_big=st.booleans(),
        frames=st.sampled_from([1, 1, 2, 3]),
    )
    def build(
        self, of_grid: bool, role: Role, predictive: bool, minimum_w: int, is_big: bool, frames: int
    ) -> None:
        self.house = SearchedHouse(
            of_grid=of_grid,
            role=role,
            predictive=predictive,
            minimum_w=minimum_w,
            is_big=is_big,
            frames=frames,
        )

    @rule(
        policy_action_w=st.none() | st.tuples(wild, wild, wild),
        grid_w=st.tuples(powers, powers, powers),
        step_s=st.sampled_from([1.0, 1.0, 1.0, 0.001, 0.7, 1.9, 5.0]),
        fates=st.tuples(*[st.sampled_from(Fate)] * FRAMES_MOST),
        latency_s=st.sampled_from([0.001, 0.5]),
        late_s=st.sampled_from([0.0, 0.0, 0.7, 3.0]),
    )
    def live(
        self,
        policy_action_w: Phases | None,
        grid_w: Phases,
        step_s: float,
        fates: tuple[Fate, ...],
        latency_s: float,
        late_s: float,
    ) -> None:
        """Where the slaves take several frames, each has a fate of its own."""
        self.house.tick(
            policy_action_w, grid_w, step_s=step_s, fate=fates, latency_s=latency_s, late_s=late_s
        )

    @rule(
        authority=st.sampled_from(Authority),
        alarms=st.lists(st.sampled_from(ALARMS), max_size=2).map(tuple),
        grid_w=st.none() | st.tuples(powers, powers, powers),
        acknowledged=st.sampled_from([(), tuple(FAULTS)]),
    )
    def fail(
        self,
        authority: Authority,
        alarms: tuple[str, ...],
        grid_w: Phases | None,
        acknowledged: tuple[str, ...],
    ) -> None:
        self.house.tick((100.0, 100.0, 100.0), grid_w, authority, alarms, acknowledged=acknowledged)

    @rule(count=st.sampled_from([1, 9, 10, 11, 29, 30, 31, 61]), toward=st.sampled_from([0.0, 800.0, 4000.0]))
    def recover(self, count: int, toward: float) -> None:
        for _ in range(count):
            self.house.tick((toward, toward, toward), (0.0, 0.0, 0.0), acknowledged=tuple(FAULTS))

    @rule(policy_action_w=st.tuples(wild, wild, wild), count=st.integers(1, 4))
    def go_silent(self, policy_action_w: Phases, count: int) -> None:
        for _ in range(count):
            self.house.tick(policy_action_w, None)

    @rule(slot=st.integers(0, 7 * FRAMES_MOST - 1))
    def slave_comes_or_goes(self, slot: int) -> None:
        self.house.toggle(slot)

    @rule(is_reboot=st.booleans(), is_lost=st.booleans(), off_s=st.sampled_from([1.0, 20.0, 4000.0]))
    def restart(self, is_reboot: bool, is_lost: bool, off_s: float) -> None:
        self.house.restart(is_reboot=is_reboot, is_lost=is_lost, off_s=off_s)

    @rule(seconds=st.sampled_from([3.0, 60.0, 4000.0, 90_000.0]))
    def sleep(self, seconds: float) -> None:
        self.house.skip(seconds)


def live_any_house(examples: int, seed: int | None = None) -> None:
    """Up to fifty rules for every example, of the same random choices for the same seed."""
    test = get_state_machine_test(
        AnyHouse,
        settings=settings(
            max_examples=examples,
            stateful_step_count=50,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    (test if seed is None else hypothesis.seed(seed)(test))()


@pytest.mark.slow
def test_any_house() -> None:
    AnyHouse.lived_steps = AnyHouse.several = 0
    live_any_house(40)
    assert AnyHouse.lived_steps > 1300
    assert AnyHouse.several > 100


def test_random_lives_meet_every_state_and_every_event_and_no_unsafe_frame() -> None:
    tally = live(8_000, seed=1)
    assert tally.ticks == 8_000
    assert set(tally.states) == {state.value for state in State}
    assert set(EVENTS) < set(tally.events)
    assert {"wish NaN", "wish infinite", "wish denormal", "wish huge"} < set(tally.events)
    assert tally.frames > 2000


def test_the_same_seed_gives_the_same_ticks() -> None:
    tallies: list[LivesTally] = [live(800, seed) for seed in (5, 5, 6)]
    assert tallies[0] == tallies[1]
    assert tallies[0].fingerprint != tallies[2].fingerprint
