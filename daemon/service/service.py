"""The daemon as a whole: opens meter and radio, runs the loop, closes them."""

import asyncio
import gc
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from random import SystemRandom
from typing import Any
from zoneinfo import ZoneInfo

from core.causes import Cause
from core.decision import Authority
from core.modes import Assignment, assign
from core.parts import initial_memory
from daemon.config.settings import Settings, read_site_key
from daemon.history.recorder import started_history
from daemon.journal.records import Start
from daemon.journal.writer import Journal
from daemon.monitoring.energy_check import EnergyCheck
from daemon.monitoring.energy_ledger import gap_s
from daemon.monitoring.figures import Figures
from daemon.monitoring.telemetry import MeterStatistics, RadioStatistics, SiteInfo
from daemon.monitoring.totals_file import TotalsFile
from daemon.operators.pause import Pause
from daemon.policy.policy_monitor import PolicyMonitor
from daemon.policy.policy_swap import PolicySwap, desired_policy, policy_name
from daemon.policy.rollout_walker import RolloutWalker
from daemon.runtime.assembly import Assembled, assemble_from, describe_fallback
from daemon.runtime.devices import open_meter, open_radio
from daemon.runtime.loop import Loop, TickResult
from daemon.runtime.slave_wires import broadcast_of, open_devices
from daemon.runtime.snapshot_source import SnapshotSource
from daemon.runtime.state_directory import hold_state, open_counter
from daemon.runtime.supervisor_state import SupervisorStateFile
from daemon.runtime.transmitter import Transmitter
from daemon.service.config_reload import Reloader
from daemon.service.interfaces import served_operators, served_status
from daemon.service.measured_slaves import Numbers, measured_numbers
from daemon.service.persistence import Persistence
from daemon.service.radio_watch import ended_without_radio
from daemon.service.restarts import STORM, WITHIN_S, marked_run
from daemon.service.stop_signals import Startup, heeded_signals
from daemon.service.tick_recorder import JUDGE, TickRecorder
from daemon.system import sd_notify
from daemon.system.clock import TickPace, boottime_s, local_hour, wall_moment
from daemon.system.log import log
from daemon.system.release import release
from daemon.web.server import StatusServer
from drivers.meters.plausibility import Plausibility
from drivers.zigbee.radio import ZigbeeRadio
from drivers.zigbee.setpoint_broadcast import SetpointBroadcast
from safety.gate import SafetyGate
from safety.timers import PersistentFaults, start, to_record

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
    reload: asyncio.Event = field(default_factory=asyncio.Event)
    figures: Figures | None = None

    async def run(self) -> None:
        """Live until `stopping` is set or a signal says so.

        Raises:
            StartError: something at the site does not let the daemon begin, or go on; says what to do.
            TooManyFailures: from the loop.
        """
        state = self.settings.state.directory
        with (
            heeded_signals(self.stopping, self.reload) as startup,
            hold_state(state),
            marked_run(state) as unordered_ends,
        ):
            await self._run(startup, unordered_ends)

    async def _run(self, startup: Startup, unordered_ends: int) -> None:
        measured, configured = measured_numbers(self.settings), self.settings
        self.settings = settings = configured.with_measured(measured)
        state = settings.state.directory
        key = read_site_key(settings, self.path)
        counter = open_counter(state)
        standing_file = SupervisorStateFile(state)
        standing = standing_file.restore()
        if unordered_ends >= STORM:
            standing = start(standing, Cause.RESTART_STORM)
        wanted = desired_policy(settings)
        assembled = assemble_from(settings, time.perf_counter, standing)
        if assembled.problem:
            log.warning("policy_refused", reason=assembled.problem, acting="fallback")
        _tell_calibration(assembled)
        async with (
            open_meter(settings, boottime_s) as meter,
            open_radio(settings, key, boottime_s, SystemRandom()) as radio,
            open_devices(settings, radio, boottime_s, SystemRandom()) as devices,
        ):
            site = settings.core_site()
            broadcast = broadcast_of(settings, radio, counter, key, boottime_s)
            emitter = Transmitter(site, SafetyGate(site), (broadcast, *devices))
            hour = partial(local_hour, settings.zone())
            senses = SnapshotSource(site, meter, radio, emitter, Plausibility(), boottime_s, hour)
            energy_check = EnergyCheck(gap_s(site.period_s))
            totals = TotalsFile(state / "totals.json")
            carried = totals.load()
            figures = Figures(site, self._about(assembled), boottime_s(), carried)
            reloader = Reloader(self.path, configured, sha256(b"blocks" + key).digest(), now=self.reload)
            chronicle = TickRecorder(
                journal=self._journal(),
                figures=figures,
                senses=senses,
                counter=counter,
                zone=settings.zone(),
                meter_statistics=lambda: MeterStatistics(
                    senses.reads_total,
                    sum(senses.errors_total.values()),
                    meter.connects,
                    senses.read_s,
                    energy_check.ratio,
                    meter.unasked_total,
                ),
                radio_statistics=partial(_radio_statistics, radio, broadcast, emitter),
                refused_leaps=broadcast.refused_leaps,
                energy_check=energy_check,
                history=started_history(settings),
                dropped_log_lines=self.dropped_log_lines,
            )
            persistence = Persistence(
                standing_file.save, counter, keep_totals=partial(_keep, totals), carry=chronicle.carry
            )
            chronicle.journal.put(self._start_record(assembled, standing, measured))
            if unordered_ends >= STORM:
                chronicle.event("restart_storm", unordered_ends=unordered_ends, within_s=WITHIN_S)
            swap = PolicySwap(
                settings, assembled, figures, chronicle.event, chronicle.journal.put, tried=wanted
            )
            del assembled  # from here on the swap alone holds the policy, and lets go of it
            reloader.policy = swap.configure
            chronicle.lived = swap.tick_lived
            pause = Pause.restored(state)
            loop = self._loop(swap, senses, emitter, chronicle, persistence)
            loop.lasting = standing_file.causes
            chronicle.judging = judging = self._judging(swap, chronicle, carried)
            walker = self._rollout(swap, chronicle, judging, reloader)
            loop.judge = partial(_judged_and_walked, judging, walker)
            loop.assignment = partial(_assignment, walker, pause, figures, settings.zone())
            async with (
                served_status(settings, figures, loop) as server,
                served_operators(state, loop, chronicle, swap, walker, pause),
                ended_without_radio(radio, settings.radio.path, boottime_s, self.stopping),
            ):
                startup.over = True
                await self._live(loop, chronicle, persistence, server, reloader, swap)

    def _loop(
        self,
        swap: PolicySwap,
        senses: SnapshotSource,
        emitter: Transmitter,
        chronicle: TickRecorder,
        persistence: Persistence,
    ) -> Loop:
        def tell(lived: TickResult) -> None:
            chronicle.tell(lived)
            persistence.tell(lived)

        return Loop(
            parts=swap.assembled.parts,
            memory=initial_memory(swap.assembled.parts),
            senses=senses,
            emitter=emitter,
            pace=TickPace(self.settings.site.period_s, boottime_s()),
            clock=boottime_s,
            assignment=lambda: Assignment(Authority.FALLBACK, 0.0, -1),  # until the plan is there
            policy_latency=swap.policy_latency_s,
            tell=tell,
            pat=_feed_watchdog,
            stopping=self.stopping,
            between_ticks=swap.between_ticks,
        )

    def _judging(
        self, swap: PolicySwap, chronicle: TickRecorder, carried: dict[str, Any] | None
    ) -> PolicyMonitor:
        """The judge, with the evidence that it had gathered about this policy and this fallback."""
        settings = self.settings
        fallback, site = describe_fallback(settings), settings.core_site()
        judging = PolicyMonitor(site, fallback, settings.radio.ttl_s, chronicle.event)
        judging.adopt(swap.assembled)
        judging.restore((carried or {}).get(JUDGE))
        swap.adopted = judging.adopt
        return judging

    def _rollout(
        self, swap: PolicySwap, chronicle: TickRecorder, judging: PolicyMonitor, reloader: Reloader
    ) -> RolloutWalker:
        """The plan, where the last run left it; it says which mode is in force from now on."""
        fallback, figures = describe_fallback(self.settings), chronicle.figures

        def subject() -> tuple[str, str]:
            bundle = swap.assembled.bundle
            return ("" if bundle is None else bundle.sha256), fallback

        walker = RolloutWalker(
            self.settings.core_site(),
            self.settings.state.directory,
            chronicle.event,
            judging.judged,
            subject,
            show=lambda mode: figures.adopt(figures.site, replace(figures.about, mode=mode)),
            look_again=self.reload.set,
        )
        refused = walker.begin(reloader.settings, reloader.plan)
        walker.show(walker.mode_plan().mode)
        if refused:
            figures.configuration_refused(refused)
            chronicle.event("configuration_refused", reason=refused, kept="shadow")
        walker.resumed()
        reloader.admit, reloader.in_force = walker.admit, walker.mode_plan
        chronicle.walker = walker
        return walker

    async def _live(
        self,
        loop: Loop,
        chronicle: TickRecorder,
        persistence: Persistence,
        server: StatusServer | None,
        reloader: Reloader,
        swap: PolicySwap,
    ) -> None:
        self.figures = figures = chronicle.figures
        url = "" if server is None else server.url
        if self.show is not None:
            chronicle.view = self.show(figures, url)
        chronicle.event("started", version=release(), mode=figures.about.mode.value, status=url)
        running = asyncio.get_running_loop()
        running.set_default_executor(ThreadPoolExecutor(DISK_THREADS, "disk"))
        watchers = [
            asyncio.create_task(reloader.watch(chronicle.event, figures), name="reload"),
            asyncio.create_task(swap.watch(), name="policy"),
        ]
        gc.collect()
        gc.freeze()  # a full collection over zigpy's objects takes 50 ms and more
        sd_notify.ready("running")
        try:
            await loop.run()
        finally:
            sd_notify.stopping()
            for watcher in watchers:
                watcher.cancel()
            chronicle.event("stopped", ticks=figures.ticks)
            await persistence.close()
            await chronicle.close()

    def _about(self, assembled: Assembled) -> SiteInfo:
        return SiteInfo(
            site_name=self.settings.site.name,
            mode=self.settings.mode.mode,
            fallback_law=self.settings.fallback.law,
            policy_name=policy_name(assembled.bundle),
            policy_problem=assembled.problem,
            version=release(),
            remark=self.remark,
            anomaly_calibrated=assembled.calibration is not None,
        )

    def _journal(self) -> Journal:
        run = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) + f"-{os.getpid()}"
        section = self.settings.journal
        return Journal(section.directory, run, section.max_mb * 10**6, self.settings.anomaly.calibration)

    def _start_record(self, assembled: Assembled, standing: PersistentFaults, measured: Numbers) -> Start:
        bundle = assembled.bundle
        return Start(
            version=version("sunkeep"),
            unix_s=time.time(),
            run=str(os.getpid()),
            settings_path=str(self.path.absolute()),
            settings_toml=self.path.read_text(),
            bundle_sha256="" if bundle is None else bundle.sha256,
            bundle_directory="" if bundle is None else str(bundle.directory.absolute()),
            calibration_sha256="" if assembled.calibration is None else assembled.calibration.sha256,
            measured=measured,
            watches=assembled.parts.watches.names,
            standing=to_record(standing),
        )


def _judged_and_walked(judging: PolicyMonitor, walker: RolloutWalker, lived: TickResult) -> tuple[Cause, ...]:
    causes = judging(lived)
    walker.tell(lived, causes)
    return causes


def _assignment(walker: RolloutWalker, pause: Pause, figures: Figures, zone: ZoneInfo) -> Assignment:
    moment = wall_moment(zone)
    given = pause.over(assign(walker.mode_plan(), moment), moment.unix_s)
    figures.pause = pause.order
    return given


def _radio_statistics(
    radio: ZigbeeRadio, broadcast: SetpointBroadcast, emitter: Transmitter
) -> RadioStatistics:
    counted = radio.statistics
    return RadioStatistics(
        radio.up,
        emitter.refused_total,
        counted.losses,
        broadcast.reports_asked_total,
        radio.quality.ack_rate(boottime_s()),
        counted.foreign_frames,
        counted.reports_rejected,
        broadcast.counter.left,
        len(broadcast.refused_leaps),
        counted.setpoint_broadcasts,
        counted.other_broadcasts,
        radio.quality.link_loss_rate(boottime_s()),
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


def _feed_watchdog() -> None:
    sd_notify.alive()
