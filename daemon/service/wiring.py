"""The objects of the running daemon, each made once with everything it needs, in the order of their needs."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from core.causes import Cause
from core.modes import Assignment, Mode, assign
from core.parts import initial_memory
from daemon.config.settings import Settings
from daemon.history.recorder import started_history
from daemon.journal.writer import Journal
from daemon.monitoring.energy_check import EnergyCheck
from daemon.monitoring.energy_ledger import gap_s
from daemon.monitoring.figures import Figures
from daemon.monitoring.telemetry import MeterStatistics, RadioStatistics
from daemon.monitoring.totals_file import TotalsFile
from daemon.operators.operator_socket import OperatorSocket
from daemon.operators.order_requests import OrderRequests
from daemon.operators.orders import OrderBook
from daemon.operators.pause import Pause
from daemon.policy.policy_monitor import PolicyMonitor
from daemon.policy.policy_swap import PolicySwap
from daemon.policy.rollout_walker import RolloutWalker
from daemon.runtime.assembly import describe_fallback
from daemon.runtime.loop import Loop, TickResult
from daemon.runtime.slave_wires import broadcast_of
from daemon.runtime.snapshot_source import SnapshotSource
from daemon.runtime.transmitter import Transmitter
from daemon.service.config_reload import Reloader
from daemon.service.event_log import EventLog
from daemon.service.persistence import Persistence
from daemon.service.preparation import Prepared
from daemon.service.restarts import WITHIN_S
from daemon.service.stop_signals import Requests
from daemon.service.tick_recorder import TickRecorder
from daemon.system import sd_notify
from daemon.system.clock import TickPace, boottime_s, local_hour, wall_moment
from daemon.system.log import log
from drivers.meters.plausibility import Plausibility
from drivers.ports import Meter, SlaveDriver
from drivers.zigbee.radio import ZigbeeRadio
from drivers.zigbee.setpoint_broadcast import SetpointBroadcast
from safety.gate import SafetyGate

JUDGE = "judge"
"""Place of the policy monitor's evidence among the totals."""


@dataclass(frozen=True, slots=True)
class Wires:
    """Meter, radio and devices of their own, open."""

    meter: Meter
    radio: ZigbeeRadio
    devices: Sequence[SlaveDriver]


@dataclass(frozen=True, slots=True)
class Wired:
    """Everything of a running daemon but its loop, which needs a view that needs the status page."""

    figures: Figures
    events: EventLog
    snapshot_source: SnapshotSource
    transmitter: Transmitter
    pace: TickPace
    recorder: TickRecorder
    persistence: Persistence
    swap: PolicySwap
    monitor: PolicyMonitor
    walker: RolloutWalker
    reloader: Reloader
    pause: Pause
    book: OrderBook
    operators: OperatorSocket
    lasting: Callable[[], tuple[Cause, ...]]
    assignment: Callable[[], Assignment]

    def loop(self, requests: Requests, view: Callable[[], None]) -> Loop:
        """The tick loop; `view` draws after every tick."""
        parts = self.swap.assembled.parts

        def tell(result: TickResult) -> None:
            self.book.tell(result.snapshot.slaves, result.decision)
            self.figures.orders = self.book.orders
            self.recorder.tell(result)
            self.persistence.tell(result)
            self.operators.tell(result)
            view()
            self.swap.tick_lived()  # last of all: the tick has nothing left to do

        def judge(result: TickResult) -> tuple[Cause, ...]:
            causes = self.monitor(result)
            self.walker.tell(result, causes)
            return causes

        return Loop(
            parts=parts,
            memory=initial_memory(parts),
            snapshot_source=self.snapshot_source,
            transmitter=self.transmitter,
            pace=self.pace,
            clock=boottime_s,
            assignment=self.assignment,
            policy_latency=self.swap.policy_latency_s,
            tell=tell,
            pat=_feed_watchdog,
            stopping=requests.stop,
            acknowledged=self.operators.acknowledged,
            lasting=self.lasting,
            between_ticks=self.swap.between_ticks,
            judge=judge,
        )

    async def close(self) -> None:
        """Write what is left."""
        await self.persistence.close()
        await self.book.close()
        await self.walker.close()
        await self.events.close()


def wire(
    prepared: Prepared, wires: Wires, requests: Requests, dropped_log_lines: Callable[[], int], remark: str
) -> Wired:
    """Make every object of the daemon. The journal begins here."""
    settings, state = prepared.settings, prepared.settings.state.directory
    site, pace = settings.core_site(), TickPace(settings.site.period_s, boottime_s())
    radio = wires.radio
    broadcast = broadcast_of(settings, radio, prepared.counter, prepared.key, boottime_s)
    transmitter = Transmitter(site, SafetyGate(site), (broadcast, *wires.devices))
    events = EventLog(_journal(settings), started_history(settings))
    book = OrderBook.restored(state, site, partial(_unix_s, settings.zone()), events.record)
    source = SnapshotSource(
        site,
        wires.meter,
        radio,
        transmitter,
        Plausibility(),
        boottime_s,
        partial(local_hour, settings.zone()),
        book.into,
    )
    totals = TotalsFile(state / "totals.json")
    carried = totals.load() or {}
    figures = Figures(site, prepared.about(remark), boottime_s(), carried)
    events.journal.put(prepared.start_record())
    if prepared.is_storm:
        events.record("restart_storm", unordered_ends=prepared.unordered_ends, within_s=WITHIN_S)
    fallback = describe_fallback(settings)
    monitor = PolicyMonitor(site, fallback, settings.radio.ttl_s, events.record)
    monitor.adopt(prepared.assembled)
    monitor.restore(carried.get(JUDGE))
    swap = PolicySwap(
        settings,
        prepared.assembled,
        figures,
        events.record,
        events.journal.put,
        tried=prepared.wanted,
        adopted=monitor.adopt,
    )
    walker, reloader = _rollout(prepared, figures, events, monitor, swap, requests)
    pause = Pause.restored(state)
    energy_check = EnergyCheck(gap_s(site.period_s))
    recorder = TickRecorder(
        events=events,
        figures=figures,
        snapshot_source=source,
        counter=prepared.counter,
        zone=settings.zone(),
        meter_statistics=partial(_meter_statistics, wires.meter, source, energy_check),
        radio_statistics=partial(_radio_statistics, radio, broadcast, transmitter),
        judgements=monitor.judgements,
        energy_check=energy_check,
        refused_leaps=broadcast.refused_leaps,
        dropped_log_lines=dropped_log_lines,
    )
    persistence = Persistence(
        prepared.supervisor_file.save,
        prepared.counter,
        keep_totals=partial(_keep, totals),
        carry=lambda: figures.carry() | {JUDGE: monitor.carry()},
    )
    operators = OperatorSocket(
        prepared.standing,
        [],
        site.period_s,
        events.record,
        swap.describe,
        walker.order,
        pause,
        OrderRequests(book, events.record),
    )
    return Wired(
        figures,
        events,
        source,
        transmitter,
        pace,
        recorder,
        persistence,
        swap,
        monitor,
        walker,
        reloader,
        pause,
        book,
        operators,
        lasting=prepared.supervisor_file.causes,
        assignment=partial(_assignment, walker, pause, figures, settings.zone()),
    )


def _rollout(
    prepared: Prepared,
    figures: Figures,
    events: EventLog,
    monitor: PolicyMonitor,
    swap: PolicySwap,
    requests: Requests,
) -> tuple[RolloutWalker, Reloader]:
    """The plan, where the last run left it, which says which mode is in force; and who follows the file."""
    configured = prepared.configured
    site_seed = sha256(b"blocks" + prepared.key).digest()
    fallback = describe_fallback(prepared.settings)

    def subject() -> tuple[str, str]:
        bundle = swap.assembled.bundle
        return ("" if bundle is None else bundle.sha256), fallback

    def show(mode: Mode) -> None:
        figures.adopt(figures.site, replace(figures.about, mode=mode))

    walker = RolloutWalker(
        prepared.settings.core_site(),
        prepared.settings.state.directory,
        events.record,
        monitor.judged,
        subject,
        show=show,
        look_again=requests.reload.set,
        report=figures.plan_stands,
    )
    refused = walker.begin(configured, configured.plan(site_seed))
    show(walker.mode_plan().mode)
    if refused:
        figures.configuration_refused(refused)
        events.record("configuration_refused", reason=refused, kept="shadow")
    walker.resumed()
    reloader = Reloader(
        prepared.path,
        configured,
        site_seed,
        policy=swap.configure,
        admit=walker.admit,
        in_force=walker.mode_plan,
        now=requests.reload,
    )
    return walker, reloader


def _assignment(walker: RolloutWalker, pause: Pause, figures: Figures, zone: ZoneInfo) -> Assignment:
    moment = wall_moment(zone)
    given = pause.over(assign(walker.mode_plan(), moment), moment.unix_s)
    figures.pause = pause.order
    return given


def _unix_s(zone: ZoneInfo) -> float | None:
    return wall_moment(zone).unix_s


def _meter_statistics(meter: Meter, source: SnapshotSource, energy_check: EnergyCheck) -> MeterStatistics:
    return MeterStatistics(
        source.reads_total,
        sum(source.errors_total.values()),
        meter.connects,
        source.read_s,
        energy_check.ratio,
        meter.unasked_total,
    )


def _radio_statistics(
    radio: ZigbeeRadio, broadcast: SetpointBroadcast, transmitter: Transmitter
) -> RadioStatistics:
    counted = radio.statistics
    return RadioStatistics(
        radio.up,
        transmitter.refused_total,
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
        radio.remark,
    )


def _journal(settings: Settings) -> Journal:
    run = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) + f"-{os.getpid()}"
    section = settings.journal
    return Journal(section.directory, run, section.max_mb * 10**6, settings.anomaly.calibration)


def _keep(file: TotalsFile, totals: dict[str, Any]) -> None:
    try:
        file.save(totals)
    except OSError as error:
        log.warning("totals_unwritable", reason=error.strerror, file=str(file.path))


def _feed_watchdog() -> None:
    sd_notify.alive()
