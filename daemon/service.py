"""The daemon as a whole: opens the doors, lives tick after tick, closes the doors."""

import asyncio
import fcntl
import gc
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from random import SystemRandom
from typing import Any

from core.modes import Assignment, assign
from core.parts import cold_start
from daemon import notify
from daemon.assembly import Assembled, assemble_from, describe_fallback
from daemon.chronicle import JUDGE, Chronicle
from daemon.clock import Pace, boottime_s, local_hour, wall_moment
from daemon.commissioning import COUNTER_FILE
from daemon.control import Control, serve_control
from daemon.doors import StartError, open_meter, open_radio
from daemon.emission import Emitter
from daemon.figures import Figures
from daemon.journal import Journal
from daemon.judging import Judging, judging_of
from daemon.log import log
from daemon.loop import Loop
from daemon.records import Start
from daemon.reload import Reloader
from daemon.sense import Senses
from daemon.settings import Settings, read_site_key
from daemon.standing import StandingFile
from daemon.telemetry import About, MeterStatistics, RadioStatistics
from daemon.totals import TotalsFile
from daemon.web import StatusError, StatusServer, serve
from drivers.counter import Counter
from drivers.errors import ConfigError
from drivers.plausibility import Plausibility
from safety.gate import SafetyGate
from safety.timers import Standing, to_record

DISK_THREADS = 2
"""Writers of journal, state and totals; every thread more costs memory that is never given back."""


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
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    figures: Figures | None = None

    async def run(self) -> None:
        """Live until `stopping` is set or a signal says so.

        Raises:
            StartError: something at the site does not let the daemon begin; says what to do.
            TooManyFailures: from the loop.
        """
        settings, state = self.settings, self.settings.state.directory
        with _sole_instance(state):
            key = read_site_key(settings, self.path)
            counter = _open_counter(state / COUNTER_FILE)
            standing_file = StandingFile(state)
            standing = standing_file.restore()
            assembled = assemble_from(settings, time.perf_counter, standing)
            if assembled.problem:
                log.warning("policy_refused", reason=assembled.problem, acting="fallback")
            _tell_calibration(assembled)
            async with (
                open_meter(settings, boottime_s) as meter,
                open_radio(settings, key, boottime_s, SystemRandom()) as radio,
            ):
                site = settings.core_site()
                gate = SafetyGate(site)
                emitter = Emitter(site, gate, radio, counter, key, settings.radio.ttl_s)
                hour = partial(local_hour, settings.zone())
                senses = Senses(site, meter, radio, emitter, Plausibility(), boottime_s, hour)
                totals = TotalsFile(state / "totals.json")
                carried = totals.load()
                figures = Figures(site, self._about(assembled), boottime_s(), carried)
                reloader = Reloader(self.path, settings, sha256(b"blocks" + key).digest())
                chronicle = Chronicle(
                    journal=self._journal(),
                    figures=figures,
                    senses=senses,
                    counter=counter,
                    zone=settings.zone(),
                    save=lambda watch: standing_file.save(watch.standing),
                    meter_statistics=lambda: MeterStatistics(
                        senses.reads_total, sum(senses.errors_total.values()), meter.connects, senses.read_s
                    ),
                    radio_statistics=lambda: RadioStatistics(
                        radio.up, emitter.refused_total, radio.statistics.losses, emitter.reports_asked_total
                    ),
                    keep_totals=partial(_keep, totals),
                    dropped_log_lines=self.dropped_log_lines,
                )
                loop = self._loop(assembled, senses, emitter, chronicle, reloader, standing)
                loop.lasting = standing_file.causes
                chronicle.judging = loop.judge = self._judging(assembled, chronicle, carried)
                async with (
                    _status(settings, figures, chronicle) as server,
                    _operators(state, loop, chronicle),
                ):
                    await self._live(loop, chronicle, figures, server, reloader)

    def _loop(
        self,
        assembled: Assembled,
        senses: Senses,
        emitter: Emitter,
        chronicle: Chronicle,
        reloader: Reloader,
        standing: Standing,
    ) -> Loop:
        zone = self.settings.zone()
        chronicle.journal.put(self._start_record(assembled, standing))

        def assignment() -> Assignment:
            return assign(reloader.plan, wall_moment(zone))

        loop = Loop(
            parts=assembled.parts,
            memory=cold_start(assembled.parts),
            senses=senses,
            emitter=emitter,
            pace=Pace(self.settings.site.period_s, boottime_s()),
            clock=boottime_s,
            assignment=assignment,
            policy_latency=lambda: assembled.policy.last_latency_s,
            tell=chronicle.tell,
            pat=_pat,
            stopping=self.stopping,
        )
        chronicle.loop = loop
        return loop

    def _judging(self, assembled: Assembled, chronicle: Chronicle, carried: dict[str, Any] | None) -> Judging:
        """The judge, with the evidence that it had gathered about this policy and this fallback."""
        fallback, ttl_s = describe_fallback(self.settings), self.settings.radio.ttl_s
        judging = judging_of(assembled, fallback, ttl_s, chronicle.event)
        judging.restore((carried or {}).get(JUDGE))
        return judging

    async def _live(
        self,
        loop: Loop,
        chronicle: Chronicle,
        figures: Figures,
        server: StatusServer | None,
        reloader: Reloader,
    ) -> None:
        self.figures = figures
        url = "" if server is None else server.url
        if self.show is not None:
            chronicle.view = self.show(figures, url)
        chronicle.event("started", version=version("sunkeep"), mode=figures.about.mode.value, status=url)
        running = asyncio.get_running_loop()
        running.set_default_executor(ThreadPoolExecutor(DISK_THREADS, "disk"))
        for number in (signal.SIGTERM, signal.SIGINT):
            running.add_signal_handler(number, self.stopping.set)
        watcher = asyncio.create_task(reloader.watch(chronicle.event, figures), name="reload")
        running.add_signal_handler(signal.SIGHUP, reloader.now.set)
        gc.collect()
        gc.freeze()  # a full collection over zigpy's objects takes 50 ms and more
        notify.ready("running")
        try:
            await loop.run()
        finally:
            notify.stopping()
            watcher.cancel()
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                running.remove_signal_handler(number)
            chronicle.event("stopped", ticks=figures.ticks)
            await chronicle.close()

    def _about(self, assembled: Assembled) -> About:
        bundle = assembled.bundle
        return About(
            site_name=self.settings.site.name,
            mode=self.settings.mode.mode,
            fallback_law=self.settings.fallback.law,
            policy_name="" if bundle is None else f"{bundle.directory.name} {bundle.manifest.bundle_version}",
            version=version("sunkeep"),
            remark=self.remark,
            anomaly_calibrated=assembled.calibration is not None,
        )

    def _journal(self) -> Journal:
        run = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) + f"-{os.getpid()}"
        section = self.settings.journal
        return Journal(section.directory, run, section.max_mb * 10**6)

    def _start_record(self, assembled: Assembled, standing: Standing) -> Start:
        return Start(
            version=version("sunkeep"),
            unix_s=time.time(),
            run=str(os.getpid()),
            settings_path=str(self.path.absolute()),
            settings_toml=self.path.read_text(),
            bundle_sha256="" if assembled.bundle is None else assembled.bundle.sha256,
            calibration_sha256="" if assembled.calibration is None else assembled.calibration.sha256,
            standing=to_record(standing),
        )


def _keep(file: TotalsFile, totals: dict[str, Any]) -> None:
    try:
        file.save(totals)
    except OSError as error:
        log.warning("totals_unwritable", reason=error.strerror, file=str(file.path))


def _tell_calibration(assembled: Assembled) -> None:
    """Whether anomalies can trip: a detector that only flags says so at every start."""
    if assembled.calibration is not None:
        record = assembled.calibration
        log.info("anomaly_calibrated", days=round(record.days, 1), sha256=record.sha256[:16])
    else:
        reason = assembled.calibration_problem or "no [anomaly] calibration; make one with sunkeep calibrate"
        log.warning("anomaly_uncalibrated", detector="flags only", reason=reason)


def _pat() -> None:
    notify.alive()


@contextmanager
def _sole_instance(state: Path) -> Iterator[None]:
    """Hold the state directory; a second daemon would use the same frame counter."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartError(
            f"{state} cannot be used ({error.strerror}). Set [state] directory to a folder of this user."
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StartError(f"another sunkeep holds {state}. Stop it first.") from None
        yield
    finally:
        os.close(descriptor)


def _open_counter(file: Path) -> Counter:
    try:
        return Counter.open(file)
    except ConfigError as error:
        raise StartError(str(error)) from None


@asynccontextmanager
async def _status(
    settings: Settings, figures: Figures, chronicle: Chronicle
) -> AsyncIterator[StatusServer | None]:
    """Serve the page; a taken port refuses the start, because nobody would see what the daemon does."""
    try:
        server = await serve(figures, settings.status.host, settings.status.port, clock=boottime_s)
    except StatusError as error:
        raise StartError(str(error)) from None
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def _operators(state: Path, loop: Loop, chronicle: Chronicle) -> AsyncIterator[None]:
    """Let operators acknowledge. A daemon that nobody can acknowledge still controls, and says so."""
    control = Control(loop, chronicle.event)
    chronicle.control = control.tell
    async with AsyncExitStack() as door:
        try:
            await door.enter_async_context(serve_control(state, control))
        except OSError as error:
            log.warning("control_socket_unusable", reason=error.strerror, directory=str(state))
        yield
