"""An event loop whose time passes only while nobody has anything to do.

Everything else is real: sockets, pseudo-terminals, the kernel between them. The clock of the loop and the
daemon's CLOCK_BOOTTIME stand still while code runs and jump to the next timer once no descriptor is ready, so
that a campaign measures what the software decides and not how busy the machine is. What a machine adds is
measured in real time, on an idle one.
"""

import asyncio
import os
import selectors
import time
from collections.abc import Coroutine
from math import floor
from typing import Any, TypeVar
from unittest.mock import patch

SETTLE_S = 0.0015
"""Real time that the kernel gets to carry what was written to the other end, before time jumps. On a machine
with more to do than cores it gets as many times longer: pseudo-terminals are carried by a thread of the
kernel, which waits for its turn like everybody else."""
THREADS_S = 0.02
"""Real time to wait for a thread when there is no timer at all."""
GRID_S = 0.005
"""Time stands on these instants: a timer goes off up to so much late, never early."""
JUMP_S = 0.02
"""Time passes in no larger steps, so that threads (the disk, the database) are not left behind."""
T = TypeVar("T")


def _waiting() -> float:
    """How many processes there are for a core, at least one."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class _Idle(selectors.DefaultSelector):
    """Moves the loop's time instead of sleeping."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0.0):
            return ready
        ready = super().select(THREADS_S if timeout is None else SETTLE_S * _waiting())
        if not ready and timeout is not None:
            self.now_s = (floor((self.now_s + min(timeout, JUMP_S)) / GRID_S) + 1) * GRID_S
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Asyncio's own loop on that selector."""

    def __init__(self) -> None:
        self._idle = _Idle()
        super().__init__(self._idle)

    def time(self) -> float:
        """Seconds since an arbitrary instant."""
        return self._idle.now_s


def run(main: Coroutine[Any, Any, T]) -> T:
    """Like `asyncio.run`, in virtual time; `daemon.system.clock.boottime_s` follows it."""
    loop = VirtualLoop()

    def clock_gettime(_clock: int) -> float:
        return loop.time()

    with (
        patch.object(time, "clock_gettime", clock_gettime),
        asyncio.Runner(loop_factory=lambda: loop) as runner,
    ):
        return runner.run(main)
