"""A slave rests by itself when nobody speaks to it, and at once when it is told to."""

import asyncio

from daemon.conformance.bad_frames import forged
from daemon.conformance.bench import TIMING_SLACK_S, BenchFrame, SlaveBench
from daemon.conformance.observations import follows, heard_text, report_text
from daemon.conformance.verdicts import CheckOutcome, Observation
from drivers.zigbee.setpoint_frame import ReportedState, SlaveReport

SHORT_TTL_S = 3
SILENCE_LATE_S = 1.0
"""How much later than it should a slave may be heard to rest."""
SILENCE_WAIT_S = 8.0
"""How long it is waited for, so that the verdict can say how late it was."""
POWER_GONE_AFTER_S = 5.0
POWER_GONE_SHARE = 0.25
POWER_GONE_W = 20


async def _rested(bench: SlaveBench, told: BenchFrame) -> Observation:
    """Whether the slave rests by itself, and neither before its time nor long after it."""
    until_s = told.by_s + SHORT_TTL_S + bench.slot_delay_s[1] + SILENCE_WAIT_S
    while bench.clock() < until_s:
        for heard in bench.since(told.began_s):
            if heard.report is not None and heard.report.state is not ReportedState.FOLLOWING:
                return _rest_in_time(bench, told, heard.at_s, heard.report)
        await asyncio.sleep(0.02)
    return CheckOutcome.BROKEN, f"did not say that it rests in {until_s - told.by_s:.0f} s"


def _rest_in_time(bench: SlaveBench, told: BenchFrame, at_s: float, report: SlaveReport) -> Observation:
    first_s, last_s = (SHORT_TTL_S + delay_s for delay_s in bench.slot_delay_s)
    in_time = told.began_s + first_s - TIMING_SLACK_S <= at_s <= told.by_s + last_s + SILENCE_LATE_S
    right = report.state is ReportedState.RESTING_SILENCE and report.applied_w == 0
    seen = f"{report_text(report)} after {at_s - told.began_s:.2f} s, due {first_s:.2f} to {last_s:.2f} s"
    return (CheckOutcome.KEPT if right and in_time else CheckOutcome.BROKEN), seen


async def silence(bench: SlaveBench, watts: int) -> Observation:
    """Nothing is sent any more."""
    told = await bench.tell(watts, report=True, ttl_s=SHORT_TTL_S)
    followed = await follows(bench, told, watts)
    return await _rested(bench, told) if followed[0] is CheckOutcome.KEPT else followed


async def not_fed(bench: SlaveBench, watts: int) -> Observation:
    """Half-way through the time to live comes a forged frame."""
    told = await bench.tell(watts, report=True, ttl_s=SHORT_TTL_S)
    followed = await follows(bench, told, watts)
    if followed[0] is not CheckOutcome.KEPT:
        return followed
    await asyncio.sleep(max(0.0, told.began_s + SHORT_TTL_S / 2 - bench.clock()))
    sent = await bench.tell_badly(watts // 2, bench.counter.take(), forged)
    if sent.arrived_s is None:
        return CheckOutcome.NOT_JUDGED, "the forged frame did not arrive"
    return await _rested(bench, told)


async def _resting(bench: SlaveBench, sent: BenchFrame) -> Observation:
    if sent.arrived_s is None:
        return CheckOutcome.NOT_JUDGED, "the frame did not arrive: no acknowledgement"
    heard = await bench.answer(sent)
    if heard is None or heard.report is None:
        return CheckOutcome.BROKEN, f"no report of counter {sent.counter}"
    right = heard.report.applied_w == 0 and heard.report.state is ReportedState.RESTING_RELEASED
    return (CheckOutcome.KEPT if right else CheckOutcome.BROKEN), heard_text(heard)


async def released(bench: SlaveBench, watts: int) -> Observation:
    """A safe release."""
    await bench.answer(await bench.tell(watts, report=True))
    return await _resting(bench, await bench.release())


async def release_with_setpoint(bench: SlaveBench, watts: int) -> Observation:
    """A safe release whose setpoint field says to go on."""
    await bench.answer(await bench.tell(watts, report=True))
    return await _resting(bench, await bench.release(setpoint_w=watts))


async def power_falls(bench: SlaveBench, watts: int) -> Observation:
    """Some seconds after a safe release its own measurement has fallen."""
    await asyncio.sleep(POWER_GONE_AFTER_S)
    heard = await bench.answer(await bench.release())
    if heard is None or heard.report is None:
        return CheckOutcome.NOT_JUDGED, "no report"
    power_w = heard.report.power_w
    if power_w is None:
        return CheckOutcome.NOT_JUDGED, "it does not measure"
    gone = power_w <= max(POWER_GONE_W, POWER_GONE_SHARE * watts)
    return (
        CheckOutcome.KEPT if gone else CheckOutcome.BROKEN
    ), f"{power_w} W {POWER_GONE_AFTER_S:.0f} s after it"
