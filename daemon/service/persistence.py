"""What outlives the process, written beside the ticks: the supervisor's memory, frame counters, totals."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.causes import Cause
from core.decision import Decision
from daemon.runtime.loop import TickResult
from daemon.system.log import log
from drivers.errors import ConfigError
from drivers.zigbee.frame_counter import FrameCounter
from safety.timers import PersistentFaults

SAVE_EVERY_S = 10.0
"""While a time runs: what is left of it is told to be more after a power cut, by so much at most."""
SAVE_AT_REST_S = 60.0
"""Where nothing stands: nothing could be lost, and what is written shows that the disk still takes it."""
TOTALS_EVERY_S = 300.0
"""Totals are for people: a power cut may cost five minutes of them, and an SD card lives longer."""


@dataclass(slots=True)
class Persistence:
    """Writes when it is due, each file in a task of its own; a slow disk holds up no tick.

    `save` writes what stands and `keep_totals` the totals; both may block. `carry` gives what a later run
    goes on with.
    """

    save: Callable[[PersistentFaults], None]
    counter: FrameCounter
    keep_totals: Callable[[dict[str, Any]], None]
    carry: Callable[[], dict[str, Any]]
    _last: Decision | None = None
    _saved_at_s: float = float("-inf")
    _was_saved_at_rest: bool = False
    _saving: asyncio.Task[None] | None = None
    _owed: bool = False
    _reserving: asyncio.Task[None] | None = None
    _keeping: asyncio.Task[None] | None = None
    _owes_totals: bool = False
    _totals_at_s: float = float("-inf")

    def tell(self, result: TickResult) -> None:
        """One tick: what is due is begun."""
        last, now, at_s = self._last, result.decision, result.snapshot.at_s
        self._last = now
        self._save(at_s, result.after.watch.standing, now=last is None or now.verdict != last.verdict)
        self._reserve_counters()
        before = () if last is None else last.verdict.causes
        # else a power cut could bring back the evidence that an operator has dismissed
        rollback_changed = (Cause.ROLLBACK in before) is not (Cause.ROLLBACK in now.verdict.causes)
        self._keep_totals(at_s, now=rollback_changed)

    async def close(self) -> None:
        """Wait for what is being written, and write the totals once more."""
        for task in (self._saving, self._reserving, self._keeping):
            if task is not None:
                await asyncio.wait([task])
        self.keep_totals(self.carry())

    def _save(self, at_s: float, standing: PersistentFaults, *, now: bool) -> None:
        is_at_rest = not (standing.left_s or standing.recent_s or standing.latched)
        every_s = SAVE_AT_REST_S if is_at_rest and self._was_saved_at_rest else SAVE_EVERY_S
        if not (now or self._owed or at_s - self._saved_at_s >= every_s):
            return
        self._owed = self._saving is not None and not self._saving.done()
        if self._owed:  # the disk is slow: the next tick tries again
            return
        self._saved_at_s, self._was_saved_at_rest = at_s, is_at_rest
        self._saving = asyncio.create_task(asyncio.to_thread(self.save, standing), name="state")

    def _reserve_counters(self) -> None:
        """Ahead of need, beside the tick: taking a counter then never waits for the disk."""
        if self.counter.low and (self._reserving is None or self._reserving.done()):
            self._reserving = asyncio.create_task(asyncio.to_thread(self._reserve), name="counter")

    def _reserve(self) -> None:
        try:
            self.counter.reserve()
        except ConfigError as error:
            log.warning("frame_counters_not_reserved", reason=str(error))

    def _keep_totals(self, at_s: float, *, now: bool) -> None:
        self._owes_totals |= now
        due = self._owes_totals or at_s - self._totals_at_s >= TOTALS_EVERY_S
        if not due or (self._keeping is not None and not self._keeping.done()):
            return
        self._owes_totals = False
        self._totals_at_s = at_s
        totals = self.carry()
        self._keeping = asyncio.create_task(asyncio.to_thread(self.keep_totals, totals), name="totals")
