"""Whom the coordinator lets into its network, and whether the newcomer can read the network key.

Source: Silicon Labs UG100 (trust center policies, transient keys) and AN1233 (what they do to a join).
"""

import bellows.types as t

from plant.radio.coordinator.stack import Stack
from plant.radio.medium import Node

EVERYBODY = b"\xff" * 8
"""A transient key for this address is for every device."""
_BITS = t.EzspDecisionBitmask
_POLICY = t.EzspPolicyId.TRUST_CENTER_POLICY


def admit(stack: Stack, node: Node, parent: int) -> bool:
    """Decide about a device that asks to join, and tell the host.

    Args:
        parent: network address of the router that it asks.

    Returns:
        Whether the device has the network key now. The host is not told: a device that was sent a key it
        cannot decrypt says nothing more.
    """
    decision = _decide(stack, node.ieee)
    stack.say(
        "trustCenterJoinHandler",
        newNodeId=node.address,
        newNodeEui64=t.EUI64.deserialize(node.ieee)[0],
        status=t.EmberDeviceUpdate.STANDARD_SECURITY_UNSECURED_JOIN,
        policyDecision=decision,
        parentOfNewNodeId=parent,
    )
    if decision is t.EmberJoinDecision.SEND_KEY_IN_THE_CLEAR:
        return True
    if decision is not t.EmberJoinDecision.USE_PRECONFIGURED_KEY:
        return False
    sent_with = _waiting_key(stack, node.ieee) or _waiting_key(stack, EVERYBODY)
    return sent_with is not None and sent_with == node.join_key


def _decide(stack: Stack, ieee: bytes) -> t.EmberJoinDecision:
    policy = stack.policies.get(_POLICY, int(t.EzspDecisionId.ALLOW_PRECONFIGURED_KEY_JOINS))
    if not policy & _BITS.ALLOW_JOINS:
        return t.EmberJoinDecision.DENY_JOIN
    if policy & _BITS.JOINS_USE_INSTALL_CODE_KEY and _waiting_key(stack, ieee) is None:
        return t.EmberJoinDecision.DENY_JOIN
    if policy & _BITS.DEFER_JOINS:
        return t.EmberJoinDecision.NO_ACTION
    if policy & _BITS.SEND_KEY_IN_CLEAR:
        return t.EmberJoinDecision.SEND_KEY_IN_THE_CLEAR
    return t.EmberJoinDecision.USE_PRECONFIGURED_KEY


def _waiting_key(stack: Stack, ieee: bytes) -> bytes | None:
    """The transient key that waits for this device, if its time is not over."""
    kept = stack.transient_keys.get(ieee)
    return kept.key if kept is not None and stack.air.clock() < kept.until_s else None
