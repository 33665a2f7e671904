"""Questions to single devices, through the coordinator that carries the broadcast of setpoints.

Every question has one answer, or none within its time. Devices are known by their IEEE address; their network
address is the coordinator's, or is looked for with a broadcast, seldom.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

import zigpy.exceptions
import zigpy.types
from zigpy.types import AddrMode, PacketPriority
from zigpy.zdo.types import ZDOCmd

from drivers.devices.device_wire import BUDGET
from drivers.errors import Transient, Unconfirmed
from drivers.zigbee.coordinator import Coordinator
from drivers.zigbee.radio import ZigbeeRadio
from drivers.zigbee_devices.air_budget import AirBudget
from drivers.zigbee_devices.zcl import Question

HOME_AUTOMATION = 0x0104
OWN_ENDPOINT = 1
ANSWER_S = 2.0
"""From question to answer: three tries of the stack take 1.6 s (EmberZNet apsAckTimeout)."""
LOCATE_EVERY_S = 60.0
"""Looking for a device costs a broadcast, of which the site has few."""
WAIT_S, LOOK_AGAIN_S = 2.0, 0.1
"""How long a question that can wait does so, and how often it looks."""


@dataclass(slots=True)
class ZigbeeUnicasts:
    """For all devices of one coordinator."""

    radio: ZigbeeRadio | None
    budget: AirBudget
    clock: Callable[[], float]
    _located: dict[str, int] = field(default_factory=dict)
    _unreached: dict[str, int] = field(default_factory=dict)
    """Network address at which a device did not acknowledge."""
    _looked_at_s: dict[str, float] = field(default_factory=dict)
    _one_waits: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Questions that can wait go out one at a time."""

    async def ask(
        self,
        ieee: str,
        endpoint: int,
        question: Question,
        *,
        is_rest: bool = False,
        is_setpoint: bool = False,
    ) -> bytes:
        """Ask one device; gives its answer, a ZCL frame.

        A setpoint that finds no time on air is refused; rest goes out all the same, everything else waits.

        Raises:
            Unconfirmed: nobody knows whether the device heard it.
            Transient: it did not: no radio, no time on air ("budget"), or nobody knows its address.
        """
        if is_rest or is_setpoint:
            if not is_rest and not self.budget.may_ask():
                raise Transient("the air is used up by others at the moment", BUDGET)
            return await self._ask(ieee, endpoint, question, is_rest=is_rest)
        try:
            async with asyncio.timeout(WAIT_S):
                await self._one_waits.acquire()
        except TimeoutError:
            raise Transient("the air is used up by others at the moment", BUDGET) from None
        try:
            give_up_s = self.clock() + WAIT_S
            while not self.budget.may_ask(waits=True):
                if self.clock() >= give_up_s:
                    raise Transient("the air is used up by others at the moment", BUDGET)
                await asyncio.sleep(LOOK_AGAIN_S)
            return await self._ask(ieee, endpoint, question)
        finally:
            self._one_waits.release()

    async def _ask(self, ieee: str, endpoint: int, question: Question, *, is_rest: bool = False) -> bytes:
        app = None if self.radio is None else self.radio.session
        if app is None:
            raise Transient("the radio is down", "disconnected")
        address = await self._address(app, ieee)
        sequence = app.get_sequence()
        packet = _unicast(app, address, endpoint, sequence, question, is_rest=is_rest)

        def is_answer(heard: zigpy.types.ZigbeePacket) -> bool:
            return (
                heard.src is not None
                and heard.src.address == address
                and question.is_answered_by(sequence, int(heard.cluster_id), heard.data.serialize())
            )

        self.budget.spend()
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await app.ask(packet, is_answer)
        except TimeoutError:
            raise Unconfirmed(f"no answer within {ANSWER_S:g} s", "timeout") from None
        except zigpy.exceptions.DeliveryError:
            self._unreached[ieee] = address
            raise Unconfirmed("it does not acknowledge: is it powered and within reach?", "lost") from None
        except Exception as error:  # a dying bellows raises AttributeError, TypeError and others
            raise Unconfirmed(f"the radio hung up ({type(error).__name__})", "disconnected") from error
        self._unreached.pop(ieee, None)
        return bytes(answer.data.serialize())

    async def _address(self, app: Coordinator, ieee: str) -> int:
        """Its network address. Raises Transient where nobody knows it."""
        joined, located = _joined_address(app, ieee), self._located.get(ieee)
        for known in (located, joined):
            if known is not None and known != self._unreached.get(ieee):
                return known
        if self.clock() - self._looked_at_s.get(ieee, -inf) >= LOCATE_EVERY_S:
            self._looked_at_s[ieee] = self.clock()
            found = await self._locate(app, ieee)
            if found is not None:
                self._located[ieee] = found
                return found
        again = joined if located is None else located
        if again is None:
            raise Transient(
                f"{ieee} is not in the network. Let it in with `sunkeep zigbee permit`, and see that it is "
                "powered",
                "unknown",
            )
        return again

    async def _locate(self, app: Coordinator, ieee: str) -> int | None:
        """Ask everybody for the network address of one device (Zigbee specification 2.4.3.1.1)."""
        sequence = app.get_sequence()
        wanted = zigpy.types.EUI64.convert(ieee).serialize()
        packet = zigpy.types.ZigbeePacket(
            src=_address_of(AddrMode.NWK, app.state.node_info.nwk),
            src_ep=zigpy.types.uint8_t(0),
            dst=_address_of(AddrMode.Broadcast, zigpy.types.BroadcastAddress.RX_ON_WHEN_IDLE),
            dst_ep=zigpy.types.uint8_t(0),
            tsn=zigpy.types.uint8_t(sequence),
            profile_id=zigpy.types.uint16_t(0),
            cluster_id=zigpy.types.uint16_t(ZDOCmd.NWK_addr_req),
            data=zigpy.types.SerializableBytes(bytes([sequence]) + wanted + bytes([0, 0])),
            tx_options=zigpy.types.TransmitOptions.NONE,
            priority=PacketPriority.LOW,
        )

        def is_answer(heard: zigpy.types.ZigbeePacket) -> bool:
            body = heard.data.serialize()
            is_response = int(heard.profile_id) == 0 and int(heard.cluster_id) == int(ZDOCmd.NWK_addr_rsp)
            return is_response and len(body) >= 12 and body[1] == 0 and body[2:10] == wanted

        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await app.ask(packet, is_answer)
        except Exception:  # noqa: BLE001  # no answer, a full table, a dying bellows: it is not found now
            return None
        return int.from_bytes(answer.data.serialize()[10:12], "little")


def _joined_address(app: Coordinator, ieee: str) -> int | None:
    device = app.devices.get(zigpy.types.EUI64.convert(ieee))
    return None if device is None else int(device.nwk)


def _address_of(
    mode: AddrMode, address: zigpy.types.NWK | zigpy.types.BroadcastAddress
) -> zigpy.types.AddrModeAddress:
    return zigpy.types.AddrModeAddress(addr_mode=mode, address=address)


def _unicast(
    app: Coordinator, address: int, endpoint: int, sequence: int, question: Question, *, is_rest: bool
) -> zigpy.types.ZigbeePacket:
    return zigpy.types.ZigbeePacket(
        src=_address_of(AddrMode.NWK, app.state.node_info.nwk),
        src_ep=zigpy.types.uint8_t(OWN_ENDPOINT),
        dst=_address_of(AddrMode.NWK, zigpy.types.NWK(address)),
        dst_ep=zigpy.types.uint8_t(endpoint),
        tsn=zigpy.types.uint8_t(sequence),
        profile_id=zigpy.types.uint16_t(HOME_AUTOMATION),
        cluster_id=zigpy.types.uint16_t(question.cluster),
        data=zigpy.types.SerializableBytes(question.to_bytes(sequence)),
        tx_options=zigpy.types.TransmitOptions.ACK,
        priority=PacketPriority.HIGH if is_rest else PacketPriority.NORMAL,
    )
