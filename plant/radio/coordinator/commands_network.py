"""Commands about the network: forming, resuming, leaving, joining, and the tables of neighbours."""

import math
from typing import Any

import bellows.types as t

from plant.radio.coordinator.commands_configuration import OK, accept
from plant.radio.coordinator.ezsp import Fields
from plant.radio.coordinator.nvram import Network
from plant.radio.coordinator.stack import Stack

_NOBODY = 0xFFFF
_NO_EUI64 = t.EUI64.convert("ff:ff:ff:ff:ff:ff:ff:ff")
_ZERO_EUI64 = t.EUI64.convert("00:00:00:00:00:00:00:00")
FOREVER = 255
"""Permit duration that does not end (UG100)."""
QUIET_DBM = -80
"""What an energy scan finds on every channel."""


def network_state(stack: Stack, arguments: Fields) -> Fields:
    """Whether the network runs."""
    return {"status": stack.state}


def network_init(stack: Stack, arguments: Fields) -> Fields:
    """Resume the network in memory."""
    if stack.nvram.network is None:
        return {"status": t.sl_Status.NOT_JOINED}
    stack.bring_up()
    return OK


def form_network(stack: Stack, arguments: Fields) -> Fields:
    """Form a new network."""
    stack.nvram.network = Network.of(arguments["parameters"])
    stack.bring_up()
    return OK


def leave_network(stack: Stack, arguments: Fields) -> Fields:
    """Leave and forget the network."""
    stack.nvram.forget_network()
    stack.take_down()
    return OK


def get_network_parameters(stack: Stack, arguments: Fields) -> Fields:
    """Parameters of the network in memory."""
    network = stack.nvram.network
    if network is None:
        blank = Network(bytes(8), 0xFFFF, 0).parameters()
        return {"status": t.sl_Status.NOT_JOINED, "parameters": blank}
    return {"nodeType": t.EmberNodeType.COORDINATOR, "parameters": network.parameters()}


def permit_joining(stack: Stack, arguments: Fields) -> Fields:
    """Open the network for a while, or close it."""
    duration = int(arguments["duration"])
    until_s = math.inf if duration == FOREVER else stack.air.clock() + duration
    stack.permit_until_s = until_s
    opened, closed = t.sl_Status.ZIGBEE_NETWORK_OPENED, t.sl_Status.ZIGBEE_NETWORK_CLOSED
    stack.say("stackStatusHandler", status=opened if duration else closed)

    def time_is_up() -> None:
        if stack.permit_until_s == until_s:  # not opened or closed anew meanwhile
            stack.say("stackStatusHandler", status=closed)

    if duration not in (0, FOREVER):
        stack.air.later(duration, time_is_up)
    return OK


def start_scan(stack: Stack, arguments: Fields) -> Fields:
    """Scan: no other network is found, every channel is quiet."""
    if arguments["scanType"] == t.EzspNetworkScanType.ENERGY_SCAN:
        for channel in t.Channels(arguments["channelMask"]):
            stack.say("energyScanResultHandler", channel=channel, maxRssiValue=QUIET_DBM)
    stack.say("scanCompleteHandler", channel=0)
    return OK


def get_child(stack: Stack, arguments: Fields) -> Fields:
    """No end device hangs on the coordinator."""
    child = t.EmberChildDataV10(
        eui64=_ZERO_EUI64, type=0, id=_NOBODY, phy=0, power=0, timeout=0, timeout_remaining=0
    )
    return {"status": t.sl_Status.NOT_JOINED, "child_data": child}


def get_extended_timeout(stack: Stack, arguments: Fields) -> Fields:
    """No device needs longer timeouts. The later protocols say so by failing."""
    return {"status": t.sl_Status.FAIL, "extendedTimeout": False}


def find_address(stack: Stack, arguments: Fields) -> Fields:
    """Network address of a node."""
    wanted = arguments["eui64"].serialize()
    for node in stack.air.nodes.values():
        if node.ieee == wanted:
            return {"nodeId": node.address}
    return {"status": t.sl_Status.NOT_FOUND, "nodeId": _NOBODY}


def find_eui64(stack: Stack, arguments: Fields) -> Fields:
    """IEEE address of a node."""
    node = stack.air.nodes.get(int(arguments["nodeId"]))
    if node is None:
        return {"status": t.sl_Status.NOT_FOUND, "eui64": _NO_EUI64}
    return {"eui64": t.EUI64.deserialize(node.ieee)[0]}


def get_address_entry(stack: Stack, arguments: Fields) -> Fields:
    """The address table is empty (the two fields are of two protocol versions)."""
    return {"status": t.sl_Status.NOT_FOUND, "nodeId": _NOBODY, "nwk": _NOBODY, "eui64": _NO_EUI64}


def replace_address_entry(stack: Stack, arguments: Fields) -> Fields:
    """Accepted; the previous entry was empty."""
    return {"oldEui64": _NO_EUI64, "oldId": _NOBODY, "oldExtendedTimeout": False}


def get_group(stack: Stack, arguments: Fields) -> Fields:
    """An entry of the multicast table."""
    empty = t.EmberMulticastTableEntry(multicastId=0, endpoint=0, networkIndex=0)
    entry: Any = stack.groups.get(int(arguments["index"]), empty)
    return {"value": entry}


def set_group(stack: Stack, arguments: Fields) -> Fields:
    """Set an entry of the multicast table."""
    stack.groups[int(arguments["index"])] = arguments["value"]
    return OK


COMMANDS = {
    "networkState": network_state,
    "networkInit": network_init,
    "formNetwork": form_network,
    "leaveNetwork": leave_network,
    "getNetworkParameters": get_network_parameters,
    "permitJoining": permit_joining,
    "startScan": start_scan,
    "setLogicalAndRadioChannel": accept,
    "getChildData": get_child,
    "setChildData": accept,
    "getExtendedTimeout": get_extended_timeout,
    "setExtendedTimeout": accept,
    "lookupNodeIdByEui64": find_address,
    "lookupEui64ByNodeId": find_eui64,
    "getAddressTableRemoteNodeId": get_address_entry,
    "getAddressTableInfo": get_address_entry,
    "replaceAddressTableEntry": replace_address_entry,
    "getMulticastTableEntry": get_group,
    "setMulticastTableEntry": set_group,
    "setConcentrator": accept,
    "setSourceRouteDiscoveryMode": accept,
    "removeDevice": accept,
    "gpSinkTableClearAll": accept,
    "gpClearProxyTable": accept,
}
