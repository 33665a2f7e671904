"""A whole daemon and a whole far end in one event loop, joined by real sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from core.site import Slave
from daemon.commissioning.embedded_site import site_key, write_site
from daemon.config.settings import load_settings
from daemon.journal.records import Start, Tick
from daemon.runtime.journal_completion import read_whole
from daemon.service.service import Service
from daemon.system.clock import boottime_s
from plant.devices.zigbee_output import OutputMake
from plant.radio.network import MakeSlave, sound_slave
from plant.simulated_site import SimulatedSite, slaves_of, start_far_end
from plant.site.trace import Trace, load_trace

NOON_S = 12 * 3600.0
"""Second of the measured day at which a site begins."""


@dataclass(frozen=True)
class Whole:
    """A running pair."""

    service: Service
    far_end: SimulatedSite
    task: asyncio.Task[None]
    folder: Path

    def reference_w(self) -> dict[int, float]:
        """What every slave's firmware tells its electronics now."""
        now_s = boottime_s()
        return {slot: firmware.setpoint_w(now_s) for slot, firmware in self.far_end.radio.firmwares.items()}

    def ticks(self) -> list[Tick]:
        """Every tick journalled so far."""
        return [record for record in read_whole(self.folder / "journal") if isinstance(record, Tick)]

    def starts(self) -> list[Start]:
        """Every start journalled so far."""
        return [record for record in read_whole(self.folder / "journal") if isinstance(record, Start)]

    async def stop(self) -> None:
        """Ask the daemon to end, and wait for it."""
        self.service.requests.stop.set()
        await self.task


@asynccontextmanager
async def whole(
    folder: Path,
    *,
    period_s: float = 0.2,
    slaves: int | Sequence[Slave] = 6,
    trace: Trace | None = None,
    seed: int = 0,
    start_s: float = NOON_S,
    more: str = "",
    layout: str = "sdm630",
    radio_port: int | None = None,
    adapt: Callable[[str, SimulatedSite], str] = lambda text, _: text,
    begun: Callable[[SimulatedSite], Awaitable[None]] | None = None,
    make_slave: MakeSlave = sound_slave,
    modbus: Mapping[int, str] | None = None,
    makes: Mapping[int, OutputMake] | None = None,
) -> AsyncIterator[Whole]:
    """Start both on a pseudo-terminal and a loopback port; stop both at the end.

    `more` is added to the configuration, which `adapt` may change. `layout` is the kind of meter,
    `make_slave` makes each slave; `modbus` names those that are Modbus devices, by slot,
    `makes` how Zigbee relays are made. With a `radio_port`
    (0: any) the coordinator is behind a loopback port, too. `begun` changes the far end first. Nothing but
    the far end has run when the body begins; the daemon starts at the first await.
    """
    devices = slaves_of(slaves) if isinstance(slaves, int) else slaves
    far_end = await start_far_end(
        trace or load_trace(),
        devices,
        site_key(folder),
        clock=boottime_s,
        seed=seed,
        radio_port=radio_port,
        start_s=start_s,
        layout=layout,
        make_slave=make_slave,
        modbus=modbus,
        makes=makes,
    )
    if begun is not None:
        await begun(far_end)
    ports = {slot: (name, far_end.devices[slot].port) for slot, name in (modbus or {}).items()}
    config = write_site(folder, devices, far_end.meter_port, far_end.radio_path, status_port=0, modbus=ports)
    text = config.read_text().replace("[site]", f"[site]\nperiod_s = {period_s}")
    config.write_text(adapt(text, far_end) + more)
    service = Service(load_settings(config), config)
    task = asyncio.create_task(service.run())
    try:
        yield Whole(service, far_end, task, folder)
    finally:
        service.requests.stop.set()
        await asyncio.wait([task])
        await far_end.stop()


async def until(condition: object, limit_s: float) -> None:
    """Wait for something to become true; fails after the limit."""
    assert callable(condition)
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.05)
