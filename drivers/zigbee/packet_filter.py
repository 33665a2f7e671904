"""What may come in from the Zigbee network, and what may go out: setpoints, reports, and answers to what the
site itself has asked one of its devices.

zigpy is made for homes: it answers a frame of an unknown address with a broadcast, interviews whoever says
that he has joined, tells the time and its own descriptors to whoever asks. Each costs airtime that setpoints
need, and anybody who has the network key can ask for it at any rate.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import zigpy.exceptions
import zigpy.types
from bellows.zigbee.application import ControllerApplication

from drivers.zigbee.setpoint_frame import CLUSTER

COORDINATOR = 0x0000
"""Network address of the coordinator in its own network (Zigbee specification 3.6.1.10)."""


@dataclass(slots=True)
class PacketCounts:
    """Since the application was made. `foreign` came in and were dropped, `withheld` were kept off the air.

    `setpoint_broadcasts` and `other_broadcasts` were handed to the coordinator.
    """

    foreign: int = 0
    withheld: int = 0
    setpoint_broadcasts: int = 0
    other_broadcasts: int = 0


IsAnswer: TypeAlias = Callable[[zigpy.types.ZigbeePacket], bool]


class FilteredApplication(ControllerApplication):  # type: ignore[misc]
    """The application of bellows, deaf to everything but the setpoint cluster, answers and who joins.

    A report is authenticated by its tag and slot, so its sender needs no entry among the devices.

    Attributes:
        on_report: called with the network address of the sender and the ZCL frame; whether it was sound.
        joining: the one device that is let in and interviewed now; None while the site is controlled.
        counts: what was dropped and what was sent.
    """

    on_report: Callable[[int, bytes], bool]

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.on_report = lambda address, zcl: False
        self.joining: zigpy.types.EUI64 | None = None
        self.counts = PacketCounts()
        self._is_closed = False
        self._asked: list[tuple[IsAnswer, asyncio.Future[zigpy.types.ZigbeePacket]]] = []

    async def startup(self, *, auto_form: bool = False) -> None:
        """Connect and resume the network; from then on only setpoints go out, unless a device joins."""
        await super().startup(auto_form=auto_form)
        self._is_closed = True

    # called by bellows ---------------------------------------------------------------------------------

    def packet_received(self, packet: zigpy.types.ZigbeePacket) -> None:
        """Everything that arrives."""
        source = packet.src.address if packet.src is not None else None
        if packet.cluster_id == CLUSTER and isinstance(source, zigpy.types.NWK):
            if self.on_report(int(source), packet.data.serialize()):
                self.sound_report_of(source)
        elif self._answers(packet):
            return
        elif isinstance(source, zigpy.types.NWK) and (source == COORDINATOR or self._is_joining(source)):
            super().packet_received(packet)
        else:
            self.counts.foreign += 1

    def gp_packet_received(self, packet: zigpy.types.ZigbeeGpPacket) -> None:
        """Green Power devices have no business here."""
        self.counts.foreign += 1

    def handle_relays(self, nwk: zigpy.types.NWK, relays: list[zigpy.types.NWK]) -> None:
        """The way that a packet took. Nobody asks for it, and zigpy would look an unknown sender up."""

    def handle_join(
        self, nwk: zigpy.types.NWK, ieee: zigpy.types.EUI64, parent_nwk: zigpy.types.NWK, **how: Any
    ) -> None:
        """A device has joined, or says so. The one that is let in is interviewed.

        Another one that is stored already keeps its place under its new address; it is asked nothing.
        """
        if ieee == self.joining:
            super().handle_join(nwk, ieee, parent_nwk, **how)
        elif ieee in self.devices:
            self.devices[ieee].nwk = nwk

    # outward -------------------------------------------------------------------------------------------

    async def send_packet(self, packet: zigpy.types.ZigbeePacket) -> None:
        """Hand one packet to the coordinator; everything that zigpy sends passes here.

        Raises:
            DeliveryError: it was refused, by the coordinator or because only setpoints may go out now.
        """
        is_setpoints = packet.cluster_id == CLUSTER
        is_own = packet.dst is not None and packet.dst.address == self.state.node_info.nwk
        if not (is_setpoints or is_own or self.joining is not None or not self._is_closed):
            self.counts.withheld += 1
            raise zigpy.exceptions.DeliveryError("only setpoints go on air while the site is controlled")
        self._count(packet)
        await super().send_packet(packet)

    async def ask(self, packet: zigpy.types.ZigbeePacket, is_answer: IsAnswer) -> zigpy.types.ZigbeePacket:
        """Send one packet, and wait for what answers it; the caller sets the time limit.

        Raises:
            DeliveryError: it was refused, or nobody acknowledged it.
        """
        answered: asyncio.Future[zigpy.types.ZigbeePacket] = asyncio.get_running_loop().create_future()
        waiting = (is_answer, answered)
        self._asked.append(waiting)
        try:
            self._count(packet)
            await super().send_packet(packet)
            return await answered
        finally:
            self._asked.remove(waiting)

    def _answers(self, packet: zigpy.types.ZigbeePacket) -> bool:
        """Whether somebody waits for this; he gets it."""
        for is_answer, answered in self._asked:
            if not answered.done() and is_answer(packet):
                answered.set_result(packet)
                return True
        return False

    def _count(self, packet: zigpy.types.ZigbeePacket) -> None:
        if packet.dst is not None and packet.dst.addr_mode is zigpy.types.AddrMode.Broadcast:
            is_setpoints = packet.cluster_id == CLUSTER
            self.counts.setpoint_broadcasts += is_setpoints
            self.counts.other_broadcasts += not is_setpoints

    def sound_report_of(self, address: zigpy.types.NWK) -> None:
        """A report that was believed came from this address."""

    def _is_joining(self, address: zigpy.types.NWK) -> bool:
        return self.joining in self.devices and self.devices[self.joining].nwk == address
