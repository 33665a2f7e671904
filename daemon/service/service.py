"""The daemon as a whole: prepares, opens the wires, runs the loop, closes them."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom

from daemon.config.settings import Settings
from daemon.monitoring.figures import Figures
from daemon.runtime.devices import open_meter, open_radio
from daemon.runtime.loop import Loop
from daemon.runtime.slave_wires import open_devices
from daemon.runtime.state_directory import hold_state
from daemon.service.interfaces import served_operators, served_status
from daemon.service.preparation import Prepared, prepare
from daemon.service.radio_watch import ended_without_radio
from daemon.service.restarts import marked_run
from daemon.service.stop_signals import Requests, heeded_signals
from daemon.service.wiring import Wired, Wires, wire
from daemon.system import sd_notify
from daemon.system.clock import boottime_s
from daemon.system.release import release

DISK_THREADS = 2
"""Writers of journal, state and totals; every thread more costs memory that is never given back."""


def _nothing() -> None:
    """For a daemon that nobody watches on a terminal."""


@dataclass(slots=True)
class Service:
    """One running daemon.

    `show` is called with the figures and the address of the status page once they exist, and gives what
    draws them after every tick. `figures` stays readable when the daemon has ended.
    """

    settings: Settings
    path: Path
    dropped_log_lines: Callable[[], int] = int
    show: Callable[[Figures, str], Callable[[], None]] | None = None
    remark: str = ""
    requests: Requests = field(default_factory=Requests)
    figures: Figures | None = None

    async def run(self) -> None:
        """Live until somebody requests it to stop.

        Raises:
            StartError: something at the site does not let the daemon begin, or go on; says what to do.
            TooManyFailures: from the loop.
        """
        state = self.settings.state.directory
        with heeded_signals(self.requests), hold_state(state), marked_run(state) as unordered_ends:
            prepared = prepare(self.settings, self.path, unordered_ends)
            async with (
                self._wires(prepared.settings, prepared.key) as wires,
                self._started(prepared, wires) as loop,
            ):
                del prepared  # from here on the swap alone holds the policy, and lets go of it
                await loop.run()

    @asynccontextmanager
    async def _wires(self, settings: Settings, key: bytes) -> AsyncIterator[Wires]:
        """Meter, radio and devices, connected."""
        async with (
            open_meter(settings, boottime_s) as meter,
            open_radio(settings, key, boottime_s, SystemRandom()) as radio,
            open_devices(settings, radio, boottime_s, SystemRandom()) as devices,
        ):
            yield Wires(meter, radio, devices)

    @asynccontextmanager
    async def _started(self, prepared: Prepared, wires: Wires) -> AsyncIterator[Loop]:
        """Everything around the loop; at the end, what is left is written."""
        settings, requests = prepared.settings, self.requests
        wired = wire(prepared, wires, requests, self.dropped_log_lines, self.remark)
        del prepared
        async with (
            served_status(settings, wired.figures, wired.pace) as server,
            served_operators(settings.state.directory, wired.operators),
            ended_without_radio(wires.radio, settings.radio.path, boottime_s, requests.stop),
        ):
            requests.is_started, self.figures = True, wired.figures
            view = _nothing if self.show is None else self.show(wired.figures, server.url)
            mode = wired.figures.about.mode.value
            wired.events.record("started", version=release(), mode=mode, status=server.url)
            async with _watching(wired):
                yield wired.loop(requests, view)


@asynccontextmanager
async def _watching(wired: Wired) -> AsyncIterator[None]:
    """Configuration and policy are followed, and the service manager knows that the daemon runs."""
    running = asyncio.get_running_loop()
    running.set_default_executor(ThreadPoolExecutor(DISK_THREADS, "disk"))
    watchers = [
        asyncio.create_task(wired.reloader.watch(wired.events.record, wired.figures), name="reload"),
        asyncio.create_task(wired.swap.watch(), name="policy"),
    ]
    gc.collect()
    gc.freeze()  # a full collection over zigpy's objects takes 50 ms and more
    sd_notify.ready("running")
    try:
        yield
    finally:
        sd_notify.stopping()
        for watcher in watchers:
            watcher.cancel()
        wired.events.record("stopped", ticks=wired.figures.ticks)
        await wired.close()
