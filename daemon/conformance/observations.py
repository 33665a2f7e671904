"""What the slave said, in words, and whether it follows what it was told."""

from daemon.conformance.bench import BenchFrame, HeardFrame, SlaveBench
from daemon.conformance.verdicts import CheckOutcome, Observation
from drivers.zigbee.setpoint_frame import ReportedState, SlaveReport


async def follows(bench: SlaveBench, sent: BenchFrame, watts: int) -> Observation:
    """Whether the report of this frame says that it is followed."""
    if sent.arrived_s is None:
        return CheckOutcome.NOT_JUDGED, "the frame did not arrive: no acknowledgement"
    heard = await bench.answer(sent)
    if heard is None or heard.report is None:
        return CheckOutcome.BROKEN, f"no report of counter {sent.counter}"
    report = heard.report
    right = report.applied_w == watts and report.state is ReportedState.FOLLOWING
    wanted = "" if right else f", not {watts} W following"
    outcome = CheckOutcome.KEPT if right else CheckOutcome.BROKEN
    return outcome, f"reports {report.applied_w} W, {state_text(report.state)}{wanted}"


def heard_text(heard: HeardFrame) -> str:
    """A frame of the slave in words."""
    return heard.problem if heard.report is None else report_text(heard.report)


def report_text(report: SlaveReport) -> str:
    """A report in words."""
    return f"{report.applied_w} W, {state_text(report.state)}, counter {report.counter}"


def state_text(state: ReportedState) -> str:
    """A state in words."""
    return state.name.lower().replace("_", " ")
