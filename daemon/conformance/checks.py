"""The checks: what a slave is told, and what it must say to that. Each is a coroutine with one verdict."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise

from daemon.conformance.bad_frames import BadFrame, bad_frames, forged
from daemon.conformance.bench import LATE_S, Bench, Heard, Sent
from daemon.conformance.verdicts import Outcome, Verdict
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
class Check:
    """One check. `run` gives the outcome and what was seen."""

    rule: str
    name: str
    run: Callable[[Bench, int], Awaitable[tuple[Outcome, str]]]


def checks(slot: int, max_w: int) -> list[Check]:
    """All of them in their order, for a slave with this slot and rating. Each begins and ends wherever."""
    listed = [
        Check("F11", "a broadcast is heard", _broadcast),
        Check("F11", "a unicast is obeyed, and its counter reported", _obeys),
        Check("R2", "a frame that asks is answered", _asked),
        Check("R3", "a change is reported, asked or not", _change),
        Check("R3", "silent when nothing changed and nobody asked", _unchanged),
        Check("F7", "its own setpoint out of a frame that begins below", _base_below),
        Check("F7", "its own setpoint out of the longest frame", _longest),
        Check("F10", "a setpoint above the rating is applied as the rating", _rating),
        Check("R6", "a newer frame replaces a report that waits", _replaced),
    ]
    for bad in bad_frames(slot, max_w):
        listed.append(Check(bad.rule, f"ignored: {bad.check}", _ignores(bad)))
    return [
        *listed,
        Check("W3", "rests and says so when the time to live has run out", _silence),
        Check("F9", "ignored frames do not feed the time to live", _not_fed),
        Check("R4", "a safe release is reported", _released),
        Check("W4", "a safe release rests whatever the setpoint says", _release_with_setpoint),
        Check("W4", "the measured power falls after a safe release", _power_falls),
        Check("R1", "every report is sound", _sound_reports),
        Check("R1", "transaction numbers go up", _transactions),
        Check("R5", "reports keep their time slot", _time_slot),
    ]


async def judge(check: Check, bench: Bench) -> Verdict:
    """Run one check, with no more than the slave is built for.

    A frame or a report may have been lost: a rule is broken when it was broken twice in a row.
    """
    watts = min(bench.agreed_w, bench.slave.max_w)
    outcome, detail = await check.run(bench, watts)
    if outcome is Outcome.BROKEN:
        again, seen = await check.run(bench, watts)
        detail = seen if again is outcome else f"{seen} (the second time; the first: {detail})"
        outcome = again
    return Verdict(check.rule, check.name, outcome, detail)


# --- what is obeyed --------------------------------------------------------------------------------


async def _follows(bench: Bench, sent: Sent, watts: int) -> tuple[Outcome, str]:
    """Whether the report of this frame says that it is followed."""
    if sent.arrived_s is None:
        return Outcome.NOT_JUDGED, "the frame did not arrive: no acknowledgement"
    heard = await bench.answer(sent)
    if heard is None or heard.report is None:
        return Outcome.BROKEN, f"no report of counter {sent.counter}"
    said = heard.report
    right = said.applied_w == watts and said.state is ReportedState.FOLLOWING
    wanted = "" if right else f", not {watts} W following"
    outcome = Outcome.KEPT if right else Outcome.BROKEN
    return outcome, f"reports {said.applied_w} W, {_state(said.state)}{wanted}"


async def _broadcast(bench: Bench, watts: int) -> tuple[Outcome, str]:
    return await _follows(bench, await bench.tell(watts, report=True, broadcast=True), watts)


async def _obeys(bench: Bench, watts: int) -> tuple[Outcome, str]:
    return await _follows(bench, await bench.tell(watts // 2, report=True), watts // 2)


async def _asked(bench: Bench, watts: int) -> tuple[Outcome, str]:
    first = await bench.tell(watts, report=True)
    await bench.answer(first)
    return await _follows(bench, await bench.tell(watts, report=True), watts)


async def _change(bench: Bench, watts: int) -> tuple[Outcome, str]:
    await bench.answer(await bench.tell(watts, report=True))
    return await _follows(bench, await bench.tell(watts // 2), watts // 2)


async def _unchanged(bench: Bench, watts: int) -> tuple[Outcome, str]:
    first = await _follows(bench, await bench.tell(watts, report=True), watts)
    if first[0] is not Outcome.KEPT:
        return Outcome.NOT_JUDGED, f"the frame before it: {first[1]}"
    said = await bench.quiet(await bench.tell(watts))
    return (Outcome.BROKEN, f"said {_said(said[0])}") if said else (Outcome.KEPT, "")


async def _base_below(bench: Bench, watts: int) -> tuple[Outcome, str]:
    slot = bench.slave.slot
    if slot == 0:
        return Outcome.NOT_JUDGED, "no slot is below 0"
    neighbours = range(max(0, slot - 2), min(SLOTS, slot + 2))
    return await _follows(bench, await bench.tell(watts // 2, report=True, neighbours=neighbours), watts // 2)


async def _longest(bench: Bench, watts: int) -> tuple[Outcome, str]:
    base = min(max(0, bench.slave.slot - SLOTS_PER_FRAME // 2), SLOTS - SLOTS_PER_FRAME)
    neighbours = range(base, base + SLOTS_PER_FRAME)
    return await _follows(bench, await bench.tell(watts, report=True, neighbours=neighbours), watts)


async def _rating(bench: Bench, watts: int) -> tuple[Outcome, str]:
    if not bench.agreed_w > bench.slave.max_w:
        return Outcome.NOT_JUDGED, f"needs --watts above its rating of {bench.slave.max_w} W"
    return await _follows(bench, await bench.tell(bench.agreed_w, report=True), bench.slave.max_w)


async def _replaced(bench: Bench, watts: int) -> tuple[Outcome, str]:
    first = await bench.tell(watts, report=True)
    await asyncio.sleep(REPLACE_AFTER_S)
    second = await bench.tell(watts, report=True)
    if first.arrived_s is None or second.arrived_s is None:
        return Outcome.NOT_JUDGED, "a frame did not arrive: no acknowledgement"
    if second.arrived_s - first.began_s >= bench.slot_delay_s[0]:
        return Outcome.NOT_JUDGED, "the second frame took too long: the first report was due"
    await asyncio.sleep(max(0.0, second.by_s + bench.slot_delay_s[1] + LATE_S - bench.clock()))
    said = bench.since(first.began_s)
    seen = "; ".join(map(_said, said)) or "no report"
    one = len(said) == 1 and said[0].report is not None and said[0].report.counter == second.counter
    return (Outcome.KEPT if one else Outcome.BROKEN), f"{seen} (the second frame has {second.counter})"


# --- what is ignored -------------------------------------------------------------------------------


def _ignores(bad: BadFrame) -> Callable[[Bench, int], Awaitable[tuple[Outcome, str]]]:
    """A bad frame is followed by silence, and then by a good one with a lower counter that is accepted."""

    async def run(bench: Bench, watts: int) -> tuple[Outcome, str]:
        if bad.worst_w is not None and bench.agreed_w < bad.worst_w:
            return (
                Outcome.NOT_JUDGED,
                f"a slave that breaks this may draw {bad.worst_w} W: needs --watts {bad.worst_w}",
            )
        before = await _follows(bench, await bench.tell(watts, report=True), watts)
        if before[0] is not Outcome.KEPT:
            return Outcome.NOT_JUDGED, f"the good frame before it: {before[1]}"
        good_counter = bench.counter.take(2)
        sent = await bench.tell_badly(watts // 2, good_counter + 1, bad.spoil)
        if sent.arrived_s is None:
            return Outcome.NOT_JUDGED, "the frame did not arrive: no acknowledgement"
        said = await bench.quiet(sent)
        after = await bench.tell(watts, report=True, counter=good_counter)
        answer = await bench.answer(after)
        if said:
            return Outcome.BROKEN, f"answered: {_said(said[0])}"
        if after.arrived_s is None:
            return Outcome.NOT_JUDGED, "the good frame after it did not arrive"
        if answer is None:
            return Outcome.BROKEN, "after it a good frame with a lower counter was not accepted"
        return Outcome.KEPT, ""

    return run


# --- time to live and release ----------------------------------------------------------------------


async def _rested(bench: Bench, told: Sent) -> tuple[Outcome, str]:
    """Whether the slave rests by itself, and neither before its time nor long after it."""
    until_s = told.by_s + SHORT_TTL_S + bench.slot_delay_s[1] + SILENCE_WAIT_S
    while bench.clock() < until_s:
        for heard in bench.since(told.began_s):
            if heard.report is not None and heard.report.state is not ReportedState.FOLLOWING:
                return _rest_in_time(bench, told, heard.at_s, heard.report)
        await asyncio.sleep(0.02)
    return Outcome.BROKEN, f"did not say that it rests in {until_s - told.by_s:.0f} s"


def _rest_in_time(bench: Bench, told: Sent, at_s: float, report: SlaveReport) -> tuple[Outcome, str]:
    first_s, last_s = (SHORT_TTL_S + delay_s for delay_s in bench.slot_delay_s)
    in_time = told.began_s + first_s - TIMING_SLACK_S <= at_s <= told.by_s + last_s + SILENCE_LATE_S
    right = report.state is ReportedState.RESTING_SILENCE and report.applied_w == 0
    seen = f"{_told(report)} after {at_s - told.by_s:.2f} s, due {first_s:.2f} to {last_s:.2f} s"
    return (Outcome.KEPT if right and in_time else Outcome.BROKEN), seen


async def _silence(bench: Bench, watts: int) -> tuple[Outcome, str]:
    told = await bench.tell(watts, report=True, ttl_s=SHORT_TTL_S)
    followed = await _follows(bench, told, watts)
    return await _rested(bench, told) if followed[0] is Outcome.KEPT else followed


async def _not_fed(bench: Bench, watts: int) -> tuple[Outcome, str]:
    told = await bench.tell(watts, report=True, ttl_s=SHORT_TTL_S)
    followed = await _follows(bench, told, watts)
    if followed[0] is not Outcome.KEPT:
        return followed
    await asyncio.sleep(max(0.0, told.began_s + SHORT_TTL_S / 2 - bench.clock()))
    sent = await bench.tell_badly(watts // 2, bench.counter.take(), forged)
    if sent.arrived_s is None:
        return Outcome.NOT_JUDGED, "the forged frame did not arrive"
    return await _rested(bench, told)


async def _resting(bench: Bench, sent: Sent) -> tuple[Outcome, str]:
    if sent.arrived_s is None:
        return Outcome.NOT_JUDGED, "the frame did not arrive: no acknowledgement"
    heard = await bench.answer(sent)
    if heard is None or heard.report is None:
        return Outcome.BROKEN, f"no report of counter {sent.counter}"
    right = heard.report.applied_w == 0 and heard.report.state is ReportedState.RESTING_RELEASED
    return (Outcome.KEPT if right else Outcome.BROKEN), _said(heard)


async def _released(bench: Bench, watts: int) -> tuple[Outcome, str]:
    await bench.answer(await bench.tell(watts, report=True))
    return await _resting(bench, await bench.release())


async def _release_with_setpoint(bench: Bench, watts: int) -> tuple[Outcome, str]:
    await bench.answer(await bench.tell(watts, report=True))
    return await _resting(bench, await bench.release(setpoint_w=watts))


async def _power_falls(bench: Bench, watts: int) -> tuple[Outcome, str]:
    await asyncio.sleep(POWER_GONE_AFTER_S)
    heard = await bench.answer(await bench.release())
    if heard is None or heard.report is None:
        return Outcome.NOT_JUDGED, "no report"
    power_w = heard.report.power_w
    if power_w is None:
        return Outcome.NOT_JUDGED, "it does not measure"
    gone = power_w <= max(POWER_GONE_W, POWER_GONE_SHARE * watts)
    return (Outcome.KEPT if gone else Outcome.BROKEN), f"{power_w} W {POWER_GONE_AFTER_S:.0f} s after it"


# --- all reports of the test -----------------------------------------------------------------------


async def _sound_reports(bench: Bench, watts: int) -> tuple[Outcome, str]:
    ours = bench.since(0.0)
    for heard in ours:
        if heard.report is None:
            return Outcome.BROKEN, heard.problem
        if not heard.zcl[0] & 0x10:
            return Outcome.BROKEN, "asks for a default response"
    return (Outcome.KEPT, f"{len(ours)} reports") if ours else (Outcome.NOT_JUDGED, "there is none")


async def _transactions(bench: Bench, watts: int) -> tuple[Outcome, str]:
    numbers = [heard.zcl[3] for heard in bench.since(0.0) if heard.report is not None]
    if len(numbers) < 2:
        return Outcome.NOT_JUDGED, "too few reports"
    for before, after in pairwise(numbers):
        if not 1 <= (after - before) % 256 <= TRANSACTIONS_LOST_MAX:
            return Outcome.BROKEN, f"{after} after {before}"
    return Outcome.KEPT, ""


async def _time_slot(bench: Bench, watts: int) -> tuple[Outcome, str]:
    if not bench.answered:
        return Outcome.NOT_JUDGED, "there is no answer"
    first_s, last_s = bench.slot_delay_s
    early_s = min(heard_s - sent.began_s for sent, heard_s in bench.answered)
    late_s = min(heard_s - sent.by_s for sent, heard_s in bench.answered)
    right = early_s >= first_s - TIMING_SLACK_S and late_s <= last_s + SLOT_LATE_S
    seen = f"the first {early_s:.3f} s after its frame was sent, slot {first_s:.3f} to {last_s:.3f} s"
    return (Outcome.KEPT if right else Outcome.BROKEN), seen


def _said(heard: Heard) -> str:
    return heard.problem if heard.report is None else _told(heard.report)


def _told(report: SlaveReport) -> str:
    return f"{report.applied_w} W, {_state(report.state)}, counter {report.counter}"


def _state(state: ReportedState) -> str:
    return state.name.lower().replace("_", " ")
