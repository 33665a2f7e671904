"""What a host does: the real bellows, and setpoint frames as the published protocol has them."""

import asyncio
import hmac
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from time import monotonic
from typing import Any

import zigpy.types as zt
from bellows.zigbee.application import ControllerApplication

KEY = bytes(range(32))
ZCL_HEAD = bytes.fromhex("15f1ff")


def frame_payload(
    counter: int,
    setpoints: list[int],
    network: bytes,
    *,
    key: bytes = KEY,
    flags: int = 0x10,
    ttl_s: int = 15,
    base: int = 0,
) -> bytes:
    """What follows the ZCL header."""
    body = struct.pack("<BIBBB", flags, counter, ttl_s, base, len(setpoints))
    body += b"".join(struct.pack("<h", w) for w in setpoints)
    return body + hmac.digest(key, network + b"\x57\xfc" + body, sha256)[:8]


def read_report(payload: bytes, network: bytes, key: bytes = KEY) -> dict[str, int]:
    """Fields of a report, ZCL header included, once its tag is checked."""
    assert payload[:3] == bytes.fromhex("1cf1ff")
    assert payload[4] == 0x0A
    assert payload[-12:-8] == bytes.fromhex("05004108")
    fields = struct.unpack("<HBB HBI HBh HBh HBB", payload[5:-12])
    assert fields[0::3] == (0, 1, 2, 3, 4)
    assert fields[1::3] == (0x20, 0x23, 0x29, 0x29, 0x30)
    signed = network + b"\x57\xfc\x52" + struct.pack("<BIhhB", *fields[2::3])
    assert payload[-8:] == hmac.digest(key, signed, sha256)[:8]
    return dict(zip(("slot", "counter", "applied_w", "power_w", "status"), fields[2::3], strict=True))


class Host(ControllerApplication):  # type: ignore[misc]  # bellows is untyped
    """The real application; packets of slaves are listed instead of being looked up in a database."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.heard: list[Any] = []
        self.looks_up_slaves = False

    def packet_received(self, packet: Any) -> None:
        if packet.src.address == 0x0000 or self.looks_up_slaves:
            super().packet_received(packet)
        else:
            self.heard.append(packet)

    @property
    def network(self) -> bytes:
        return bytes(self.state.network_info.extended_pan_id.serialize())

    @property
    def reports(self) -> list[dict[str, int]]:
        """Reports heard so far."""
        packets = [p for p in self.heard if p.cluster_id == 0xFC57]
        return [read_report(p.data.serialize(), self.network) for p in packets]

    async def set_points(self, payload: bytes) -> None:
        """Broadcast a setpoint frame."""
        sequence = self.get_sequence()
        await self.broadcast(
            profile=0x0104,
            cluster=0xFC57,
            src_ep=1,
            dst_ep=0xFF,
            grpid=0,
            radius=0,
            sequence=sequence,
            data=ZCL_HEAD + bytes([sequence, 0x00]) + payload,
            broadcast_address=zt.BroadcastAddress.RX_ON_WHEN_IDLE,
            priority=zt.PacketPriority.HIGH,
        )

    async def set_points_of(self, address: int, payload: bytes) -> None:
        """Send a setpoint frame to one slave, acknowledged."""
        sequence = self.get_sequence()
        packet = zt.ZigbeePacket(
            src=zt.AddrModeAddress(zt.AddrMode.NWK, zt.NWK(0x0000)),
            src_ep=zt.uint8_t(1),
            dst=zt.AddrModeAddress(zt.AddrMode.NWK, zt.NWK(address)),
            dst_ep=zt.uint8_t(1),
            tsn=sequence,
            profile_id=zt.uint16_t(0x0104),
            cluster_id=zt.uint16_t(0xFC57),
            data=zt.SerializableBytes(ZCL_HEAD + bytes([sequence, 0x00]) + payload),
            tx_options=zt.TransmitOptions.ACK,
        )
        await self.send_packet(packet)


def host_config(path: str, **more: Any) -> dict[str, Any]:
    """A configuration without anything that talks by itself."""
    return {
        "device": {"path": path},
        "database_path": None,
        "use_thread": False,
        "ota": {"enabled": False},
        "network": {"channel": 15},
        "topology_scan_enabled": False,
        "backup_enabled": False,
    } | more


@asynccontextmanager
async def running_host(path: str, *, auto_form: bool = False) -> AsyncIterator[Host]:
    """The real stack, started in two steps so that a failed start leaves nothing behind."""
    host = await Host.new(host_config(path), start_radio=False)
    try:
        await host.startup(auto_form=auto_form)
        yield host
    finally:
        await host.shutdown(db=True)


async def until(true: Callable[[], bool], within_s: float = 5.0) -> None:
    """Wait for something to become true."""
    end_s = monotonic() + within_s
    while not true():
        assert monotonic() < end_s, "did not happen in time"
        await asyncio.sleep(0.005)
