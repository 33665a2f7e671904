"""The far end of the radio, ready to use: coordinator, air and one node per slave."""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from plant.radio.broadcast_limiter import BroadcastLimiter
from plant.radio.channel import BurstLoss, CommandDelay, Delay, Loss, unicast_delay
from plant.radio.coordinator.coordinator import DEFAULT_EZSP, VirtualCoordinator
from plant.radio.coordinator.line import Line, clean
from plant.radio.coordinator.nvram import Nvram
from plant.radio.medium import RadioMedium
from plant.radio.slave_firmware import Firmware
from plant.radio.slave_node import SlaveNode
from plant.radio.zigbee_node import ZigbeeNode

MakeSlave = Callable[[RadioMedium, int, bytes, int, Callable[[int], float | None], Random], SlaveNode]
"""From the air, a slot, the site key, a rating in W, its measured power and all chance to a slave."""
SEEK_EVERY_S = 2.0
"""A slave in pairing mode scans its channels about this often."""


@dataclass(frozen=True, slots=True)
class RadioSite:
    """A running far end. `path` is what a host opens; `firmwares[slot].setpoint_w(now)` what a slave does."""

    path: str
    coordinator: VirtualCoordinator
    air: RadioMedium
    nodes: dict[int, SlaveNode]

    @property
    def firmwares(self) -> dict[int, Firmware]:
        """By slot."""
        return {slot: node.firmware for slot, node in self.nodes.items()}

    async def stop(self) -> None:
        """Take everything down; leaves no task, timer or descriptor."""
        await self.coordinator.stop()


def sound_slave(
    air: RadioMedium,
    slot: int,
    key: bytes,
    max_w: int,
    measured_w: Callable[[int], float | None],
    rng: Random,
) -> SlaveNode:
    """A slave that keeps every rule."""
    return SlaveNode(air, Firmware(slot, key, max_w), measured_w, rng)


async def serve_radio_site(
    slaves: Sequence[tuple[int, int]],
    key: bytes,
    *,
    measured_w: Callable[[int], float | None],
    rng: Random,
    port: int | None = None,
    clock: Callable[[], float] = time.monotonic,
    broadcast_delay: Delay | None = None,
    loss: Loss | None = None,
    limiter: BroadcastLimiter | None = None,
    ezsp_version: int = DEFAULT_EZSP,
    nvram: Nvram | None = None,
    outbound: Line = clean,
    inbound: Line = clean,
    joined: bool = True,
    make_slave: MakeSlave = sound_slave,
) -> RadioSite:
    """Start the far end of a site.

    Args:
        slaves: slot and rating (W) of each.
        key: the site key, 32 bytes.
        measured_w: measured power of a slot, a magnitude in W; None where nothing measures it.
        rng: all chance comes from it.
        port: TCP port on loopback (0: any); None opens a pseudo-terminal.
        clock: monotonic seconds.
        broadcast_delay: until slaves act on a frame; by default about 1 to 3 s as on a real site.
        loss: of broadcasts per slave; by default 2 % and rare bursts in which all are deaf.
        limiter: of broadcasts; the default is that of a stock stick.
        nvram: the coordinator's memory; by default one with a formed network.
        outbound, inbound: what the serial line does to frames to and from the host.
        joined: whether the slaves are in the network from the start; else each keeps looking for an open
            one, to join with its install code.
        make_slave: makes each slave.

    Raises:
        OSError: the port is taken.
        ValueError: two slaves share a slot, or a slot, the key or a rating is out of range.
    """
    air = RadioMedium(
        broadcast_delay=CommandDelay(rng) if broadcast_delay is None else broadcast_delay,
        unicast_delay=unicast_delay(rng),
        loss=BurstLoss(rng) if loss is None else loss,
        limiter=limiter,
        clock=clock,
    )
    nodes: dict[int, SlaveNode] = {}
    for slot, max_w in slaves:
        nodes[slot] = make_slave(air, slot, key, max_w, measured_w, rng)
        if joined:
            air.add(nodes[slot])
    coordinator = VirtualCoordinator(
        air,
        ezsp_version=ezsp_version,
        nvram=Nvram.formed(rng) if nvram is None else nvram,
        outbound=outbound,
        inbound=inbound,
    )
    path = await (coordinator.start_pty() if port is None else coordinator.start_tcp(port))
    for node in nodes.values() if not joined else ():
        air.later(rng.uniform(0.1, SEEK_EVERY_S), seek, coordinator, node)
    return RadioSite(path, coordinator, air, nodes)


def seek(coordinator: VirtualCoordinator, node: ZigbeeNode) -> None:
    """Ask to join, and if that fails, again a little later: what a device does in pairing mode."""
    with contextlib.suppress(PermissionError):
        if node.online and coordinator.join(node):
            return
    coordinator.air.later(SEEK_EVERY_S, seek, coordinator, node)
