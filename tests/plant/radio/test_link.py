"""The radio's chances: its shares, its bursts, what extra delay does, and which frame a slave follows."""

import numpy as np
import pytest

from plant.radio import link
from plant.radio.link import LOST, PERFECT, Link, draw_delays, draw_link, draw_noise, followed_ages

SITE = Link((0.25, 0.45, 0.30), hop=0.3, loss=0.03)


def test_shares_of_delay_and_loss() -> None:
    delays = draw_delays(np.random.default_rng(1), SITE, 40_000, 6)
    arrived = delays[delays != LOST]
    assert arrived.min() == 1
    assert arrived.max() == link.LONGEST_S
    lost = (delays == LOST).mean()
    assert lost == pytest.approx(0.03 + 3 / 1200, abs=0.004)  # bursts last 3 s on average
    shares = [(arrived == age).mean() for age in range(1, 5)]
    no_second, one_second = 0.7 * 0.96, 0.3 * 0.96 + 0.7 * 0.04
    assert shares[0] == pytest.approx(0.25 * no_second, abs=0.01)
    assert shares[1] == pytest.approx(0.45 * no_second + 0.25 * one_second, abs=0.01)


def test_common_waiting_is_common() -> None:
    common_only = Link((0.5, 0.0, 0.5), hop=0.0, loss=0.0, jitter=0.0, burst_every_s=np.inf)
    delays = draw_delays(np.random.default_rng(2), common_only, 500, 4)
    assert set(np.unique(delays)) == {1, 3}
    assert (delays == delays[:, :1]).all()


def test_bursts_deafen_everybody() -> None:
    bursts = Link((1.0, 0.0, 0.0), hop=0.0, loss=0.0, jitter=0.0, burst_every_s=200.0)
    lost = draw_delays(np.random.default_rng(3), bursts, 20_000, 3) == LOST
    assert (lost == lost[:, :1]).all()
    assert 0.008 < lost.mean() < 0.022


@pytest.mark.parametrize(("extra", "added"), [(0.0, {0}), (2.0, {2}), (1.5, {1, 2}), (60.0, {60})])
def test_extra_delay_changes_nothing_else(extra: float, added: set[int]) -> None:
    plain = draw_delays(np.random.default_rng(4), SITE, 2000, 3)
    late = draw_delays(np.random.default_rng(4), SITE, 2000, 3, extra)
    kept = plain != LOST
    assert ((late == LOST) == ~kept).all()
    difference = late[kept].astype(int) - plain[kept]
    assert set(np.unique(difference)) == added
    assert difference.mean() == pytest.approx(extra, abs=0.05)


def test_the_same_seed_draws_the_same_site() -> None:
    one, two = (draw_link(np.random.default_rng(9)) for _ in range(2))
    assert one == two
    assert one.common in link.COMMON_SHARES
    assert link.LOSS_RANGE[0] <= one.loss <= link.LOSS_RANGE[1]
    noise = draw_noise(np.random.default_rng(9), 20_000)
    assert noise.std() == pytest.approx(8.0, rel=0.02)


def test_the_newest_frame_that_arrived_is_followed() -> None:
    delays = np.array([[1], [3], [1], [LOST], [2], [1]], dtype=np.int8)
    #                    arrives at 1, 4, 3, never, 6, 6
    assert followed_ages(delays, oldest_s=5)[:, 0].tolist() == [5, 1, 2, 1, 2, 3]
    assert (followed_ages(draw_delays(np.random.default_rng(0), PERFECT, 9, 2))[1:] == 1).all()
