"""A process that works until it is killed."""

import os
import signal
import time
from collections.abc import Callable


def kill_after(life_s: float, work: Callable[[], None]) -> None:
    """Let a child work for so long, then kill it with SIGKILL."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(1)
    time.sleep(life_s)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), "the child ended by itself"
