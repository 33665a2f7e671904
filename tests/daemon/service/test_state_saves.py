"""How often the supervisor's memory is written: as often as something could be lost, and seldom else."""

import asyncio
import itertools
from types import SimpleNamespace
from typing import Any, cast

from daemon.service.tick_observer import SAVE_AT_REST_S, SAVE_EVERY_S, TickRecorder
from safety.timers import PersistentFaults, start


async def saved_at_s(standing_at: dict[int, PersistentFaults], seconds: int) -> list[int]:
    """When it was written in a life of ticks of a second, given what stands from a second on."""
    nothing = cast(Any, None)
    saves: list[int] = []
    second = 0
    recorder = TickRecorder(
        nothing, nothing, nothing, nothing, nothing, lambda _watch: saves.append(second),
        nothing, nothing, nothing, nothing,
    )  # fmt: skip
    watch = SimpleNamespace(standing=PersistentFaults())
    recorder.loop = cast(Any, SimpleNamespace(memory=SimpleNamespace(watch=watch)))
    for second in range(seconds):
        watch.standing = standing_at.get(second, watch.standing)
        lived = cast(Any, SimpleNamespace(snapshot=SimpleNamespace(at_s=float(second))))
        recorder._save(lived, now=False)
        if recorder._saving is not None:
            await asyncio.wait([recorder._saving])
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
