"""Both ends of the meter wire for tests: a virtual meter, a driver, and a clock that can be advanced."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.site import Phases
from drivers.errors import Transient
from drivers.meters.modbus import ModbusMeter, Rtu, Tcp
from drivers.meters.profile import load_profile
from plant.meters.layouts import MeterState
from plant.meters.virtual_meter import VirtualMeter


@dataclass
class SkippingClock:
    """Real time plus what the test skipped."""

    skipped_s: float = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.skipped_s


@dataclass
class WiredMeter:
    """What flows through the virtual meter."""

    power_w: Phases = (1500.0, -2500.0, 320.0)
    voltage_v: Phases = (231.0, 229.0, 233.0)

    def __call__(self) -> MeterState:
        return MeterState(self.power_w, self.voltage_v, import_wh=1_234_000.0, export_wh=77_000.0)


@dataclass
class Wire:
    """One virtual meter and its site."""

    virtual: VirtualMeter
    house: WiredMeter
    clock: SkippingClock
    port: int = 0
    path: str = ""
    drivers: list[ModbusMeter] = field(default_factory=list)

    def driver(self, profile: str = "sdm630", **options: Any) -> ModbusMeter:
        """A driver for this meter, stopped with the wire."""
        transport = options.pop("transport", None) or (
            Rtu(self.path, drain_s=options.pop("drain_s", 0.3))
            if self.path
            else Tcp("127.0.0.1", self.port, device_id=options.pop("device_id", 1))
        )
        meter = ModbusMeter(load_profile(profile), transport, clock=self.clock, **options)
        self.drivers.append(meter)
        return meter


@asynccontextmanager
async def wired(layout: str = "sdm630", serial: bool = False, **options: Any) -> AsyncIterator[Wire]:
    """A running virtual meter without noise that measures anew at each request."""
    house, clock = WiredMeter(), SkippingClock()
    settings: dict[str, Any] = {"noise_w": 0.0, "refresh_s": 0.0, "layout": layout} | options
    virtual = VirtualMeter(house, clock=clock, rng=np.random.default_rng(7), **settings)
    wire = Wire(virtual, house, clock)
    if serial:
        wire.path = await virtual.start_serial()
    else:
        wire.port = await virtual.start()
    try:
        yield wire
    finally:
        for meter in wire.drivers:
            await meter.stop()
        await virtual.stop()


QUICK: dict[str, Any] = {"timeout_s": 0.1, "read_limit_s": 0.4}
"""Options of a driver that gives up early."""


async def failure(meter: ModbusMeter) -> Transient:
    """The passing error that a read must end with."""
    with pytest.raises(Transient) as caught:
        await meter.read()
    return caught.value


def open_files() -> int:
    """File descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))
