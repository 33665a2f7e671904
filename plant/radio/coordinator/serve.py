"""Where a host reaches the coordinator: a pseudo-terminal, or a TCP port. One host at a time."""

import asyncio
import contextlib
import logging
import os
import socket
import tty
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)

CHUNK_BYTES = 4096
LOOPBACK = "127.0.0.1"


class HostLink(Protocol):
    """What a host is connected to."""

    def attach(self, write: Callable[[bytes], None], hang_up: Callable[[], None]) -> None: ...
    def feed(self, data: bytes) -> None: ...
    def detach(self) -> None: ...


class PtyPort:
    """A pseudo-terminal: looks like the serial port of a stick. `path` is what the host opens."""

    def __init__(self, link: HostLink) -> None:
        """Open it and wait for a host. Raises OSError if the system has no terminal left."""
        self._loop = asyncio.get_running_loop()
        self._link = link
        # the far end stays open here, so that a host which leaves does not take the terminal with it
        self._near, self._far = os.openpty()
        tty.setraw(self._far)
        os.set_blocking(self._near, False)
        self.path = os.ttyname(self._far)
        self._unsent = bytearray()
        self._open = True
        self._loop.add_reader(self._near, self._readable)
        link.attach(self._write, self._hang_up)

    def _readable(self) -> None:
        try:
            data = os.read(self._near, CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            log.warning("virtual serial port failed: %s", error)
            self._hang_up()
            return
        self._link.feed(data)

    def _write(self, data: bytes) -> None:
        if self._open:
            self._unsent += data
            self._flush()

    def _flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._unsent:
                del self._unsent[: os.write(self._near, self._unsent)]
        if self._unsent:
            self._loop.add_writer(self._near, self._flush)
        else:
            self._loop.remove_writer(self._near)

    def _hang_up(self) -> None:
        """Pull the stick: the host sees its port fail."""
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._near)
        self._loop.remove_writer(self._near)
        os.close(self._near)
        os.close(self._far)
        self._link.detach()

    async def close(self) -> None:
        """Release everything."""
        self._hang_up()


class TcpPort:
    """A listening TCP port. `path` is what the host is told to open."""

    def __init__(self, server: asyncio.Server, closed: set["_HostConnection"]) -> None:
        self._server, self._connections = server, closed
        self.port: int = server.sockets[0].getsockname()[1]
        self.path = f"socket://{LOOPBACK}:{self.port}"

    @classmethod
    async def open(cls, link: HostLink, port: int = 0, host: str = LOOPBACK) -> "TcpPort":
        """Listen. Raises OSError if the port is taken."""
        connections: set[_HostConnection] = set()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _HostConnection(link, connections), host, port)
        return cls(server, connections)

    async def close(self) -> None:
        """Stop listening and drop the host."""
        self._server.close()
        gone = [connection.gone for connection in self._connections]
        for connection in tuple(self._connections):
            connection.hang_up()
        await asyncio.gather(*gone)
        await self._server.wait_closed()


class _HostConnection(asyncio.Protocol):
    """One host, or a second one that is turned away."""

    def __init__(self, link: HostLink, connections: set["_HostConnection"]) -> None:
        self._link, self._connections = link, connections
        self._transport: asyncio.Transport | None = None
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if self._connections:
            log.warning("a second host was refused")
            transport.abort()
            return
        self._connections.add(self)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._link.attach(transport.write, self.hang_up)

    def data_received(self, data: bytes) -> None:
        if self._transport is not None:
            self._link.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._transport = None
            self._connections.discard(self)
            self._link.detach()
        if not self.gone.done():
            self.gone.set_result(None)

    def hang_up(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()
