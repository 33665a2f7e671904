"""What only all reports of a test together can tell: their form, their numbers, their time slot."""

from itertools import pairwise

from daemon.conformance.bench import TIMING_SLACK_S, SlaveBench
from daemon.conformance.verdicts import CheckOutcome, Observation

SLOT_LATE_S = 0.25
"""The quickest of all reports may come this much behind its time slot."""
TRANSACTIONS_LOST_MAX = 16


async def sound_reports(bench: SlaveBench, watts: int) -> Observation:
    """Every report has the published form, and a tag that is right."""
    ours = bench.since(0.0)
    for heard in ours:
        if heard.report is None:
            return CheckOutcome.BROKEN, heard.problem
        if not heard.zcl[0] & 0x10:
            return CheckOutcome.BROKEN, "asks for a default response"
    return (CheckOutcome.KEPT, f"{len(ours)} reports") if ours else (CheckOutcome.NOT_JUDGED, "there is none")


async def transactions(bench: SlaveBench, watts: int) -> Observation:
    """No transaction number comes twice in a row, none goes back."""
    numbers = [heard.zcl[3] for heard in bench.since(0.0) if heard.report is not None]
    if len(numbers) < 2:
        return CheckOutcome.NOT_JUDGED, "too few reports"
    for before, after in pairwise(numbers):
        if not 1 <= (after - before) % 256 <= TRANSACTIONS_LOST_MAX:
            return CheckOutcome.BROKEN, f"{after} after {before}"
    return CheckOutcome.KEPT, ""


async def time_slot(bench: SlaveBench, watts: int) -> Observation:
    """No report came before its time slot, and one at least came in it."""
    if not bench.answered:
        return CheckOutcome.NOT_JUDGED, "there is no answer"
    first_s, last_s = bench.slot_delay_s
    early_s = min(heard_s - sent.began_s for sent, heard_s in bench.answered)
    late_s = min(heard_s - sent.by_s for sent, heard_s in bench.answered)
    right = early_s >= first_s - TIMING_SLACK_S and late_s <= last_s + SLOT_LATE_S
    seen = f"the first {early_s:.3f} s after its frame was sent, slot {first_s:.3f} to {last_s:.3f} s"
    return (CheckOutcome.KEPT if right else CheckOutcome.BROKEN), seen
