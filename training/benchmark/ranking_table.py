"""The ranking for people: one list of columns, shown in the terminal and written as Markdown."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import isnan
from typing import Any

from rich.table import Table

from training.benchmark.ranking import RankingRow
from training.contest.bootstrap import Change
from training.contest.results import LATE_S, PI
from training.evaluation.judgement import known


@dataclass(frozen=True)
class TrainingCost:
    """What a controller cost to make: means over its seeds; None where nothing was trained here."""

    updates: float
    chosen_at: float
    processor_s: float
    starts_from: str | None
    note: str


@dataclass(frozen=True)
class TableRow:
    """A row of the table."""

    row: RankingRow
    effort: TrainingCost | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values; what is not known is null."""
        cleaned: dict[str, Any] = known(asdict(self))
        return cleaned


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _change(change: Change, spread: tuple[float, float] | None = None) -> str:
    """The change, its interval over days in brackets, and the seeds' range behind it."""
    if isnan(change.value):
        return "–"
    low, high = change.over_days
    shown = f"{change.value:+.1%}" + ("" if isnan(low) else f" [{low:+.1%}, {high:+.1%}]")
    if spread is None or spread[0] == spread[1] or any(map(isnan, spread)):
        return shown
    return f"{shown} ({spread[0]:+.1%} … {spread[1]:+.1%})"


def _effort(show: Callable[[TrainingCost], str]) -> Callable[[TableRow], str]:
    return lambda line: "" if line.effort is None else show(line.effort)


def _figure(name: str, digits: int = 0) -> Callable[[TableRow], str]:
    return lambda line: f"{line.row.figures[name]:,.{digits}f}"


def _against_pi(show: Callable[[RankingRow], str]) -> Callable[[TableRow], str]:
    return lambda line: "" if line.row.controller == PI else show(line.row)


COLUMNS: dict[str, Callable[[TableRow], str]] = {
    "controller": lambda line: line.row.controller,
    "seeds": lambda line: str(line.row.seeds),
    "updates": _effort(lambda effort: _count(effort.updates)),
    "processor s": _effort(lambda effort: _count(effort.processor_s)),
    "export Wh": _figure("own_wh"),
    "import Wh": _figure("avoidable_wh"),
    "J Wh": _figure("j_wh"),
    "J against the PI": _against_pi(lambda row: _change(row.j, row.j_spread)),
    "export at equal import": _against_pi(lambda row: _change(row.export, row.export_spread)),
    "10 s peak W": _figure("peak10s_export_w"),
    "changes/min": _figure("changes_per_min", 1),
    "reversals/min": _figure("reversals_per_min", 1),
    "imbalance W": _figure("imbalance_w"),
    f"J against the PI, +{LATE_S} s untold": _against_pi(lambda row: _change(row.late_j)),
}


def as_table(lines: Sequence[TableRow], title: str) -> Table:
    """For the terminal."""
    table = Table(*COLUMNS, title=title)
    for line in lines:
        table.add_row(*(show(line) for show in COLUMNS.values()))
    return table


def as_markdown(lines: Sequence[TableRow], title: str) -> str:
    """For a page: the title as a paragraph, then the table."""
    rows = [tuple(COLUMNS), ("---",) * len(COLUMNS)]
    rows += [tuple(show(line) for show in COLUMNS.values()) for line in lines]
    return f"{title}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"
