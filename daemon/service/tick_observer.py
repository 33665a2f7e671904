"""Hands every tick to the journal, the figures, the log and the state file. Reads, never decides."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from core.causes import Cause
from core.decision import Decision, Source
from core.scheduling.orders import has_boosted
from core.site import PHASE_NAMES
from daemon.history.recorder import HistoryRecorder
from daemon.journal.records import Event, Tick
from daemon.journal.writer import Journal
from daemon.monitoring import messages
from daemon.monitoring.bus_watch import BusWatch
from daemon.monitoring.energy_check import EnergyCheck
from daemon.monitoring.figures import Figures
from daemon.monitoring.telemetry import Cost, MeterStatistics, ProcessStatistics, RadioStatistics
from daemon.owner.orders import OrderBook
from daemon.runtime.loop import Loop, TickResult
from daemon.runtime.snapshot_source import SnapshotSource
from daemon.service.policy_monitor import PolicyMonitor
from daemon.service.rollout_walker import RolloutWalker
from daemon.service.stuck_policy import StuckPolicy
from daemon.system.clock import unix_offset_s
from daemon.system.log import log
from drivers.errors import ConfigError
from drivers.zigbee.frame_counter import FrameCounter

JUDGE = "judge"
"""Its place among the totals."""
ALARMING = frozenset(
    (
        "acknowledge_refused",
        "bus_contention",
        "configuration_refused",
        "counter_leap_refused",
        "frame_counters_near_end",
        "loop_swings",
        "meter_energy_mismatch",
        "policy_self_test_failed",
        "policy_stuck",
        "policy_swap_refused",
        "restart_storm",
        "mode_leap_forced",
        "rollback",
        "rollout_back",
        "rollout_held",
        "rollout_ready",
        "slave_not_following",
        "slave_silent",
    )
)
"""Events that somebody has to do something about."""
SAVE_EVERY_S = 10.0
"""While a time runs: what is left of it is told to be more after a power cut, by so much at most."""
SAVE_AT_REST_S = 60.0
"""Where nothing stands: nothing could be lost, and what is written shows that the disk still takes it."""
TOTALS_EVERY_S = 300.0
"""Totals are for people: a power cut may cost five minutes of them, and an SD card lives longer."""


@dataclass(slots=True)
class TickRecorder:
    """Hands every tick to those who record and show it.

    `save` persists the supervisor's memory; it may block.

    `lived` is called last of all, when the tick has nothing left to do.
    """

    journal: Journal
    figures: Figures
    senses: SnapshotSource
    counter: FrameCounter
    zone: ZoneInfo
    save: Callable[[Any], None]
    meter_statistics: Callable[[], MeterStatistics]
    radio_statistics: Callable[[], RadioStatistics]
    energy_check: EnergyCheck
    keep_totals: Callable[[dict[str, Any]], None]
    refused_leaps: dict[int, int] = field(default_factory=dict)
    """By slot: a frame counter that a slave told and that was not believed."""
    dropped_log_lines: Callable[[], int] = int
    history: HistoryRecorder | None = None
    view: Callable[[], None] | None = None
    control: Callable[[TickResult], None] | None = None
    lived: Callable[[], None] | None = None
    loop: Loop | None = None
    judging: PolicyMonitor | None = None
    walker: RolloutWalker | None = None
    book: OrderBook | None = None
    _last: Decision | None = None
    _saved_at_s: float = float("-inf")
    _was_saved_at_rest: bool = False
    _saving: asyncio.Task[None] | None = None
    _owed: bool = False
    _reserving: asyncio.Task[None] | None = None
    _keeping: asyncio.Task[None] | None = None
    _owes_totals: bool = False
    _totals_at_s: float = float("-inf")
    _leaps_told: set[int] = field(default_factory=set)
    _is_end_told: bool = False
    _stuck: StuckPolicy = field(default_factory=StuckPolicy)
    _bus: BusWatch = field(default_factory=BusWatch)
    _astray: dict[int, str] = field(default_factory=dict)
    """By place: why a slave takes no full part, as it was told last."""

    def tell(self, lived: TickResult) -> None:
        """One tick: recorded, counted, shown."""
        changed = self._changed(lived.decision)
        tick = self._record(lived)
        self._check_energy(lived)
        self._check_bus(lived.snapshot.at_s)
        self._check_policy(lived)
        self._follow_orders(lived)
        self._count(lived)
        if self.history is not None:
            self.history.take(tick, self.figures)
        if changed:
            self._log(lived)
        self._save(lived, now=changed)
        self._reserve_counters()
        self._watch_counters(lived.snapshot.at_s)
        self._watch_slaves(lived)
        self._watch_gains(lived)
        self._keep_totals(lived.snapshot.at_s, now=self._rollback_changed(lived.decision))
        self.journal.flush_if_due(lived.snapshot.at_s, now=changed)
        self._last = lived.decision
        if self.control is not None:
            self.control(lived)
        if self.view is not None:
            self.view()
        if self.lived is not None:
            self.lived()

    def event(self, name: str, **detail: Any) -> None:
        """Something between ticks."""
        now_s = time.time()
        self.journal.put(Event(unix_s=now_s, event=name, detail=detail))
        if self.history is not None:
            self.history.event(now_s, name, detail)
        tell = log.warning if name in ALARMING else log.info
        tell(name, limit_key=f"{name} {detail}", **detail)  # another reason is another event

    async def close(self) -> None:
        """Write what is left."""
        for task in (self._saving, self._reserving, self._keeping):
            if task is not None:
                await asyncio.wait([task])
        self.keep_totals(self._carry())
        if self.walker is not None:
            await self.walker.close()
        if self.book is not None:
            await self.book.close()
        if self.history is not None:
            await asyncio.to_thread(self.history.stop)
        await self.journal.close()

    def _changed(self, decision: Decision) -> bool:
        last = self._last
        return last is None or decision.verdict != last.verdict

    def _record(self, lived: TickResult) -> Tick:
        reading = self.senses.reading
        tick = Tick(
            unix_s=round(lived.snapshot.at_s + unix_offset_s(), 3),
            mode=self.figures.about.mode,
            snapshot=lived.snapshot,
            authority=lived.assignment.authority,
            propensity=lived.assignment.propensity,
            block=lived.assignment.block,
            confounded=lived.assignment.confounded,
            decision=lived.decision,
            frames_hex=tuple(frame.hex() for frame in lived.sent.frames),
            accepted=lived.sent.accepted,
            meter_raw=() if reading is None else reading.raw,
        )
        self.journal.put(tick, lived.before)
        return tick

    def _check_energy(self, lived: TickResult) -> None:
        """Power against the meter's counters: told when they begin to disagree, and when that ends."""
        if not lived.decision.sight.fresh:
            return
        check, snapshot = self.energy_check, lived.snapshot
        disagreed = check.disagrees
        check.update(snapshot.at_s, snapshot.grid_power_w, self.senses.meter.energy)
        if check.disagrees is disagreed:
            return
        found = check.finding
        detail = {} if found is None else found.told()
        self.event("meter_energy_mismatch" if check.disagrees else "meter_energy_mismatch_over", **detail)
        self.figures.note(snapshot.at_s, messages.energy_check(found))

    def _check_bus(self, at_s: float) -> None:
        if self._bus.update(at_s, self.senses.meter.unasked_total):
            self.event("bus_contention", unasked=self.senses.meter.unasked_total)
            self.figures.note(at_s, "somebody else speaks on the meter's serial line")

    def _check_policy(self, lived: TickResult) -> None:
        decision, at_s = lived.decision, lived.snapshot.at_s
        sight = decision.sight
        # while a device is boosted, little or nothing is left to the policy, and it says so
        proposed_w = None if has_boosted(lived.snapshot) else decision.policy_action_w
        if self._stuck.update(at_s, proposed_w, sight.surplus_w, sight.capacity_w):
            self.event("policy_stuck", policy=self.figures.about.policy_name)
            self.figures.note(at_s, "the policy says the same for ten minutes, whatever the sun does")

    def _follow_orders(self, lived: TickResult) -> None:
        if self.book is not None:
            self.book.tell(lived.snapshot.slaves, lived.decision)
            self.figures.orders = self.book.orders

    def _count(self, lived: TickResult) -> None:
        inference_s = lived.inference_s if lived.decision.policy_action_w is not None else None
        self.figures.update(
            lived.snapshot,
            lived.decision,
            cost=Cost(lived.compute_s, max(0.0, lived.late_s), inference_s),
            frames_sent=len(lived.sent.frames) if lived.sent.accepted else 0,
            meter=self.meter_statistics(),
            radio=self.radio_statistics(),
            house=ProcessStatistics(
                self.dropped_log_lines(),
                self.journal.kept_bytes,
                self.journal.dropped_lines,
                0 if self.loop is None else self.loop.failed_total,
            ),
            judgements=None if self.judging is None else self.judging.judgements(),
            local=datetime.now(self.zone),
        )

    def _log(self, lived: TickResult) -> None:
        verdict = lived.decision.verdict
        tell = log.warning if verdict.source in (Source.REST, Source.HOLD) else log.info
        tell(
            "state",
            limit_key=f"state {verdict.state} {verdict.causes}",  # the newest is always told
            state=verdict.state.value,
            acting=verdict.source.value,
            causes=",".join(verdict.causes),
            grid_w=round(sum(lived.snapshot.grid_power_w)),
        )

    def _reserve_counters(self) -> None:
        """Ahead of need, beside the tick: taking a counter then never waits for the disk."""
        if self.counter.low and (self._reserving is None or self._reserving.done()):
            self._reserving = asyncio.create_task(asyncio.to_thread(self._reserve), name="counter")

    def _reserve(self) -> None:
        try:
            self.counter.reserve()
        except ConfigError as error:
            log.warning("frame_counters_not_reserved", reason=str(error))

    def _watch_counters(self, at_s: float) -> None:
        """A slave that lies about counters, and their end: each is told once in a life."""
        for slot, seen in self.refused_leaps.items():
            if slot not in self._leaps_told:
                self._leaps_told.add(slot)
                self.event("counter_leap_refused", slot=slot, counter=seen, last=self.counter.last)
                self.figures.note(at_s, f"slave {slot} told an impossible frame counter: {seen}")
        if self.counter.warning and not self._is_end_told:
            self._is_end_told = True
            self.event("frame_counters_near_end", reason=self.counter.warning)
            self.figures.note(at_s, "the frame counters are nearly used up: a new site key is needed")

    def _watch_slaves(self, lived: TickResult) -> None:
        """Slaves that fall silent or do not do what they are told, and their return: told once each.

        While the radio is down nobody can be heard, and that is told already.
        """
        if Cause.RADIO_DOWN in lived.snapshot.alarms:
            return
        now = messages.slaves_astray(lived.decision, lived.snapshot)
        for place in sorted(now.keys() | self._astray.keys()):
            why, before = now.get(place, ""), self._astray.get(place, "")
            if why == before:
                continue
            slave = self.figures.site.slaves[place]
            limit_w = next((o.limit_w for o in lived.decision.not_following if o.slave == place), None)
            name = {"": "slave_follows_again", messages.SILENT: "slave_silent"}.get(
                why, "slave_not_following"
            )
            detail: dict[str, Any] = {"limit_w": limit_w} if name == "slave_not_following" else {}
            self.event(name, slave=slave.name, slot=slave.slot, why=why or before, **detail)
            self.figures.note(lived.snapshot.at_s, f"{slave.name} {why or 'does what it is told again'}")
        self._astray = now

    def _watch_gains(self, lived: TickResult) -> None:
        """Every change of what is left of the gains after the loop has swung."""
        before = None if self._last is None else self._last.swinging
        now, share = lived.decision.swinging, lived.decision.gain_share
        if now == before:
            return
        acting = lived.decision.verdict.source.value
        if now is not None and (before is None or now.gain_share < before.gain_share):
            phase = PHASE_NAMES[now.phase]
            detail = {"phase": phase, "delay_s": now.delay_s, "lag_s": now.lag_s, "acting": acting}
            self.event("loop_swings", gain_share=round(share, 4), **detail)
            self.figures.note(lived.snapshot.at_s, f"control goes on {messages.swinging(now)}")
        else:
            self.event("gains_restored", gain_share=round(share, 4), acting=acting)
            self.figures.note(lived.snapshot.at_s, f"control goes on with {100.0 * share:.0f} % of its gains")

    def _rollback_changed(self, decision: Decision) -> bool:
        """Else a power cut could bring back the evidence that an operator has dismissed."""
        before = () if self._last is None else self._last.verdict.causes
        return (Cause.ROLLBACK in before) is not (Cause.ROLLBACK in decision.verdict.causes)

    def _keep_totals(self, at_s: float, *, now: bool) -> None:
        self._owes_totals |= now
        due = self._owes_totals or at_s - self._totals_at_s >= TOTALS_EVERY_S
        if not due or (self._keeping is not None and not self._keeping.done()):
            return
        self._owes_totals = False
        self._totals_at_s = at_s
        totals = self._carry()
        self._keeping = asyncio.create_task(asyncio.to_thread(self.keep_totals, totals), name="totals")

    def _carry(self) -> dict[str, Any]:
        """What a later run goes on with."""
        judged = {} if self.judging is None else {JUDGE: self.judging.carry()}
        return self.figures.carry() | judged

    def _save(self, lived: TickResult, *, now: bool) -> None:
        if self.loop is None:
            return
        at_s, watch = lived.snapshot.at_s, self.loop.memory.watch
        standing = watch.standing
        is_at_rest = not (standing.left_s or standing.recent_s or standing.latched)
        every_s = SAVE_AT_REST_S if is_at_rest and self._was_saved_at_rest else SAVE_EVERY_S
        if not (now or self._owed or at_s - self._saved_at_s >= every_s):
            return
        self._owed = self._saving is not None and not self._saving.done()
        if self._owed:  # the disk is slow: the next tick tries again
            return
        self._saved_at_s, self._was_saved_at_rest = at_s, is_at_rest
        self._saving = asyncio.create_task(asyncio.to_thread(self.save, watch), name="state")
