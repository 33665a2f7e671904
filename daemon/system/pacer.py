"""When the event loop may serve clients: seldom enough, and never while a tick is due."""

import asyncio
from collections.abc import Callable

BEFORE_TICK_S = 0.02
"""Nothing begins so shortly before a tick. The longest single piece of work takes 10 ms on a Pi 4."""
LOOK_EVERY_S = 0.01
PATIENCE_S = 1.0
"""A tick that takes longer than this (a meter that does not answer) does not make the page mute."""


class TickGap:
    """The part of a period in which no tick is due or under way.

    Args:
        clock: the clock of the ticks, in s.
        period_s: of the ticks.
        due_at_s: when the next tick is due; None where nothing ticks.
        lived_at_s: an instant within the tick that ended last.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        period_s: float,
        due_at_s: Callable[[], float] | None,
        lived_at_s: Callable[[], float],
    ) -> None:
        self._clock, self._period_s = clock, period_s
        self._due_at_s, self._lived_at_s = due_at_s, lived_at_s

    async def wait(self) -> None:
        """Return once there is a gap, or patience is at an end."""
        if self._due_at_s is None:
            return
        began_s = self._clock()
        while not self._is_open(self._due_at_s()) and self._clock() - began_s < PATIENCE_S:
            await asyncio.sleep(LOOK_EVERY_S)

    def _is_open(self, due_at_s: float) -> bool:
        margin_s = min(BEFORE_TICK_S, 0.25 * self._period_s)
        return self._clock() < due_at_s - margin_s and self._lived_at_s() >= due_at_s - self._period_s


class Pacer:
    """Gives turns, first come first served, at most `per_s` a second after `burst` at once."""

    def __init__(self, gap: TickGap, per_s: float, burst: int) -> None:
        self._gap, self._every_s, self._burst_s = gap, 1.0 / per_s, burst / per_s
        self._paid_until_s = 0.0
        self._queue = asyncio.Lock()

    async def turn(self) -> None:
        """Return when it is the caller's turn."""
        async with self._queue:
            await self._gap.wait()
            now_s = asyncio.get_running_loop().time()
            self._paid_until_s = max(self._paid_until_s, now_s - self._burst_s) + self._every_s
            if self._paid_until_s > now_s:
                await asyncio.sleep(self._paid_until_s - now_s)
                await self._gap.wait()
