"""When a radio that does not come back is a reason for a fresh process.

Inside one process the radio's libraries can get into a state in which no new attempt succeeds, while a new
process connects at once. A stick that is unplugged is no such case: then the daemon stays, and its page says
so.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from math import inf
from pathlib import Path
from urllib.parse import urlsplit

from daemon.errors import StartError
from drivers.zigbee.radio import ZigbeeRadio

GIVE_UP_S = 40.0
"""The radio makes a new attempt every few seconds; slaves rest after 15 s. 45 s after the coordinator fell
silent the process is over: it was seen up to 3 s later, and this watch needs up to 2 s."""
LOOK_EVERY_S = 1.0
REACH_S = 1.0


@asynccontextmanager
async def ended_without_radio(
    radio: ZigbeeRadio, path: str, clock: Callable[[], float], stopping: asyncio.Event
) -> AsyncIterator[None]:
    """Set `stopping` once the radio was down for `GIVE_UP_S` although its coordinator is there.

    Raises:
        StartError: at the end of the block, if that was what ended it.
    """
    watch = asyncio.create_task(_watch(radio, path, clock), name="radio watch")
    watch.add_done_callback(lambda _: stopping.set())
    try:
        yield
    finally:
        watch.cancel()
    if watch.done() and not watch.cancelled():
        raise StartError(watch.result())


async def _watch(radio: ZigbeeRadio, path: str, clock: Callable[[], float]) -> str:
    """Return, with the reason, when the radio is given up."""
    down_since_s = inf
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        now_s = clock()
        down_since_s = inf if radio.up else min(down_since_s, now_s)
        if now_s - down_since_s >= GIVE_UP_S and await is_there(path):
            problem = radio.problem or "no answer"
            return (
                f"[radio] not up for {GIVE_UP_S:.0f} s ({problem}), although {path} is there. "
                "The daemon ends, so that the service manager tries a new process."
            )


async def is_there(path: str) -> bool:
    """Whether the coordinator's port exists, or somebody accepts connections there."""
    if not path.startswith("socket://"):
        return Path(path).exists()
    place = urlsplit(path)
    with suppress(OSError, TimeoutError, ValueError):
        async with asyncio.timeout(REACH_S):
            _, writer = await asyncio.open_connection(place.hostname, place.port)
        writer.transport.abort()
        return True
    return False
