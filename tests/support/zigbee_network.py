"""The real radio in front of a virtual coordinator with simulated slaves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

from core.authorization import AuthorizedFrame
from drivers.zigbee.radio import ZigbeeRadio
from drivers.zigbee.radio_statistics import RadioEvent
from drivers.zigbee.setpoint_frame import decode, encode
from drivers.zigbee.settings import ZigbeeSettings
from plant.radio.channel import immediate, no_loss
from plant.radio.coordinator.nvram import Nvram
from plant.radio.network import RadioSite, serve_radio_site

KEY = bytes(range(32))
SLAVES = ((0, 3000), (1, 2000), (2, 1000))
SLOTS = tuple(slot for slot, _ in SLAVES)
START_S = 20.0
"""A radio is up sooner; how long it takes on a busy machine is nothing that a test judges."""


@dataclass(slots=True)
class LeapingClock:
    """Monotonic seconds that a test can move forward."""

    ahead_s: float = 0.0

    def __call__(self) -> float:
        return monotonic() + self.ahead_s


@dataclass(slots=True)
class Near:
    """A radio under test, and what it told."""

    radio: ZigbeeRadio
    clock: LeapingClock
    events: list[RadioEvent] = field(default_factory=list)
    counter: int = 0

    def frame(self, *watts: int, safe: bool = False, report: bool = True) -> AuthorizedFrame:
        """A frame as safety would have cleared it, with the next counter."""
        network_id = self.radio.network_id
        assert network_id is not None
        self.counter += 1
        (payload,) = encode(
            dict(enumerate(watts)),
            counter=self.counter,
            ttl_s=15,
            safe_release=safe,
            report=report,
            key=KEY,
            network_id=network_id,
        )
        return AuthorizedFrame(payload, safe, decode(payload, KEY, network_id))

    async def send(self, *watts: int, safe: bool = False) -> int:
        """Send setpoints of the slots 0, 1, ... and return the counter of the frame."""
        await self.radio.send(self.frame(*watts, safe=safe))
        return self.counter


async def until(true: Callable[[], bool], within_s: float = 5.0) -> float:
    """Wait for something to become true; returns how long it took."""
    begun_s = monotonic()
    while not true():
        assert monotonic() - begun_s < within_s, "did not happen in time"
        await asyncio.sleep(0.005)
    return monotonic() - begun_s


async def serve(rng: Random, **more: Any) -> RadioSite:
    """A far end that delays and loses nothing unless told to."""
    clean: dict[str, Any] = {"broadcast_delay": immediate, "loss": no_loss}
    return await serve_radio_site(
        SLAVES, KEY, measured_w=lambda slot: 100.0 * slot, rng=rng, **(clean | more)
    )


@asynccontextmanager
async def radio_at(path: str, *, database: Path | None = None, channel: int = 15) -> AsyncIterator[Near]:
    """A started radio, not necessarily up."""
    clock = LeapingClock()
    events: list[RadioEvent] = []
    settings = ZigbeeSettings(path=path, slots=SLOTS, database=database, channel=channel)
    radio = ZigbeeRadio(settings, key=KEY, on_event=events.append, clock=clock, rng=Random(3))
    await radio.start()
    try:
        yield Near(radio, clock, events)
    finally:
        await radio.stop()


@asynccontextmanager
async def running(**more: Any) -> AsyncIterator[tuple[Near, RadioSite]]:
    """A radio that is up, on a pseudo-terminal unless `port` is given."""
    site = await serve(Random(1), **more)
    try:
        async with radio_at(site.path) as near:
            await until(lambda: near.radio.up, START_S)
            yield near, site
    finally:
        await site.stop()


async def replaced(old: RadioSite, **more: Any) -> RadioSite:
    """A blank stick in the place of the old one, with the same slaves around it."""
    site = await serve(Random(2), nvram=Nvram(), joined=False, **more)
    await old.stop()
    for node in old.nodes.values():
        node.air = site.air
        site.air.add(node)
        node.network_key = old.coordinator.nvram.security.network_key
    site.air._heard_counters.update(old.air._heard_counters)
    site.nodes.clear()
    site.nodes.update(old.nodes)
    return site
