"""Commands about keys. Nothing is encrypted on the simulated air; keys are kept, compared and handed out."""

import bellows.types as t

from plant.radio.coordinator.commands_configuration import OK, accept
from plant.radio.coordinator.ezsp import Fields
from plant.radio.coordinator.stack import Stack, TransientKey

_BITS = t.EmberCurrentSecurityBitmask
TRANSIENT_KEY_S = 300.0
"""How long a key waits for its device (EmberZNet, transientKeyTimeoutS of a stock firmware)."""
_ZERO_EUI64 = t.EUI64.convert("00:00:00:00:00:00:00:00")


def set_initial_state(stack: Stack, arguments: Fields) -> Fields:
    """Keys for the network that is formed next."""
    state, security = arguments["state"], stack.nvram.security
    security.network_key = state.networkKey.serialize()
    security.link_key = state.preconfiguredKey.serialize()
    security.key_sequence = int(state.networkKeySequenceNumber)
    return OK


def get_current_state(stack: Stack, arguments: Fields) -> Fields:
    """The trust center is the coordinator itself and hashes its link keys."""
    state = t.EmberCurrentSecurityState()
    state.bitmask = (
        _BITS.GLOBAL_LINK_KEY | _BITS.HAVE_TRUST_CENTER_LINK_KEY | _BITS.TRUST_CENTER_USES_HASHED_LINK_KEY
    )
    state.trustCenterLongAddress = stack.eui64
    return {"state": state}


def export_key(stack: Stack, arguments: Fields) -> Fields:
    """The network key or the trust center's link key."""
    context, security = arguments["context"], stack.nvram.security
    network = context.core_key_type == t.SecurityManagerKeyType.NETWORK
    key = security.network_key if network else security.link_key
    return {"key": t.KeyData.deserialize(key)[0], "context": context}


def get_network_key_info(stack: Stack, arguments: Fields) -> Fields:
    """Counters of the network key."""
    security = stack.nvram.security
    info = t.SecurityManagerNetworkKeyInfo(
        network_key_set=t.Bool(stack.nvram.network is not None),
        alternate_network_key_set=t.Bool.false,
        network_key_sequence_number=security.key_sequence,
        alt_network_key_sequence_number=0,
        network_key_frame_counter=security.frame_counter,
    )
    return {"network_key_info": info}


def export_link_key(stack: Stack, arguments: Fields) -> Fields:
    """The table of link keys is empty."""
    context = t.SecurityManagerContextV13(
        core_key_type=0,
        key_index=0,
        derived_type=0,
        eui64=_ZERO_EUI64,
        multi_network_index=0,
        flags=0,
        psa_key_alg_permission=0,
    )
    metadata = t.SecurityManagerAPSKeyMetadata(
        bitmask=0, outgoing_frame_counter=0, incoming_frame_counter=0, ttl_in_seconds=0
    )
    return {
        "status": t.sl_Status.NOT_FOUND,
        "eui64": _ZERO_EUI64,
        "context": context,
        "plaintext_key": t.KeyData([0] * 16),
        "key_data": metadata,
    }


def import_transient_key(stack: Stack, arguments: Fields) -> Fields:
    """Let one device, or with all ones everybody, join with a key; a newer key replaces the older."""
    timeout_s = float(stack.configuration[t.EzspConfigId.CONFIG_TRANSIENT_KEY_TIMEOUT_S] or TRANSIENT_KEY_S)
    kept = TransientKey(arguments["plaintext_key"].serialize(), stack.air.clock() + timeout_s)
    stack.transient_keys[arguments["eui64"].serialize()] = kept
    return OK


def clear_transient_keys(stack: Stack, arguments: Fields) -> Fields:
    """Forget every key that waits for a device."""
    stack.transient_keys.clear()
    return OK


def find_key(stack: Stack, arguments: Fields) -> Fields:
    """No entry."""
    return {"index": 0xFF}


COMMANDS = {
    "setInitialSecurityState": set_initial_state,
    "getCurrentSecurityState": get_current_state,
    "exportKey": export_key,
    "getNetworkKeyInfo": get_network_key_info,
    "exportLinkKeyByIndex": export_link_key,
    "importLinkKey": accept,
    "importTransientKey": import_transient_key,
    "clearTransientLinkKeys": clear_transient_keys,
    "clearKeyTable": accept,
    "findKeyTableEntry": find_key,
    "eraseKeyTableEntry": accept,
}
