"""When setpoints no longer get through although the coordinator answers: no airtime, or nobody hears them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import Transient
from drivers.zigbee.radio_health import (
    REBUILD_AFTER_S,
    REBUILD_PAUSE_MAX_S,
    SILENT_AFTER_S,
    RadioHealth,
)
from plant.radio.broadcast_limiter import BroadcastLimiter, LimiterModel
from tests.support.zigbee_network import START_S, running, until


def health(at_s: float = 100.0) -> RadioHealth:
    watched = RadioHealth()
    watched.came_up(at_s)
    return watched


def test_a_radio_that_carries_what_it_is_given_is_sound() -> None:
    watched = health()
    for second in range(0, 600, 2):
        watched.frame(100.0 + second, accepted=True)
        watched.report(100.5 + second)
        assert watched.causes(101.0 + second) == ()


@pytest.mark.parametrize(("refused", "expected"), [(3, ()), (4, ("airtime_lost",))])
def test_a_coordinator_that_refuses_half_of_the_frames_has_no_airtime_for_us(
    refused: int, expected: tuple[str, ...]
) -> None:
    watched = health()
    watched.report(100.0)
    for number in range(refused):
        watched.frame(101.0 + 2 * number, accepted=True)
        watched.frame(102.0 + 2 * number, accepted=False)
    assert watched.causes(102.0 + 2 * refused) == expected


def test_a_few_refusals_among_many_frames_are_usual() -> None:
    watched = health()
    for number in range(14):
        watched.frame(101.0 + 2 * number, accepted=number % 3 > 0)
        watched.report(101.0 + 2 * number)
    assert watched.causes(130.0) == ()


def test_refusals_are_forgotten() -> None:
    watched = health()
    for number in range(5):
        watched.frame(101.0 + number, accepted=False)
    assert watched.causes(106.0) == ("airtime_lost",)
    assert watched.causes(140.0) == ()


def test_nobody_who_answers_is_a_cause_though_every_frame_is_accepted() -> None:
    watched = health()
    watched.report(100.0)
    for number in range(12):
        watched.frame(100.0 + 2 * number, accepted=True)
    assert watched.causes(100.0 + SILENT_AFTER_S - 0.1) == ()
    assert watched.causes(100.1 + SILENT_AFTER_S) == ("slaves_silent",)
    watched.report(121.0)
    assert watched.causes(121.0) == ()


def test_a_radio_that_sends_nothing_hears_nothing_and_that_is_no_cause() -> None:
    watched = health()
    assert watched.causes(1000.0) == ()
    watched.went_down()
    assert watched.causes(2000.0) == ()
    assert not watched.rebuild_due(2000.0)


def test_a_silent_network_is_built_anew_less_and_less_often_until_somebody_is_heard() -> None:
    watched = health()
    at_s = last_s = 100.0
    pauses_s: list[float] = []
    while len(pauses_s) < 9:
        at_s += 2.0
        watched.frame(at_s, accepted=True)
        if watched.rebuild_due(at_s):
            pauses_s.append(at_s - last_s)
            watched.went_down()
            watched.came_up(at_s)
            last_s = at_s
    assert pauses_s[:3] == [pytest.approx(REBUILD_AFTER_S * 2**n, abs=4.0) for n in range(3)]
    assert pauses_s[-1] == pytest.approx(REBUILD_PAUSE_MAX_S, abs=4.0)
    watched.report(at_s)
    for second in range(0, int(REBUILD_AFTER_S) + 4, 2):
        watched.frame(at_s + second, accepted=True)
    assert watched.rebuild_due(at_s + REBUILD_AFTER_S + 4.0)


@given(
    st.lists(st.tuples(st.sampled_from(["accepted", "refused", "report", "up", "down"]), st.floats(0, 20)))
)
def test_whatever_happens_a_cause_is_one_of_two(events: list[tuple[str, float]]) -> None:
    watched, at_s = RadioHealth(), 0.0
    for what, pause_s in events:
        at_s += pause_s
        match what:
            case "accepted" | "refused":
                watched.frame(at_s, accepted=what == "accepted")
            case "report":
                watched.report(at_s)
            case "up":
                watched.came_up(at_s)
            case _:
                watched.went_down()
        assert set(watched.causes(at_s)) <= {"airtime_lost", "slaves_silent"}


async def test_a_full_table_raises_a_cause_of_the_real_radio() -> None:
    limiter = BroadcastLimiter(15, LimiterModel.SPEC)
    async with running(limiter=limiter) as (near, _):
        limiter.size = 0
        for _ in range(4):
            with pytest.raises(Transient, match="refused"):
                await near.send(1, 2, 3)
        assert near.radio.causes() == ("airtime_lost",)


async def test_a_coordinator_that_accepts_and_never_transmits_is_found_and_built_anew() -> None:
    async with running() as (near, site):
        await near.send(1, 2, 3)
        await until(lambda: len(near.radio.reports()) == 3)
        site.coordinator.stack.transmits = False
        for _ in range(6):
            await near.send(1, 2, 3)
        near.clock.ahead_s += SILENT_AFTER_S + 1.0
        assert near.radio.causes() == ("slaves_silent",)
        near.clock.ahead_s += REBUILD_AFTER_S
        await until(lambda: near.radio.statistics.losses == 1)
        await until(lambda: near.radio.up, START_S)
        down = next(event for event in near.events if event.kind == "down")
        assert "no slave has answered" in down.text
        await near.send(4, 5, 6)
        await until(lambda: {r.applied_w for r in near.radio.reports().values()} == {4, 5, 6})
