"""The open wires of commissioning: one slave is told through the daemon's own gate, the meter is read.

All other slaves rest, and nothing is switched once the meter is silent.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf

import numpy as np
from numpy.typing import NDArray

from core.site import ZERO, Phases, Site, Slave
from core.snapshot import METER_LOST_S, SlaveState, Snapshot
from daemon.runtime.direct_decision import direct_decision
from daemon.runtime.transmitter import Transmitter, delivery_groups
from drivers.devices.device_wire import DeviceWire
from drivers.errors import DeviceFault, Transient
from drivers.ports import Meter

GATE_PATIENCE_S = 4.0
TRY_EVERY_S = 0.05
READ_SHARE = 0.8
"""Of the period, as in a tick of the daemon."""
REST_TRIES = 3
REST_EVERY_S = 0.3


@dataclass(slots=True)
class SwitchedSlaves:
    """The open wires: tells one slave, reads the meter."""

    site: Site
    meter: Meter
    transmitter: Transmitter
    clock: Callable[[], float]
    reading_at_s: list[float] = field(default_factory=list)
    readings_w: list[Phases] = field(default_factory=list)
    _last_read_at_s: float = -inf

    async def read_for_ever(self) -> None:
        """One reading a period."""
        period_s = self.site.period_s
        due_s = self.clock()
        while True:
            began_s = self.clock()
            with suppress(Transient, DeviceFault, TimeoutError):
                async with asyncio.timeout(READ_SHARE * period_s):
                    reading = await self.meter.read()
                self.reading_at_s.append(began_s)
                self.readings_w.append(reading.grid_power_w)
                self._last_read_at_s = began_s
            due_s = max(due_s + period_s, self.clock())
            await asyncio.sleep(max(0.0, due_s - self.clock()))

    def readings_since(self, at_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Instants [n] and readings [n, 3] from then on."""
        first = bisect_left(self.reading_at_s, at_s)
        last = min(len(self.reading_at_s), len(self.readings_w))
        return np.array(self.reading_at_s[first:last]), np.array(self.readings_w[first:last])

    def dead_man_s(self, slave: Slave) -> float:
        """After how long without a message a slave lets go, as it is told."""
        return next(w.ttl_s(slave.slot) for w in self.transmitter.wires if slave.slot in w.slots)

    def version(self, slave: Slave) -> str:
        """Of its firmware, as it tells it; empty where it does not."""
        wire = next(w for w in self.transmitter.wires if slave.slot in w.slots)
        return wire.version if isinstance(wire, DeviceWire) else ""

    def require_meter(self) -> None:
        """Raises Transient when the meter has been silent for too long: nothing is switched blind."""
        if not self.clock() - self._last_read_at_s <= METER_LOST_S:
            raise Transient(f"no reading for {METER_LOST_S:.0f} s: everybody rests, nothing was measured")

    async def tell(self, place: int, watts: int) -> float:
        """Put a setpoint of one slave on air, as soon as the gate lets it go. Returns when it was there.

        Raises:
            Transient: the gate or the coordinator refuses for too long.
        """
        setpoints_w = tuple(watts if other == place else 0 for other in range(len(self.site.slaves)))
        others = tuple(
            number for number, group in enumerate(delivery_groups(self.site)) if place not in group
        )
        give_up_s = self.clock() + GATE_PATIENCE_S
        while self.clock() <= give_up_s:
            sent = await self.transmitter.emit(
                direct_decision(setpoints_w, withheld=others), self._snapshot(), self.clock
            )
            if sent.accepted:
                return self.clock()
            await asyncio.sleep(TRY_EVERY_S)
        raise Transient(f"{watts} W for {self.site.slaves[place].name} did not get on air ({sent.alarm})")

    async def rest(self) -> None:
        """Tell everybody 0 W, more than once: a frame may be lost."""
        for _ in range(REST_TRIES):
            resting = direct_decision((0,) * len(self.site.slaves), rest=True)
            await self.transmitter.emit(resting, self._snapshot(), self.clock)
            await asyncio.sleep(REST_EVERY_S)

    def _snapshot(self) -> Snapshot:
        now_s = self.clock()
        return Snapshot(
            tick=0,
            at_s=now_s,
            grid_power_w=self.readings_w[-1] if self.readings_w else ZERO,
            meter_age_s=now_s - self._last_read_at_s,
            slaves=(SlaveState(),) * len(self.site.slaves),
            on_air=self.transmitter.on_air(now_s),
        )
