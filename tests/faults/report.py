"""The table of what was found."""

from collections.abc import Sequence
from math import inf

from tests.campaigns.table import percentile
from tests.faults import not_injected
from tests.faults.campaign import FailedTrial
from tests.faults.row import FaultTrialResult, Row
from tests.faults.starts import StartTrial

HEAD = (
    "| row | fault | trials | seen as | seen in s p50 | p100 | reaction | every slave at 0 W in s p100 "
    "| back in s p100 | bound: seen, 0 W, back s | holds |"
)


def table(done: Sequence[FaultTrialResult | FailedTrial | StartTrial]) -> str:
    """One line for each row."""
    lines = [HEAD, "|" + "---|" * (HEAD.count("|") - 1)]
    rows = dict.fromkeys(one.row for one in done if not isinstance(one, StartTrial))
    for row in sorted(rows, key=_order):
        lines.append(_line(row, [one for one in done if not isinstance(one, StartTrial) and one.row is row]))
    lines += [start.line for start in done if isinstance(start, StartTrial)]
    return "\n".join([*lines, *not_injected.lines()])


def _order(row: Row) -> tuple[str, int]:
    return row.number[0], int(row.number[1:])


def _line(row: Row, done: Sequence[FaultTrialResult | FailedTrial]) -> str:
    results = [one for one in done if isinstance(one, FaultTrialResult)]
    detected = [one.detected_s for one in results if one.detected_s is not None]
    shown = dict.fromkeys(name for one in results for name in one.shown_as.split(", ") if name)
    seen = f"{len(results)}" if len(detected) == len(results) else f"{len(results)}, seen {len(detected)}"
    cells = (
        row.number,
        row.injection.name,
        seen,
        ", ".join(f"`{name}`" for name in list(shown)[:4]),
        _second(detected, 0.5),
        _second(detected, 1.0),
        ", ".join(dict.fromkeys(one.reaction for one in results)),
        _second([one.rest_s for one in results if one.rest_s is not None], 1.0) if row.rest_s else "-",
        _second([one.recovered_s for one in results if one.recovered_s is not None], 1.0),
        ", ".join(_bound(value) for value in (row.within_s, row.rest_s, row.recovered_s)),
        verdict(row, done),
    )
    return f"| {' | '.join(cells)} |"


def _second(values: Sequence[float], share: float) -> str:
    return f"{percentile(values, share):.2f}" if values else "-"


def _bound(value: float | None) -> str:
    return "-" if value is None or value == inf else f"{value:g}"


def missed(row: Row, done: Sequence[FaultTrialResult | FailedTrial]) -> list[str]:
    """What did not hold, each said once."""
    found: dict[str, None] = {}
    for one in done:
        if one.row is row:
            found |= dict.fromkeys([one.why] if isinstance(one, FailedTrial) else one.misses)
    return list(found)


def verdict(row: Row, done: Sequence[FaultTrialResult | FailedTrial]) -> str:
    """Whether the row holds; if not, in how many trials, and why."""
    misses = missed(row, done)
    if not misses:
        return "yes"
    count = sum(bool(missed(row, [one])) for one in done)
    why = f": {row.gap}" if row.gap else ""
    return f"**no**, {count} of {len(done)} ({', '.join(misses[:3])}){why}"


def unexplained(done: Sequence[FaultTrialResult | FailedTrial | StartTrial]) -> list[str]:
    """Rows that do not hold and do not say why."""
    rows = dict.fromkeys(one.row for one in done if not isinstance(one, StartTrial))
    trials = [one for one in done if not isinstance(one, StartTrial)]
    found = [
        f"{row.number} {row.injection.name}: {', '.join(misses[:3])}"
        for row in rows
        if (misses := missed(row, trials)) and not row.gap
    ]
    return found + [start.line for start in done if isinstance(start, StartTrial) and not start.holds]
