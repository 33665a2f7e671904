"""Takes orders of the owner to the daemon, for the page and for programs alike, at a bounded rate."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from daemon.lan.logins import TriesLeft
from daemon.system.log import log

ORDERS, ORDER_AGAIN_S = 20, 3.0
"""Orders in a row, and seconds until one more is taken: each is a save on the daemon's disk."""
READ_ONLY = 'The controller takes no orders from here. Set [lan] commands = "accepted" to change that.'


@dataclass(slots=True)
class OrderDesk:
    """Where orders are left.

    Args:
        status: the daemon's newest status document, None where it does not answer.
        command: puts one request to the daemon; raises OSError or ValueError where nobody answers. None where
            the configuration accepts no orders.
    """

    status: Callable[[], Awaitable[dict[str, Any] | None]]
    command: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]] | None = None
    clock: Callable[[], float] = time.monotonic
    _left: TriesLeft = field(default_factory=lambda: TriesLeft(ORDERS, 0.0))

    async def put(self, request: dict[str, Any], who: str) -> tuple[int, str]:
        """One order of somebody who may give it: a status of HTTP, and what to say."""
        if self.command is None:
            return 403, READ_ONLY
        if not self._left.take(self.clock(), ORDERS, ORDER_AGAIN_S):
            return 429, "Too many orders. Wait some seconds."
        try:
            answer = await self.command(request)
        except (OSError, ValueError):
            return 503, "The controller does not answer."
        refused = answer.get("refused")
        log.info("house_order", request=request, who=who, refused=refused)
        return (200, "Done.") if refused is None else (409, f"Not done: {refused}")
