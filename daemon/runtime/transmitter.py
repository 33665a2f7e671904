"""From a decision to frames on air: encode, decode and re-check, broadcast. The only user of `Radio.send`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from core.authorization import AuthorizedFrame
from core.decision import Decision, Send, Source
from core.site import Site
from core.snapshot import OnAirState, Snapshot
from daemon.runtime.on_air import OnAir
from drivers.errors import ConfigError, Transient, Unconfirmed
from drivers.ports import Radio
from drivers.zigbee.frame_counter import FrameCounter
from drivers.zigbee.setpoint_frame import decode, encode, frames_needed
from safety.gate import SafetyGate

REPORT_EVERY_S = 5.0
"""Everybody is asked to report this often: three chances before a slave counts as lost (15 s)."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one tick's frames."""

    frames: tuple[bytes, ...] = ()
    accepted: bool | None = None
    alarm: str = ""


@dataclass(slots=True)
class Transmitter:
    """Sends what was decided and remembers what is on air."""

    site: Site
    gate: SafetyGate
    radio: Radio
    counter: FrameCounter
    key: bytes
    ttl_s: int
    frames_total: dict[Send, int] = field(default_factory=lambda: dict.fromkeys(Send, 0))
    refused_total: int = 0
    reports_asked_total: int = 0
    last_counter: int = -1
    refused_leaps: dict[int, int] = field(default_factory=dict)
    """By slot: a counter that it told and that was not believed."""
    _asked_at_s: float = float("-inf")
    _on_air: OnAir = field(init=False)

    def __post_init__(self) -> None:
        self._on_air = OnAir(self.site, self.ttl_s)

    def on_air(self, at_s: float) -> OnAirState:
        """What the slaves follow now, and what else they may follow while that is unknown."""
        return self._on_air.at(at_s)

    async def emit(self, decision: Decision, snapshot: Snapshot, clock: Callable[[], float]) -> Sent:
        """Put the decided setpoints on air if the decision says so.

        The age of what is on air counts from when the coordinator has accepted it: the step limit then
        holds between the instants on air too, however long the way through the serial line was.

        Returns:
            What was sent. `alarm` names the supervisor's cause when the encoded frame did not decode to
            what was decided, or when there is no counter to send it with; then nothing was sent.
        """
        network_id = self.radio.network_id
        if decision.send is Send.NOTHING or network_id is None or not self.radio.up:
            return Sent()
        report = clock() - self._asked_at_s >= REPORT_EVERY_S
        try:
            payloads = self._encode(decision, report, network_id)
        except ConfigError:  # the counters are used up, or the disk refuses to reserve more
            return Sent(alarm="no_frame_counter")
        cleared = self.gate.clear_all(
            payloads, lambda payload: decode(payload, self.key, network_id), decision, snapshot
        )
        if cleared is None:
            return Sent(tuple(payloads), False, "frame_round_trip")
        accepted = await self._transmit(cleared, network_id, clock)
        if accepted:
            self.frames_total[decision.send] += len(payloads)
            if report:
                self._asked_at_s = clock()
                self.reports_asked_total += len(self.site.slaves)
        return Sent(tuple(payloads), accepted)

    def _encode(self, decision: Decision, report: bool, network_id: bytes) -> list[bytes]:
        by_slot: Mapping[int, int] = {
            slave.slot: watts for slave, watts in zip(self.site.slaves, decision.setpoints_w, strict=True)
        }
        for slot, seen in self.radio.unknown_counters().items():
            if not self.counter.skip_past(seen):  # after an old backup of the file the slaves know better
                self.refused_leaps[slot] = seen
        return encode(
            by_slot,
            counter=self.counter.take(frames_needed(by_slot)),
            ttl_s=self.ttl_s,
            safe_release=decision.verdict.source is Source.REST,
            report=report,
            key=self.key,
            network_id=network_id,
        )

    async def _transmit(
        self, frames: tuple[AuthorizedFrame, ...], network_id: bytes, clock: Callable[[], float]
    ) -> bool:
        """Send frame after frame; what was accepted is on air, also when a later one is refused."""
        for cleared in frames:
            frame = decode(cleared.payload, self.key, network_id)
            try:
                await self.radio.send(cleared)
            except Transient as error:
                self.refused_total += 1
                if isinstance(error, Unconfirmed):
                    self._on_air.unconfirmed(frame, clock())
                return False
            self._on_air.accepted(frame, clock())
            self.last_counter = frame.counter
        return True
