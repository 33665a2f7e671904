"""From per-phase totals to slaves."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.allocation import allocate, interpolate_setpoints, totals_w
from core.site import ZERO, Phases, Site, Slave
from core.snapshot import SlaveState, Snapshot
from tests.support.examples import actions, site, snapshot


def on_a(*slaves: tuple[int, int]) -> Site:
    """Slaves on phase a by (max_w, min_w)."""
    return site(tuple(Slave(slot, str(slot), 0, *powers) for slot, powers in enumerate(slaves)))


def with_gone(gone: set[int], count: int) -> Snapshot:
    base = snapshot(slaves=count)
    return replace(base, slaves=tuple(SlaveState(available=index not in gone) for index in range(count)))


@pytest.mark.parametrize(
    ("slaves", "gone", "total_w", "setpoints_w"),
    [
        (((3000, 0), (3000, 0)), set(), 1000.0, (500, 500)),
        (((3000, 0), (3000, 0)), set(), 1001.0, (501, 500)),
        (((3000, 0), (3000, 0)), set(), 1000.99, (500, 500)),
        (((3000, 0), (1000, 0)), set(), 1000.0, (750, 250)),
        (((1000, 0), (1000, 0), (1000, 0)), set(), 1000.0, (334, 333, 333)),
        (((1000, 0), (3000, 0), (3000, 0)), set(), 10.0, (2, 4, 4)),
        (((1000, 0), (3000, 0), (3000, 0)), set(), 11.0, (1, 5, 5)),
        (((1, 0), (3000, 0)), set(), 9000.0, (1, 3000)),
        (((0, 0),), set(), 9000.0, (0,)),
        (((3000, 0), (3000, 0)), set(), 9000.0, (3000, 3000)),
        (((3000, 0), (3000, 0)), {1}, 1000.0, (1000, 0)),
        (((3000, 0), (3000, 0)), {0, 1}, 1000.0, (0, 0)),
        (((0, 0), (3000, 0)), set(), 1000.0, (0, 1000)),
        (((3000, 600), (3000, 0)), set(), 1000.0, (0, 1000)),
        (((3000, 600), (3000, 0)), set(), 1200.0, (600, 600)),
        (((3000, 600), (3000, 600)), set(), 1000.0, (1000, 0)),
        (((3000, 600), (3000, 600)), set(), 599.0, (0, 0)),
        (((3000, 600), (3000, 600)), set(), 600.0, (600, 0)),
        (((3000, 0),), set(), 0.0, (0,)),
    ],
)
def test_shares(
    slaves: tuple[tuple[int, int], ...], gone: set[int], total_w: float, setpoints_w: tuple[int, ...]
) -> None:
    assert allocate((total_w, 0.0, 0.0), on_a(*slaves), with_gone(gone, len(slaves))) == setpoints_w


def test_phases_do_not_mix() -> None:
    setpoints_w = allocate((1000.0, 2000.0, 3001.0), site(), snapshot())
    assert setpoints_w == (500, 500, 1000, 1000, 1501, 1500)
    assert totals_w(setpoints_w, site()) == (1000.0, 2000.0, 3001.0)


powers = st.tuples(st.integers(0, 4000), st.integers(0, 3000)).map(lambda p: (p[0], min(p)))


@given(actions, st.lists(st.tuples(st.integers(0, 2), powers, st.booleans()), min_size=1, max_size=9))
def test_the_sum_never_exceeds_the_action_and_every_slave_keeps_its_range(
    action_w: Phases, drawn: list[tuple[int, tuple[int, int], bool]]
) -> None:
    at = site(tuple(Slave(i, str(i), phase, *w) for i, (phase, w, _) in enumerate(drawn)))
    seen = with_gone({i for i, (_, _, there) in enumerate(drawn) if not there}, len(drawn))
    setpoints_w = allocate(action_w, at, seen)
    for total_w, wanted_w in zip(totals_w(setpoints_w, at), action_w, strict=True):
        assert total_w <= wanted_w
    for slave, state, w in zip(at.slaves, seen.slaves, setpoints_w, strict=True):
        assert w == 0 or (state.available and slave.min_w <= w <= slave.max_w)
    without_minimum = all(slave.min_w == 0 for slave in at.slaves)
    if without_minimum and all(state.available for state in seen.slaves):
        for phase in range(3):
            room_w = sum(slave.max_w for slave in at.slaves if slave.phase == phase)
            assert totals_w(setpoints_w, at)[phase] == min(int(action_w[phase]), room_w)


def test_part_of_the_way_lies_between_and_rounds_toward_what_is_on_air() -> None:
    at, seen = on_a((3000, 0), (3000, 0)), snapshot(slaves=2)
    assert interpolate_setpoints((0, 1001), (1001, 0), 0.5, at, seen) == (500, 501)
    assert interpolate_setpoints((0, 1001), (1001, 0), 0.0, at, seen) == (0, 1001)


def test_part_of_the_way_leaves_no_slave_below_its_minimum() -> None:
    at = on_a((3000, 800))
    assert interpolate_setpoints((1000,), (0,), 0.25, at, snapshot(slaves=1)) == (
        1000,
    )  # 750 W would be too little
    assert interpolate_setpoints((1200,), (0,), 0.25, at, snapshot(slaves=1)) == (900,)
    assert interpolate_setpoints((1067,), (0,), 0.25, at, snapshot(slaves=1)) == (801,)
    assert interpolate_setpoints((1000,), (0,), 0.25, on_a((3000, 750)), snapshot(slaves=1)) == (750,)
    assert interpolate_setpoints((4,), (0,), 0.75, on_a((3000, 3)), snapshot(slaves=1)) == (4,)
    assert interpolate_setpoints((800,), (0,), 1.0, at, snapshot(slaves=1)) == (0,)
    assert interpolate_setpoints((1000,), (0,), 0.25, at, with_gone({0}, 1)) == (
        750,
    )  # it does not work anyway


def test_a_vector_of_another_site_is_refused() -> None:
    at = on_a((3000, 0), (3000, 0))
    with pytest.raises(ValueError, match="zip"):
        totals_w((1,), at)
    with pytest.raises(ValueError, match="zip"):
        interpolate_setpoints((1, 2), (1,), 0.5, at, snapshot(slaves=2))


def test_no_slaves_no_power() -> None:
    assert totals_w((), site(())) == ZERO
