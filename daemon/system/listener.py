"""Takes connections from a listening socket at a bounded rate: who waits, waits in the kernel."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

from daemon.system.pacer import Pacer

BACKLOG = 64
RETRY_S = 1.0
"""After the process ran out of descriptors."""


class BoundedListener:
    """Hands the connections of one listening socket to a protocol factory.

    asyncio's own server takes a whole backlog in one go, so that clients that connect and hang up could keep
    the loop busy for as long as they liked.

    Args:
        looks: turns to take a connection off the socket, and to drop it if its client has left already.
        admissions: turns to make one that is alive a connection of the protocol, which costs more.
    """

    def __init__(
        self,
        factory: Callable[[], asyncio.Protocol],
        listening: socket.socket,
        looks: Pacer,
        admissions: Pacer,
    ) -> None:
        listening.setblocking(False)
        self._factory, self._socket = factory, listening
        self._looks, self._admissions = looks, admissions
        self._task = asyncio.create_task(self._run(), name="listener")

    async def stop(self) -> None:
        """Take no more connections."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._socket.close()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._looks.turn()
            try:
                connection, _ = await loop.sock_accept(self._socket)
            except OSError:
                await asyncio.sleep(RETRY_S)
                continue
            with suppress(OSError):
                await self._admit(connection)

    async def _admit(self, connection: socket.socket) -> None:
        if _has_left(connection):
            connection.close()
            return
        try:
            await self._admissions.turn()
            await asyncio.get_running_loop().connect_accepted_socket(self._factory, connection)
        except BaseException:  # also when cancelled: nobody else knows of it yet
            connection.close()
            raise


def _has_left(connection: socket.socket) -> bool:
    """Whether the client has hung up while it waited: with a reset, or without a word."""
    if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        return True
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
