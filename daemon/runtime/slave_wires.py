"""The wires to the slaves: the broadcast of the radio, and every device that is spoken to alone."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

from core.site import SUNKEEP
from daemon.config.sections import SlaveSection
from daemon.config.settings import Settings
from drivers.ports import SlaveDriver
from drivers.zigbee.frame_counter import FrameCounter
from drivers.zigbee.radio import ZigbeeRadio
from drivers.zigbee.setpoint_broadcast import SetpointBroadcast

MakeWire = Callable[[Settings, SlaveSection, Callable[[], float], Random], SlaveDriver]
"""From the configuration of one slave to its wire, not yet started. May raise ConfigError."""

DEVICES: dict[str, MakeWire] = {}
"""By the name of the driver in the configuration: what speaks to one device."""


def broadcast_of(
    settings: Settings, radio: ZigbeeRadio, counter: FrameCounter, key: bytes, clock: Callable[[], float]
) -> SetpointBroadcast:
    """What tells the slaves that speak Sunkeep's own protocol."""
    slots = tuple(slave.slot for slave in settings.slaves if slave.driver == SUNKEEP)
    return SetpointBroadcast(radio, counter, key, settings.radio.ttl_s, slots, clock)


@asynccontextmanager
async def open_devices(
    settings: Settings, clock: Callable[[], float], luck: Random
) -> AsyncIterator[tuple[SlaveDriver, ...]]:
    """The wires of all slaves that are devices of their own, kept up in the background.

    A device that is missing keeps nobody waiting: it is there when it answers.
    """
    async with AsyncExitStack() as opened:
        wires = []
        for slave in settings.slaves:
            if slave.driver == SUNKEEP:
                continue
            wire = DEVICES[slave.driver](settings, slave, clock, luck)
            opened.push_async_callback(wire.stop)
            await wire.start()
            wires.append(wire)
        yield tuple(wires)
