"""Good frames, which a slave must obey and report, and bad ones, which it must ignore."""

import asyncio
from collections.abc import Awaitable, Callable

from daemon.conformance.bad_frames import BadFrame
from daemon.conformance.bench import LATE_S, SlaveBench
from daemon.conformance.observations import follows, heard_text
from daemon.conformance.verdicts import CheckOutcome, Observation
from drivers.zigbee.setpoint_frame import SLOTS, SLOTS_PER_FRAME

REPLACE_AFTER_S = 0.1


async def broadcast(bench: SlaveBench, watts: int) -> Observation:
    """A broadcast of the highest setpoint."""
    return await follows(bench, await bench.tell(watts, report=True, broadcast=True), watts)


async def obeys(bench: SlaveBench, watts: int) -> Observation:
    """A unicast of another setpoint."""
    return await follows(bench, await bench.tell(watts // 2, report=True), watts // 2)


async def asked(bench: SlaveBench, watts: int) -> Observation:
    """A frame that changes nothing, and asks."""
    first = await bench.tell(watts, report=True)
    await bench.answer(first)
    return await follows(bench, await bench.tell(watts, report=True), watts)


async def change(bench: SlaveBench, watts: int) -> Observation:
    """A frame that changes the setpoint, and does not ask."""
    await bench.answer(await bench.tell(watts, report=True))
    return await follows(bench, await bench.tell(watts // 2), watts // 2)


async def unchanged(bench: SlaveBench, watts: int) -> Observation:
    """A frame that neither changes anything nor asks."""
    first = await follows(bench, await bench.tell(watts, report=True), watts)
    if first[0] is not CheckOutcome.KEPT:
        return CheckOutcome.NOT_JUDGED, f"the frame before it: {first[1]}"
    said = await bench.quiet(await bench.tell(watts))
    return (CheckOutcome.BROKEN, f"said {heard_text(said[0])}") if said else (CheckOutcome.KEPT, "")


async def base_below(bench: SlaveBench, watts: int) -> Observation:
    """Its own setpoint stands behind others of 0 W."""
    slot = bench.slave.slot
    if slot == 0:
        return CheckOutcome.NOT_JUDGED, "no slot is below 0"
    neighbours = range(max(0, slot - 2), min(SLOTS, slot + 2))
    return await follows(bench, await bench.tell(watts // 2, report=True, neighbours=neighbours), watts // 2)


async def longest(bench: SlaveBench, watts: int) -> Observation:
    """Thirty setpoints, all but its own 0 W."""
    base = min(max(0, bench.slave.slot - SLOTS_PER_FRAME // 2), SLOTS - SLOTS_PER_FRAME)
    neighbours = range(base, base + SLOTS_PER_FRAME)
    return await follows(bench, await bench.tell(watts, report=True, neighbours=neighbours), watts)


async def rating(bench: SlaveBench, watts: int) -> Observation:
    """More than it is built for."""
    if not bench.agreed_w > bench.slave.max_w:
        return CheckOutcome.NOT_JUDGED, f"needs --watts above its rating of {bench.slave.max_w} W"
    return await follows(bench, await bench.tell(bench.agreed_w, report=True), bench.slave.max_w)


async def replaced(bench: SlaveBench, watts: int) -> Observation:
    """Two frames that ask, the second before the report of the first is due."""
    first = await bench.tell(watts, report=True)
    await asyncio.sleep(REPLACE_AFTER_S)
    second = await bench.tell(watts, report=True)
    if first.arrived_s is None or second.arrived_s is None:
        return CheckOutcome.NOT_JUDGED, "a frame did not arrive: no acknowledgement"
    if second.arrived_s - first.began_s >= bench.slot_delay_s[0]:
        return CheckOutcome.NOT_JUDGED, "the second frame took too long: the first report was due"
    await asyncio.sleep(max(0.0, second.by_s + bench.slot_delay_s[1] + LATE_S - bench.clock()))
    said = bench.since(first.began_s)
    seen = "; ".join(map(heard_text, said)) or "no report"
    one = len(said) == 1 and said[0].report is not None and said[0].report.counter == second.counter
    return (
        CheckOutcome.KEPT if one else CheckOutcome.BROKEN
    ), f"{seen} (the second frame has {second.counter})"


def ignores(bad: BadFrame) -> Callable[[SlaveBench, int], Awaitable[Observation]]:
    """A bad frame is followed by silence, and then by a good one with a lower counter that is accepted."""

    async def run(bench: SlaveBench, watts: int) -> Observation:
        if bad.worst_w is not None and bench.agreed_w < bad.worst_w:
            return (
                CheckOutcome.NOT_JUDGED,
                f"may switch {bad.worst_w} W on: needs --watts {bad.worst_w}",
            )
        before = await follows(bench, await bench.tell(watts, report=True), watts)
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
            return CheckOutcome.BROKEN, f"answered: {heard_text(said[0])}"
        if after.arrived_s is None:
            return CheckOutcome.NOT_JUDGED, "the good frame after it did not arrive"
        if answer is None:
            return CheckOutcome.BROKEN, "after it a good frame with a lower counter was not accepted"
        return CheckOutcome.KEPT, ""

    return run
