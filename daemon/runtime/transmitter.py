"""From a decision to messages on air: encode, decode and re-check, send. The only user of `Radio.send`."""

from collections.abc import Callable
from dataclasses import dataclass, field

from core.authorization import AuthorizedFrame
from core.decision import Decision, Send, Source
from core.site import Site
from core.snapshot import OnAirState, Snapshot
from daemon.runtime.on_air import OnAir
from drivers.errors import ConfigError, Transient, Unconfirmed
from drivers.ports import Radio
from drivers.zigbee.frame_counter import FrameCounter
from drivers.zigbee.setpoint_frame import decode, encode, stretches
from safety.gate import SafetyGate

REPORT_EVERY_S = 5.0
"""Everybody is asked to report this often: three chances before a slave counts as lost (15 s)."""
REPORT_SOONEST_S, REPORTS_PER_S = 2.5, 2.0
"""Few slaves are asked more often, with every keep-alive: their reports cost little of the air, and a slave
that misses frames is known the sooner."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one tick's frames."""

    frames: tuple[bytes, ...] = ()
    accepted: bool | None = None
    alarm: str = ""


@dataclass(slots=True)
class Transmitter:
    """Sends what was decided and remembers what is on air.

    `last_counter` is that of the first message of the newest decision of which any was accepted.
    """

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
    _first_counter: int = -1
    _groups: tuple[tuple[int, ...], ...] = field(init=False)
    _on_air: OnAir = field(init=False)

    def __post_init__(self) -> None:
        self._groups = delivery_groups(self.site)
        self._on_air = OnAir(self.site, self.ttl_s, self._groups)

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
        report = clock() - self._asked_at_s >= report_every_s(len(self.site.slaves))
        try:
            payloads = self._encode(decision, snapshot, report, network_id)
        except ConfigError:  # the counters are used up, or the disk refuses to reserve more
            return Sent(alarm="no_frame_counter")
        cleared = self.gate.clear_all(
            payloads, lambda payload: decode(payload, self.key, network_id), decision, snapshot
        )
        if cleared is None:
            return Sent(tuple(payloads), False, "frame_round_trip")
        accepted = await self._transmit(cleared, clock)
        if accepted:
            self.frames_total[decision.send] += len(payloads)
            if report:
                self._asked_at_s = clock()
                self.reports_asked_total += len(self.site.slaves)
        return Sent(tuple(payloads), accepted)

    def _encode(self, decision: Decision, snapshot: Snapshot, report: bool, network_id: bytes) -> list[bytes]:
        """One frame for each group that is told; who has waited longest comes first."""
        for slot, seen in self.radio.unknown_counters().items():
            if not self.counter.skip_past(seen):  # after an old backup of the file the slaves know better
                self.refused_leaps[slot] = seen
        told = [number for number in range(len(self._groups)) if number not in decision.withheld]
        if groups := snapshot.on_air.groups:
            told.sort(key=lambda number: -groups[number].age_s)
        self._first_counter = self.counter.take(len(told))
        return [
            payload
            for counter, number in enumerate(told, self._first_counter)
            for payload in encode(
                {self.site.slaves[place].slot: decision.setpoints_w[place] for place in self._groups[number]},
                counter=counter,
                ttl_s=self.ttl_s,
                safe_release=decision.verdict.source is Source.REST,
                report=report,
                key=self.key,
                network_id=network_id,
            )
        ]

    async def _transmit(self, messages: tuple[AuthorizedFrame, ...], clock: Callable[[], float]) -> bool:
        """Send one after the other; each is on air or not by itself. Whether all were accepted.

        Rest is told to every group, whatever became of the others. Setpoints wait for the next tick once a
        message was not answered: the coordinator has used up this one.
        """
        accepted = True
        for cleared in messages:
            try:
                await self.radio.send(cleared)
            except Transient as error:
                accepted = False
                self.refused_total += 1
                if isinstance(error, Unconfirmed):
                    self._on_air.unconfirmed(cleared.said, clock())
                    if not cleared.safe_release:
                        break
                continue
            self._on_air.accepted(cleared.said, clock())
            self.last_counter = self._first_counter
        return accepted


def report_every_s(slaves: int) -> float:
    """How often so many slaves are asked to report."""
    return min(REPORT_EVERY_S, max(REPORT_SOONEST_S, slaves / REPORTS_PER_S))


def delivery_groups(site: Site) -> tuple[tuple[int, ...], ...]:
    """Places of the slaves that are told in one message: those of one frame."""
    covered = stretches(sorted(slave.slot for slave in site.slaves))
    return tuple(
        tuple(place for place, slave in enumerate(site.slaves) if base <= slave.slot < base + n)
        for base, n in covered
    )
