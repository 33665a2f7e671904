"""How often the supervisor's memory is written: as often as something could be lost, and seldom else."""

import asyncio
import itertools
from typing import Any, cast

from daemon.service.persistence import SAVE_AT_REST_S, SAVE_EVERY_S, Persistence
from safety.timers import PersistentFaults, start


async def saved_at_s(standing_at: dict[int, PersistentFaults], seconds: int) -> list[int]:
    """When it was written in a life of ticks of a second, given what stands from a second on."""
    nothing = cast(Any, None)
    saves: list[int] = []
    second = 0
    persistence = Persistence(lambda _standing: saves.append(second), nothing, nothing, nothing)
    standing = PersistentFaults()
    for second in range(seconds):
        standing = standing_at.get(second, standing)
        persistence._save(float(second), standing, now=False)
        if persistence._saving is not None:
            await asyncio.wait([persistence._saving])
    return saves


async def test_where_nothing_stands_it_is_written_once_a_minute() -> None:
    saves = await saved_at_s({}, 3600)
    assert [b - a for a, b in itertools.pairwise(saves)] == [int(SAVE_AT_REST_S)] * (len(saves) - 1)
    assert len(saves) == 60


async def test_a_time_that_runs_is_written_every_ten_seconds_and_the_first_time_at_once() -> None:
    standing = start(PersistentFaults(), "violation")
    saves = await saved_at_s({85: standing, 200: PersistentFaults()}, 400)
    assert saves[:3] == [0, 60, 85]
    assert [at for at in saves if 85 <= at < 200] == list(range(85, 200, int(SAVE_EVERY_S)))
    assert [at for at in saves if at >= 200] == [205, 265, 325, 385]
