"""Setpoints that go out in several messages: whichever get through, every limit holds in between."""

import random
from dataclasses import replace
from itertools import permutations
from math import dist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.allocation import totals_w, ways
from core.decision import Source
from core.limits import ImbalanceOf, Limits
from core.roles import Role
from core.site import ZERO, Phases, Site, Slave
from core.snapshot import GroupOnAir, OnAirState, SlaveState, Snapshot
from safety.gate import SafetyGate
from tests.safety.search.referee import deviation_w

SLAVES = tuple(Slave(slot, str(slot), slot % 3, 5000) for slot in range(9))
"""Three groups of three slaves, one on each phase."""
SITE = Site(SLAVES)
GROUPS = ((0, 1, 2), (3, 4, 5), (6, 7, 8))


def seen(setpoints_w: tuple[int, ...], age_s: float = 1.0, grid_power_w: Phases = ZERO) -> Snapshot:
    """These setpoints are on air, told in three messages."""
    groups = []
    for places in GROUPS:
        own = [w if place in places else 0 for place, w in enumerate(setpoints_w)]
        group_w = totals_w(tuple(own), SITE)
        groups.append(GroupOnAir(places, age_s, group_w, group_w))
    air = OnAirState(totals_w(setpoints_w, SITE), setpoints_w, age_s, groups=tuple(groups))
    return Snapshot(0, 1000.0, grid_power_w, 0.05, (SlaveState(),) * 9, air)


def changed(snapshot: Snapshot, number: int, **fields: object) -> Snapshot:
    """One group is otherwise."""
    groups = list(snapshot.on_air.groups)
    groups[number] = replace(groups[number], **fields)  # type: ignore[arg-type]
    return replace(snapshot, on_air=replace(snapshot.on_air, groups=tuple(groups)))


def accepts(
    setpoints_w: tuple[int, ...], snapshot: Snapshot, withheld: tuple[int, ...] = (), site: Site = SITE
) -> bool:
    return SafetyGate(site).accepts_setpoints(setpoints_w, withheld, Source.POLICY, snapshot)


FULL = (2500, 0, 0, 2500, 0, 0, 0, 4000, 4000)


def test_what_one_group_gives_another_must_not_take_before() -> None:
    shifted = (2400, 0, 0, 2600, 0, 0, 0, 4000, 4000)
    assert totals_w(shifted, SITE) == totals_w(FULL, SITE)
    assert not accepts(shifted, seen(FULL))  # the second message alone: 5100 W
    lowered = (2400, 0, 0, 2500, 0, 0, 0, 4000, 4000)
    assert accepts(lowered, seen(FULL))
    assert accepts(shifted, seen(lowered))


def test_room_below_the_limit_lets_both_go_at_once() -> None:
    on_air = (2000, 0, 0, 2000, 0, 0, 0, 4000, 4000)
    assert accepts((1800, 0, 0, 2200, 0, 0, 0, 4000, 4000), seen(on_air))


@pytest.mark.parametrize(("age_s", "fits"), [(1.0, 500), (0.5, 250), (2.0, 1000), (30.0, 1000)])
def test_what_goes_down_and_what_goes_up_both_count_for_the_rate(age_s: float, fits: int) -> None:
    on_air = (2000, 2000, 2000, 0, 0, 0, 0, 0, 0)
    for watts in (fits, fits + 1):
        moved = (2000 - watts, 2000, 2000, watts, 0, 0, 0, 0, 0)
        assert accepts(moved, seen(on_air, age_s)) is (watts == fits)


def test_the_age_is_that_of_the_newest_message_to_anybody() -> None:
    old = changed(seen((0,) * 9, 30.0), 1, age_s=0.0)
    old = replace(old, on_air=replace(old.on_air, age_s=0.0))
    assert not accepts((1, 0, 0, 0, 0, 0, 0, 0, 0), old)
    assert accepts((0,) * 9, old)


def test_a_corner_that_nobody_means_counts() -> None:
    on_air = (2000, 0, 0, 2000, 0, 0, 0, 0, 0)  # 4000, 0, 0 W: 1886 W apart
    assert accepts((2000, 300, 0, 2000, 0, 0, 0, 0, 0), seen(on_air))
    assert accepts((2200, 0, 0, 2000, 0, 0, 0, 0, 0), seen(on_air))
    both = (2300, 300, 300, 2000, 0, 0, 0, 0, 0)
    assert deviation_w(*totals_w(both, SITE)) < 1900.0
    assert not accepts(both, seen(on_air))  # (4300, 0, 0) W would be 2027 W apart


def test_what_is_further_apart_already_may_come_closer_and_stay() -> None:
    site = replace(SITE, limits=Limits(imbalance_max_w=300.0))
    on_air = (2000, 0, 0, 2000, 0, 0, 0, 0, 0)
    assert accepts(on_air, seen(on_air), site=site)
    assert accepts((1500, 0, 0, 2000, 0, 0, 0, 0, 0), seen(on_air), site=site)
    assert not accepts((2001, 0, 0, 2000, 0, 0, 0, 0, 0), seen(on_air), site=site)


def test_a_phase_above_its_limit_is_only_lowered() -> None:
    site = replace(SITE, limits=Limits(phase_max_w=3000.0))
    assert accepts((2400, 0, 0, 2500, 0, 0, 0, 4000, 4000), seen(FULL), site=site)
    assert not accepts((2300, 0, 0, 2501, 0, 0, 0, 4000, 4000), seen(FULL), site=site)
    assert accepts((2500, 0, 0, 2500, 0, 0, 0, 4000, 3500), seen(FULL), site=site)


@pytest.mark.parametrize(("role", "raises"), [(Role.ABSORB, False), (Role.GENERATE, True)])
def test_of_the_grid_what_moves_counts_from_the_reading(role: Role, raises: bool) -> None:
    site = replace(SITE, role=role, limits=Limits(imbalance_of=ImbalanceOf.GRID))
    snapshot = seen((500,) * 9, grid_power_w=(4300.0, 0.0, 0.0))
    up = (700, *(500,) * 8)
    down = (300, *(500,) * 8)
    assert accepts(up, snapshot, site=site) is raises
    assert accepts(down, snapshot, site=site) is not raises
    blind = replace(snapshot, grid_power_w=(float("nan"), 0.0, 0.0))
    assert accepts(up, blind, site=site)


def test_unknown_fates_count_until_they_are_known() -> None:
    snapshot = changed(seen((0,) * 9), 0, low_w=ZERO, high_w=(600.0, 0.0, 0.0), unconfirmed=True)
    other = (600, 0, 0, 0, 800, 0, 0, 0, 0)
    more = (600, 0, 0, 0, 801, 0, 0, 0, 0)
    assert accepts(other, snapshot)
    assert not accepts(more, snapshot)
    assert accepts(other, snapshot, withheld=(0,))
    assert not accepts(more, snapshot, withheld=(0,))
    assert accepts((600, *(0,) * 8), snapshot, withheld=(0,))  # nothing moves
    assert not accepts((600, *(0,) * 8), changed(snapshot, 0, high_w=(1001.0, 0.0, 0.0)))


def test_what_an_earlier_message_can_still_do_counts_from_the_reading() -> None:
    """It may come just before the new one, which is then told to somebody else than the reading shows."""
    site = replace(SITE, limits=Limits(imbalance_of=ImbalanceOf.GRID))
    reading_w = (
        0.0,
        3500.0,
        3500.0,
    )  # 1650 W apart; 500 W less on the first phase: 1886 W, 800 W less: 2027 W
    snapshot = seen((900, *(0,) * 8), 2.0, reading_w)
    told = (500, *(0,) * 8)
    assert accepts(told, snapshot, site=site)
    assert accepts(told, changed(snapshot, 0, low_w=(400.0, 0.0, 0.0)), site=site)
    assert not accepts(told, changed(snapshot, 0, low_w=(100.0, 0.0, 0.0)), site=site)


def test_who_may_be_at_rest_when_a_message_comes_is_told_only_what_fits_from_there() -> None:
    on_air = (1100, 0, 0, 0, 0, 0, 0, 0, 0)
    snapshot = changed(seen(on_air, 2.0), 0, may_rest=True, age_s=12.0)
    assert accepts(on_air, snapshot)
    assert not accepts(on_air, changed(seen(on_air, 1.0), 0, may_rest=True, age_s=12.0))
    assert accepts(on_air, changed(seen(on_air, 1.0), 0, may_rest=True, age_s=12.0), withheld=(0,))
    others = (1100, 0, 0, 0, 900, 0, 0, 0, 0)  # its own way to rest is no move
    assert accepts(others, changed(seen(on_air, 1.0), 0, may_rest=True, age_s=12.0), withheld=(0,))


def test_a_corner_with_who_may_be_at_rest_counts() -> None:
    on_air = (1000, 0, 0, 2000, 2000, 2000, 0, 0, 0)
    raised = (1000, 0, 0, 2000, 2900, 2000, 0, 0, 0)
    snapshot = changed(seen(on_air, 2.0), 0, may_rest=True, age_s=12.0)
    assert accepts(raised, snapshot, withheld=(0,))
    tight = replace(
        SITE, limits=Limits(imbalance_max_w=424.0)
    )  # 3000, 2900, 2000 W: 450; 2000, 2900, 2000: 424
    assert not accepts(raised, snapshot, withheld=(0,), site=tight)


def test_what_makes_no_sense_lets_only_rest_through() -> None:
    for watts in (float("nan"), float("inf"), -1.0, 5001.0):
        snapshot = changed(seen((0,) * 9), 0, low_w=(watts, 0.0, 0.0), high_w=(watts, 0.0, 0.0))
        assert not accepts((0, 0, 0, 1, 0, 0, 0, 0, 0), snapshot), watts
        assert not accepts((1, *(0,) * 8), snapshot), watts
        assert accepts((0,) * 9, snapshot), watts
        assert not accepts((0,) * 9, snapshot, withheld=(1,)), watts


def test_rest_is_told_to_everybody_at_once() -> None:
    gate = SafetyGate(SITE)
    assert gate.accepts_setpoints((0,) * 9, (), Source.REST, seen(FULL, 0.0))
    assert not gate.accepts_setpoints((0,) * 9, (1,), Source.REST, seen(FULL))
    assert not gate.accepts_setpoints(FULL, (), Source.REST, seen(FULL))


watts = st.integers(0, 2500)
vectors = st.tuples(*[watts] * 9)


@given(
    vectors,
    st.lists(st.integers(-900, 900), min_size=9, max_size=9),
    st.sampled_from([0.5, 1.0, 2.0, 9.0]),
    st.booleans(),
    st.tuples(*[st.floats(-4000.0, 4000.0)] * 3),
)
@settings(max_examples=400, deadline=None)
def test_whichever_messages_get_through_in_whatever_order_every_limit_holds(
    on_air_w: tuple[int, ...], moves: list[int], age_s: float, of_grid: bool, grid_w: Phases
) -> None:
    """All that is accepted of a random way, delivered in every order, judged by the specification's words."""
    site = replace(SITE, limits=Limits(imbalance_of=ImbalanceOf.GRID)) if of_grid else SITE
    before_w = totals_w(on_air_w, SITE)
    if max(before_w) > 5000.0:
        return
    snapshot = seen(on_air_w, age_s, grid_w)
    wanted = tuple(min(5000, max(0, w + move)) for w, move in zip(on_air_w, moves, strict=True))
    gate = SafetyGate(site)
    setpoints_w, withheld = next(
        way
        for way in ways(on_air_w, wanted, site, snapshot)
        if gate.accepts_setpoints(*way, Source.POLICY, snapshot)
    )
    assert withheld == ()
    tilt_w = deviation_w(*(grid_w if of_grid else before_w))
    for order in permutations(GROUPS):
        partial = list(on_air_w)
        for places in order:
            for place in places:
                partial[place] = setpoints_w[place]
            now_w = totals_w(tuple(partial), SITE)
            assert all(0.0 <= w <= 5000.0 for w in now_w)
            assert dist(now_w, before_w) <= 1000.0 * min(age_s, 2.0)
            after_w = (
                [g + n - b for g, n, b in zip(grid_w, now_w, before_w, strict=True)] if of_grid else now_w
            )
            assert deviation_w(*after_w) <= max(2000.0, tilt_w) + 1e-6


def test_a_shift_from_group_to_group_at_the_limit_gets_there() -> None:
    """Tick by tick every part of the way is accepted, and in the end all of it is on air."""
    rng = random.Random(7)
    for _ in range(200):
        on_air_w: tuple[int, ...] = (5000, 758, 758, *(0,) * 6)  # at both limits: 5000 W, 2000 W apart
        there_w = (0, 0, 0, *rng.choice([(5000, 758, 758, 0, 0, 0), (2500, 400, 300, 2500, 358, 458)]))
        ticks = 0
        while on_air_w != there_w:
            snapshot = seen(on_air_w, 2.0)
            gate = SafetyGate(SITE)
            on_air_w = next(
                way[0]
                for way in ways(on_air_w, there_w, SITE, snapshot)
                if gate.accepts_setpoints(*way, Source.POLICY, snapshot)
            )
            ticks += 1
            assert ticks < 25, on_air_w


@pytest.mark.parametrize(("watts", "is_accepted"), [(2000, True), (2001, False)])
def test_a_switching_that_gets_lost_leaves_a_usual_step(watts: int, is_accepted: bool) -> None:
    """After 3 s of stillness a switching may move 3000 W; the message beside it, alone, no more than ever."""
    staged = replace(SLAVES[3], min_w=700, max_w=700)
    site = replace(SITE, slaves=(*SLAVES[:3], staged, *SLAVES[4:]))
    on_air = (0, 3000, 0, 0, 0, 0, 0, 0, 0)
    snapshot = seen(on_air, 3.0)
    snapshot = replace(snapshot, on_air=replace(snapshot.on_air, still_s=3.0))
    assert accepts((0, 3000 - watts, 0, 700, 0, 0, 0, 0, 0), snapshot, site=site) is is_accepted
