"""Commands about the module itself: identity, sizes, values, tokens, endpoints."""

from typing import Any

import bellows.types as t

from plant.radio.coordinator.ezsp import Fields
from plant.radio.coordinator.stack import COUNTERS, Stack

OK: dict[str, Any] = {}
"""An answer whose fields are all 0: success."""

_VALUE = t.EzspValueId
_NO_EUI64 = b"\xff" * 8
_BUILD = 412
_GENERAL_AVAILABILITY = 0xAA
_FREE_BUFFERS = b"\xf0"


def accept(stack: Stack, arguments: Fields) -> Fields:
    """Succeed without any effect in the simulation."""
    return OK


def version(stack: Stack, arguments: Fields) -> Fields:
    """Protocol and stack version."""
    return stack.codec.version_fields


def custom_frame(stack: Stack, arguments: Fields) -> Fields:
    """This firmware has no extensions."""
    return {"status": t.sl_Status.NOT_AVAILABLE, "reply": b""}


def echo(stack: Stack, arguments: Fields) -> Fields:
    """Return what came."""
    return {"echo": arguments["data"]}


def get_value(stack: Stack, arguments: Fields) -> Fields:
    """Read a value; one that was never set is a zero byte."""
    fixed = {_VALUE.VALUE_FREE_BUFFERS: _FREE_BUFFERS, _VALUE.VALUE_VERSION_INFO: _version_info(stack)}
    which = arguments["valueId"]
    return {"value": fixed.get(which) or stack.values.get(which, b"\x00")}


def _version_info(stack: Stack) -> bytes:
    """Build, then the four digits of the stack version, then the kind of release."""
    version = stack.codec.version_fields["stackVersion"]
    digits = [version >> shift & 0xF for shift in (12, 8, 4, 0)]
    return _BUILD.to_bytes(2, "little") + bytes([*digits, _GENERAL_AVAILABILITY])


def get_extended_value(stack: Stack, arguments: Fields) -> Fields:
    """Read a value with a selector: endpoint flags are enabled, everything else 0."""
    return {"value": b"\x01\x00" if int(arguments["valueId"]) == 0 else bytes(4)}


def set_value(stack: Stack, arguments: Fields) -> Fields:
    """Keep a value; two of them are counters that last."""
    which, value = arguments["valueId"], bytes(arguments["value"])
    stack.values[which] = value
    security = stack.nvram.security
    if which == _VALUE.VALUE_NWK_FRAME_COUNTER:
        security.frame_counter = int.from_bytes(value, "little")
    elif which == _VALUE.VALUE_APS_FRAME_COUNTER:
        security.aps_frame_counter = int.from_bytes(value, "little")
    stack.nvram.save()
    return OK


def get_configuration(stack: Stack, arguments: Fields) -> Fields:
    """Read a table size."""
    return {"value": stack.configuration[arguments["configId"]]}


def set_configuration(stack: Stack, arguments: Fields) -> Fields:
    """Set a table size; that of the broadcast table has an effect."""
    which, value = arguments["configId"], int(arguments["value"])
    stack.configuration[which] = value
    if which == t.EzspConfigId.CONFIG_BROADCAST_TABLE_SIZE:
        stack.air.limiter.size = value
    return OK


def set_policy(stack: Stack, arguments: Fields) -> Fields:
    """Set a policy; that of the trust center decides who may join."""
    stack.policies[int(arguments["policyId"])] = int(arguments["decisionId"])
    return OK


def get_policy(stack: Stack, arguments: Fields) -> Fields:
    """Read a policy."""
    return {"decisionId": stack.policies.get(int(arguments["policyId"]), 0)}


def add_endpoint(stack: Stack, arguments: Fields) -> Fields:
    """Register an endpoint of the host."""
    stack.endpoints[int(arguments["endpoint"])] = arguments
    return OK


def get_eui64(stack: Stack, arguments: Fields) -> Fields:
    """The coordinator's IEEE address."""
    return {"eui64": stack.eui64}


def get_node_id(stack: Stack, arguments: Fields) -> Fields:
    """A coordinator has network address 0."""
    return {"nodeId": 0x0000}


def get_manufacturing_token(stack: Stack, arguments: Fields) -> Fields:
    """Names of the board; no burnt-in custom address."""
    tokens = {
        t.EzspMfgTokenId.MFG_STRING: b"Sunkeep",
        t.EzspMfgTokenId.MFG_BOARD_NAME: b"virtual",
        t.EzspMfgTokenId.MFG_CUSTOM_EUI_64: _NO_EUI64,
    }
    return {"tokenData": tokens.get(arguments["tokenId"], b"")}


def read_counters(stack: Stack, arguments: Fields) -> Fields:
    """Event counters."""
    return {"values": stack.counters}


def read_and_clear_counters(stack: Stack, arguments: Fields) -> Fields:
    """Event counters, started anew."""
    values, stack.counters = stack.counters, [0] * COUNTERS
    return {"values": values}


def get_token(stack: Stack, arguments: Fields) -> Fields:
    """Read a stack token; only the restored IEEE address is kept."""
    if arguments["token"] == t.NV3KeyId.CREATOR_STACK_RESTORED_EUI64:
        return {"value": stack.nvram.restored_eui64 or _NO_EUI64}
    return {"status": t.sl_Status.NOT_FOUND}


def set_token(stack: Stack, arguments: Fields) -> Fields:
    """Write a stack token; all ones erase the restored IEEE address."""
    if arguments["token"] == t.NV3KeyId.CREATOR_STACK_RESTORED_EUI64:
        value = bytes(arguments["token_data"])
        stack.nvram.restored_eui64 = None if value == _NO_EUI64 else value
        stack.nvram.save()
    return OK


def factory_reset(stack: Stack, arguments: Fields) -> Fields:
    """Forget the network; the restored IEEE address stays."""
    stack.nvram.forget_network(keep_counters=bool(arguments["excludeOutgoingFC"]))
    stack.state = t.EmberNetworkStatus.NO_NETWORK
    return OK


COMMANDS = {
    "version": version,
    "customFrame": custom_frame,
    "nop": accept,
    "echo": echo,
    "getValue": get_value,
    "getExtendedValue": get_extended_value,
    "setValue": set_value,
    "getConfigurationValue": get_configuration,
    "setConfigurationValue": set_configuration,
    "addEndpoint": add_endpoint,
    "setPolicy": set_policy,
    "getPolicy": get_policy,
    "setManufacturerCode": accept,
    "setRadioPower": accept,
    "getEui64": get_eui64,
    "getNodeId": get_node_id,
    "getMfgToken": get_manufacturing_token,
    "readCounters": read_counters,
    "readAndClearCounters": read_and_clear_counters,
    "getTokenCount": accept,
    "getTokenData": get_token,
    "setTokenData": set_token,
    "tokenFactoryReset": factory_reset,
}
