"""The site in real time: its clock, its slaves, its meter, and what it counts."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from core.site import Metering
from plant.site.actuators import Actuator
from plant.site.live import LiveSite
from plant.site.trace import DAY_S, Trace

SECONDS = np.arange(DAY_S, dtype=float)


def day() -> Trace:
    """Load of phase A is the second of the day; B is 100 W, C 0 W; 3 kW of PV."""
    load = np.column_stack([SECONDS, np.full(DAY_S, 100.0), np.zeros(DAY_S)])
    return Trace("counting", load, np.full(DAY_S, 3000.0))


def live(reference_w: Callable[[int, float], float], sign: float = 1.0, **more: object) -> LiveSite:
    actuators = [Actuator(7, 0, 2000.0, 1.0, 1.5), Actuator(3, 2, 500.0, 0.95, 1.0)]
    return LiveSite(day(), actuators, reference_w, sign=sign, started_at_s=1000.0, **more)  # type: ignore[arg-type]


def test_the_clock_starts_where_it_is_told_and_wraps() -> None:
    site = live(lambda slot, at_s: 0.0, start_s=DAY_S - 2.0)
    assert site.bare_power_w(1000.0) == pytest.approx((DAY_S - 2 - 1000.0, -900.0, -1000.0))
    assert site.bare_power_w(1001.99)[0] == pytest.approx(DAY_S - 1 - 1000.0)
    assert site.bare_power_w(1002.0)[0] == pytest.approx(-1000.0)
    assert site.clock_s(1002.5) == pytest.approx(0.5)


def test_a_slave_follows_its_reference_in_the_closed_form() -> None:
    site = live(lambda slot, at_s: 800.0)
    site.advance(1001.5001)
    assert site.slave_power_w(7) == pytest.approx(800 * (1 - math.exp(-1.0)), rel=1e-6)
    assert site.slave_power_w(3) == pytest.approx(500 * 0.95 * (1 - math.exp(-1.5)), rel=1e-6)  # saturated
    grid = site.grid_power_w(1001.5001)
    bare = site.bare_power_w(1001.5001)
    assert grid[0] - bare[0] == pytest.approx(site.slave_power_w(7))
    assert grid[2] - bare[2] == pytest.approx(site.slave_power_w(3))


def test_the_steps_do_not_depend_on_who_asks_when() -> None:
    once, often = live(lambda slot, at_s: 10 * at_s), live(lambda slot, at_s: 10 * at_s)
    once.advance(1020.05)
    for at_s in np.linspace(1000.0, 1020.05, 777):
        often.advance(float(at_s))
    assert often.slave_power_w(7) == once.slave_power_w(7)
    once.advance(1010.0)  # the past is over
    assert often.slave_power_w(7) == once.slave_power_w(7)


def test_generating_slaves_lower_the_grid_power() -> None:
    site = live(lambda slot, at_s: 400.0, sign=-1.0)
    assert site.grid_power_w(1020.0)[0] == pytest.approx(site.bare_power_w(1020.0)[0] - 400, abs=1e-3)


def test_voltage_falls_with_import_and_rises_with_export() -> None:
    site = live(lambda slot, at_s: 0.0, start_s=6000.0)
    a, b, c = site.voltage_v(1000.0)
    assert a == pytest.approx(230 - 0.3 * 5000 / 230)
    assert c > b > 230 > a


@pytest.mark.parametrize(("metering", "exported_w"), [(Metering.NET, 900.0), (Metering.PER_PHASE, 1900.0)])
def test_energy_with_and_without_slaves(metering: Metering, exported_w: float) -> None:
    site = live(lambda slot, at_s: 400.0, start_s=2000.0, metering=metering)  # phase A imports 1 kW
    site.advance(1005.0)
    without = site.exported_without_wh
    assert without == pytest.approx(exported_w * 5 / 3600, rel=0.01)
    assert 0.2 * without < site.exported_wh < 0.95 * without


def test_import_minus_export_is_the_integral_of_the_power() -> None:
    site = live(lambda slot, at_s: 2000.0 if at_s < 1300.0 else 0.0, start_s=1500.0)
    flown_wh = 0.0
    for second in range(600):
        flown_wh += sum(site.grid_power_w(1000.5 + second)) / 3600.0
    site.advance(1600.0)
    assert site.imported_wh > 50.0
    assert site.exported_wh > 5.0
    assert site.imported_wh - site.exported_wh == pytest.approx(flown_wh, abs=0.5)


def test_a_long_sleep_is_skipped() -> None:
    steps = []
    site = live(lambda slot, at_s: steps.append(at_s) or 300.0)  # type: ignore[func-returns-value]
    site.advance(1000.0 + 7200.0)
    assert len(steps) <= 2 * 601
    assert site.slave_power_w(7) == pytest.approx(300.0)
    assert site.clock_s(8200.0) == pytest.approx(11 * 3600 + 7200)
