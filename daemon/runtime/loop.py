"""The tick loop: one tick per period, from the meter to the watchdog."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import inf, isfinite
from time import perf_counter

from core.airtime import choose_send
from core.causes import Cause
from core.decision import Authority, Decision, Send, Source, State, SupervisorDecision
from core.modes import Assignment
from core.parts import Memory, Parts
from core.site import ZERO
from core.snapshot import Snapshot
from core.tick import decide
from daemon.runtime.snapshot_source import SnapshotSource
from daemon.runtime.transmitter import Sent, Transmitter
from daemon.system.clock import TickPace
from daemon.system.log import log

FAILED_TICKS_MAX = 3
FAILED_TICKS_WITHIN_S = 60.0
FAREWELL_S = 1.7
"""How long the daemon waits, at its end, for the slaves to say that they rest."""
REPEAT_FAREWELL_S = 0.8
"""Who missed the first word hears the second; the reports of all slaves take 0.7 s on a site of nine."""
RELEASE_W_PER_S = 2500.0
"""A slave's own ramp on a safe release (docs/develop/setpoint-protocol.md)."""
AIR_S = 0.3
"""A broadcast has reached everybody."""


class TooManyFailures(Exception):
    """The tick failed again and again; the process ends and the service manager starts a fresh one."""


@dataclass(frozen=True, slots=True)
class TickResult:
    """One whole tick, for journal, metrics and views.

    `before` is the memory that it began with, `after` the one that it left; `failed_total` counts ticks that
    failed until now.
    """

    snapshot: Snapshot
    assignment: Assignment
    before: Memory
    decision: Decision
    sent: Sent
    late_s: float
    compute_s: float
    inference_s: float
    after: Memory
    failed_total: int = 0


@dataclass(slots=True)
class Loop:
    """The tick loop: reads, decides, sends, tells.

    `assignment` says who should act now; `policy_latency` is how long the policy took in the last
    decision; `lasting` gives causes that stand until something outside is mended; `between_ticks` is asked
    before every tick, with its number and the memory, for parts and memory that change; `judge` gives causes
    that the tick just lived has shown; `tell` is called with every tick that was lived; `pat` feeds the
    watchdog, last of all.
    """

    parts: Parts
    memory: Memory
    snapshot_source: SnapshotSource
    transmitter: Transmitter
    pace: TickPace
    clock: Callable[[], float]
    assignment: Callable[[], Assignment]
    policy_latency: Callable[[], float]
    tell: Callable[[TickResult], None]
    pat: Callable[[], None]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    acknowledged: list[str] = field(default_factory=list)
    lasting: Callable[[], tuple[Cause, ...]] = tuple
    between_ticks: Callable[[int, Memory], tuple[Parts, Memory] | None] = lambda *_: None
    judge: Callable[[TickResult], tuple[Cause, ...]] = lambda _lived: ()
    failed_total: int = 0
    _alarms: tuple[Cause, ...] = ()
    _tick: int = 0
    _last: TickResult | None = None
    _failed_at_s: list[float] = field(default_factory=list)

    async def run(self) -> None:
        """Tick until `stopping` is set, then bring every slave to rest.

        Raises:
            TooManyFailures: three ticks failed within a minute.
        """
        try:
            while not self.stopping.is_set():
                late_s = await self._next_deadline()
                if self.stopping.is_set():
                    break
                await self._guarded(late_s)
            await self._safe_shutdown()
        except Exception:
            await self._emergency_stop()
            raise

    async def _next_deadline(self) -> float:
        """How late this tick is. It comes early when what is on air may be held no longer."""
        waiting = asyncio.ensure_future(self.pace.wait())
        stop = asyncio.ensure_future(self.stopping.wait())
        hold_s = self.snapshot_source.rest_due_at_s - self.clock()
        await asyncio.wait(
            (waiting, stop),
            return_when=asyncio.FIRST_COMPLETED,
            timeout=max(0.0, hold_s) if isfinite(hold_s) else None,
        )
        stop.cancel()
        if waiting.done():
            return waiting.result()
        waiting.cancel()
        return 0.0

    async def _guarded(self, late_s: float) -> None:
        """One tick; an unforeseen error costs this tick and the next one rests."""
        try:
            await self._live(late_s, None)
        except Exception as error:
            now_s = self.clock()
            self.failed_total += 1
            self._failed_at_s = [t for t in self._failed_at_s if now_s - t < FAILED_TICKS_WITHIN_S] + [now_s]
            self._alarms = (*self._alarms, Cause.TICK_ERROR)
            log.exception("tick_failed", error=repr(error))
            if len(self._failed_at_s) >= FAILED_TICKS_MAX:
                raise TooManyFailures(repr(error)) from error
            return
        self.pat()

    async def _live(self, late_s: float, authority: Authority | None) -> TickResult:
        if (changed := self.between_ticks(self._tick, self.memory)) is not None:
            self.parts, self.memory = changed
        alarms = (*self._alarms, *self.lasting())
        acknowledged = tuple(self.acknowledged)
        snapshot = await self.snapshot_source.snapshot(
            self._tick, late_s, alarms, acknowledged, self.policy_latency()
        )
        assignment = self.assignment()
        if authority is not None:
            assignment = Assignment(authority, 0.0, assignment.block)
        before = self.memory
        started_s = perf_counter()
        decision, self.memory = decide(snapshot, assignment.authority, self.memory, self.parts)
        compute_s = perf_counter() - started_s
        self._alarms = ()  # heard: an alarm of a tick that failed before here comes again
        del self.acknowledged[: len(acknowledged)]
        sent = await self.transmitter.emit(decision, snapshot, self.clock)
        if sent.alarm:
            self._alarms = (sent.alarm,)
        self._tick += 1
        inference_s, after, failed = self.policy_latency(), self.memory, self.failed_total
        result = TickResult(
            snapshot, assignment, before, decision, sent, late_s, compute_s, inference_s, after, failed
        )
        self._last = result
        self._alarms = (*self._alarms, *self.judge(result))
        self.tell(result)
        return result

    async def _safe_shutdown(self) -> None:
        """Tell every slave to rest; wait until they say so and their ramp is over, or time is up."""
        began_s = self.clock()
        ramp_s = max(self.transmitter.on_air(began_s).setpoints_w, default=0) / RELEASE_W_PER_S
        spoken_at_s = -inf
        while self.clock() - began_s < FAREWELL_S and self.transmitter.up:
            if self.clock() - spoken_at_s >= REPEAT_FAREWELL_S:
                result = await self._live(0.0, Authority.REST)
                if result.sent.accepted:
                    spoken_at_s = self.clock()
            await asyncio.sleep(0.1)
            if self.transmitter.resting() and self.clock() - began_s >= ramp_s + AIR_S:
                break

    async def _emergency_stop(self) -> None:
        """Tell every slave to rest without what may have failed: no meter, no decision, no journal.

        As often as a farewell and as far as the air allows. Errors and silence of the radio are left alone:
        the slaves' time to live stands behind it.
        """
        if self._last is None:
            return
        site, bucket = self.transmitter.site, self.memory.bucket
        rest = replace(
            self._last.decision,
            verdict=SupervisorDecision(State.SAFE_STOP, (Cause.TICK_ERROR,)),
            setpoints_w=(0,) * len(site.slaves),
            send=Send.SAFE,
        )
        for pause_s in (REPEAT_FAREWELL_S, 0.0):
            with suppress(Exception):
                async with asyncio.timeout(REPEAT_FAREWELL_S):
                    now_s = self.clock()
                    air = self.transmitter.on_air(now_s)
                    send, bucket = choose_send(ZERO, Source.REST, air, now_s, bucket, site.airtime)
                    if send is Send.SAFE:
                        await self.transmitter.emit(rest, self._last.snapshot, self.clock)
            await asyncio.sleep(pause_s)
