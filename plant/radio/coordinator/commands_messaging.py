"""Commands that transmit."""

from typing import Any

import bellows.types as t

from plant.radio.coordinator.ezsp import Fields
from plant.radio.coordinator.local_zdo import MAX_APS_PAYLOAD_BYTES, answer
from plant.radio.coordinator.stack import Stack
from plant.radio.medium import COORDINATOR, RECEIVER_ON, ApsFrame, Delivery

_TYPE = t.EmberOutgoingMessageType
APS_ACK_TIMEOUT_S = 1.6
"""Until a unicast without an acknowledgement is given up (EmberZNet apsAckTimeout)."""


def maximum_payload(stack: Stack, arguments: Fields) -> Fields:
    """Longest APS payload with network security."""
    return {"apsLength": MAX_APS_PAYLOAD_BYTES}


def send_broadcast(stack: Stack, arguments: Fields) -> Fields:
    """Transmit to many; refused as busy when the broadcast table is full."""
    return _send_to_many(stack, "sendBroadcast", arguments, Delivery.BROADCAST, _TYPE.OUTGOING_BROADCAST)


def send_multicast(stack: Stack, arguments: Fields) -> Fields:
    """Transmit to a group: a broadcast that others filter."""
    arguments = {**arguments, "nwk": RECEIVER_ON}
    return _send_to_many(stack, "sendMulticast", arguments, Delivery.GROUP, _TYPE.OUTGOING_MULTICAST)


def send_unicast(stack: Stack, arguments: Fields) -> Fields:
    """Transmit to one node, or to the coordinator itself."""
    refusal = _refusal(stack, "sendUnicast", arguments)
    if refusal is not None:
        return {"status": refusal}
    frame = _frame(stack, arguments, Delivery.UNICAST)
    sequence = arguments["aps_frame"].sequence = stack.next_sequence()
    if frame.destination == COORDINATOR:
        stack.emit("messageSentHandler", _sent(arguments, _TYPE.OUTGOING_DIRECT, ok=True))
        answer(stack, frame)
    else:
        _transmit(stack, arguments, frame)
    return {"sequence": sequence}


def _transmit(stack: Stack, arguments: Fields, frame: ApsFrame) -> None:
    acknowledged_s = stack.air.unicast(frame) if stack.transmits else None
    heard = acknowledged_s is not None
    asked = bool(arguments["aps_frame"].options & t.EmberApsOption.APS_OPTION_RETRY)
    wait_s = acknowledged_s if acknowledged_s is not None else APS_ACK_TIMEOUT_S
    fields = _sent(arguments, _TYPE.OUTGOING_DIRECT, ok=heard or not asked)
    stack.air.later(wait_s if asked else 0.0, stack.emit, "messageSentHandler", fields)


def _send_to_many(
    stack: Stack, name: str, arguments: Fields, delivery: Delivery, kind: t.EmberOutgoingMessageType
) -> Fields:
    refusal = _refusal(stack, name, arguments)
    if refusal is None and stack.transmits and not stack.air.broadcast(_frame(stack, arguments, delivery)):
        stack.count(t.EmberCounterType.COUNTER_BROADCAST_TABLE_FULL)
        refusal = t.sl_Status.BUSY
    if refusal is not None:
        return {"status": refusal}
    stack.count(t.EmberCounterType.COUNTER_APS_DATA_TX_BROADCAST)
    sequence = arguments["aps_frame"].sequence = stack.next_sequence()
    stack.emit("messageSentHandler", _sent(arguments, kind, ok=True))
    return {"sequence": sequence}


def _refusal(stack: Stack, name: str, arguments: Fields) -> t.sl_Status | None:
    if not stack.up:
        return t.sl_Status.NETWORK_DOWN
    if len(arguments["message"]) > MAX_APS_PAYLOAD_BYTES:
        return t.sl_Status.MESSAGE_TOO_LONG
    return stack.failures.pop(name, stack.refusals.get(name))


def _frame(stack: Stack, arguments: Fields, delivery: Delivery) -> ApsFrame:
    aps = arguments["aps_frame"]
    group = delivery is Delivery.GROUP
    return ApsFrame(
        profile=int(aps.profileId),
        cluster=int(aps.clusterId),
        source_endpoint=int(aps.sourceEndpoint),
        destination_endpoint=0xFF if group else int(aps.destinationEndpoint),
        payload=bytes(arguments["message"]),
        source=COORDINATOR,
        destination=int(arguments["nwk"]),
        delivery=delivery,
        group=int(aps.groupId) if group else 0,
        nwk_counter=stack.nvram.security.frame_counter,
    )


def _sent(arguments: Fields, kind: t.EmberOutgoingMessageType, *, ok: bool) -> dict[str, Any]:
    return {
        "message_type": kind,
        "nwk": int(arguments["nwk"]),
        "aps_frame": arguments["aps_frame"],
        "message_tag": arguments["message_tag"],
        "status": t.sl_Status.OK if ok else t.sl_Status.ZIGBEE_DELIVERY_FAILED,
        "message": b"",
    }


COMMANDS = {
    "maximumPayloadLength": maximum_payload,
    "sendBroadcast": send_broadcast,
    "sendMulticast": send_multicast,
    "sendUnicast": send_unicast,
}
