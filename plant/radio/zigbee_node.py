"""A Zigbee device in the simulated network: its device objects (ZDO) and a minimal ZCL server."""

import math
from typing import Any

import zigpy.types as zt
import zigpy.zdo.types as zdo
from zigpy.zcl import foundation

from plant.radio.coordinator.local_zdo import ENDPOINTS, describe
from plant.radio.medium import COORDINATOR, RECEIVER_ON, ApsFrame, Delivery, RadioMedium

HOME_AUTOMATION = 0x0104
ALL_ENDPOINTS = 0xFF
BASIC, GROUPS = 0x0000, 0x0004
MAC_ROUTER = 0x8E
SERVER_ROUTER = 0x2C00
CHARACTER_STRING, ENUM8 = 0x42, 0x30
MAINS = 0x01
FOREVER = 0xFF
"""Permit duration that does not end (Zigbee specification 2.4.3.3.7)."""
PUBLIC_LINK_KEY = b"ZigBeeAlliance09"
"""What a device without an install code joins with. Everybody knows it."""

Attributes = dict[int, tuple[int, Any]]
"""Attribute id to (ZCL type id, value)."""
_GENERAL = foundation.GeneralCommand
_STATUS = foundation.Status


class ZigbeeNode:
    """A mains-powered router with one endpoint.

    Args:
        ieee: IEEE address, 8 bytes little endian.
        address: network address.
        clusters: server clusters of endpoint 1 beyond Basic and Groups.
        manufacturer: manufacturer code.
    """

    model = "node"

    def __init__(
        self, air: RadioMedium, ieee: bytes, address: int, clusters: tuple[int, ...], manufacturer: int
    ) -> None:
        self.air, self.ieee, self.address, self.manufacturer = air, ieee, address, manufacturer
        self.online = self.router = self.receiver_on = True
        self.network_key: bytes | None = None
        self.join_key = PUBLIC_LINK_KEY
        self.permit_until_s = -math.inf
        self.groups: set[int] = set()
        self.clusters = (BASIC, GROUPS, *clusters)
        self.attributes: dict[int, Attributes] = {
            BASIC: {
                0x0000: (0x20, 3),
                0x0004: (CHARACTER_STRING, "Sunkeep"),
                0x0005: (CHARACTER_STRING, self.model),
                0x0007: (ENUM8, MAINS),
            }
        }
        self._sequence = 0

    # outbound ------------------------------------------------------------------------------------
    def next_sequence(self) -> int:
        """The next transaction number; the host drops repeats within ten seconds."""
        self._sequence = (self._sequence + 1) % 256
        return self._sequence

    def send(
        self, cluster: int, payload: bytes, *, profile: int = HOME_AUTOMATION, endpoint: int = 1
    ) -> None:
        """Unicast to the coordinator."""
        frame = ApsFrame(profile, cluster, endpoint, endpoint, payload, self.address, COORDINATOR)
        self.air.from_node(self, frame)

    def announce(self) -> None:
        """Tell the network that this device is in it."""
        schema = zdo.CLUSTERS[zdo.ZDOCmd.Device_annce][1]
        ieee = zt.EUI64.deserialize(self.ieee)[0]
        body = zt.serialize((zt.NWK(self.address), ieee, zt.uint8_t(MAC_ROUTER)), schema)
        payload = bytes([self.next_sequence()]) + body
        broadcast = Delivery.BROADCAST
        frame = ApsFrame(0, zdo.ZDOCmd.Device_annce, 0, 0, payload, self.address, RECEIVER_ON, broadcast)
        self.air.from_node(self, frame)

    # inbound -------------------------------------------------------------------------------------
    def receive(self, frame: ApsFrame) -> None:
        """A frame from the air."""
        if not self.online or not frame.payload:
            return
        if frame.profile == 0 and frame.destination_endpoint == 0:
            self._zdo(frame)
        elif frame.profile == HOME_AUTOMATION and frame.destination_endpoint in (1, ALL_ENDPOINTS):
            self._zcl(frame)

    def _zdo(self, frame: ApsFrame) -> None:
        try:
            command = zdo.ZDOCmd(frame.cluster)
            arguments, _ = zt.deserialize(frame.payload[1:], zdo.CLUSTERS[command][1])
        except (KeyError, ValueError):
            return
        answer = self._zdo_answer(command, arguments, frame.delivery)
        if answer is not None:
            response = zdo.ZDOCmd(command | 0x8000)
            body = zt.serialize(answer, zdo.CLUSTERS[response][1])
            self.send(response, frame.payload[:1] + body, profile=0, endpoint=0)

    def _zdo_answer(self, command: zdo.ZDOCmd, arguments: Any, delivery: Delivery) -> tuple[Any, ...] | None:
        done, address, ieee = zdo.Status.SUCCESS, zt.NWK(self.address), zt.EUI64.deserialize(self.ieee)[0]
        addresses = (done, ieee, address, zt.uint8_t(0), zt.uint8_t(0), zt.List[zt.NWK]([]))
        about_me = bool(arguments) and arguments[0] in (address, ieee)
        match command:
            case zdo.ZDOCmd.Node_Desc_req if about_me:
                kind = zdo.LogicalType.Router
                codes = {"manufacturer": self.manufacturer, "mac": MAC_ROUTER, "server": SERVER_ROUTER}
                return done, address, describe(kind, **codes)
            case zdo.ZDOCmd.Active_EP_req if about_me:
                return done, address, ENDPOINTS([1])
            case zdo.ZDOCmd.Simple_Desc_req if about_me:
                return self._simple_descriptor(int(arguments[1]))
            case zdo.ZDOCmd.IEEE_addr_req | zdo.ZDOCmd.NWK_addr_req if about_me:
                return addresses
            case zdo.ZDOCmd.Bind_req | zdo.ZDOCmd.Unbind_req:
                return (done,)
            case zdo.ZDOCmd.Mgmt_Permit_Joining_req:
                duration = int(arguments[0])
                self.permit_until_s = math.inf if duration == FOREVER else self.air.clock() + duration
                return (done,) if delivery is Delivery.UNICAST else None
            case zdo.ZDOCmd.Mgmt_Lqi_req:
                return done, zdo.Neighbors(Entries=0, StartIndex=0, NeighborTableList=[])
            case zdo.ZDOCmd.Mgmt_Rtg_req:
                return done, zdo.Routes(Entries=0, StartIndex=0, RoutingTableList=[])
            case _:
                return None

    def _simple_descriptor(self, endpoint: int) -> tuple[Any, ...]:
        address = zt.NWK(self.address)
        if endpoint != 1:
            return zdo.Status.NOT_ACTIVE, address, zdo.SizePrefixedSimpleDescriptor()
        descriptor = zdo.SizePrefixedSimpleDescriptor(
            endpoint=1,
            profile=HOME_AUTOMATION,
            device_type=0x0051,  # smart plug
            device_version=1,
            input_clusters=list(self.clusters),
            output_clusters=[],
        )
        return zdo.Status.SUCCESS, address, descriptor

    def _zcl(self, frame: ApsFrame) -> None:
        try:
            header, body = foundation.ZCLHeader.deserialize(frame.payload)
        except ValueError:
            return
        if frame.cluster not in self.clusters:
            self._default_response(frame, header, _STATUS.UNSUPPORTED_CLUSTER)
        elif header.frame_control.is_cluster:
            self._default_response(frame, header, self.on_command(frame, header, body))
        elif header.command_id == _GENERAL.Read_Attributes:
            self._reply(frame, header, _GENERAL.Read_Attributes_rsp, self._read(frame.cluster, body))
        elif header.command_id == _GENERAL.Write_Attributes:
            self._reply(frame, header, _GENERAL.Write_Attributes_rsp, self._write(frame.cluster, body))
        elif header.command_id == _GENERAL.Configure_Reporting:
            self._reply(frame, header, _GENERAL.Configure_Reporting_rsp, bytes([_STATUS.SUCCESS]))
        elif header.command_id != _GENERAL.Default_Response:
            self._default_response(frame, header, _STATUS.UNSUP_GENERAL_COMMAND)

    def on_command(self, frame: ApsFrame, header: Any, body: bytes) -> int:
        """A cluster command; returns its ZCL status."""
        if frame.cluster == GROUPS and header.command_id == 0x00 and len(body) >= 2:  # add group
            self.groups.add(int.from_bytes(body[:2], "little"))
            self._reply(frame, header, 0x00, bytes([_STATUS.SUCCESS]) + body[:2], general=False)
            return int(_STATUS.SUCCESS)
        return int(_STATUS.UNSUP_CLUSTER_COMMAND)

    def on_write(self, cluster: int, attribute: int, value: Any) -> int:
        """An attribute is written; returns its ZCL status."""
        return int(_STATUS.UNSUPPORTED_ATTRIBUTE)

    def _write(self, cluster: int, body: bytes) -> bytes:
        """Failures only; one success where all went well (ZCL 2.5.5)."""
        failures = b""
        while body:
            try:
                written, body = foundation.Attribute.deserialize(body)
            except ValueError:
                return bytes([_STATUS.MALFORMED_COMMAND])
            status = self.on_write(cluster, int(written.attrid), written.value.value)
            if status != _STATUS.SUCCESS:
                failures += bytes([status]) + written.attrid.serialize()
        return failures or bytes([_STATUS.SUCCESS])

    def _read(self, cluster: int, body: bytes) -> bytes:
        known, answer = self.attributes.get(cluster, {}), b""
        for at in range(0, len(body) - 1, 2):
            identifier = body[at : at + 2]
            entry = known.get(int.from_bytes(identifier, "little"))
            if entry is None:
                answer += identifier + bytes([_STATUS.UNSUPPORTED_ATTRIBUTE])
                continue
            kind = foundation.DataType.from_type_id(foundation.DataTypeId(entry[0])).python_type
            value = foundation.TypeValue(type=zt.uint8_t(entry[0]), value=kind(entry[1])).serialize()
            answer += identifier + bytes([_STATUS.SUCCESS]) + value
        return answer

    def _default_response(self, frame: ApsFrame, header: Any, status: int) -> None:
        """Only to unicasts; a success only if it was not declined (ZCL 2.5.12.2)."""
        declined = header.frame_control.disable_default_response and status == _STATUS.SUCCESS
        if frame.delivery is Delivery.UNICAST and not declined:
            self._reply(frame, header, _GENERAL.Default_Response, bytes([header.command_id, status]))

    def _reply(
        self, frame: ApsFrame, header: Any, command: int, body: bytes, *, general: bool = True
    ) -> None:
        head = zcl_head(header.tsn, command, general=general, manufacturer=header.manufacturer)
        self.send(frame.cluster, head + body)


def zcl_head(sequence: int, command: int, *, general: bool = True, manufacturer: int | None = None) -> bytes:
    """A ZCL header from server to client with default response disabled.

    Frame control: bits 0-1 type, 2 manufacturer-specific, 3 server to client, 4 no default response.
    """
    control = (not general) | (manufacturer is not None) << 2 | 1 << 3 | 1 << 4
    code = b"" if manufacturer is None else manufacturer.to_bytes(2, "little")
    return bytes([control]) + code + bytes([sequence, command])
