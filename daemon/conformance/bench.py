"""One slave at the far end of the real radio stack: cleared frames out, reports in, with their instants."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from core.limits import CREDIT_MAX_S
from core.site import ZERO, Site
from core.snapshot import SlaveState, Snapshot
from daemon.conformance.bad_frames import GoodFrame
from daemon.runtime.direct_decision import direct_decision
from daemon.runtime.on_air import OnAir
from drivers.errors import Transient
from drivers.zigbee.coordinator import Coordinator
from drivers.zigbee.frame_counter import FrameCounter
from drivers.zigbee.link_quality import REPLY_AFTER_S, REPLY_JITTER_S, REPLY_SLOT_S
from drivers.zigbee.setpoint_frame import (
    FrameError,
    SetpointFrame,
    SlaveReport,
    decode,
    decode_report,
    encode,
    frames_needed,
    unwrap_report,
    wrap,
)
from safety.gate import SafetyGate

TTL_S = 15
TRIES = 3
LOOK_EVERY_S = 0.01
TIMING_SLACK_S = 0.01
"""Of clocks and of the serial line, for a report that comes early."""
LATE_S = 0.6
"""How much later than its time slot a report is waited for: two or three hops on a busy network."""


@dataclass(frozen=True, slots=True)
class BenchFrame:
    """One frame that was handed over. It reached the slave between the two instants.

    `arrived_s` is None when nobody acknowledged it; of a broadcast nobody does, and it is when the
    coordinator had it.
    """

    counter: int
    began_s: float
    arrived_s: float | None

    @property
    def by_s(self) -> float:
        """When it had arrived, if it did."""
        return self.began_s if self.arrived_s is None else self.arrived_s


@dataclass(frozen=True, slots=True)
class HeardFrame:
    """A frame of the setpoint cluster that arrived. `report` is None when it is no sound report."""

    at_s: float
    address: int
    zcl: bytes
    report: SlaveReport | None
    problem: str = ""


class SlaveBench:
    """Tells one slave what safety has cleared, and listens.

    Args:
        app: a running coordinator.
        site: with the slave under test alone.
        key: the site key.
        agreed_w: the most that the slave is told, or may take for told.
        clock: monotonic seconds.

    Attributes:
        heard: everything of the setpoint cluster that arrived.
        last_counter: of the last good frame that the slave has reported.
        answered: frames and when their report arrived.
    """

    def __init__(
        self,
        app: Coordinator,
        site: Site,
        key: bytes,
        counter: FrameCounter,
        agreed_w: int,
        clock: Callable[[], float],
    ) -> None:
        (self.slave,) = site.slaves
        self.agreed_w = agreed_w
        self.site, self.key, self.counter, self.clock = site, key, counter, clock
        self.network_id = app.network.network_id
        self.address: int | None = None
        self.heard: list[HeardFrame] = []
        self.last_counter = 0
        self.answered: list[tuple[BenchFrame, float]] = []
        self._app, self._gate = app, SafetyGate(site)
        self._on_air = OnAir(site, TTL_S)
        app.on_report = self._hear

    @property
    def slot_delay_s(self) -> tuple[float, float]:
        """Earliest and latest time between a frame and its report."""
        first_s = REPLY_AFTER_S + REPLY_SLOT_S * self.slave.slot
        return first_s, first_s + REPLY_JITTER_S

    # --- out -------------------------------------------------------------------------------------

    async def rest_everybody(self, site: Site) -> None:
        """Broadcast a safe release to all slaves of a site, and ask for reports. Raises Transient."""
        slots = {slave.slot: 0 for slave in site.slaves}
        payloads = encode(
            slots,
            counter=self.counter.take(frames_needed(slots)),
            ttl_s=TTL_S,
            key=self.key,
            network_id=self.network_id,
            safe_release=True,
            report=True,
        )
        resting = direct_decision((0,) * len(slots), rest=True)
        snapshot = Snapshot(0, self.clock(), ZERO, inf, (SlaveState(),) * len(slots))
        cleared = SafetyGate(site).clear_all(payloads, self._decoded, resting, snapshot)
        if cleared is None:
            raise Transient("safety did not clear a frame of 0 W: nothing was sent")
        for frame in cleared:
            await self._transmit(frame.payload, broadcast=True)

    async def tell(
        self,
        watts: int,
        *,
        report: bool = False,
        ttl_s: int = TTL_S,
        broadcast: bool = False,
        counter: int | None = None,
        neighbours: range = range(0),
    ) -> BenchFrame:
        """Send a good setpoint, and 0 W to the slots of `neighbours` in the same frame. Raises Transient."""
        number = self.counter.take() if counter is None else counter
        payload = await self._cleared(watts, number, report, ttl_s, neighbours)
        return await self._put(payload, number, payload, broadcast)

    async def release(self, *, setpoint_w: int = 0) -> BenchFrame:
        """Send a safe release that asks for a report. Raises Transient."""
        number = self.counter.take()
        payload = await self._cleared(setpoint_w, number, True, TTL_S, range(0))
        body = bytearray(GoodFrame(payload, self.key, self.network_id, 0).body)
        body[0] |= 0x01
        released = GoodFrame(payload, self.key, self.network_id, 0).sign(bytes(body))
        return await self._put(released, number, released, False)

    async def tell_badly(self, watts: int, counter: int, spoil: Callable[[GoodFrame], bytes]) -> BenchFrame:
        """Clear a good frame, spoil it, send that. Raises Transient."""
        payload = await self._cleared(watts, counter, True, TTL_S, range(0))
        bad = spoil(GoodFrame(payload, self.key, self.network_id, self.last_counter))
        return await self._put(bad, counter, payload, False)

    async def _cleared(self, watts: int, counter: int, report: bool, ttl_s: int, neighbours: range) -> bytes:
        """A frame as safety lets it go, as soon as it does."""
        told = dict.fromkeys(neighbours, 0) | {self.slave.slot: watts}
        (payload,) = encode(
            told, counter=counter, ttl_s=ttl_s, key=self.key, network_id=self.network_id, report=report
        )
        decision = direct_decision((watts,))
        give_up_s = self.clock() + CREDIT_MAX_S + 1.0
        while True:
            now_s = self.clock()
            snapshot = Snapshot(0, now_s, ZERO, inf, (SlaveState(),), self._on_air.at(now_s))
            if self._gate.clear_all([payload], self._decoded, decision, snapshot) is not None:
                return payload
            if now_s > give_up_s:
                raise Transient(f"safety does not clear {watts} W for {self.slave.name}: give fewer --watts")
            await asyncio.sleep(0.05)

    async def _put(self, payload: bytes, counter: int, means: bytes, broadcast: bool) -> BenchFrame:
        """Send, and keep account of what may be on air: what a spoiled frame was made of counts as obeyed.

        That holds for one that nobody acknowledged, too: the next frame tells what was told before, and
        safety has cleared the way to this one from there.
        """
        began_s = self.clock()
        arrived_s = await self._transmit(payload, broadcast=broadcast or self.address is None)
        self._on_air.accepted(self._decoded(means), self.clock())
        return BenchFrame(counter, began_s, arrived_s)

    async def _transmit(self, payload: bytes, *, broadcast: bool) -> float | None:
        """Returns when it was acknowledged. A unicast is tried again: a slave takes a counter only once."""
        for _ in range(TRIES):
            sequence = self._app.get_sequence()
            try:
                if broadcast or self.address is None:
                    await self._app.broadcast_setpoints(wrap(payload, sequence), sequence)
                else:
                    await self._app.unicast_setpoints(self.address, wrap(payload, sequence), sequence)
            except Exception as error:  # bellows raises anything
                if self._app.lost.is_set():
                    raise Transient(f"the coordinator was lost: {self._app.lost_reason}") from error
                await asyncio.sleep(1.0)
                continue
            return self.clock()
        if broadcast:
            raise Transient("the coordinator refuses to broadcast: the air is busy, try again later")
        return None

    def _decoded(self, payload: bytes) -> SetpointFrame:
        return decode(payload, self.key, self.network_id)

    # --- in --------------------------------------------------------------------------------------

    def _hear(self, address: int, zcl: bytes) -> bool:
        at_s = self.clock()
        try:
            report = decode_report(unwrap_report(zcl), self.key, self.network_id)
        except FrameError as error:
            self.heard.append(HeardFrame(at_s, address, zcl, None, str(error)))
            return False
        if report.slot == self.slave.slot:
            self.address = address
        self.heard.append(HeardFrame(at_s, address, zcl, report))
        return True

    def since(self, at_s: float) -> list[HeardFrame]:
        """What the slave said since then, reports that are none included."""
        return [heard for heard in self.heard if heard.at_s >= at_s and self._is_ours(heard)]

    def _is_ours(self, heard: HeardFrame) -> bool:
        if heard.report is None:
            return self.address in (None, heard.address)
        return heard.report.slot == self.slave.slot

    async def answer(self, sent: BenchFrame, patience_s: float = LATE_S) -> HeardFrame | None:
        """The report of this very frame, as soon as it is there."""
        until_s = (sent.arrived_s or self.clock()) + self.slot_delay_s[1] + patience_s
        while True:
            for heard in self.since(sent.began_s):
                if heard.report is not None and heard.report.counter == sent.counter:
                    self.last_counter = max(self.last_counter, sent.counter)
                    self.answered.append((sent, heard.at_s))
                    return heard
            if self.clock() > until_s:
                return None
            await asyncio.sleep(LOOK_EVERY_S)

    async def quiet(self, sent: BenchFrame, patience_s: float = LATE_S) -> list[HeardFrame]:
        """What the slave said within the time of an answer to this frame; ends with the first word."""
        until_s = (sent.arrived_s or self.clock()) + self.slot_delay_s[1] + patience_s
        while self.clock() < until_s and not self.since(sent.began_s):
            await asyncio.sleep(LOOK_EVERY_S)
        return self.since(sent.began_s)
