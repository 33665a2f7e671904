"""From a decision to messages on the wires: encode, decode and re-check, send. The only user of `send`."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from core.authorization import AuthorizedFrame
from core.causes import Cause
from core.decision import Decision, Send, Source
from core.site import SUNKEEP, Site
from core.snapshot import OnAirState, Snapshot
from daemon.runtime.on_air import OnAir
from drivers.errors import ConfigError, Transient, Unconfirmed
from drivers.ports import SlaveDriver, SlaveStatus
from drivers.zigbee.setpoint_frame import stretches
from safety.gate import SafetyGate


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one tick's messages."""

    frames: tuple[bytes, ...] = ()
    accepted: bool | None = None
    alarm: Cause | None = None


@dataclass(slots=True)
class Transmitter:
    """Sends what was decided to each delivery group, by its own wire, and remembers what is on air."""

    site: Site
    gate: SafetyGate
    wires: Sequence[SlaveDriver]
    frames_total: dict[Send, int] = field(default_factory=lambda: dict.fromkeys(Send, 0))
    refused_total: int = 0
    _groups: tuple[tuple[int, ...], ...] = field(init=False)
    _wire_of: tuple[SlaveDriver, ...] = field(init=False)
    """Of each group."""
    _on_air: OnAir = field(init=False)

    def __post_init__(self) -> None:
        self._groups = delivery_groups(self.site)
        by_slot = {slot: wire for wire in self.wires for slot in wire.slots}
        slots = [self.site.slaves[group[0]].slot for group in self._groups]
        self._wire_of = tuple(by_slot[slot] for slot in slots)
        ttl_s = [wire.ttl_s(slot) for wire, slot in zip(self._wire_of, slots, strict=True)]
        self._on_air = OnAir(self.site, ttl_s, self._groups)

    @property
    def up(self) -> bool:
        """Whether any wire is."""
        return any(wire.up for wire in self.wires)

    def on_air(self, at_s: float) -> OnAirState:
        """What the slaves follow now, and what else they may follow while that is unknown."""
        for wire in self.wires:
            for said, accepted_at_s in wire.settled():
                self._on_air.accepted(said, accepted_at_s)
        return self._on_air.at(at_s)

    def reports(self) -> dict[int, SlaveStatus]:
        """By slot, what every slave last said about itself."""
        return {slot: report for wire in self.wires for slot, report in wire.reports().items()}

    def resting(self) -> bool:
        """Whether everybody has said that he rests."""
        return all(wire.resting() for wire in self.wires)

    async def emit(self, decision: Decision, snapshot: Snapshot, clock: Callable[[], float]) -> Sent:
        """Put the decided setpoints on air if the decision says so.

        The age of what is on air counts from when a message was accepted: the step limit then holds between
        the instants on air too, however long the way through the wire was. A wire that is down gets nothing,
        as if its messages were lost: the gate has accepted every partial delivery.

        Returns:
            What was sent. `alarm` names the supervisor's cause when an encoded message did not decode to
            what was decided (then nothing was sent), or when there is no counter to send a frame with.
        """
        told = [
            number
            for number, wire in enumerate(self._wire_of)
            if number not in decision.withheld and wire.up and decision.send is not Send.NOTHING
        ]
        if groups := snapshot.on_air.groups:
            told.sort(key=lambda number: -groups[number].age_s)
        alarm, payloads = self._encode(told, decision)
        if not payloads:
            return Sent(alarm=alarm)
        wires = {payload: self._wire_of[number] for number, payload in payloads.items()}
        cleared = self.gate.clear_all(
            tuple(wires),
            lambda payload: wires[payload].decode(payload),
            decision,
            snapshot,
            lost=tuple(number for number in range(len(self._groups)) if number not in payloads),
        )
        if cleared is None:
            return Sent(tuple(wires), False, Cause.FRAME_ROUND_TRIP)
        accepted = await self._transmit(cleared, wires, clock)
        if accepted:
            self.frames_total[decision.send] += len(payloads)
        return Sent(tuple(wires), accepted, alarm)

    def _encode(self, told: list[int], decision: Decision) -> tuple[Cause | None, dict[int, bytes]]:
        """By group one message, and the cause when a wire can make none. Who has waited longest comes first.

        Without a counter (used up, or the disk refuses to reserve more) the broadcast is silent; what other
        wires say does not depend on it.
        """
        alarm: Cause | None = None
        payloads = dict[int, bytes]()
        for number in told:
            setpoints_w = {
                self.site.slaves[place].slot: decision.setpoints_w[place] for place in self._groups[number]
            }
            try:
                payloads[number] = self._wire_of[number].encode(
                    setpoints_w, rest=decision.verdict.source is Source.REST
                )
            except ConfigError:
                alarm = Cause.NO_FRAME_COUNTER
        return alarm, payloads

    async def _transmit(
        self,
        messages: tuple[AuthorizedFrame, ...],
        wires: dict[bytes, SlaveDriver],
        clock: Callable[[], float],
    ) -> bool:
        """Send on all wires at once: what one of them does delays no other. Whether all was accepted."""
        by_wire: dict[SlaveDriver, list[AuthorizedFrame]] = defaultdict(list)
        for cleared in messages:
            by_wire[wires[cleared.payload]].append(cleared)
        if len(by_wire) == 1:
            ((wire, alone),) = by_wire.items()
            return await self._along(wire, alone, clock)
        async with asyncio.TaskGroup() as tasks:
            along = [tasks.create_task(self._along(wire, some, clock)) for wire, some in by_wire.items()]
        return all(task.result() for task in along)

    async def _along(
        self, wire: SlaveDriver, messages: list[AuthorizedFrame], clock: Callable[[], float]
    ) -> bool:
        """Send one after the other; each is on air or not by itself. Whether all were accepted.

        Rest is told to every group, whatever became of the others. Setpoints wait for the next tick once a
        message was not answered: the wire has used up this one.
        """
        accepted = True
        for cleared in messages:
            try:
                await wire.send(cleared)
            except Transient as error:
                accepted = False
                self.refused_total += 1
                if isinstance(error, Unconfirmed):
                    self._on_air.unconfirmed(cleared.said, clock())
                    if not cleared.safe_release:
                        break
                continue
            self._on_air.accepted(cleared.said, clock())
        return accepted


def delivery_groups(site: Site) -> tuple[tuple[int, ...], ...]:
    """Places of the slaves that are told in one message: those of one frame, and every device alone."""
    slaves = site.slaves
    together = sorted(slave.slot for slave in slaves if slave.driver == SUNKEEP)
    framed = (
        tuple(
            place
            for place, slave in enumerate(slaves)
            if slave.driver == SUNKEEP and base <= slave.slot < base + n
        )
        for base, n in (stretches(together) if together else ())
    )
    alone = ((place,) for place, slave in enumerate(slaves) if slave.driver != SUNKEEP)
    return (*framed, *alone)
