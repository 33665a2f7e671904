"""The real bellows and zigpy on the virtual coordinator."""

import asyncio
import contextlib
import gc
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
import zigpy.types as zt
from bellows.exception import EzspError, InvalidCommandError
from bellows.types import sl_Status
from zigpy.exceptions import DeliveryError, NetworkNotFormed

from plant.radio.broadcast_limiter import BroadcastLimiter, LimiterModel
from plant.radio.channel import immediate, no_loss
from plant.radio.coordinator.line import Noisy
from plant.radio.coordinator.nvram import Nvram
from plant.radio.network import RadioSite, serve_radio_site
from plant.radio.slave_firmware import CLUSTER, Firmware
from plant.radio.slave_node import SlaveNode
from plant.radio.zigbee_node import PUBLIC_LINK_KEY
from tests.support.radio_nodes import KEY, Host, frame_payload, running_host, until

SLOTS = range(6)
POWER_W = 777.0
SETPOINTS = [100 * (slot + 1) for slot in SLOTS]


@asynccontextmanager
async def site(*, limited: bool = False, **more: Any) -> AsyncIterator[RadioSite]:
    """Six slaves that hear at once."""
    limiter = BroadcastLimiter(model=LimiterModel.EMBER if limited else LimiterModel.OFF)
    served = await serve_radio_site(
        [(slot, 3000) for slot in SLOTS],
        KEY,
        measured_w=lambda slot: POWER_W + slot,
        rng=Random(7),
        broadcast_delay=immediate,
        loss=no_loss,
        limiter=limiter,
        **more,
    )
    try:
        yield served
    finally:
        await served.stop()


async def broadcast_fifty(host: Host, served: RadioSite) -> None:
    """Fifty frames; every slave hears every one, and reports the last."""
    for counter in range(1, 51):
        flags = 0x12 if counter == 50 else 0x10  # everybody answers the last one
        await host.set_points(frame_payload(counter, SETPOINTS, host.network, flags=flags, ttl_s=60))
    await until(lambda: all(f.accepted == 50 for f in served.firmwares.values()))
    assert not any(f.ignored for f in served.firmwares.values())
    newest: dict[int, dict[str, int]] = {}

    def all_reported() -> bool:
        newest.update({report["slot"]: report for report in host.reports})
        return sum(report["counter"] == 50 for report in newest.values()) == len(SLOTS)

    await until(all_reported, within_s=20.0)
    for slot in SLOTS:
        assert newest[slot]["applied_w"] == SETPOINTS[slot]
        assert newest[slot]["power_w"] == POWER_W + slot
        assert newest[slot]["status"] == 0


@pytest.mark.parametrize("version", [13, 14, 18])
async def test_resumes_a_formed_network_and_reaches_every_slave(version: int) -> None:
    async with site(ezsp_version=version) as served, running_host(served.path) as host:
        assert host.network == served.air.extended_pan_id
        assert host.state.node_info.version.startswith({13: "7.4", 14: "8.0", 18: "8.3"}[version])
        await broadcast_fifty(host, served)
        assert not served.coordinator.refused


async def test_works_over_tcp() -> None:
    async with site(port=0) as served, running_host(served.path) as host:
        assert served.path.startswith("socket://127.0.0.1:")
        await broadcast_fifty(host, served)


@pytest.mark.parametrize("version", [13, 14, 18])
async def test_forms_a_network_on_a_blank_coordinator(version: int, tmp_path: Path) -> None:
    path = tmp_path / "nvram.json"
    async with site(ezsp_version=version, nvram=Nvram.load(path)) as served:
        with pytest.raises(NetworkNotFormed):
            async with running_host(served.path):
                pass
        async with running_host(served.path, auto_form=True) as host:
            formed, key = host.network, host.state.network_info.network_key.key.serialize()
    async with (
        site(ezsp_version=version, nvram=Nvram.load(path)) as served,
        running_host(served.path) as host,
    ):
        assert host.network == formed
        assert host.state.network_info.network_key.key.serialize() == key
    assert path.stat().st_mode & 0o077 == 0


async def test_a_lossy_line_loses_nothing() -> None:
    lines = (Noisy(Random(1)), Noisy(Random(2)))
    async with site(outbound=lines[0], inbound=lines[1]) as served, running_host(served.path) as host:
        for line in lines:
            line.counts.clear()
            line.loss, line.corruption = 0.08, 0.02
        await broadcast_fifty(host, served)
        assert all(line.counts["lost"] >= 2 for line in lines)
        assert sum(line.counts["corrupted"] for line in lines) > 0
        assert [host.heard.count(packet) for packet in host.heard] == [1] * len(host.heard)


async def test_refuses_a_second_host_and_keeps_the_first() -> None:
    async with site(port=0) as served, running_host(served.path) as host:
        port = int(served.path.rsplit(":", 1)[1])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(bytes.fromhex("1ac038bc7e"))
        with contextlib.suppress(ConnectionError):
            assert await reader.read(16) == b""
        writer.close()
        await host.set_points(frame_payload(1, SETPOINTS, host.network))
        await until(lambda: all(f.accepted == 1 for f in served.firmwares.values()))


async def test_the_next_host_is_served_when_the_first_has_left() -> None:
    async with site(port=0) as served:
        for counter in (1, 2):
            async with running_host(served.path) as host:
                await host.set_points(frame_payload(counter, SETPOINTS, host.network))
        await until(lambda: all(f.accepted == 2 for f in served.firmwares.values()))


async def test_refuses_broadcasts_beyond_the_burst() -> None:
    async with site(limited=True) as served, running_host(served.path) as host:
        spent = served.air.statistics.broadcasts_offered
        results = await asyncio.gather(
            *(host.set_points(frame_payload(c, SETPOINTS, host.network)) for c in range(1, 11)),
            return_exceptions=True,
        )
        refused = [result for result in results if result is not None]
        assert 0 < len(refused) == served.air.statistics.broadcasts_refused
        assert all(isinstance(error, DeliveryError) and "BUSY" in str(error) for error in refused)
        assert spent + 10 - len(refused) <= 9  # a burst of the stock table


async def test_refuses_what_does_not_fit_a_frame() -> None:
    async with site() as served, running_host(served.path) as host:
        await host.set_points(bytes(77))
        with pytest.raises(DeliveryError, match="MESSAGE_TOO_LONG"):
            await host.set_points(bytes(78))


async def test_a_crash_takes_the_network_down_until_a_host_starts_it_again() -> None:
    async with site() as served:
        async with running_host(served.path) as host:
            served.coordinator.crash()
            await asyncio.sleep(0.05)
            assert served.air.extended_pan_id is None
            with pytest.raises((EzspError, InvalidCommandError)):
                await host.set_points(frame_payload(1, SETPOINTS, bytes(8)))
        async with running_host(served.path) as host:
            await host.set_points(frame_payload(2, SETPOINTS, host.network))
        await until(lambda: all(f.accepted == 1 for f in served.firmwares.values()))


@pytest.mark.parametrize("port", [None, 0])
@pytest.mark.parametrize("fault", ["crash", "fail_link", "unplug"])
async def test_a_host_notices_at_once(fault: str, port: int | None) -> None:
    lost = asyncio.Event()

    class HostListener:
        def connection_lost(self, error: Exception | None) -> None:
            lost.set()

    async with site(port=port) as served:
        async with running_host(served.path) as host:
            host.add_listener(HostListener())
            getattr(served.coordinator, fault)()
            await asyncio.wait_for(lost.wait(), 2.0)
        if port is not None or fault != "unplug":  # an unplugged terminal is gone for good
            async with running_host(served.path) as host:
                await host.set_points(frame_payload(1, SETPOINTS, host.network))
            await until(lambda: all(f.accepted == 1 for f in served.firmwares.values()))


async def test_a_hung_module_does_not_answer() -> None:
    async with site() as served, running_host(served.path) as host:
        served.coordinator.hang()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(host.set_points(frame_payload(1, SETPOINTS, host.network)), 0.3)
        assert not any(f.accepted for f in served.firmwares.values())


async def test_the_next_frame_fails_as_ordered() -> None:
    async with site() as served, running_host(served.path) as host:
        served.coordinator.stack.failures["sendBroadcast"] = sl_Status.BUSY
        with pytest.raises(DeliveryError, match="BUSY"):
            await host.set_points(frame_payload(1, SETPOINTS, host.network))
        await host.set_points(frame_payload(2, SETPOINTS, host.network))


async def test_a_new_slave_joins_and_is_interviewed() -> None:
    async with site() as served, running_host(served.path) as host:
        host.looks_up_slaves = True
        slave = SlaveNode(served.air, Firmware(9, KEY, 3000), lambda slot: None, Random(1))
        with pytest.raises(PermissionError, match="joining is closed"):
            served.coordinator.join(slave)
        slave.join_key = PUBLIC_LINK_KEY
        await host.permit(60)
        assert served.coordinator.join(slave)
        ieee = zt.EUI64.deserialize(slave.ieee)[0]
        await until(lambda: ieee in host.devices and host.devices[ieee].is_initialized)
        device = host.devices[ieee]
        await until(lambda: device.model is not None)
        assert device.nwk == slave.address
        assert (device.manufacturer, device.model) == ("Sunkeep", "power slave")
        assert CLUSTER in device.endpoints[1].in_clusters
        slave.online = False
        with pytest.raises(DeliveryError):
            await host.request(device, 0x0104, CLUSTER, 1, 1, 9, b"\x00\x09\x00", expect_reply=False)
        assert not served.coordinator.refused


@pytest.mark.parametrize("version", [13, 14])
async def test_serves_what_operators_ask_for(version: int) -> None:
    async with site(ezsp_version=version) as served, running_host(served.path) as host:
        host.looks_up_slaves = True
        backup = await host.backups.create_backup()
        assert backup.network_info.extended_pan_id.serialize() == served.air.extended_pan_id
        energy = await host.energy_scan(
            zt.Channels.CHANNEL_15 | zt.Channels.CHANNEL_20, duration_exp=2, count=1
        )
        assert set(energy) == {15, 20}

        served.nodes[2].announce()  # as a slave does when its power comes back
        ieee = zt.EUI64.deserialize(served.nodes[2].ieee)[0]
        await until(lambda: ieee in host.devices and host.devices[ieee].model is not None)
        slave = host.devices[ieee]
        await slave.endpoints[1].add_to_group(0x0101, "one")
        read, failed = await slave.endpoints[1].basic.read_attributes(["model", "app_version"])
        assert read == {"model": "power slave"}
        assert len(failed) == 1
        await host.mrequest(0x0101, 0x0104, 0x0003, 1, 9, b"\x01\x09\x00")
        heard = served.air.statistics.broadcasts_heard
        await host.mrequest(0x0102, 0x0104, 0x0003, 1, 9, b"\x01\x09\x00")
        assert served.air.statistics.broadcasts_heard == heard  # nobody is in that group
        neighbours, routes = await slave.zdo.Mgmt_Lqi_req(0), await slave.zdo.Mgmt_Rtg_req(0)
        assert (neighbours[0], routes[0]) == (0, 0)
        own = host.devices[host.state.node_info.ieee]
        assert (await own.zdo.Active_EP_req(0x0000))[2]
        assert (await own.zdo.Simple_Desc_req(0x0000, 1))[0] == 0
        assert (await own.zdo.Mgmt_Lqi_req(0))[0] == 0
        assert not served.coordinator.refused

        await host._ezsp.leaveNetwork()
        await until(lambda: served.air.extended_pan_id is None)
        with pytest.raises(DeliveryError, match="NETWORK_DOWN"):
            await host.set_points(bytes(20))


async def test_a_slave_of_unknown_address_is_found() -> None:
    async with site() as served, running_host(served.path) as host:
        host.looks_up_slaves = True
        await host.set_points(frame_payload(1, SETPOINTS, host.network))
        ieee = zt.EUI64.deserialize(served.nodes[0].ieee)[0]
        await until(lambda: ieee in host.devices)
        assert host.devices[ieee].nwk == served.nodes[0].address


async def test_each_slave_can_be_reached_alone() -> None:
    async with site() as served, running_host(served.path) as host:
        payload = frame_payload(1, SETPOINTS, host.network)
        await host.set_points_of(served.nodes[4].address, payload)
        accepted = {slot: firmware.accepted for slot, firmware in served.firmwares.items()}
        assert accepted == {slot: int(slot == 4) for slot in SLOTS}


@pytest.mark.parametrize("port", [None, 0])
async def test_leaves_nothing_behind(port: int | None) -> None:
    async def once() -> None:
        async with site(port=port) as served, running_host(served.path) as host:
            await host.set_points(frame_payload(1, SETPOINTS, host.network))

    await once()  # whatever the libraries keep for good
    before = held()
    await once()
    assert held() - before == Counter()


def held() -> Counter[str]:
    """Threads, tasks and open descriptors of this process, by what they are."""
    gc.collect()
    names = [thread.name for thread in threading.enumerate()]
    # the loop's own pool grows as it likes, and ends with the loop
    found = Counter(f"thread {name}" for name in names if not name.startswith("asyncio_"))
    found.update(f"task {task.get_name()}" for task in asyncio.all_tasks())
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that reads the folder
            found[f"file {descriptor.readlink()}"] += 1
    return found
