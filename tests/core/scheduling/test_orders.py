"""What the owner says of one device: it gets power without a surplus, or none, within every limit."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.decision import Authority, Source
from core.parts import initial_memory
from core.site import Metering, Phases, Site, Slave
from core.snapshot import DeviceOrder, SlaveState, Snapshot
from core.tick import decide
from tests.core.scheduling.test_schedule import ScheduledSite, spread, switch, totals

DARK: Phases = spread(-600.0)


def boiler(slot: int, phase: int, watts: int = 1700, **more: object) -> Slave:
    return Slave(slot, f"b{slot}", phase, watts, **more)  # type: ignore[arg-type]


def boilers(**more: object) -> Site:
    return Site(tuple(boiler(slot, slot % 3) for slot in range(6)), **more)  # type: ignore[arg-type]


def ordered(house: ScheduledSite, orders: dict[int, DeviceOrder]) -> None:
    house.states = tuple(replace(state, order=orders.get(at)) for at, state in enumerate(house.states))


def told_kw(house: ScheduledSite) -> tuple[float, ...]:
    return tuple(round(w / 1000.0, 1) for w in house.setpoints_w)


def test_a_boosted_boiler_heats_in_the_dark_alone_and_rests_again_afterwards() -> None:
    house = ScheduledSite(boilers())
    house.last(30, DARK)
    ordered(house, {4: DeviceOrder.BOOST})
    house.last(20, DARK)
    assert told_kw(house) == (0.0, 0.0, 0.0, 0.0, 1.7, 0.0)
    ordered(house, {})
    house.last(20, DARK)
    assert not any(house.setpoints_w)
    assert not house.violations


@pytest.mark.parametrize("metering", Metering)
def test_the_others_share_what_a_boosted_one_leaves_of_the_sun(metering: Metering) -> None:
    house = ScheduledSite(boilers(metering=metering))
    ordered(house, {0: DeviceOrder.BOOST})
    house.last(90, spread(4500.0))
    assert house.setpoints_w[0] == 1700
    wanted_w = 4500.0 if metering is Metering.NET else 1700.0 + 2 * 1500.0
    assert sum(house.setpoints_w) == pytest.approx(wanted_w, abs=60.0)
    house.last(60, spread(900.0))
    assert sum(house.setpoints_w) == pytest.approx(
        1700.0 if metering is Metering.NET else 1700.0 + 2 * 300.0, abs=120.0
    )
    assert not house.violations


def test_a_relay_is_switched_on_for_a_boost_and_off_when_it_ends() -> None:
    house = ScheduledSite(Site((switch(0), switch(1, min_on_s=20.0), boiler(2, 1))))
    house.last(20, DARK)
    ordered(house, {1: DeviceOrder.BOOST})
    house.last(30, DARK)
    assert house.setpoints_w == (0, 1700, 0)
    ordered(house, {})
    house.last(40, DARK)
    assert house.setpoints_w == (0, 0, 0)
    assert not house.violations


def test_a_charger_goes_to_its_most_through_its_minimum() -> None:
    house = ScheduledSite(Site((boiler(0, 0, 3680, min_w=1380, min_off_s=10.0), boiler(1, 1))))
    house.last(20, DARK)
    ordered(house, {0: DeviceOrder.BOOST})
    house.last(40, DARK)
    assert house.setpoints_w == (3680, 0)
    assert all(w == 0 or w >= 1380 for _, (w, _) in house.told)
    ordered(house, {})
    house.last(60, DARK)
    assert house.setpoints_w == (0, 0)
    assert not house.violations


def test_where_the_phase_is_full_a_less_important_relay_gives_way() -> None:
    house = ScheduledSite(Site((switch(0, watts=3000), switch(1, watts=3000, priority=9))))
    house.last(60, (3300.0, 0.0, 0.0))
    assert house.setpoints_w == (3000, 0)
    ordered(house, {1: DeviceOrder.BOOST})
    house.last(60, (3300.0, 0.0, 0.0))
    assert house.setpoints_w == (0, 3000)
    assert not house.violations


def test_a_resting_device_is_told_nothing_even_in_the_sun() -> None:
    house = ScheduledSite(Site((boiler(0, 0), boiler(1, 0), switch(2, 1))))
    ordered(house, {0: DeviceOrder.REST, 2: DeviceOrder.REST})
    house.last(60, spread(3000.0))
    assert house.setpoints_w == (0, 1700, 0)


def test_the_owners_order_of_priorities_counts_before_the_sites() -> None:
    house = ScheduledSite(Site((boiler(0, 0, priority=1), boiler(1, 0, priority=9))))
    house.last(60, (1700.0, 0.0, 0.0))
    assert house.setpoints_w[0] > 1600
    house.states = (SlaveState(priority=0), SlaveState(priority=-1))
    house.last(60, (1700.0, 0.0, 0.0))
    assert house.setpoints_w[1] > 1600
    assert house.setpoints_w[0] < 100


def test_one_that_is_silent_or_may_not_draw_is_not_boosted() -> None:
    house = ScheduledSite(Site((boiler(0, 0), boiler(1, 1, may_draw=False))))
    house.states = (SlaveState(available=False, order=DeviceOrder.BOOST), SlaveState(order=DeviceOrder.BOOST))
    house.last(30, DARK)
    assert house.setpoints_w == (0, 0)


def test_who_does_not_follow_gets_no_more_than_it_takes() -> None:
    house = ScheduledSite(boilers())
    ordered(house, {0: DeviceOrder.BOOST})
    house.last(20, DARK)
    house.states = (replace(house.states[0], limit_w=400), *house.states[1:])
    house.last(20, DARK)
    assert house.setpoints_w == (400, 0, 0, 0, 0, 0)
    assert not house.violations


def test_rest_comes_before_every_order() -> None:
    house = ScheduledSite(boilers())
    ordered(house, {0: DeviceOrder.BOOST})
    seen = Snapshot(0, 1000.0, DARK, 0.0, house.states)
    decision, _ = decide(seen, Authority.REST, initial_memory(house.parts), house.parts)
    assert decision.verdict.source is Source.REST
    assert not any(decision.setpoints_w)


SITES = (
    boilers(),
    boilers(metering=Metering.PER_PHASE),
    Site((switch(0), switch(1, 1, 3000), boiler(2, 2, 3680, min_w=1380), boiler(3, 0), boiler(4, 1))),
    Site((boiler(0, 0, 9000, is_three_phase=True, min_w=4140), boiler(1, 0, 3000), switch(2, 0, 2000))),
)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(SITES),
    st.lists(
        st.tuples(
            st.integers(1, 25),
            st.tuples(*[st.floats(-3000.0, 5000.0)] * 3),
            st.dictionaries(st.integers(0, 5), st.sampled_from(DeviceOrder), max_size=4),
        ),
        min_size=1,
        max_size=5,
    ),
)
def test_no_order_breaks_a_limit(
    site: Site, phases: list[tuple[int, Phases, dict[int, DeviceOrder]]]
) -> None:
    house = ScheduledSite(site)
    for seconds, surplus_w, orders in phases:
        ordered(house, orders)
        house.last(seconds, surplus_w)
    assert not house.violations
    for _, setpoints_w in house.told:
        assert all(slave.takes(w) for slave, w in zip(site.slaves, setpoints_w, strict=True))
        assert max(totals(setpoints_w, site)) <= site.limits.phase_max_w
