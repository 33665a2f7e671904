"""Asks the daemon's status page for those who are logged in, at a bounded rate."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

PATHS = ("/", "/status.json", "/history.json")
"""What people in the house may read. Metrics and health are for machines on the controller itself."""
TIMEOUT_S = 5.0
FRESH_S = 0.5
"""An answer of this age is given to others who ask the same."""
KEPT_MAX = 64
_PASSED_ON = ("Content-Type", "Content-Security-Policy", "Cache-Control")


@dataclass(frozen=True, slots=True)
class Relayed:
    """One answer of the daemon."""

    at_s: float
    status: int
    body: bytes
    headers: dict[str, str]

    def response(self) -> web.Response:
        """The same for a reader."""
        return web.Response(status=self.status, body=self.body, headers=self.headers)


@dataclass(slots=True)
class Relay:
    """A reader of one daemon.

    Args:
        origin: of the status page, such as ``http://127.0.0.1:9108``.
    """

    session: aiohttp.ClientSession
    origin: str
    clock: Callable[[], float] = time.monotonic
    _kept: OrderedDict[str, Relayed] = field(default_factory=OrderedDict)
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def answer(self, path: str, query: str) -> web.Response:
        """What the daemon says to one of `PATHS`; never raises for a daemon that is away."""
        if path not in PATHS:
            return web.Response(status=404, text="Not here.\n")
        target = f"{path}?{query[:200]}" if query else path
        async with self._asking:
            kept = self._kept.get(target)
            if kept is None or not 0.0 <= self.clock() - kept.at_s < FRESH_S:
                kept = await self._ask(target)
                self._kept[target] = kept
                self._kept.move_to_end(target)
                while len(self._kept) > KEPT_MAX:
                    self._kept.popitem(last=False)
        return kept.response()

    async def _ask(self, target: str) -> Relayed:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with self.session.get(
                self.origin + target, timeout=timeout, allow_redirects=False
            ) as found:
                body = await found.read()
                headers = {name: found.headers[name] for name in _PASSED_ON if name in found.headers}
                return Relayed(self.clock(), found.status, body, headers)
        except (TimeoutError, aiohttp.ClientError, OSError):
            text = b"The controller does not answer. Every device goes to rest by itself.\n"
            return Relayed(self.clock(), 503, text, {"Content-Type": "text/plain; charset=utf-8"})
