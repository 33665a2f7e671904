"""Who gets into the simulated network, as the real bellows opens it."""

import asyncio
from random import Random

import bellows.types as t
import pytest
import zigpy.types as zt
from zigpy.util import convert_install_code

from plant.radio.channel import immediate, no_loss
from plant.radio.medium import COORDINATOR, RECEIVER_ON, ApsFrame, Delivery, RadioMedium
from plant.radio.network import RadioSite, serve_radio_site
from plant.radio.slave_firmware import CLUSTER, Firmware
from plant.radio.slave_node import SlaveNode, ieee_of, install_code_of
from plant.radio.zigbee_node import PUBLIC_LINK_KEY
from tests.plant.radio.test_medium import RadioListener
from tests.support.radio_nodes import KEY, Host, running_host, until

SLOT = 9
POLICY = t.EzspPolicyId.TRUST_CENTER_POLICY
PUBLISHED = (  # Zigbee Base Device Behavior 10.1: a code with its checksum, and its key
    "83fed3407a939723a5c639b26916d505c3b5",
    "66b6900981e1ee3ca4206b6b861c02bb",
)


async def serve(**more: object) -> RadioSite:
    return await serve_radio_site(
        [(0, 3000)],
        KEY,
        measured_w=lambda slot: None,
        rng=Random(7),
        broadcast_delay=immediate,
        loss=no_loss,
        **more,  # type: ignore[arg-type]
    )


def newcomer(site: RadioSite, slot: int = SLOT) -> SlaveNode:
    return SlaveNode(site.air, Firmware(slot, KEY, 3000), lambda slot: None, Random(1))


def ieee(slot: int = SLOT) -> zt.EUI64:
    return zt.EUI64.deserialize(ieee_of(slot))[0]


def key(slot: int = SLOT) -> zt.KeyData:
    return convert_install_code(install_code_of(slot))


async def settled(host: Host) -> None:
    """The host's own start-up rewrites the policy two seconds after it was there."""
    await asyncio.sleep(2.2)


def test_an_install_code_stands_for_the_key_of_the_published_example() -> None:
    assert convert_install_code(bytes.fromhex(PUBLISHED[0])).serialize().hex() == PUBLISHED[1]
    codes = {install_code_of(slot) for slot in range(90)}
    assert len(codes) == 90
    assert all(convert_install_code(code) for code in codes)


@pytest.mark.parametrize("version", [13, 14, 18])
async def test_with_install_codes_only_the_device_with_the_right_one_gets_in(version: int) -> None:
    site = await serve(ezsp_version=version)
    try:
        async with running_host(site.path) as host:
            await settled(host)
            right, stranger, wrong = newcomer(site), newcomer(site, 10), newcomer(site)
            wrong.join_key = key(10).serialize()
            with pytest.raises(PermissionError, match="joining is closed"):
                site.coordinator.join(right)
            await host.permit_with_link_key(ieee(), key(), 60)
            assert not site.coordinator.join(stranger)
            assert stranger.address not in site.air.nodes
            assert not site.coordinator.join(wrong)
            assert wrong.address not in site.air.nodes
            assert site.coordinator.join(right)
            assert site.air.nodes[right.address] is right
            assert not site.coordinator.refused
    finally:
        await site.stop()


async def test_the_public_key_opens_nothing_while_install_codes_are_asked_for() -> None:
    site = await serve()
    try:
        async with running_host(site.path) as host:
            await settled(host)
            node = newcomer(site, 11)
            node.join_key = PUBLIC_LINK_KEY
            await host.permit_with_link_key(ieee(), key(), 60)
            assert not site.coordinator.join(node)
            await host.permit(60)  # without a code: everybody with the public key
            await until(lambda: site.coordinator.stack.policies[POLICY] & 0x10 == 0)
            assert site.coordinator.join(node)
    finally:
        await site.stop()


async def test_a_device_joins_through_a_router_that_was_opened_too() -> None:
    site = await serve()
    try:
        async with running_host(site.path) as host:
            await settled(host)
            router, node = site.nodes[0], newcomer(site)
            with pytest.raises(PermissionError):
                site.coordinator.join(node, router)
            await host.permit_with_link_key(ieee(), key(), 60)
            asked: list[object] = []
            host._ezsp.add_callback(lambda name, args: asked.append((name, args[-1])))
            assert site.coordinator.join(node, router)
            await until(lambda: ("trustCenterJoinHandler", router.address) in asked)
    finally:
        await site.stop()


async def test_time_closes_the_network_and_forgets_the_key() -> None:
    now_s = 1000.0
    air = RadioMedium(clock=lambda: now_s)
    site = await serve()
    try:
        stack = site.coordinator.stack
        site.air.clock = air.clock
        async with running_host(site.path) as host:
            await settled(host)
            statuses: list[object] = []
            host._ezsp.add_callback(
                lambda name, args: statuses.append(args[0]) if name == "stackStatusHandler" else None
            )
            await host.permit_with_link_key(ieee(), key(), 1)
            assert stack.permit_until_s == now_s + 1.0
            await asyncio.sleep(1.1)
            now_s += 1.1
            assert not stack.permitting
            await until(lambda: len(statuses) == 2)  # opened, closed
            await host.permit_with_link_key(ieee(), key(), 254)
            now_s += 254.0
            await host.permit_with_link_key(ieee(10), key(10), 254)
            now_s += 50.0  # 304 s after the first key came
            assert not site.coordinator.join(newcomer(site))
            assert site.coordinator.join(newcomer(site, 10))
    finally:
        await site.stop()


def heard(counter: int | None, key: bytes | None = b"k" * 16) -> int:
    """How many frames a node with this key has taken after one with counter 7."""
    air = RadioMedium()
    air.network_key = b"k" * 16
    node = RadioListener(0x1001)
    node.network_key = key
    air.add(node)
    for number in (7, counter):
        air.broadcast(frame(RECEIVER_ON, Delivery.BROADCAST, number))
        air.unicast(frame(node.address, Delivery.UNICAST, None if number is None else number + 1))
    return len(node.heard)


def frame(destination: int, delivery: Delivery, counter: int | None) -> ApsFrame:
    return ApsFrame(0x0104, CLUSTER, 1, 1, b"x", COORDINATOR, destination, delivery, nwk_counter=counter)


@pytest.mark.parametrize(("counter", "key", "taken"), [
    (9, b"k" * 16, 4),
    (8, b"k" * 16, 3),  # what was heard already
    (6, b"k" * 16, 2),  # from an old backup
    (9, b"x" * 16, 0),  # another network
    (9, None, 4),
    (None, b"k" * 16, 4),
])  # fmt: skip
def test_a_node_drops_other_keys_and_counters_that_it_has_passed(
    counter: int | None, key: bytes | None, taken: int
) -> None:
    assert heard(counter, key) == taken


async def test_slaves_that_are_not_commissioned_keep_asking_until_they_are_in() -> None:
    site = await serve(joined=False)
    try:
        assert not site.air.nodes
        async with running_host(site.path) as host:
            host.looks_up_slaves = True
            await settled(host)
            await host.permit_with_link_key(ieee(0), key(0), 60)
            await until(lambda: bool(site.air.nodes), within_s=10.0)
            await until(lambda: ieee(0) in host.devices and host.devices[ieee(0)].is_initialized)
    finally:
        await site.stop()
