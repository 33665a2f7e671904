"""How phases are billed, and where power is placed."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.metering import (
    avoidable_import_w,
    balance_phases,
    curtailable_w,
    exported_w,
    imported_w,
    unavoidable_export_w,
)
from core.roles import Role
from core.site import Metering, Phases
from tests.support.examples import grids

capacities = st.tuples(*[st.floats(0.0, 5000.0)] * 3)
surpluses = st.tuples(*[st.floats(-20_000.0, 20_000.0)] * 3)


@given(surpluses, capacities)
def test_phases_billed_one_by_one_place_their_own(surplus_w: Phases, capacity_w: Phases) -> None:
    assert balance_phases(surplus_w, capacity_w, Metering.PER_PHASE) == surplus_w


@given(surpluses, capacities)
def test_the_sum_is_preserved(surplus_w: Phases, capacity_w: Phases) -> None:
    assert sum(balance_phases(surplus_w, capacity_w, Metering.NET)) == pytest.approx(sum(surplus_w), abs=1e-4)


def placed_at(shift: float, surplus_w: Phases, capacity_w: Phases) -> list[float]:
    return [min(max(0.0, s + shift), c) for s, c in zip(surplus_w, capacity_w, strict=True)]


def exactly(surplus_w: Phases, capacity_w: Phases) -> list[float]:
    """The common shift by its corners: between two of them the placed sum is linear."""
    corners = sorted([-s for s in surplus_w] + [c - s for s, c in zip(surplus_w, capacity_w, strict=True)])
    total = sum(surplus_w)
    for low, high in pairwise(corners):
        at_low, at_high = (sum(placed_at(x, surplus_w, capacity_w)) for x in (low, high))
        if at_low - 1e-9 <= total <= at_high + 1e-9:
            share = (total - at_low) / (at_high - at_low) if at_high > at_low else 0.0
            return placed_at(low + share * (high - low), surplus_w, capacity_w)
    raise AssertionError("the sum does not fit")


@given(surpluses, capacities, st.floats(0.001, 0.999))
def test_what_fits_is_placed_so_that_the_phases_come_out_even(
    surplus_w: Phases, capacity_w: Phases, share: float
) -> None:
    a, b, _ = surplus_w
    surplus_w = (a, b, share * sum(capacity_w) - a - b)
    placed_w = balance_phases(surplus_w, capacity_w, Metering.NET)
    assert placed_w == pytest.approx(exactly(surplus_w, capacity_w), abs=1e-3)


def test_a_sum_within_rounding_of_the_whole_capacity_fills_it() -> None:
    surplus_w = (9376.06767575911, 16263.745995902442, -25637.941496706724)
    capacity_w = (0.18184349682314438, 0.8935715365829885, 0.7967599214216395)
    assert balance_phases(surplus_w, capacity_w, Metering.NET) == pytest.approx(capacity_w, abs=1e-9)


@pytest.mark.parametrize(
    ("surplus_w", "capacity_w", "placed_w"),
    [
        ((3000.0, 0.0, 0.0), (5000.0,) * 3, (3000.0, 0.0, 0.0)),
        ((-3000.0, 0.0, 0.0), (5000.0,) * 3, (-1000.0, -1000.0, -1000.0)),
        ((0.0, 0.0, 0.0), (5000.0,) * 3, (0.0, 0.0, 0.0)),
        ((9000.0, 0.0, 0.0), (1000.0, 2000.0, 3000.0), (2000.0, 3000.0, 4000.0)),
        ((6000.0, -300.0, 300.0), (5000.0,) * 3, (5000.0, 200.0, 800.0)),
        ((3000.0, -1500.0, 0.0), (5000.0,) * 3, (1500.0, 0.0, 0.0)),
        ((500.0, 500.0, -200.0), (5000.0,) * 3, (400.0, 400.0, 0.0)),
        ((0.6, 0.0, 0.0), (5000.0,) * 3, (0.6, 0.0, 0.0)),
    ],
)
def test_examples(surplus_w: Phases, capacity_w: Phases, placed_w: Phases) -> None:
    assert balance_phases(surplus_w, capacity_w, Metering.NET) == pytest.approx(placed_w)


@given(grids)
def test_netted_and_separate_bills(grid_w: Phases) -> None:
    for metering in Metering:
        assert exported_w(grid_w, metering) >= 0.0
        assert imported_w(grid_w, metering) - exported_w(grid_w, metering) == pytest.approx(sum(grid_w))
    assert exported_w(grid_w, Metering.NET) <= exported_w(grid_w, Metering.PER_PHASE) + 1e-6


def test_avoidable_import_is_what_the_slaves_drew_from_the_grid() -> None:
    slaves_w, grid_w = (1000.0, 500.0, 0.0), (300.0, 800.0, -900.0)
    assert avoidable_import_w(slaves_w, grid_w, Metering.PER_PHASE) == 800.0
    assert avoidable_import_w(slaves_w, grid_w, Metering.NET) == 200.0
    assert avoidable_import_w(slaves_w, (-1.0, 0.0, 0.0), Metering.NET) == 0.0
    assert avoidable_import_w(slaves_w, (-1.0, -1.0, -1.0), Metering.PER_PHASE) == 0.0
    assert avoidable_import_w((100.0, 0.0, 0.0), (900.0, 0.0, 0.0), Metering.NET) == 100.0


def test_what_could_have_been_placed_otherwise() -> None:
    slaves_w, capacity_w = (100.0, 200.0, 900.0), (500.0, 500.0, 500.0)
    assert curtailable_w(slaves_w, capacity_w, Role.ABSORB) == slaves_w
    assert curtailable_w(slaves_w, capacity_w, Role.GENERATE) == (400.0, 300.0, 0.0)


@pytest.mark.parametrize(
    ("role", "metering", "expected_w"),
    [
        (Role.ABSORB, Metering.NET, 500.0),  # 2000 W out, 1500 W of slaves
        (Role.ABSORB, Metering.PER_PHASE, 2500.0),  # phase a exports more than its slaves take
        (Role.GENERATE, Metering.NET, 2000.0),
        (Role.GENERATE, Metering.PER_PHASE, 3000.0),
    ],
)
def test_what_is_exported_whatever_the_slaves_do(role: Role, metering: Metering, expected_w: float) -> None:
    bare_w, capacity_w = (-3000.0, 0.0, 1000.0), (500.0, 500.0, 500.0)
    assert unavoidable_export_w(bare_w, capacity_w, role, metering) == expected_w


def test_nothing_is_unavoidable_with_room_to_spare() -> None:
    assert unavoidable_export_w((-900.0, 0.0, 0.0), (500.0,) * 3, Role.ABSORB, Metering.NET) == 0.0
