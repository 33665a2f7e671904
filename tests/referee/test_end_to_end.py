"""The referee watches a whole site: real drivers, real wires, and a meter that fails and comes back."""

import asyncio
from math import inf
from pathlib import Path

from daemon.commissioning.embedded_site import site_key
from daemon.system.clock import boottime_s
from plant.radio.broadcast_limiter import BroadcastLimiter
from plant.simulated_site import slaves_of
from tests.referee.tap import RefereeProcess, Tap
from tests.support import virtual_time
from tests.support.full_daemon import until, whole

SLAVES = 6
MANY = 45
"""Two frames."""


def test_nothing_that_goes_on_air_breaks_a_rule(tmp_path: Path) -> None:
    referee = RefereeProcess()
    virtual_time.run(_live(tmp_path, referee))
    judgement = referee.finish()
    assert judgement.broken == []
    assert judgement.summary["frames"] > 8
    assert judgement.summary["answers"] > 60
    assert judgement.summary["step_share_max"] > 0.5  # the step limit was worth watching


async def _live(tmp_path: Path, referee: RefereeProcess) -> None:
    async with whole(tmp_path, slaves=SLAVES) as pair:
        tap = Tap(referee, "site", pair.far_end, boottime_s)
        tap.attach(slaves_of(SLAVES), site_key(tmp_path), period_s=0.2)
        faults = pair.far_end.meter.faults
        await until(lambda: sum(pair.reference_w().values()) > 3000.0, 20.0)
        faults.drop = 2
        await asyncio.sleep(1.0)
        faults.absent = True
        await until(lambda: set(pair.reference_w().values()) == {0.0}, 6.0)
        faults.absent = False
        await until(lambda: sum(pair.reference_w().values()) > 1000.0, 20.0)
        faults.mute = True
        await until(lambda: set(pair.reference_w().values()) == {0.0}, 6.0)
        faults.mute = False
        await pair.stop()
        tap.detach()


class RefusingSecond:
    """A coordinator that takes one frame and refuses what follows at once."""

    def __init__(self, limiter: BroadcastLimiter) -> None:
        self._limiter, self._taken_at_s, self.refused = limiter, -inf, 0

    def allow(self, at_s: float) -> bool:
        if at_s - self._taken_at_s < 0.2:
            self.refused += 1
            return False
        self._taken_at_s = at_s
        return self._limiter.allow(at_s)


def test_of_two_frames_one_may_be_refused_at_any_time(tmp_path: Path) -> None:
    referee = RefereeProcess()
    refused = virtual_time.run(_live_with_two_frames(tmp_path, referee))
    judgement = referee.finish()
    assert judgement.broken == []
    assert judgement.summary["frames"] > 16
    assert refused > 4


async def _live_with_two_frames(tmp_path: Path, referee: RefereeProcess) -> int:
    async with whole(tmp_path, slaves=MANY) as pair:
        tap = Tap(referee, "site", pair.far_end, boottime_s)
        tap.attach(slaves_of(MANY), site_key(tmp_path), period_s=0.2)
        air = pair.far_end.radio.air
        limiter = air.limiter
        assert limiter is not None
        refusing = RefusingSecond(limiter)
        await until(lambda: sum(pair.reference_w().values()) > 1000.0, 40.0)
        air.limiter = refusing  # type: ignore[assignment]
        await asyncio.sleep(25.0)
        air.limiter = limiter
        await asyncio.sleep(10.0)
        await pair.stop()
        tap.detach()
        return refusing.refused
