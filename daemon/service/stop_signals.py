"""What a daemon is asked to do from outside, from its first moment to its last."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Requests:
    """Requests to stop and to look at the configuration.

    While the daemon starts, a request to stop ends the start, as there is nothing to bring to rest.
    """

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)
    is_started: bool = False
    is_interrupted: bool = False


@contextmanager
def heeded_signals(requests: Requests) -> Iterator[None]:
    """SIGTERM and SIGINT request the daemon to stop, SIGHUP to look at its configuration.

    A start that was ended ends this block quietly.
    """
    running, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def stop() -> None:
        requests.stop.set()
        if not requests.is_started and not requests.is_interrupted:
            requests.is_interrupted = True
            task.cancel()

    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: requests.reload.set}
    for number, handler in handlers.items():
        running.add_signal_handler(number, handler)
    try:
        yield
    except asyncio.CancelledError:
        if not requests.is_interrupted:
            raise
        task.uncancel()
    finally:
        for number in handlers:
            running.remove_signal_handler(number)
