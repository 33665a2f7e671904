"""Learners beside the retuned PI: runs of several seeds become one row, with its spread and its interval.

Every controller lives the same lit hours, billed net, on the same far end, on time and with 2 s of delay that
nobody is told of. The row of a learner is the mean over its seeds; an interval says how far that mean would
move with other days, the spread how far apart the seeds are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from core.site import Metering
from safety.pi import PiGains
from training.batched.day_runs import DayScenario, ScenarioResult
from training.batched.simulator import Policy
from training.contest.bootstrap import Change, Draws, change_of, draws_of
from training.contest.contest import always, heats_of, hours_of, lived, margins_law
from training.contest.relative_to_pi import MARGINS_W, of_export, of_j, of_peak
from training.contest.results import LATE_S, PI
from training.data.days import Day

RADIO = 0
"""Seed of the far end: the same slaves, radio and meter for every controller and hour."""
FIGURES = (
    "own_wh",
    "avoidable_wh",
    "j_wh",
    "peak10s_export_w",
    "changes_per_min",
    "reversals_per_min",
    "imbalance_w",
)
"""Of a tally, as they are shown: energies are summed over hours, the others are means."""


@dataclass(frozen=True)
class RankingHours:
    """The hours that everybody lives: on time, late, and for the PI on time with each margin."""

    on_time: tuple[DayScenario, ...]
    late: tuple[DayScenario, ...]
    margins: tuple[DayScenario, ...]


Lived: TypeAlias = Mapping[str, ScenarioResult]
"""What a controller came to in every hour: `ON_TIME`, `LATE`, and for the PI `margin(w)` with each margin."""
ON_TIME, LATE = "on_time", "late"


def margin(margin_w: float) -> str:
    """Name of what the PI came to with this much added to its margin."""
    return f"margin{margin_w:+g}"


@dataclass(frozen=True)
class RankingRow:
    """One controller. Figures are means over the seeds, changes against the PI (-0.25 is a quarter less).

    `export` is at equal import; it is NaN where the PI reaches that import with none of its margins. `spread`
    holds the lowest and the highest change of a single seed. `late_j` is J with 2 s of untold delay against
    the PI under the same delay.
    """

    controller: str
    hours: int
    seeds: int
    figures: dict[str, float]
    j: Change
    export: Change
    peak: Change
    late_j: Change
    j_spread: tuple[float, float]
    export_spread: tuple[float, float]


def course_of(days: Sequence[Day], hours: int | None = None) -> RankingHours:
    """The lit hours of these days, or some from the middle of them."""
    spans = hours_of(days)
    if hours is not None:
        spans = spans[(len(spans) - hours) // 2 :][:hours]

    def heats(delay_s: int, margins_w: Sequence[float] = (0.0,)) -> tuple[DayScenario, ...]:
        return heats_of(spans, (RADIO,), margins_w, meterings=(Metering.NET,), delays_s=(delay_s,))

    return RankingHours(heats(0), heats(LATE_S), heats(0, MARGINS_W))


def live(course: RankingHours, policy: Policy, seconds: int) -> Lived:
    """Let a policy live the hours, `seconds` of each."""
    both = lived((*course.on_time, *course.late), always(policy), seconds)
    count = len(course.on_time)
    return {ON_TIME: both.rows(slice(count)), LATE: both.rows(slice(count, None))}


def live_pi(course: RankingHours, gains: PiGains, seconds: int) -> Lived:
    """The PI, plain and with its margins."""
    law = margins_law(gains)
    swept, count = lived(course.margins, law, seconds), len(course.on_time)
    by_margin = {
        margin(margin_w): swept.rows(slice(place * count, (place + 1) * count))
        for place, margin_w in enumerate(MARGINS_W)
    }
    return by_margin | {ON_TIME: by_margin[margin(0.0)], LATE: lived(course.late, law, seconds)}


def save(path: Path, found: Lived) -> None:
    """Keep what a controller came to; the old file stays until the new one is whole."""
    columns = {
        f"{when}.{name}": column for when, tally in found.items() for name, column in tally._asdict().items()
    }
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, **columns)
    partial.replace(path)


def load(path: Path) -> Lived:
    """Read that again."""
    with np.load(path, allow_pickle=False) as found:
        whens = dict.fromkeys(name.rpartition(".")[0] for name in found.files)
        return {
            when: ScenarioResult(*(found[f"{when}.{name}"] for name in ScenarioResult._fields))
            for when in whens
        }


def rank(course: RankingHours, pi: Lived, others: Mapping[str, Sequence[Lived]]) -> list[RankingRow]:
    """A row for the PI and one for each controller, over its seeds."""
    draws = draws_of(course.on_time)
    return [_row(name, pi, runs, draws) for name, runs in {PI: [pi], **others}.items()]


def _row(name: str, pi: Lived, runs: Sequence[Lived], draws: Draws) -> RankingRow:
    on_time, late = (_mean([run[when] for run in runs]) for when in (ON_TIME, LATE))
    sweep = [pi[margin(margin_w)] for margin_w in MARGINS_W]
    nothing = Draws(*[np.ones((1, draws.hours.shape[1]))] * 2)
    alone = [(of_j(run[ON_TIME], pi[ON_TIME]), of_export(run[ON_TIME], sweep)) for run in runs]
    j_alone, export_alone = ([change_of(by[k], nothing).value for by in alone] for k in (0, 1))
    figures = {
        figure: float(
            getattr(on_time, figure).sum() if figure.endswith("_wh") else getattr(on_time, figure).mean()
        )
        for figure in FIGURES
    }
    return RankingRow(
        name,
        draws.hours.shape[1],
        len(runs),
        figures | {"late_j_wh": float(late.j_wh.sum()), "violations": float(on_time.violations.sum())},
        change_of(of_j(on_time, pi[ON_TIME]), draws),
        change_of(of_export(on_time, sweep), draws),
        change_of(of_peak(on_time, pi[ON_TIME]), draws),
        change_of(of_j(late, pi[LATE]), draws),
        (min(j_alone), max(j_alone)),
        (min(export_alone), max(export_alone)),
    )


def _mean(tallies: Sequence[ScenarioResult]) -> ScenarioResult:
    return ScenarioResult(*(np.mean(columns, axis=0) for columns in zip(*tallies, strict=True)))
