"""Commands that hold something open: whatever ends them, they close it first."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, the service manager, and a terminal or ssh session that is lost."""


def run_and_close(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine; the first signal cancels it and lets it close what it opened, more are ignored.

    Raises:
        KeyboardInterrupt: a signal ended it.
    """
    try:
        return asyncio.run(_cancelled_once(work))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _cancelled_once(work: Coroutine[Any, Any, T]) -> T:
    task = asyncio.ensure_future(work)
    told = False

    def stop() -> None:
        nonlocal told
        if not told:
            told = True
            task.cancel()

    running = asyncio.get_running_loop()
    for number in _SIGNALS:
        running.add_signal_handler(number, stop)
    try:
        return await task
    finally:
        for number in _SIGNALS:
            running.remove_signal_handler(number)
