"""Signals of a daemon, from its first moment to its last."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class Startup:
    """Whether the daemon still starts: then an order to stop ends the start, as there is nothing to rest."""

    over: bool = False
    interrupted: bool = False


@contextmanager
def heeded_signals(stopping: asyncio.Event, reload: asyncio.Event) -> Iterator[Startup]:
    """SIGTERM and SIGINT order the daemon to stop, SIGHUP asks it to look at its configuration.

    A start that was ended ends this block quietly.
    """
    running, task, startup = asyncio.get_running_loop(), asyncio.current_task(), Startup()
    assert task is not None

    def stop() -> None:
        stopping.set()
        if not startup.over and not startup.interrupted:
            startup.interrupted = True
            task.cancel()

    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload.set}
    for number, handler in handlers.items():
        running.add_signal_handler(number, handler)
    try:
        yield startup
    except asyncio.CancelledError:
        if not startup.interrupted:
            raise
        task.uncancel()
    finally:
        for number in handlers:
            running.remove_signal_handler(number)
