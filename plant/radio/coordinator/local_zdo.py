"""The coordinator's own device objects: what it answers about itself."""

from typing import Any

import bellows.types as t
import zigpy.types as zt
import zigpy.zdo.types as zdo

from plant.radio.coordinator.stack import Stack
from plant.radio.medium import COORDINATOR, ApsFrame

MAX_APS_PAYLOAD_BYTES = 82
"""802.15.4 frame of 127 bytes less all headers, with network security (EmberZNet maximumPayloadLength)."""
ENDPOINTS: Any = zt.LVList[zt.uint8_t]  # type: ignore[misc]  # its length type has a default
MANUFACTURER_SILABS = 0x1049
MAC_COORDINATOR = 0x8F
SERVER_COORDINATOR = 0x2C41


def describe(kind: zdo.LogicalType, *, mac: int, manufacturer: int, server: int) -> zdo.NodeDescriptor:
    """Node descriptor of the coordinator or of a node."""
    return zdo.NodeDescriptor(
        logical_type=kind,
        complex_descriptor_available=0,
        user_descriptor_available=0,
        reserved=0,
        aps_flags=0,
        frequency_band=zdo.NodeDescriptor.FrequencyBand.Freq2400MHz,
        mac_capability_flags=mac,
        manufacturer_code=manufacturer,
        maximum_buffer_size=MAX_APS_PAYLOAD_BYTES,
        maximum_incoming_transfer_size=MAX_APS_PAYLOAD_BYTES,
        server_mask=server,
        maximum_outgoing_transfer_size=MAX_APS_PAYLOAD_BYTES,
        descriptor_capability_field=0,
    )


def answer(stack: Stack, request: ApsFrame) -> None:
    """Answer a request that the host sent to its own coordinator; what is unknown stays unanswered."""
    if not request.payload:
        return
    arguments = _arguments(stack, request)
    if arguments is None:
        return
    response = zdo.ZDOCmd(request.cluster | 0x8000)
    body = zt.serialize(arguments, zdo.CLUSTERS[response][1])
    frame = ApsFrame(0, response, 0, 0, request.payload[:1] + body, COORDINATOR, COORDINATOR)
    stack.incoming(frame, t.EUI64.deserialize(stack.nvram.eui64)[0])


def _arguments(stack: Stack, request: ApsFrame) -> tuple[Any, ...] | None:
    done = zdo.Status.SUCCESS
    match request.cluster:
        case zdo.ZDOCmd.Node_Desc_req:
            descriptor = describe(
                zdo.LogicalType.Coordinator,
                mac=MAC_COORDINATOR,
                manufacturer=MANUFACTURER_SILABS,
                server=SERVER_COORDINATOR,
            )
            return done, zt.NWK(COORDINATOR), descriptor
        case zdo.ZDOCmd.Active_EP_req:
            return done, zt.NWK(COORDINATOR), ENDPOINTS(sorted(stack.endpoints))
        case zdo.ZDOCmd.Simple_Desc_req:
            return _simple_descriptor(stack, request.payload[3:4])
        case zdo.ZDOCmd.Mgmt_Lqi_req:
            return done, zdo.Neighbors(Entries=0, StartIndex=0, NeighborTableList=[])
        case zdo.ZDOCmd.Mgmt_Rtg_req:
            return done, zdo.Routes(Entries=0, StartIndex=0, RoutingTableList=[])
        case _:
            return None


def _simple_descriptor(stack: Stack, endpoint: bytes) -> tuple[Any, ...] | None:
    registered = stack.endpoints.get(endpoint[0]) if endpoint else None
    if registered is None:
        return None
    descriptor = zdo.SizePrefixedSimpleDescriptor(
        endpoint=registered["endpoint"],
        profile=registered["profileId"],
        device_type=registered["deviceId"],
        device_version=registered["deviceVersion"],
        input_clusters=registered["inputClusterList"],
        output_clusters=registered["outputClusterList"],
    )
    return zdo.Status.SUCCESS, zt.NWK(COORDINATOR), descriptor
