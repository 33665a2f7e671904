"""The accelerated site: when frames act, which one wins, what the meter shows, and the time to live."""

import math

import numpy as np
import pytest

from daemon.simulation.simulate import default_site
from plant.radio.link import LOST
from plant.site.actuators import Actuator, sample_actuators
from plant.site.stepped import SteppedSite, bare_grid_w
from plant.site.trace import Trace

SHARE = 1 - math.exp(-1 / 1.5)


def site(
    delays: list[list[int]], bare: float = -900.0, noise: float = 0.0, sign: float = 1.0, start: int = 0
) -> SteppedSite:
    seconds = len(delays)
    actuators = [Actuator(i, i % 3, 2000.0) for i in range(len(delays[0]))]
    return SteppedSite(
        np.full((seconds, 3), bare),
        actuators,
        np.array(delays, dtype=np.int8),
        np.full((seconds, 3), noise),
        sign,
        start,
    )


def test_a_frame_acts_after_its_delay_with_the_lag() -> None:
    far = site([[1, 2, LOST]] * 6)
    far.transmit((600, 600, 600))
    far.step()
    assert far.slaves_w == (0.0, 0.0, 0.0)
    far.step()
    assert far.slaves_w == pytest.approx((600 * SHARE, 0.0, 0.0))
    assert far.grid_w == pytest.approx((-900 + 600 * SHARE, -900.0, -900.0))
    far.step()
    assert far.slaves_w == pytest.approx((600 * (1 - (1 - SHARE) ** 2), 600 * SHARE, 0.0))


def test_generating_slaves_lower_the_grid_power() -> None:
    far = site([[1]] * 3, bare=500.0, sign=-1.0)
    far.transmit((300,))
    far.step()
    far.step()
    assert far.grid_w[0] == pytest.approx(500 - 300 * SHARE)


def test_an_older_frame_never_wins() -> None:
    far = site([[4], [1], [1], [1], [1], [1], [1]])
    far.transmit((1000,))
    far.step()
    far.transmit((200,))
    powers = []
    for _ in range(6):
        far.step()
        powers.append(far.slave_power_w(0))
    assert powers[1] == pytest.approx(200 * SHARE)
    assert max(powers) < 200


def test_the_meter_is_one_second_old_and_noisy() -> None:
    far = site([[1]] * 4, noise=5.0)
    assert far.meter_w == (-895.0,) * 3  # nothing lived yet: the slaves are at rest
    far.step()
    assert far.meter_w == (-895.0,) * 3
    assert far.grid_w == (-900.0,) * 3
    bare = np.arange(12.0).reshape(4, 3)
    later = SteppedSite(bare, [], np.zeros((4, 0), dtype=np.int8), np.zeros((4, 3)), 1.0, start_s=2)
    assert later.meter_w == (3.0, 4.0, 5.0)
    later.step()
    assert later.meter_w == later.bare_w == (6.0, 7.0, 8.0)


def test_slew_and_time_to_live() -> None:
    far = site([[1]] * 40)
    far.transmit((2000,))
    far.step()
    far.step()
    assert far.slave_power_w(0) == pytest.approx(1000 * SHARE)  # ramps with 1000 W/s
    for _ in range(14):
        far.step()
    before = far.slave_power_w(0)
    assert before == pytest.approx(2000, rel=0.01)
    far.step()  # heard in second 1, silent for 15 s in second 16: the fast ramp reaches 0 within a second
    assert far.slave_power_w(0) == pytest.approx(before * (1 - SHARE))


def test_the_actuators_are_drawn_from_their_ranges() -> None:
    slaves = default_site().slaves
    drawn = sample_actuators(np.random.default_rng(1), slaves)
    assert [a.slot for a in drawn] == [s.slot for s in slaves]
    assert all(0.95 <= a.gain <= 1.03 and 1.0 <= a.lag_s <= 2.0 and a.max_w == 1700 for a in drawn)
    assert drawn == sample_actuators(np.random.default_rng(1), slaves)


def test_the_day_without_slaves() -> None:
    trace = Trace("two seconds", np.array([[100.0, 200.0, 300.0]] * 2), np.array([900.0, 0.0]))
    assert bare_grid_w(trace, "3ph").tolist() == [[-200.0, -100.0, 0.0], [100.0, 200.0, 300.0]]
    assert bare_grid_w(trace, "B")[0].tolist() == [100.0, -700.0, 300.0]
