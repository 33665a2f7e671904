"""The checks: what a slave is told, and what it must say to that. Each is a coroutine with one verdict."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise

from daemon.conformance.bad_frames import BadFrame, bad_frames, forged
from daemon.conformance.bench import LATE_S, BenchFrame, HeardFrame, SlaveBench
from daemon.conformance.verdicts import CheckOutcome, CheckVerdict
from drivers.zigbee.setpoint_frame import SLOTS, SLOTS_PER_FRAME, ReportedState, SlaveReport

SHORT_TTL_S = 3
SILENCE_LATE_S = 1.0
"""How much later than it should a slave may be heard to rest."""
SILENCE_WAIT_S = 8.0
"""How long it is waited for, so that the verdict can say how late it was."""
TIMING_SLACK_S = 0.01
"""Of clocks and of the serial line, for a report that comes early."""
SLOT_LATE_S = 0.25
"""The quickest of all reports may come this much behind its time slot."""
REPLACE_AFTER_S = 0.1
POWER_GONE_AFTER_S = 5.0
POWER_GONE_SHARE = 0.25
POWER_GONE_W = 20
TRANSACTIONS_LOST_MAX = 16


@dataclass(frozen=True, slots=True)
class RuleCheck:
    """One check. `run` gives the outcome and what was seen."""

    rule: str
    name: str
    run: Callable[[SlaveBench, int], Awaitable[tuple[CheckOutcome, str]]]


def checks(slot: int, max_w: int) -> list[RuleCheck]:
    """All of them in their order, for a slave with this slot and rating. Each begins and ends wherever."""
    listed = [
        RuleCheck("F11", "a broadcast is heard", _broadcast),
        RuleCheck("F11", "a unicast is obeyed, and its counter reported", _obeys),
        RuleCheck("R2", "a frame that asks is answered", _asked),
        RuleCheck("R3", "a change is reported, asked or not", _change),
        RuleCheck("R3", "silent when nothing changed and nobody asked", _unchanged),
        RuleCheck("F7", "its own setpoint out of a frame that begins below", _base_below),
        RuleCheck("F7", "its own setpoint out of the longest frame", _longest),
        RuleCheck("F10", "a setpoint above the rating is applied as the rating", _rating),
        RuleCheck("R6", "a newer frame replaces a report that waits", _replaced),
    ]
    for bad in bad_frames(slot, max_w):
        listed.append(RuleCheck(bad.rule, f"ignored: {bad.check}", _ignores(bad)))
    return [
        *listed,
        RuleCheck("W3", "rests and says so when the time to live has run out", _silence),
        RuleCheck("F9", "ignored frames do not feed the time to live", _not_fed),
        RuleCheck("R4", "a safe release is reported", _released),
        RuleCheck("W4", "a safe release rests whatever the setpoint says", _release_with_setpoint),
        RuleCheck("W4", "the measured power falls after a safe release", _power_falls),
        RuleCheck("R1", "every report is sound", _sound_reports),
        RuleCheck("R1", "transaction numbers go up", _transactions),
        RuleCheck("R5", "reports keep their time slot", _time_slot),
    ]


async def judge(check: RuleCheck, bench: SlaveBench) -> CheckVerdict:
    """Run one check, with no more than the slave is built for.

    A frame or a report may have been lost: a rule is broken when it was broken twice in a row.
    """
    watts = min(bench.agreed_w, bench.slave.max_w)
    outcome, detail = await check.run(bench, watts)
    if outcome is CheckOutcome.BROKEN:
        again, seen = await check.run(bench, watts)
        detail = seen if again is outcome else f"{seen} (the second time; the first: {detail})"
        outcome = again
    return CheckVerdict(check.rule, check.name, outcome, detail)


# --- what is obeyed --------------------------------------------------------------------------------


async def _follows(bench: SlaveBench, sent: BenchFrame, watts: int) -> tuple[CheckOutcome, str]:
    """Whether the report of this frame says that it is followed."""
    if sent.arrived_s is None:
        return CheckOutcome.NOT_JUDGED, "the frame did not arrive: no acknowledgement"
    heard = await bench.answer(sent)
    if heard is None or heard.report is None:
        return CheckOutcome.BROKEN, f"no report of counter {sent.counter}"
    said = heard.report
    right = said.applied_w == watts and said.state is ReportedState.FOLLOWING
    wanted = "" if right else f", not {watts} W following"
    outcome = CheckOutcome.KEPT if right else CheckOutcome.BROKEN
    return outcome, f"reports {said.applied_w} W, {_state(said.state)}{wanted}"


async def _broadcast(bench: SlaveBench, watts: int) -> tuple[CheckOutcome, str]:
    return await _follows(bench, await bench.tell(watts, report=True, broadcast=True), watts)


async def _obeys(bench: SlaveBench, watts: int) -> tuple[CheckOutcome, str]:
    return await _follows(bench, await bench.tell(watts // 2, report=True), watts // 2)


async def _asked(bench: SlaveBench, watts: int) -> tuple[CheckOutcome, str]:
    first = await bench.tell(watts, report=True)
    await bench.answer(first)
    return await _follows(bench, await bench.tell(watts, report=True), watts)


async def _change(bench: SlaveBench, watts: int) -> tuple[CheckOutcome, str]:
    await bench.answer(await bench.tell(watts, report=True))
    return await _follows(bench, await bench.tell(watts // 2), watts // 2)


async def _unchanged(bench: SlaveBench, watts: int) -> tuple[CheckOutcome, str]:
    first = await _follows(bench, await bench.tell(watts, report=True), watts)
    if first[0] is not CheckOutcome.KEPT:
        return CheckOutcome.NOT_JUDGED, f"the frame before it: {first[1]}"
    said = await bench.quiet(await bench.tell(watts))
    return (CheckOutcome.BROKEN, f"said {_said(said[0])}") if said else (CheckOutcome.KEPT, "")


async def _base_below(bench: SlaveBench, watts: int) -> tuple[CheckOutcome, str]:
    slot = bench.slave.slot
    if slot == 0:
        return CheckOutcome.NOT_JUDGED, "no slot is below 0"
    neighbours = range(max(0, slot - 2), min(SLOTS, slot + 2))
    return await _follows(bench, await bench.tell(watts // 2, report=True, neighbours=neighbours), watts // 2)


async def _longest(bench: SlaveBench, watts: int) -> tuple[CheckOutcome, str]:
    base = min(max(0, bench.slave.slot - SLOTS_PER_FRAME // 2), SLOTS - SLOTS_PER_FRAME)
    neighbours = range(base, base + SLOTS_PER_FRAME)
    return await _follows(bench, await bench.tell(watts, report=True, neighbours=neighbours), watts)


async def _rating(bench: SlaveBench, watts: int) -> tuple[CheckOutcome, str]:
    if not bench.agreed_w > bench.slave.max_w:
        return CheckOutcome.NOT_JUDGED, f"needs --watts above its rating of {bench.slave.max_w} W"
    return await _follows(bench, await bench.tell(bench.agreed_w, report=True), bench.slave.max_w)


async def _replaced(bench: SlaveBench, watts: int) -> tuple[CheckOutcome, str]:
    first = await bench.tell(watts, report=True)
    await asyncio.sleep(REPLACE_AFTER_S)
    second = await bench.tell(watts, report=True)
    if first.arrived_s is None or second.arrived_s is None:
        return CheckOutcome.NOT_JUDGED, "a frame did not arrive: no acknowledgement"
    if second.arrived_s - first.began_s >= bench.slot_delay_s[0]:
        return CheckOutcome.NOT_JUDGED, "the second frame took too long: the first report was due"
    await asyncio.sleep(max(0.0, second.by_s + bench.slot_delay_s[1] + LATE_S - bench.clock()))
    said = bench.since(first.began_s)
    seen = "; ".join(map(_said, said)) or "no report"
    one = len(said) == 1 and said[0].report is not None and said[0].report.counter == second.counter
    return (
        CheckOutcome.KEPT if one else CheckOutcome.BROKEN
    ), f"{seen} (the second frame has {second.counter})"


# --- what is ignored -------------------------------------------------------------------------------


def _ignores(bad: BadFrame) -> Callable[[SlaveBench, int], Awaitable[tuple[CheckOutcome, str]]]:
    """A bad frame is followed by silence, and then by a good one with a lower counter that is accepted."""

    async def run(bench: SlaveBench, watts: int) -> tuple[CheckOutcome, str]:
        if bad.worst_w is not None and bench.agreed_w < bad.worst_w:
            return (
                CheckOutcome.NOT_JUDGED,
                f"may switch {bad.worst_w} W on: needs --watts {bad.worst_w}",
            )
        before = await _follows(bench, await bench.tell(watts, report=True), watts)
        if before[0] is not CheckOutcome.KEPT:
            return CheckOutcome.NOT_JUDGED, f"the good frame before it: {before[1]}"
        good_counter = bench.counter.take(2)
        sent = await bench.tell_badly(watts // 2, good_counter + 1, bad.spoil)
        if sent.arrived_s is None:
            return CheckOutcome.NOT_JUDGED, "the frame did not arrive: no acknowledgement"
        said = await bench.quiet(sent)
        after = await bench.tell(watts, report=True, counter=good_counter)
        answer = await bench.answer(after)
        if said:
            return CheckOutcome.BROKEN, f"answered: {_said(said[0])}"
        if after.arrived_s is None:
            return CheckOutcome.NOT_JUDGED, "the good frame after it did not arrive"
        if answer is None:
            return CheckOutcome.BROKEN, "after it a good frame with a lower counter was not accepted"
        return CheckOutcome.KEPT, ""

    return run


# --- time to live and release ----------------------------------------------------------------------


async def _rested(bench: SlaveBench, told: BenchFrame) -> tuple[CheckOutcome, str]:
    """Whether the slave rests by itself, and neither before its time nor long after it."""
    until_s = told.by_s + SHORT_TTL_S + bench.slot_delay_s[1] + SILENCE_WAIT_S
    while bench.clock() < until_s:
        for heard in bench.since(told.began_s):
            if heard.report is not None and heard.report.state is not ReportedState.FOLLOWING:
                return _rest_in_time(bench, told, heard.at_s, heard.report)
        await asyncio.sleep(0.02)
    return CheckOutcome.BROKEN, f"did not say that it rests in {until_s - told.by_s:.0f} s"


def _rest_in_time(
    bench: SlaveBench, told: BenchFrame, at_s: float, report: SlaveReport
) -> tuple[CheckOutcome, str]:
    first_s, last_s = (SHORT_TTL_S + delay_s for delay_s in bench.slot_delay_s)
    in_time = told.began_s + first_s - TIMING_SLACK_S <= at_s <= told.by_s + last_s + SILENCE_LATE_S
    right = report.state is ReportedState.RESTING_SILENCE and report.applied_w == 0
    seen = f"{_told(report)} after {at_s - told.began_s:.2f} s, due {first_s:.2f} to {last_s:.2f} s"
    return (CheckOutcome.KEPT if right and in_time else CheckOutcome.BROKEN), seen


async def _silence(bench: SlaveBench, watts: int) -> tuple[CheckOutcome, str]:
    told = await bench.tell(watts, report=True, ttl_s=SHORT_TTL_S)
    followed = await _follows(bench, told, watts)
    return await _rested(bench, told) if followed[0] is CheckOutcome.KEPT else followed


async def _not_fed(bench: SlaveBench, watts: int) -> tuple[CheckOutcome, str]:
    told = await bench.tell(watts, report=True, ttl_s=SHORT_TTL_S)
    followed = await _follows(bench, told, watts)
    if followed[0] is not CheckOutcome.KEPT:
        return followed
    await asyncio.sleep(max(0.0, told.began_s + SHORT_TTL_S / 2 - bench.clock()))
    sent = await bench.tell_badly(watts // 2, bench.counter.take(), forged)
    if sent.arrived_s is None:
        return CheckOutcome.NOT_JUDGED, "the forged frame did not arrive"
    return await _rested(bench, told)


async def _resting(bench: SlaveBench, sent: BenchFrame) -> tuple[CheckOutcome, str]:
    if sent.arrived_s is None:
        return CheckOutcome.NOT_JUDGED, "the frame did not arrive: no acknowledgement"
    heard = await bench.answer(sent)
    if heard is None or heard.report is None:
        return CheckOutcome.BROKEN, f"no report of counter {sent.counter}"
    right = heard.report.applied_w == 0 and heard.report.state is ReportedState.RESTING_RELEASED
    return (CheckOutcome.KEPT if right else CheckOutcome.BROKEN), _said(heard)


async def _released(bench: SlaveBench, watts: int) -> tuple[CheckOutcome, str]:
    await bench.answer(await bench.tell(watts, report=True))
    return await _resting(bench, await bench.release())


async def _release_with_setpoint(bench: SlaveBench, watts: int) -> tuple[CheckOutcome, str]:
    await bench.answer(await bench.tell(watts, report=True))
    return await _resting(bench, await bench.release(setpoint_w=watts))


async def _power_falls(bench: SlaveBench, watts: int) -> tuple[CheckOutcome, str]:
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


# --- all reports of the test -----------------------------------------------------------------------


async def _sound_reports(bench: SlaveBench, watts: int) -> tuple[CheckOutcome, str]:
    ours = bench.since(0.0)
    for heard in ours:
        if heard.report is None:
            return CheckOutcome.BROKEN, heard.problem
        if not heard.zcl[0] & 0x10:
            return CheckOutcome.BROKEN, "asks for a default response"
    return (CheckOutcome.KEPT, f"{len(ours)} reports") if ours else (CheckOutcome.NOT_JUDGED, "there is none")


async def _transactions(bench: SlaveBench, watts: int) -> tuple[CheckOutcome, str]:
    numbers = [heard.zcl[3] for heard in bench.since(0.0) if heard.report is not None]
    if len(numbers) < 2:
        return CheckOutcome.NOT_JUDGED, "too few reports"
    for before, after in pairwise(numbers):
        if not 1 <= (after - before) % 256 <= TRANSACTIONS_LOST_MAX:
            return CheckOutcome.BROKEN, f"{after} after {before}"
    return CheckOutcome.KEPT, ""


async def _time_slot(bench: SlaveBench, watts: int) -> tuple[CheckOutcome, str]:
    if not bench.answered:
        return CheckOutcome.NOT_JUDGED, "there is no answer"
    first_s, last_s = bench.slot_delay_s
    early_s = min(heard_s - sent.began_s for sent, heard_s in bench.answered)
    late_s = min(heard_s - sent.by_s for sent, heard_s in bench.answered)
    right = early_s >= first_s - TIMING_SLACK_S and late_s <= last_s + SLOT_LATE_S
    seen = f"the first {early_s:.3f} s after its frame was sent, slot {first_s:.3f} to {last_s:.3f} s"
    return (CheckOutcome.KEPT if right else CheckOutcome.BROKEN), seen


def _said(heard: HeardFrame) -> str:
    return heard.problem if heard.report is None else _told(heard.report)


def _told(report: SlaveReport) -> str:
    return f"{report.applied_w} W, {_state(report.state)}, counter {report.counter}"


def _state(state: ReportedState) -> str:
    return state.name.lower().replace("_", " ")
