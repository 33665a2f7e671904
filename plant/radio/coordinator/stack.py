"""The state of the coordinator's Zigbee stack, and what it says to the host by itself."""

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bellows.types as t

from plant.radio.coordinator.ezsp import EzspCodec, Fields
from plant.radio.coordinator.nvram import COUNTER_STEP, Nvram
from plant.radio.medium import COORDINATOR, ApsFrame, Delivery, Node, RadioMedium

_CONFIG = t.EzspConfigId
CONFIGURATION = {
    _CONFIG.CONFIG_PACKET_BUFFER_COUNT: 255,
    _CONFIG.CONFIG_ADDRESS_TABLE_SIZE: 16,
    _CONFIG.CONFIG_MULTICAST_TABLE_SIZE: 16,
    _CONFIG.CONFIG_KEY_TABLE_SIZE: 12,
    _CONFIG.CONFIG_SECURITY_LEVEL: 5,
    _CONFIG.CONFIG_STACK_PROFILE: 2,
    _CONFIG.CONFIG_SUPPORTED_NETWORKS: 1,
    _CONFIG.CONFIG_MAX_END_DEVICE_CHILDREN: 32,
    _CONFIG.CONFIG_APS_UNICAST_MESSAGE_COUNT: 64,
    _CONFIG.CONFIG_TRUST_CENTER_ADDRESS_CACHE_SIZE: 2,
    _CONFIG.CONFIG_SOURCE_ROUTE_TABLE_SIZE: 200,
}
"""Table sizes of a stock firmware."""
COUNTERS = 44
"""Number of event counters (UG100, EmberCounterType)."""

_INCOMING = {
    Delivery.UNICAST: t.EmberIncomingMessageType.INCOMING_UNICAST,
    Delivery.BROADCAST: t.EmberIncomingMessageType.INCOMING_BROADCAST,
    Delivery.GROUP: t.EmberIncomingMessageType.INCOMING_MULTICAST,
}
_INDEX_NONE = 0xFF
LQI, RSSI_DBM = 200, -55
"""A good link."""


@dataclass(frozen=True, slots=True)
class TransientKey:
    """A link key that waits for one device, or for everybody, to join with it."""

    key: bytes
    until_s: float


class Stack:
    """Volatile and lasting state. Commands change it; `emit` carries its callbacks to the host.

    Attributes:
        emit: takes callbacks for the host; holds them back while a command is being answered.
        failures: commands that fail once with a status, for tests.
        refusals: commands that fail with a status for as long as they stand here.
        transmits: False for a radio part that is stuck: every frame is accepted and none goes on air, until
            the next reset.
    """

    def __init__(self, air: RadioMedium, nvram: Nvram, codec: EzspCodec) -> None:
        self.air, self.nvram, self.codec = air, nvram, codec
        self.emit: Callable[[str, Fields], None] = lambda name, fields: None
        self.failures: dict[str, t.sl_Status] = {}
        self.refusals: dict[str, t.sl_Status] = {}
        air.to_coordinator = self.hear
        self.reset()

    def reset(self) -> None:
        """Lose everything volatile, as at power-on."""
        self.state = t.EmberNetworkStatus.NO_NETWORK
        self.air.extended_pan_id = self.air.network_key = None
        self.configuration: dict[int, int] = defaultdict(int, CONFIGURATION)
        self.configuration[_CONFIG.CONFIG_BROADCAST_TABLE_SIZE] = self.air.limiter.size
        self.values: dict[int, bytes] = {}
        self.endpoints: dict[int, Fields] = {}
        self.groups: dict[int, Any] = {}
        self.counters = [0] * COUNTERS
        self.transmits = True
        self.permit_until_s = -math.inf
        self.policies: dict[int, int] = {}
        self.transient_keys: dict[bytes, TransientKey] = {}
        self._aps_sequence = 0

    @property
    def up(self) -> bool:
        """Whether the network runs."""
        return bool(self.state == t.EmberNetworkStatus.JOINED_NETWORK)

    @property
    def permitting(self) -> bool:
        """Whether devices may join now."""
        return self.up and self.air.clock() < self.permit_until_s

    @property
    def eui64(self) -> Any:
        """IEEE address of the coordinator."""
        return t.EUI64.deserialize(self.nvram.eui64)[0]

    def bring_up(self) -> None:
        """Start the network in memory and say so."""
        network = self.nvram.network
        assert network is not None, "the caller has checked that there is a network"
        self.state = t.EmberNetworkStatus.JOINED_NETWORK
        self.air.extended_pan_id = network.extended_pan_id
        self.air.network_key = self.nvram.security.network_key
        self.nvram.security.frame_counter += COUNTER_STEP
        self.nvram.save()
        self.say("stackStatusHandler", status=t.sl_Status.NETWORK_UP)

    def take_down(self) -> None:
        """Stop the network and say so."""
        self.state = t.EmberNetworkStatus.NO_NETWORK
        self.air.extended_pan_id = self.air.network_key = None
        self.say("stackStatusHandler", status=t.sl_Status.NETWORK_DOWN)

    def say(self, name: str, **fields: Any) -> None:
        """Send a callback to the host."""
        self.emit(name, fields)

    def count(self, event: t.EmberCounterType) -> None:
        """Count an event."""
        self.counters[event] = (self.counters[event] + 1) % 0x10000

    def next_sequence(self) -> int:
        """Number of the next APS frame."""
        self._aps_sequence = (self._aps_sequence + 1) % 256
        self.nvram.security.frame_counter += 1
        return self._aps_sequence

    def hear(self, node: Node, frame: ApsFrame) -> None:
        """A frame from the air."""
        if self.up and (frame.delivery is not Delivery.UNICAST or frame.destination == COORDINATOR):
            self.incoming(frame, t.EUI64.deserialize(node.ieee)[0])

    def incoming(self, frame: ApsFrame, ieee: Any) -> None:
        """Hand a frame to the host."""
        aps = t.EmberApsFrame(
            profileId=frame.profile,
            clusterId=frame.cluster,
            sourceEndpoint=frame.source_endpoint,
            destinationEndpoint=frame.destination_endpoint,
            options=t.EmberApsOption.APS_OPTION_NONE,
            groupId=frame.group,
            sequence=self.next_sequence(),
        )
        fields = {
            "message_type": _INCOMING[frame.delivery],
            "aps_frame": aps,
            "nwk": frame.source,
            "eui64": ieee,
            "binding_index": _INDEX_NONE,
            "address_index": _INDEX_NONE,
            "lqi": LQI,
            "rssi": RSSI_DBM,
            "timestamp": int(self.air.clock() * 1000) & 0xFFFFFFFF,
            "message": frame.payload,
        }
        self.emit("incomingMessageHandler", fields)
