"""Hands every tick to the journal, the figures and the log. Reads, never decides."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from core.causes import Cause
from core.decision import Decision, Source
from core.scheduling.orders import has_boosted
from core.site import PHASE_NAMES
from daemon.journal.records import Tick
from daemon.monitoring import messages
from daemon.monitoring.bus_watch import BusWatch
from daemon.monitoring.energy_check import EnergyCheck
from daemon.monitoring.figures import Figures
from daemon.monitoring.telemetry import Cost, Judgements, MeterStatistics, ProcessStatistics, RadioStatistics
from daemon.policy.stuck_policy import StuckPolicy
from daemon.runtime.loop import TickResult
from daemon.runtime.snapshot_source import SnapshotSource
from daemon.service.event_log import EventLog
from daemon.system.clock import unix_offset_s
from daemon.system.log import log
from drivers.zigbee.frame_counter import FrameCounter


@dataclass(slots=True)
class TickRecorder:
    """Hands every tick to those who record and show it; `judgements` is what the policy monitor found."""

    events: EventLog
    figures: Figures
    snapshot_source: SnapshotSource
    counter: FrameCounter
    zone: ZoneInfo
    meter_statistics: Callable[[], MeterStatistics]
    radio_statistics: Callable[[], RadioStatistics]
    judgements: Callable[[], Judgements]
    energy_check: EnergyCheck
    refused_leaps: dict[int, int] = field(default_factory=dict)
    """By slot: a frame counter that a slave told and that was not believed."""
    dropped_log_lines: Callable[[], int] = int
    _last: Decision | None = None
    _leaps_told: set[int] = field(default_factory=set)
    _is_end_told: bool = False
    _stuck: StuckPolicy = field(default_factory=StuckPolicy)
    _bus: BusWatch = field(default_factory=BusWatch)
    _astray: dict[int, str] = field(default_factory=dict)
    """By place: why a slave takes no full part, as it was told last."""

    def tell(self, result: TickResult) -> None:
        """One tick: recorded, counted, shown."""
        changed = self._changed(result.decision)
        tick = self._record(result)
        self._check_energy(result)
        self._check_bus(result.snapshot.at_s)
        self._check_policy(result)
        self._count(result)
        if self.events.history is not None:
            self.events.history.take(tick, self.figures)
        if changed:
            self._log(result)
        self._watch_counters(result.snapshot.at_s)
        self._watch_slaves(result)
        self._watch_gains(result)
        self.events.journal.flush_if_due(result.snapshot.at_s, now=changed)
        self._last = result.decision

    def _changed(self, decision: Decision) -> bool:
        last = self._last
        return last is None or decision.verdict != last.verdict

    def _record(self, result: TickResult) -> Tick:
        reading = self.snapshot_source.reading
        tick = Tick(
            unix_s=round(result.snapshot.at_s + unix_offset_s(), 3),
            mode=self.figures.about.mode,
            snapshot=result.snapshot,
            authority=result.assignment.authority,
            propensity=result.assignment.propensity,
            block=result.assignment.block,
            confounded=result.assignment.confounded,
            decision=result.decision,
            frames_hex=tuple(frame.hex() for frame in result.sent.frames),
            accepted=result.sent.accepted,
            meter_raw=() if reading is None else reading.raw,
        )
        self.events.journal.put(tick, result.before)
        return tick

    def _check_energy(self, result: TickResult) -> None:
        """Power against the meter's counters: told when they begin to disagree, and when that ends."""
        if not result.decision.estimate.fresh:
            return
        check, snapshot = self.energy_check, result.snapshot
        disagreed = check.disagrees
        check.update(snapshot.at_s, snapshot.grid_power_w, self.snapshot_source.meter.energy)
        if check.disagrees is disagreed:
            return
        found = check.finding
        detail = {} if found is None else found.told()
        self.events.record(
            "meter_energy_mismatch" if check.disagrees else "meter_energy_mismatch_over", **detail
        )
        self.figures.note(snapshot.at_s, messages.energy_check(found))

    def _check_bus(self, at_s: float) -> None:
        if self._bus.update(at_s, self.snapshot_source.meter.unasked_total):
            self.events.record("bus_contention", unasked=self.snapshot_source.meter.unasked_total)
            self.figures.note(at_s, "somebody else speaks on the meter's serial line")

    def _check_policy(self, result: TickResult) -> None:
        decision, at_s = result.decision, result.snapshot.at_s
        estimate = decision.estimate
        # while a device is boosted, little or nothing is left to the policy, and it says so
        proposed_w = None if has_boosted(result.snapshot) else decision.policy_action_w
        if self._stuck.update(at_s, proposed_w, estimate.surplus_w, estimate.capacity_w):
            self.events.record("policy_stuck", policy=self.figures.about.policy_name)
            self.figures.note(at_s, "the policy says the same for ten minutes, whatever the sun does")

    def _count(self, result: TickResult) -> None:
        inference_s = result.inference_s if result.decision.policy_action_w is not None else None
        self.figures.update(
            result.snapshot,
            result.decision,
            cost=Cost(result.compute_s, max(0.0, result.late_s), inference_s),
            frames_sent=len(result.sent.frames) if result.sent.accepted else 0,
            meter=self.meter_statistics(),
            radio=self.radio_statistics(),
            house=ProcessStatistics(
                self.dropped_log_lines(),
                self.events.journal.kept_bytes,
                self.events.journal.dropped_lines,
                result.failed_total,
                self.events.journal.problem,
            ),
            judgements=self.judgements(),
            local=datetime.now(self.zone),
        )

    def _log(self, result: TickResult) -> None:
        verdict = result.decision.verdict
        tell = log.warning if verdict.source in (Source.REST, Source.HOLD) else log.info
        tell(
            "state",
            limit_key=f"state {verdict.state} {verdict.causes}",  # the newest is always told
            state=verdict.state.value,
            acting=verdict.source.value,
            causes=",".join(verdict.causes),
            grid_w=round(sum(result.snapshot.grid_power_w)),
        )

    def _watch_counters(self, at_s: float) -> None:
        """A slave that lies about counters, and their end: each is told once in a life."""
        for slot, seen in self.refused_leaps.items():
            if slot not in self._leaps_told:
                self._leaps_told.add(slot)
                self.events.record("counter_leap_refused", slot=slot, counter=seen, last=self.counter.last)
                self.figures.note(at_s, f"slave {slot} told an impossible frame counter: {seen}")
        if self.counter.warning and not self._is_end_told:
            self._is_end_told = True
            self.events.record("frame_counters_near_end", reason=self.counter.warning)
            self.figures.note(at_s, "the frame counters are nearly used up: a new site key is needed")

    def _watch_slaves(self, result: TickResult) -> None:
        """Slaves that fall silent or do not do what they are told, and their return: told once each.

        While the radio is down nobody can be heard, and that is told already.
        """
        if Cause.RADIO_DOWN in result.snapshot.alarms:
            return
        now = messages.slaves_astray(result.decision, result.snapshot)
        for place in sorted(now.keys() | self._astray.keys()):
            why, before = now.get(place, ""), self._astray.get(place, "")
            if why == before:
                continue
            slave = self.figures.site.slaves[place]
            limit_w = next((o.limit_w for o in result.decision.not_following if o.slave == place), None)
            name = {"": "slave_follows_again", messages.SILENT: "slave_silent"}.get(
                why, "slave_not_following"
            )
            detail: dict[str, Any] = {"limit_w": limit_w} if name == "slave_not_following" else {}
            self.events.record(name, slave=slave.name, slot=slave.slot, why=why or before, **detail)
            self.figures.note(result.snapshot.at_s, f"{slave.name} {why or 'does what it is told again'}")
        self._astray = now

    def _watch_gains(self, result: TickResult) -> None:
        """Every change of what is left of the gains after the loop has swung."""
        before = None if self._last is None else self._last.swinging
        now, share = result.decision.swinging, result.decision.gain_share
        if now == before:
            return
        acting = result.decision.verdict.source.value
        if now is not None and (before is None or now.gain_share < before.gain_share):
            phase = PHASE_NAMES[now.phase]
            detail = {"phase": phase, "delay_s": now.delay_s, "lag_s": now.lag_s, "acting": acting}
            self.events.record("loop_swings", gain_share=round(share, 4), **detail)
            self.figures.note(result.snapshot.at_s, f"control goes on {messages.swinging(now)}")
        else:
            self.events.record("gains_restored", gain_share=round(share, 4), acting=acting)
            self.figures.note(
                result.snapshot.at_s, f"control goes on with {100.0 * share:.0f} % of its gains"
            )
