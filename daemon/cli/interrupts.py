"""What Ctrl-C does while modules are imported."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread


@contextmanager
def plain_interrupts() -> Iterator[None]:
    """Ctrl-C ends the process without a word: raised inside an import, it would leave a traceback."""
    is_main = current_thread() is main_thread()  # nobody else may set what a signal does
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
