"""The specification's metrics and criteria of a policy, each with its figure and whether it holds.

The thresholds are the specification's. Two of its formulas are mended, and the literal figure stands beside:
export is compared at equal import, because a larger margin buys less export with import; a change counts
when it is larger than the radio's deadband (50 W), per phase, because every controller moves by some watts
in most frames. A figure that is not known satisfies nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from core.site import Metering
from training.batched.scenarios import FaultScenario
from training.contest.bootstrap import Interval
from training.contest.results import PI, ControllerResult, condition

EXPORT_CHANGE_MAX = -0.10
PEAK_CHANGE_MAX = -0.05
CHANGES_MAX_PER_MIN = 10.0
IMBALANCE_MAX_W = 500.0


@dataclass(frozen=True)
class Criterion:
    """One demand. `holds` is whether `value` keeps to `limit`; `interval` is over days where there is one."""

    name: str
    demand: str
    value: float
    unit: str
    holds: bool
    interval: Interval | None = None
    literal: str = ""


@dataclass(frozen=True)
class Metrics:
    """The specification's four figures by its own formulas, of one billing, nothing delayed or in trouble.

    Reductions are in percent of the PI's, with what exceeds all slaves; the peak is the highest second.
    """

    export_reduction_percent: float
    peak_export_reduction_percent: float
    oscillation_per_min: float
    phase_imbalance_w: float


@dataclass(frozen=True)
class CriteriaAnswers:
    """How a policy behaved: answers that were no numbers, proposals below 0 W or above 5000 W, unsafe frames.

    The first two in the contest, before any limit acted; the last in the product's own loop.
    """

    unanswered: int
    outside: int
    unsafe: int


def find(
    rows: Sequence[ControllerResult],
    name: str,
    metering: Metering,
    delay_s: int = 0,
    trouble: FaultScenario = FaultScenario.NONE,
) -> ControllerResult:
    """The standing of a controller under these conditions. Raises StopIteration when it was not lived."""
    wanted = (name, metering.value, delay_s, trouble.value)
    return next(r for r in rows if (r.controller, r.metering, r.extra_delay_s, r.trouble) == wanted)


def metrics(rows: Sequence[ControllerResult], name: str, metering: Metering) -> Metrics:
    """The four figures as the specification writes them."""
    mine, pi = (find(rows, who, metering) for who in (name, PI))
    return Metrics(
        100.0 * (1.0 - mine.export_wh / pi.export_wh),
        100.0 * (1.0 - mine.highest_export_w / pi.highest_export_w),
        mine.moves_per_min,
        mine.imbalance_w,
    )


def criteria(
    rows: Sequence[ControllerResult], name: str, metering: Metering, answers: CriteriaAnswers
) -> list[Criterion]:
    """Every demand on a policy in one billing."""
    return [*_of_the_specification(rows, name, metering, answers), *_beyond_it(rows, name, metering)]


def _of_the_specification(
    rows: Sequence[ControllerResult], name: str, metering: Metering, answers: CriteriaAnswers
) -> list[Criterion]:
    mine, literal = find(rows, name, metering), metrics(rows, name, metering)
    export, peak = mine.export_change, mine.peak_change
    violations = sum(r.violations for r in rows if r.controller == name) + answers.outside + answers.unsafe
    return [
        Criterion(
            "Export at equal import",
            "at least 10 % less than the PI",
            export.value,
            "ratio",
            export.value <= EXPORT_CHANGE_MAX,
            export.over_days,
            f"plain, with what no slave can take: {_signed(-literal.export_reduction_percent)}",
        ),
        Criterion(
            "10 s peak of export",
            "at least 5 % less than the PI",
            peak.value,
            "ratio",
            peak.value <= PEAK_CHANGE_MAX,
            peak.over_days,
            f"highest second of all: {_signed(-literal.peak_export_reduction_percent)}",
        ),
        Criterion(
            "Setpoint changes above 50 W",
            "under 10 per minute and phase",
            mine.changes_per_min,
            "per min",
            mine.changes_per_min < CHANGES_MAX_PER_MIN,
            None,
            f"any change of any phase: {literal.oscillation_per_min:.1f} per min",
        ),
        Criterion(
            "Imbalance of the grid's phases",
            "under 500 W standard deviation",
            mine.imbalance_w,
            "W",
            mine.imbalance_w < IMBALANCE_MAX_W,
        ),
        Criterion(
            "Violations of a limit, on air or wished below 0 W",
            "none, under any condition",
            violations,
            "",
            violations == 0,
        ),
        Criterion(
            "CriteriaAnswers that are no numbers",
            "none, under any condition",
            answers.unanswered,
            "",
            answers.unanswered == 0,
        ),
    ]


def _beyond_it(rows: Sequence[ControllerResult], name: str, metering: Metering) -> list[Criterion]:
    mine = find(rows, name, metering)
    others = [
        row
        for row in rows
        if (row.controller, row.metering) == (name, metering.value) and condition(row) != condition(mine)
    ]
    worst = max(others, key=lambda row: row.j_change.value if row.j_change.value < inf else inf, default=mine)
    j = mine.j_change
    return [
        Criterion(
            "J below the PI's",
            "95 % interval over days below 0",
            j.value,
            "ratio",
            j.over_days[1] < 0.0,
            j.over_days,
        ),
        Criterion(
            "Never worse than the PI",
            "J not above the PI's: late frames, lossy radio, a slave missing, other sites, misled",
            worst.j_change.value,
            "ratio",
            bool(others) and all(row.j_change.value <= 0.0 for row in others),
            worst.j_change.over_days,
            f"worst: {condition(worst)}",
        ),
    ]


def _signed(percent: float) -> str:
    return f"{percent:+.1f} %".replace("-", "−")
