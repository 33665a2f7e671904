"""Frames whose fate nobody tells: whatever became of them, the limits hold between the frames on air."""

import random
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.decision import Send, State
from core.site import Phases
from daemon.runtime.on_air import OnAir
from tests.safety.search.house import Fate, SearchedHouse

HALF: Phases = (500.0, 500.0, 500.0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(Fate),
            st.tuples(*[st.floats(0.0, 5000.0)] * 3),
            st.sampled_from([1.0, 1.0, 1.0, 0.4, 2.5]),
            st.sampled_from([True, True, True, True, False]),
        ),
        max_size=60,
    ),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_whatever_becomes_of_frames_every_limit_holds_on_air(
    ticks: list[tuple[Fate, Phases, float, bool]], of_grid: bool
) -> None:
    house = SearchedHouse(of_grid=of_grid)
    for fate, policy_action_w, step_s, is_read in ticks:
        house.tick(policy_action_w, HALF if is_read else None, step_s=step_s, fate=fate)


def lively(seed: int, ticks: int, unsaid: float) -> SearchedHouse:
    """A policy that wants something else each tick, and so many frames of which nobody speaks."""
    rng, house = random.Random(seed), SearchedHouse()
    for _ in range(ticks):
        fate = rng.choice([Fate.UNSAID, Fate.LATE, Fate.GONE]) if rng.random() < unsaid else Fate.ACCEPTED
        house.tick((rng.uniform(0, 4000), rng.uniform(0, 4000), rng.uniform(0, 4000)), HALF, fate=fate)
    return house


@pytest.mark.parametrize("seed", range(5))
def test_a_radio_that_loses_every_third_answer_is_controlled_on(seed: int) -> None:
    house = lively(seed, 600, 0.33)
    assert house.acted[State.RL_ACTIVE] == 600
    assert house.referee.frames > 200


def test_who_forgets_such_frames_is_caught() -> None:
    with patch.object(OnAir, "unconfirmed", lambda *_: None), pytest.raises(AssertionError):
        lively(0, 600, 0.33)


def test_the_same_is_said_until_it_is_accepted() -> None:
    house = SearchedHouse()
    first = house.tick((900.0, 0.0, 0.0), HALF, step_s=3.0, fate=Fate.GONE)
    assert first.send is Send.CHANGE
    for fate in (Fate.GONE, Fate.LATE, Fate.ACCEPTED):
        again = house.tick((0.0, 900.0, 0.0), HALF, step_s=2.0, fate=fate)
        assert (again.send, again.setpoints_w) == (Send.KEEP_ALIVE, first.setpoints_w)
    other = house.tick((0.0, 900.0, 0.0), HALF, step_s=2.0)
    assert (other.send, other.setpoints_w != first.setpoints_w) == (Send.CHANGE, True)


def test_a_keep_alive_without_an_answer_is_repeated_too() -> None:
    house = SearchedHouse()
    house.tick((900.0, 0.0, 0.0), HALF, step_s=3.0)
    assert house.tick((900.0, 0.0, 0.0), HALF, step_s=3.0, fate=Fate.UNSAID).send is Send.KEEP_ALIVE
    assert house.tick((900.0, 0.0, 0.0), HALF).send is Send.KEEP_ALIVE
    assert house.tick((900.0, 0.0, 0.0), HALF).send is Send.NOTHING


def test_without_a_sample_nothing_is_repeated_and_rest_needs_no_answer() -> None:
    house = SearchedHouse()
    house.tick((900.0, 0.0, 0.0), HALF, step_s=3.0, fate=Fate.GONE)
    assert house.tick((900.0, 0.0, 0.0), None).send is Send.NOTHING
    assert house.tick((900.0, 0.0, 0.0), None, step_s=2.0).send is Send.SAFE
