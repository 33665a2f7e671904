"""Everything that is found out about a bundle on the days of a split, in one record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from time import monotonic
from typing import Any

from core.decision import Source
from core.site import Metering
from daemon.simulation.controllers import pilot
from daemon.simulation.simulate import Scenario, SimulatedController, default_site, simulate
from safety.pi import PiGains
from training.batched.bundle_policy import BundlePolicy
from training.batched.day_runs import HOUR_S, lit_hours
from training.batched.scenarios import TROUBLES
from training.contest.contest import compete
from training.contest.results import PI, ControllerResult, Field, frontier, standings
from training.data.days import Day, DaysError
from training.evaluation.criteria import CriteriaAnswers, Criterion, Metrics, criteria, metrics
from training.evaluation.gap import BoundGap, measure_gaps

DAYS_MIN = 3
"""With light: an interval over two is three times as wide as one over three (t of 1 and 2)."""
Told = Callable[[str, int, int], None]
"""Is told what is being done, how much of it is done, and of how much."""


@dataclass(frozen=True)
class EvaluationTerms:
    """How a bundle is judged: far ends for each hour, windows of the bound and the most time they take."""

    radios: int = 1
    bound_windows: int = 24
    bound_budget_s: float = 300.0


@dataclass(frozen=True)
class ProductHour:
    """An hour of a day as `sunkeep simulate` lives it, beside the same hour of the batch; energies in Wh."""

    day: str
    from_s: int
    policy_s: int
    """Seconds in which the policy acted."""
    unsafe: int
    frames_in_9s: int
    j_wh: float
    batch_j_wh: float


@dataclass(frozen=True)
class DayResult:
    """A day alone: J against the PI, and export and import in Wh of the policy and the PI, usual far ends."""

    day: str
    metering: str
    hours: int
    j_change: float
    own_wh: float
    avoidable_wh: float
    pi_own_wh: float
    pi_avoidable_wh: float


@dataclass(frozen=True)
class BundleEvaluation:
    """A bundle on the days of a split. `holds` is whether every criterion of its own billing does."""

    bundle: str
    version: int
    sha256: str
    commit: str
    metering: str
    split: str
    days: tuple[str, ...]
    radios: int
    hours_lived: int
    seconds: float
    is_batched: bool
    holds: bool
    criteria: dict[str, list[Criterion]]
    metrics: dict[str, Metrics]
    standings: list[ControllerResult]
    frontier: dict[str, Mapping[float, tuple[float, float]]]
    by_day: list[DayResult]
    gaps: list[BoundGap]
    product: list[ProductHour]
    answers: CriteriaAnswers


def judge(
    policy: BundlePolicy, days: Sequence[Day], split: str, terms: EvaluationTerms, told: Told
) -> BundleEvaluation:
    """Live everything.

    Raises:
        DaysError: fewer than `DAYS_MIN` days with light.
        plant.site.trace.TraceError: a trace that cannot be read.
    """
    began_s = monotonic()
    lit = sum(bool(lit_hours(day)) for day in days)
    if lit < DAYS_MIN:
        raise DaysError(
            f"{lit} of the days of the split {split!r} have light; figures over days need at least "
            f"{DAYS_MIN}. Give another --split or more --traces"
        )
    manifest = policy.bundle.manifest
    name = f"{manifest.name} {manifest.bundle_version}"
    gains, seeds = PiGains(), range(terms.radios)
    field = compete(days, seeds, {name: policy}, gains, TROUBLES, lambda *n: told("hours lived", *n))
    own = Metering(manifest.metering)
    product = in_the_product(days, policy.bundle.directory, own, field, name, told)
    answers = CriteriaAnswers(policy.unanswered, policy.outside, sum(hour.unsafe for hour in product))
    gaps = measure_gaps(
        days,
        {name: policy},
        gains,
        terms.bound_windows,
        terms.bound_budget_s,
        lambda *n: told("windows of the bound", *n),
    )
    rows = standings(field)
    found = {metering.value: criteria(rows, name, metering, answers) for metering in Metering}
    return BundleEvaluation(
        bundle=name,
        version=manifest.bundle_version,
        sha256=policy.bundle.sha256,
        commit=manifest.training_commit,
        metering=own.value,
        split=split,
        days=tuple(day.path.stem for day in days),
        radios=terms.radios,
        hours_lived=sum(map(len, field.heats.values())),
        seconds=monotonic() - began_s,
        is_batched=policy.is_batched,
        holds=all(criterion.holds for criterion in found[own.value]),
        criteria=found,
        metrics={metering.value: metrics(rows, name, metering) for metering in Metering},
        standings=rows,
        frontier={metering.value: frontier(field, metering) for metering in Metering},
        by_day=[day_result(field, name, metering, day) for metering in Metering for day in days],
        gaps=gaps,
        product=product,
        answers=answers,
    )


def day_result(field: Field, name: str, metering: Metering, day: Day) -> DayResult:
    """One day of a contest."""

    def totals(who: str) -> tuple[int, float, float, float]:
        rows = [row for row in field.rows(who, metering, 0) if field.heats[who][row].day == day]
        tally = field.tallies[who]
        columns = (tally.j_wh, tally.own_wh, tally.avoidable_wh)
        j_wh, own_wh, avoidable_wh = (float(column[rows].sum()) for column in columns)
        return len(rows), j_wh, own_wh, avoidable_wh

    hours, j_wh, own_wh, avoidable_wh = totals(name)
    _, pi_j_wh, pi_own_wh, pi_avoidable_wh = totals(PI)
    change = j_wh / pi_j_wh - 1.0 if pi_j_wh > 0.0 else float("nan")
    return DayResult(
        day.path.stem, metering.value, hours, change, own_wh, avoidable_wh, pi_own_wh, pi_avoidable_wh
    )


def in_the_product(
    days: Sequence[Day], directory: Path, metering: Metering, field: Field, name: str, told: Told
) -> list[ProductHour]:
    """The middle lit hour of every day through `decide()`, gate and supervisor, seed 0.

    What ordinary moves would teach is left out: the batch beside it learns nothing.
    """
    hours = []
    site, tally = default_site(metering), field.tallies[name]
    rows = field.rows(name, metering, 0)
    for done, day in enumerate(days):
        lit = lit_hours(day)
        if not lit:
            continue
        from_s = lit[len(lit) // 2]
        scenario = Scenario(day.load(), site, day.connection, from_s, from_s + HOUR_S)
        run = simulate(scenario, _without_learning(pilot("policy", site, bundle=directory)))
        figures = run.score.summary()
        heats = ((row, field.heats[name][row]) for row in rows)
        row = next(row for row, heat in heats if (heat.day, heat.from_s, heat.seed) == (day, from_s, 0))
        hours.append(
            ProductHour(
                day.path.stem,
                from_s,
                round(run.acted[Source.POLICY]),
                int(figures["unsafe_actions"]),
                int(figures["max_frames_per_9s"]),
                figures["j_wh"],
                float(tally.j_wh[row] + tally.beyond_wh[row]),
            )
        )
        told("hours of the product", done + 1, len(days))
    return hours


def _without_learning(acting: SimulatedController | None) -> SimulatedController | None:
    if acting is None:
        return None
    parts = replace(acting.parts, watches=replace(acting.parts.watches, responses=False))
    return replace(acting, parts=parts)


def as_json(judgement: BundleEvaluation) -> dict[str, Any]:
    """For programs; what is not known is null."""
    plain: dict[str, Any] = known(asdict(judgement))
    return plain


def known(value: Any) -> Any:
    """Plain values with null where a number is not finite."""
    if isinstance(value, dict):
        return {str(key): known(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [known(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
