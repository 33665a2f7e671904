"""The checks: what a slave is told, and what it must say to that. Each is a coroutine with one verdict."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from daemon.conformance import obedience, report_history, resting
from daemon.conformance.bad_frames import bad_frames
from daemon.conformance.bench import SlaveBench
from daemon.conformance.verdicts import CheckOutcome, CheckVerdict, Observation


@dataclass(frozen=True, slots=True)
class RuleCheck:
    """One check. `run` gives the outcome and what was seen."""

    rule: str
    name: str
    run: Callable[[SlaveBench, int], Awaitable[Observation]]


def checks(slot: int, max_w: int) -> list[RuleCheck]:
    """All of them in their order, for a slave with this slot and rating. Each begins and ends wherever."""
    listed = [
        RuleCheck("F11", "a broadcast is heard", obedience.broadcast),
        RuleCheck("F11", "a unicast is obeyed, and its counter reported", obedience.obeys),
        RuleCheck("R2", "a frame that asks is answered", obedience.asked),
        RuleCheck("R3", "a change is reported, asked or not", obedience.change),
        RuleCheck("R3", "silent when nothing changed and nobody asked", obedience.unchanged),
        RuleCheck("F7", "its own setpoint out of a frame that begins below", obedience.base_below),
        RuleCheck("F7", "its own setpoint out of the longest frame", obedience.longest),
        RuleCheck("F10", "a setpoint above the rating is applied as the rating", obedience.rating),
        RuleCheck("R6", "a newer frame replaces a report that waits", obedience.replaced),
    ]
    for bad in bad_frames(slot, max_w):
        listed.append(RuleCheck(bad.rule, f"ignored: {bad.check}", obedience.ignores(bad)))
    return [
        *listed,
        RuleCheck("W3", "rests and says so when the time to live has run out", resting.silence),
        RuleCheck("F9", "ignored frames do not feed the time to live", resting.not_fed),
        RuleCheck("R4", "a safe release is reported", resting.released),
        RuleCheck("W4", "a safe release rests whatever the setpoint says", resting.release_with_setpoint),
        RuleCheck("W4", "the measured power falls after a safe release", resting.power_falls),
        RuleCheck("R1", "every report is sound", report_history.sound_reports),
        RuleCheck("R1", "transaction numbers go up", report_history.transactions),
        RuleCheck("R5", "reports keep their time slot", report_history.time_slot),
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
