"""What counts as a switching, and what it may use."""

from dataclasses import replace
from math import inf, nan

import pytest

from core.limits import SWITCH_CREDIT_MAX_S
from core.site import Site, Slave
from core.snapshot import GroupOnAir, OnAirState, SlaveState, Snapshot
from safety.switching import has_authority, is_workable, switch_credit_s, switching_groups

SITE = Site(
    (
        Slave(0, "free", 0, 3000),
        Slave(1, "minimum", 1, 3000, min_w=1000),
        Slave(2, "steps", 2, 2000, levels_w=(1000, 2000)),
        Slave(3, "unproven", 0, 2000, may_draw=False),
    )
)


def seen(*setpoints_w: int, still_s: float = 3.0) -> Snapshot:
    air = OnAirState((0.0,) * 3, setpoints_w, still_s, still_s=still_s)
    return Snapshot(0, 1000.0, (0.0,) * 3, 0.0, (SlaveState(),) * 4, air)


@pytest.mark.parametrize(
    ("before", "after", "credit_s"),
    [
        ((0, 0, 0, 0), (3000, 0, 0, 0), 0.0),  # a slave that moves freely is never switched
        ((0, 0, 0, 0), (0, 1000, 0, 0), 3.0),
        ((0, 0, 0, 0), (0, 999, 0, 0), 0.0),
        ((0, 1000, 0, 0), (0, 3000, 0, 0), 0.0),  # above its minimum it moves freely
        ((0, 1000, 0, 0), (0, 0, 0, 0), 3.0),
        ((0, 0, 0, 0), (0, 0, 1000, 0), 3.0),
        ((0, 0, 1000, 0), (0, 0, 2000, 0), 3.0),
        ((0, 0, 0, 0), (0, 0, 2000, 0), 0.0),  # two steps up at once
        ((0, 0, 2000, 0), (0, 0, 0, 0), 3.0),  # down as far as it goes
        ((0, 0, 0, 0), (0, 1000, 1000, 0), 0.0),  # two slaves up
        ((0, 1000, 0, 0), (0, 0, 1000, 0), 3.0),  # one for the other
    ],
)
def test_the_credit_of_a_switching(before: tuple[int, ...], after: tuple[int, ...], credit_s: float) -> None:
    assert switch_credit_s(after, seen(*before), SITE) == credit_s


@pytest.mark.parametrize(
    ("still_s", "credit_s"),
    [
        (0.0, 0.0),
        (0.5, 0.5),
        (4.9, 4.9),
        (5.1, SWITCH_CREDIT_MAX_S),
        (inf, SWITCH_CREDIT_MAX_S),
        (-1.0, 0.0),
        (nan, 0.0),
    ],
)
def test_the_credit_is_the_stillness_and_five_seconds_at_most(still_s: float, credit_s: float) -> None:
    assert switch_credit_s((0, 1000, 0, 0), seen(0, 0, 0, 0, still_s=still_s), SITE) == credit_s


def test_in_doubt_and_for_another_site_there_is_no_credit() -> None:
    snapshot = seen(0, 0, 0, 0)
    doubtful = replace(snapshot, on_air=replace(snapshot.on_air, doubts=(snapshot.on_air,)))
    assert switch_credit_s((0, 1000, 0, 0), doubtful, SITE) == 0.0
    assert switch_credit_s((0, 1000, 0), snapshot, SITE) == 0.0
    assert switch_credit_s((0, 1000, 0, 0), seen(0, 0, 0), SITE) == 0.0
    at_rest = replace(snapshot, on_air=replace(snapshot.on_air, setpoints_w=()))
    assert switch_credit_s((0, 1000, 0, 0), at_rest, SITE) == 3.0
    least = Site((Slave(0, "least", 0, 3000, min_w=1),))
    assert switch_credit_s((1,), at_rest, least) == 3.0


def test_the_groups_that_switch() -> None:
    groups = tuple(GroupOnAir(places, 3.0, (0.0,) * 3, (0.0,) * 3) for places in ((0, 3), (1,), (2,)))
    snapshot = seen(0, 1000, 0, 0)
    snapshot = replace(snapshot, on_air=replace(snapshot.on_air, groups=groups))
    assert switching_groups((3000, 1000, 0, 2000), snapshot, SITE) == ()
    assert switching_groups((3000, 3000, 1000, 0), snapshot, SITE) == (2,)
    assert switching_groups((0, 0, 2000, 0), snapshot, SITE) == (1, 2)
    assert switching_groups((0, 0, 2000), snapshot, SITE) == ()


@pytest.mark.parametrize(
    ("watts", "before", "works"), [(1000, 0, True), (0, 2000, True), (500, 0, False), (500, 500, True)]
)
def test_a_slave_with_levels_takes_them_or_stays(watts: int, before: int, works: bool) -> None:
    assert is_workable((0, 0, watts, 0), seen(0, 0, before, 0), SITE) is works


def test_vectors_that_do_not_fit_work_where_nobody_has_levels() -> None:
    free = Site((Slave(0, "free", 0, 3000),))
    assert not is_workable((0, 0), seen(0, 0, 0, 0), SITE)
    assert not is_workable((0, 0, 0, 0), seen(0, 0), SITE)
    assert is_workable((0, 0), seen(0), free)
    at_rest = replace(seen(0), on_air=OnAirState((0.0,) * 3))
    assert is_workable((0, 0, 1000, 0), at_rest, SITE)
    assert not is_workable((0, 0, 1, 0), at_rest, SITE)


def test_without_authority_nobody_draws() -> None:
    assert has_authority((1, 1, 1, 0), SITE)
    assert not has_authority((0, 0, 0, 1), SITE)
    assert not has_authority((0,), SITE)
    assert has_authority((0,), Site((Slave(0, "free", 0, 3000), Slave(1, "other", 0, 3000))))
