"""A way to a terminal that never makes the loop wait."""

import io
import os
import select

FAREWELL_S = 0.5
"""How long leaving waits for a terminal that takes no output."""


class Screen(io.TextIOBase):
    """Output that never waits: a terminal that takes none (Ctrl-S, a stalled ssh) loses frames instead.

    It opens the terminal anew, because a descriptor's blocking mode is shared with the shell.
    """

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = os.open(os.ttyname(fd), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        self._parts: list[str] = []
        self._pending = b""
        self.frames_lost = 0

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, text: str, /) -> int:
        self._parts.append(text)
        return len(text)

    def flush(self) -> None:
        frame = "".join(self._parts).encode()
        self._parts.clear()
        if self._pending:
            self._put()
        if self._pending and frame:  # never cut a frame: what has begun ends, what has not is lost
            self.frames_lost += 1
            return
        self._pending = self._pending or frame
        self._put()

    def _put(self) -> None:
        try:
            self._pending = self._pending[os.write(self._fd, self._pending) :]
        except BlockingIOError:
            return
        except OSError:  # the terminal is gone
            self._pending = b""

    def close(self) -> None:
        """Leave the alternate screen even when frames were lost, if the terminal still takes output."""
        if self.closed:
            return
        if self.frames_lost:
            self._pending += b"\x1b[?1049l\x1b[?25h"
        for _ in range(5):
            if not self._pending:
                break
            select.select([], [self._fd], [], FAREWELL_S / 5)
            self._put()
        os.close(self._fd)
        super().close()
