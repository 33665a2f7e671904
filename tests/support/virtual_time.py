"""An event loop whose time passes only while nobody has anything to do.

Everything else is real: sockets, pseudo-terminals, threads, the kernel between them. The clock of the loop,
the daemon's CLOCK_BOOTTIME, the wall clock and the fine clock that measures the policy stand still while code
runs, and jump to the next timer once no descriptor is ready and no thread is at work, so that a campaign
measures what the software decides and not how busy the machine is. What a machine adds is measured in real
time, on an idle one.
"""

import asyncio
import os
import selectors
import time
from collections.abc import Callable, Coroutine
from math import floor
from typing import Any, TypeVar
from unittest.mock import patch

import aiosqlite

SETTLE_S = 0.0015
"""Real time that the kernel gets to carry what was written to the other end, before time jumps. On a machine
with more to do than cores it gets as many times longer: pseudo-terminals are carried by a thread of the
kernel, which waits for its turn like everybody else. Loopback TCP needs none: the sender's own system call
carries it."""
THREADS_S = 0.02
"""Real time to wait for a thread before looking again."""
THREADS_MOST_S = 20.0
"""A thread that takes longer hangs: time passes without it."""
GRID_S = 0.005
"""Time stands on these instants: a timer goes off up to so much late, never early."""
T = TypeVar("T")


def _waiting() -> float:
    """How many processes there are for a core, at least one."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class _Idle(selectors.DefaultSelector):
    """Moves the loop's time instead of sleeping."""

    def __init__(self, settle_s: float) -> None:
        super().__init__()
        self.now_s = 1000.0
        self.threads = 0
        """Calls under way in other threads."""
        self._settle_s = settle_s
        self._waited_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0.0):
            return ready
        if timeout is None or (self.threads and self._waited_s < THREADS_MOST_S):
            ready = super().select(THREADS_S)
            self._waited_s = 0.0 if ready else self._waited_s + THREADS_S
            return ready
        ready = self._settle()
        if not ready:
            self.now_s = (floor((self.now_s + timeout) / GRID_S) + 1) * GRID_S
        return ready

    def _settle(self) -> list[tuple[selectors.SelectorKey, int]]:
        if self._settle_s > 0.0:
            return super().select(self._settle_s * _waiting())
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Asyncio's own loop on that selector."""

    def __init__(self, settle_s: float = SETTLE_S) -> None:
        self._idle = _Idle(settle_s)
        super().__init__(self._idle)

    def time(self) -> float:
        """Seconds since an arbitrary instant."""
        return self._idle.now_s

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """As ever; time waits for the thread."""
        future: asyncio.Future[Any] = super().run_in_executor(executor, func, *args)
        self.begin_thread()
        future.add_done_callback(self.end_thread)
        return future

    def begin_thread(self) -> None:
        """Something is handed to a thread."""
        self._idle.threads += 1

    def end_thread(self, _done: object = None) -> None:
        """It has come back."""
        self._idle.threads -= 1


DATABASE_CALLS = ("_connect", "_execute", "close")
"""Of an aiosqlite connection, each of which waits for the thread of the database."""


def _waited_for(call: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """The same call; time waits for it."""

    async def waited_for(*args: Any, **kwargs: Any) -> Any:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.begin_thread()
        try:
            return await call(*args, **kwargs)
        finally:
            loop.end_thread()

    return waited_for


def run(
    main: Coroutine[Any, Any, T],
    *,
    settle_s: float = SETTLE_S,
    real_inference: bool = False,
    began_unix_s: float | None = None,
) -> T:
    """Like `asyncio.run`, in virtual time; every clock follows it.

    Args:
        settle_s: 0 where no pseudo-terminal is in use.
        real_inference: how long the policy takes is what the machine takes.
        began_unix_s: the wall clock at the begin; else that of now.
    """
    loop = VirtualLoop(settle_s)
    wall_s = (time.time() if began_unix_s is None else began_unix_s) - loop.time()

    def now_s(*_clock: int) -> float:
        return loop.time()

    fine_clock = time.perf_counter if real_inference else now_s
    database: dict[str, Any] = {
        name: _waited_for(getattr(aiosqlite.Connection, name)) for name in DATABASE_CALLS
    }
    with (
        patch.object(time, "clock_gettime", now_s),
        patch.object(time, "perf_counter", fine_clock),
        patch.object(time, "time", lambda: wall_s + loop.time()),
        patch.multiple(aiosqlite.Connection, **database),
        asyncio.Runner(loop_factory=lambda: loop) as runner,
    ):
        return runner.run(main)
