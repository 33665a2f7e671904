"""One injection into a running daemon: wait for control, inject, watch, mend, watch the way back."""

import asyncio
from random import Random

from core.decision import Source, State
from daemon.system.clock import boottime_s
from tests.campaigns.pairs import Pair
from tests.faults.injections import do
from tests.faults.log_file import LogFile
from tests.faults.observation import ACTING, Observation, clear_standing
from tests.faults.row import NIGHT, FaultTrialResult, Row

LOOK_S = 0.02
RUN_S = (2.0, 8.0)
"""Time of control before the fault: its end is at a random phase of the tick."""
AT_WORK_W = 300.0
EVERYDAY = frozenset(("reentry", "policy_fault", "meter_late"))
"""Causes that a site at work may have."""
CONTROL_WITHIN_S = 400.0
BACK_WITHIN_S = 110.0
"""Longest wait for a controller to act again after the fault has ended."""
REST_WITHIN_S = 12.0
"""Longest wait for slaves to rest once the fault has lasted as long as it was to."""


async def inject(row: Row, pair: Pair, log: LogFile, rng: Random) -> FaultTrialResult:
    """One trial.

    Raises:
        TimeoutError: the site did not come to work before the fault.
    """
    clear_standing(pair)
    await _at_work(row, pair)
    await asyncio.sleep(rng.uniform(*RUN_S))
    await _at_work(row, pair)
    seen = Observation(pair, log)
    good_s = seen.last_good_s
    await do(row.injection.begin, pair, rng)
    detected_s = rest_s = None
    end_s = seen.began_s + row.lasts_s
    while True:
        await asyncio.sleep(LOOK_S)
        seen.look()
        now_s = boottime_s()
        if detected_s is None and row.detected(seen):
            detected_s = now_s - seen.began_s
        if rest_s is None:
            good_s = max(good_s, seen.last_good_s)
            if pair.power_w() == 0.0:
                rest_s = now_s - (seen.began_s if row.from_onset else good_s)
        waits = row.rest_s is not None and rest_s is None and now_s < end_s + REST_WITHIN_S
        if now_s >= end_s and not waits:
            break
    kept, reaction = row.kept(seen), seen.reaction
    shown_as = _shown_as(seen)
    await do(row.injection.end, pair, rng)
    usable_s, recovered_s = await _back(row, pair, seen)
    return FaultTrialResult(row, shown_as, detected_s, reaction, rest_s, recovered_s, kept, usable_s)


async def _at_work(row: Row, pair: Pair) -> None:
    """Until setpoints are on air (by night: until a controller acts); what stands is cleared."""
    assert pair.loop is not None
    async with asyncio.timeout(CONTROL_WITHIN_S):
        while True:
            last = pair.lived[-1]
            acts = last.decision.verdict.source in ACTING and last.decision.estimate.fresh
            acting = last.decision.verdict.source
            ready = row.shows(pair) and (row.rig == NIGHT or pair.power_w() > AT_WORK_W)
            stands = set(last.decision.verdict.causes) - EVERYDAY
            if acts and ready and not stands and (acting is Source.POLICY or not row.needs_policy):
                return
            await asyncio.sleep(0.1)
            if (not acts or stands) and last.decision.estimate.fresh and pair.loop.snapshot_source.radio.up:
                clear_standing(pair)
                pair.acknowledge()
                await asyncio.sleep(1.2)
                pair.warm()
                await asyncio.sleep(1.2)


async def _back(row: Row, pair: Pair, seen: Observation) -> tuple[float | None, float | None]:
    """Until the radio is up and a controller acts again, after an operator's word where one is asked for."""
    ended_s, usable_s = boottime_s(), None
    while boottime_s() - ended_s < BACK_WITHIN_S and not pair.whole.task.done():
        if usable_s is None and seen.is_radio_up:
            usable_s = boottime_s() - ended_s
        if row.acknowledged and pair.lived[-1].decision.estimate.fresh:
            pair.acknowledge()
        if seen.is_up and pair.lived[-1].snapshot.at_s > ended_s:
            return usable_s, boottime_s() - ended_s
        await asyncio.sleep(0.1)
    return usable_s, None


def _shown_as(seen: Observation) -> str:
    """The names under which the fault was seen: kinds of failed reads, causes, events."""
    usual = {"state", "library", "reentry", "starting", "radio_down", "radio_up"}
    names = [*seen.errors, *(cause for cause in seen.causes), *(str(e["event"]) for e in seen.events)]
    chosen = [name for name in dict.fromkeys(names) if name not in usual]
    if State.SAFE_STOP in seen.states or "radio_down" in seen.causes:
        chosen += [name for name in ("radio_down",) if name in seen.causes]
    return ", ".join(chosen[:4])
