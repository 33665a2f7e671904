"""Who looks at a running daemon: a scraper, a browser, and one who hangs up at once."""

import asyncio
import contextlib
import socket
from collections import Counter
from dataclasses import dataclass, field

from daemon.system.clock import boottime_s

SCRAPE_EVERY_S = 15.0
PAGE_EVERY_S = 2.0
"""An open page asks for what it has not seen yet."""
OPENED_EVERY_S = 300.0
ABORT_EVERY_S = 60.0
PATIENCE_S = 5.0


def free_port() -> int:
    """A TCP port on loopback that nobody uses now."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port: int = door.getsockname()[1]
        return port


async def get(port: int, path: str) -> str:
    """The body of an answer. Raises OSError, or TimeoutError after `PATIENCE_S`."""
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            answer = (await reader.read()).decode()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    head, _, body = answer.partition("\r\n\r\n")
    if not head.startswith("HTTP/1.1 200"):
        raise ConnectionError(head.split("\r\n")[0])
    return body


@dataclass
class Visitors:
    """All of them, at one port. `answered` and `failed` count by path."""

    port: int
    answered: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    async def visit(self) -> None:
        """Come again and again, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._every(SCRAPE_EVERY_S, "/metrics"))
            group.create_task(self._every(PAGE_EVERY_S, "/status.json"))
            group.create_task(self._every(OPENED_EVERY_S, "/"))
            group.create_task(self._abort())

    async def _every(self, pause_s: float, path: str) -> None:
        while True:
            await asyncio.sleep(pause_s)
            since = f"?since={boottime_s() - 2.0 * pause_s}" if path == "/status.json" else ""
            try:
                await get(self.port, path + since)
            except (OSError, TimeoutError):
                self.failed[path] += 1
            else:
                self.answered[path] += 1

    async def _abort(self) -> None:
        """Ask for something large and leave before it comes."""
        while True:
            await asyncio.sleep(ABORT_EVERY_S)
            for _ in range(8):
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.write(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    writer.transport.abort()
