"""A rehearsal of the radio: every slave is told 0 W, again and again, and the answers are counted.

It decides, clears and sends exactly as the daemon does, with the authority of rest and without a meter. So
the only frames it can send are safe releases, at the pace that the air allows.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from math import inf
from random import SystemRandom
from statistics import median

from core.causes import Cause
from core.decision import Authority, Decision, Source
from core.parts import Parts, initial_memory
from core.site import SUNKEEP, ZERO, Site
from core.snapshot import SlaveState, Snapshot
from core.tick import decide
from daemon.commissioning.radio_test_record import DrillResult, SlotResult
from daemon.config.settings import Settings
from daemon.runtime.assembly import assemble, fallback_law
from daemon.runtime.devices import open_radio
from daemon.runtime.slave_wires import broadcast_of
from daemon.runtime.transmitter import Transmitter
from daemon.system.clock import boottime_s
from drivers.errors import Transient
from drivers.zigbee.frame_counter import FrameCounter
from drivers.zigbee.link_quality import GRACE_S, reply_delay_s
from drivers.zigbee.radio import ZigbeeRadio
from safety.gate import SafetyGate

LOOK_EVERY_S = 0.1


async def run_radio_test(
    settings: Settings, key: bytes, counter: FrameCounter, seconds: float, progress: Callable[[float], None]
) -> DrillResult:
    """Tell every slave behind the radio to rest for so long, then wait for the last answers.

    Slaves that are devices of their own are told nothing. Without any slave behind it the radio is only
    brought up.

    Args:
        key: the site key.
        counter: of the site; it goes on strictly increasing.
        progress: called with the seconds that are over.

    Raises:
        StartError: no coordinator or no network.
        Transient: the radio was lost for good, or a decision was not to rest (nothing is sent then).
    """
    whole = settings.core_site()
    site = replace(whole, slaves=tuple(slave for slave in whole.slaves if slave.driver == SUNKEEP))
    async with open_radio(settings, key, boottime_s, SystemRandom()) as radio:
        first_counter, refused = counter.last + 1, 0
        if site.slaves:
            refused = await _rehearse(settings, site, radio, counter, key, seconds, progress)
        return DrillResult(
            at_utc=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=seconds,
            frames=radio.statistics.frames_sent,
            frames_refused=refused,
            first_counter=first_counter,
            last_counter=counter.last,
            slots=tuple(_slot_result(radio, slave.slot, slave.name) for slave in site.slaves),
            remark=radio.remark,
        )


async def _rehearse(
    settings: Settings,
    site: Site,
    radio: ZigbeeRadio,
    counter: FrameCounter,
    key: bytes,
    seconds: float,
    progress: Callable[[float], None],
) -> int:
    """Tell them, and wait for their last answers; returns the frames that were refused."""
    broadcast = broadcast_of(settings, radio, counter, key, boottime_s)
    transmitter = Transmitter(site, SafetyGate(site), (broadcast,))
    began_s = boottime_s()
    parts = assemble(site, fallback_law(settings, site), None).parts
    await _tell_to_rest(parts, transmitter, began_s + seconds, lambda: progress(boottime_s() - began_s))
    await _last_answers(radio, site)
    return transmitter.refused_total


async def _tell_to_rest(
    parts: Parts, transmitter: Transmitter, until_s: float, progress: Callable[[], None]
) -> None:
    """Decide and emit, tick by tick, as the daemon does on its way to the end."""
    memory, tick, period_s = initial_memory(parts), 0, parts.site.period_s
    while boottime_s() < until_s:
        snapshot = _without_meter(parts.site, transmitter, tick)
        decision, memory = decide(snapshot, Authority.REST, memory, parts)
        if not _rests(decision):
            raise Transient("the drill was stopped: a decision was not to rest, and nothing else may be sent")
        await transmitter.emit(decision, snapshot, boottime_s)
        tick += 1
        progress()
        await asyncio.sleep(max(0.0, snapshot.at_s + period_s - boottime_s()))


def _without_meter(site: Site, transmitter: Transmitter, tick: int) -> Snapshot:
    now_s = boottime_s()
    return Snapshot(
        tick=tick,
        at_s=now_s,
        grid_power_w=ZERO,
        meter_age_s=inf,
        slaves=(SlaveState(),) * len(site.slaves),
        on_air=transmitter.on_air(now_s),
        alarms=() if transmitter.up else (Cause.RADIO_DOWN,),
    )


def _rests(decision: Decision) -> bool:
    return decision.verdict.source is Source.REST and all(w == 0 for w in decision.setpoints_w)


async def _last_answers(radio: ZigbeeRadio, site: Site) -> None:
    """Until everybody has answered, or can no longer."""
    last_slot = max(slave.slot for slave in site.slaves)
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE_S + reply_delay_s(last_slot)):
            while radio.quality.waiting:
                await asyncio.sleep(LOOK_EVERY_S)


def _slot_result(radio: ZigbeeRadio, slot: int, name: str) -> SlotResult:
    tally = radio.quality.tally(slot, boottime_s())
    delays_s = tally.delays_s
    return SlotResult(
        slot=slot,
        name=name,
        asked=tally.answered + tally.missed,
        answered=tally.answered,
        delay_p50_s=round(median(delays_s), 3) if delays_s else None,
        delay_max_s=round(max(delays_s), 3) if delays_s else None,
        address=radio.addresses.get(slot),
    )
