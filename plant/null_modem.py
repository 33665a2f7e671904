"""Two pseudo-terminals joined back to back: a serial cable without hardware."""

import asyncio
import os
import tty


class NullModem:
    """Paths of both ends as `near` and `far`. Bytes pass at memory speed whatever the baud rate.

    Must be made inside a running event loop.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._masters, slaves = [], []
        for _ in range(2):
            master, slave = os.openpty()
            tty.setraw(slave)
            os.set_blocking(master, False)
            self._masters.append(master)
            slaves.append(slave)
        self._slaves = slaves  # kept open: a pty without an open end would hang up
        self.near, self.far = map(os.ttyname, slaves)
        one, other = self._masters
        self._loop.add_reader(one, self._forward, one, other)
        self._loop.add_reader(other, self._forward, other, one)

    def unplug(self) -> None:
        """Pull the cable: both ends see their port vanish."""
        masters, self._masters = self._masters, []
        for master in masters:
            self._loop.remove_reader(master)
        for fd in (*masters, *self._slaves):
            os.close(fd)
        self._slaves = []

    @staticmethod
    def _forward(source: int, sink: int) -> None:
        try:
            os.write(sink, os.read(source, 4096))
        except OSError:  # full or gone: a cable loses bytes, it does not complain
            return
