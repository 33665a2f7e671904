"""Money, against sums worked out by hand and against the formula of the documentation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.roles import Role
from core.site import Metering, Phases, Site, Slave
from daemon.history.tariff import JOULES_PER_KWH, Tariff
from daemon.monitoring.energy_ledger import EnergyTotals, account
from daemon.monitoring.slave_power import reachable_w, without_slaves_w

TARIFF = Tariff(0.30, 0.08, "EUR")
KWH = JOULES_PER_KWH


def test_surplus_used_is_worth_the_price_less_the_pay_and_bought_energy_nothing() -> None:
    """10 kWh would have left and 1 kWh did; 9 kWh used, 0.5 kWh bought: 9 x 0.22 - 0.5 x 0.30."""
    energy = EnergyTotals(
        exported_j=1 * KWH,
        exported_without_j=10 * KWH,
        imported_j=3.5 * KWH,
        imported_without_j=3 * KWH,
        placed_j=9.5 * KWH,
        avoidable_import_j=0.5 * KWH,
    )
    assert TARIFF.saved(energy, Role.ABSORB) == pytest.approx(1.83)


def test_what_generating_slaves_feed_saves_what_is_not_bought() -> None:
    """4 kWh less bought, 1 kWh more exported: 4 x 0.30 + 1 x 0.08."""
    energy = EnergyTotals(
        exported_j=1 * KWH, imported_j=2 * KWH, imported_without_j=6 * KWH, placed_j=5 * KWH
    )
    assert TARIFF.saved(energy, Role.GENERATE) == pytest.approx(1.28)


POWERS = st.tuples(*[st.floats(-9000.0, 9000.0)] * 3)
PLACED = st.tuples(*[st.floats(0.0, 5000.0)] * 3)


@given(grid_w=POWERS, placed_w=PLACED, metering=st.sampled_from(Metering))
def test_the_formula_of_the_documentation(grid_w: Phases, placed_w: Phases, metering: Metering) -> None:
    """(placed - drawn from the grid) x (price - pay) - drawn from the grid x price, however it is billed."""
    site = Site(slaves=(Slave(0, "tank", 0, 3000),), metering=metering)
    energy = account(grid_w, without_slaves_w(grid_w, placed_w, site), placed_w, site, 3600.0)
    surplus_j, bought_j = energy.placed_j - energy.avoidable_import_j, energy.avoidable_import_j
    expected = (surplus_j * (0.30 - 0.08) - bought_j * 0.30) / KWH
    assert TARIFF.saved(energy, Role.ABSORB) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("without_w", "metering", "expected_w"),
    [
        ((-900.0, -100.0, 400.0), Metering.NET, 600.0),
        ((-3000.0, -100.0, 400.0), Metering.NET, 2500.0),
        ((-3000.0, -100.0, 400.0), Metering.PER_PHASE, 1100.0),
        ((300.0, 100.0, 400.0), Metering.PER_PHASE, 0.0),
        ((300.0, 100.0, 400.0), Metering.NET, 0.0),
    ],
)
def test_the_surplus_in_reach_of_the_slaves(without_w: Phases, metering: Metering, expected_w: float) -> None:
    """Slaves of 1000, 1000 and 500 W."""
    assert reachable_w(without_w, (1000.0, 1000.0, 500.0), metering) == expected_w
