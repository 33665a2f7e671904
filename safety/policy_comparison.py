"""Whether the policy does worse than the fallback would have done in the same seconds.

Judged are the seconds in which the policy was meant to act, also those in which something kept it from
acting: the worst moments of a policy must not drop out of its account. Seconds without a sample are nobody's.
What is found here is the cause `rollback`, which latches until an operator acknowledges it.
"""

from dataclasses import dataclass, field, replace
from math import log

from core.arrays import sum_in_order
from core.estimation.reversal import ReversalState, swing
from core.site import Phases
from safety.evidence import PairedSums, day_excess, days_rule_out, log_e_value

SPAN_S = 7200.0
"""Of judged time, compared as one: the shorter the spans of a day, the more they resemble each other."""
SPANS_MIN = 36
"""Three days of judged time before spans roll back: one kind of weather proves nothing."""
MINUTE_S, MINUTES = 60.0, 60
ALPHA = 0.01
"""Chance of a wrong rollback by one quantity, and of a wrong bound on each side of it
(docs/operate/rollback.md measures what comes of it)."""
SPANS_ALPHA = DAYS_ALPHA = 0.5 * ALPHA
"""Two sequences ask for the same: spans against an excess of 5 %, and whole days, which are fewer but do not
resemble each other, against what the twin may be off."""
DAY_MAX_S, DAY_MIN_S = 86400.0, 43200.0
"""Of judged time: a day is over with the first dark minute after so much of it, or when it is full."""
EXCESS_MIN = 0.05
"""Excess that must lie below the lower bound (specification: 5 %). It covers the error of the twin, too."""
TWIN_ERROR = 0.03
"""A twin is off by as much where slaves are a second later than anybody knows (docs/operate/rollback.md)."""
BETTER_MIN, BETTER_ALPHA = TWIN_ERROR, 0.05
"""A policy is better beyond doubt when it saves more than this: some days of one kind of weather are not the
year's (docs/results/judge-errors.md)."""
GROSS_EXCESS, GROSS_WH = 0.25, 500.0
"""Within an hour, at once: a quarter more export, and half a kilowatt-hour of it."""
REVERSAL_W, REVERSALS, REVERSALS_S = 500.0, 40, 300.0
"""Of what is on air: a loop that swings by itself turns every 4 to 5 s for as long as it is left to. Under
broken clouds a good policy came to 35, and to 24 where its twin had half of them
(docs/operate/rollback.md)."""
TIMES_TWIN = 2
"""An appliance that cycles makes every controller swing, so the twin must be calmer."""
WH = 3600.0
"""Watt-seconds in a watt-hour."""
TRIPS, TRIPS_S = 3, 7.0 * 86400.0
"""Anomalies, each of which has given the site a day with the fallback already."""


@dataclass(frozen=True, slots=True)
class TickCost:
    """One tick, of whoever was on air and of the twin: export as billed, J (export and half of the avoidable
    import), the action on air."""

    own_export_w: float
    own_j_w: float
    own_action_w: Phases
    twin_export_w: float
    twin_j_w: float
    twin_action_w: Phases


@dataclass(frozen=True, slots=True)
class ReversalHistory:
    """Of one action: where it was last heading, and when it reversed lately, per phase."""

    swings: tuple[ReversalState, ReversalState, ReversalState] = (
        ReversalState(),
        ReversalState(),
        ReversalState(),
    )
    at_s: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]] = ((), (), ())

    def after(self, action_w: Phases, now_s: float) -> "ReversalHistory":
        """With the action of this second."""
        moved = [swing(held, w, REVERSAL_W) for held, w in zip(self.swings, action_w, strict=True)]
        kept = [
            tuple(t for t in (*times, *((now_s,) if is_reversal else ())) if now_s - t < REVERSALS_S)
            for times, (_, is_reversal) in zip(self.at_s, moved, strict=True)
        ]
        a, b, c = (held for held, _ in moved)
        return ReversalHistory((a, b, c), (kept[0], kept[1], kept[2]))


@dataclass(frozen=True, slots=True)
class JudgedEnergy:
    """Energy of judged time that makes no whole span yet, in W s, and how much time that is."""

    judged_s: float = 0.0
    own_export_ws: float = 0.0
    own_j_ws: float = 0.0
    twin_export_ws: float = 0.0
    twin_j_ws: float = 0.0

    @property
    def costs_nothing(self) -> bool:
        """Whether neither controller left anything to place, nor bought anything for slaves."""
        return self.own_j_ws == 0.0 and self.twin_j_ws == 0.0

    def add(self, second: TickCost, step_s: float) -> "JudgedEnergy":
        """With one tick more."""
        return JudgedEnergy(
            self.judged_s + step_s,
            self.own_export_ws + second.own_export_w * step_s,
            self.own_j_ws + second.own_j_w * step_s,
            self.twin_export_ws + second.twin_export_w * step_s,
            self.twin_j_ws + second.twin_j_w * step_s,
        )


@dataclass(frozen=True, slots=True)
class ComparisonState:
    """Memory of the comparison. Everything but `turns` is kept from run to run.

    `export` and `j` are the whole spans, `export_days` and `j_days` the whole days (weighted, see
    `safety.evidence`), `span`, `day` and `minute` what is under way, `minutes` the export of the
    last hour's minutes (own, twin) in Wh, `trips_ago_s` how long ago the last anomalies tripped.
    """

    export: PairedSums = field(default_factory=PairedSums)
    j: PairedSums = field(default_factory=PairedSums)
    export_days: PairedSums = field(default_factory=PairedSums)
    j_days: PairedSums = field(default_factory=PairedSums)
    span: JudgedEnergy = field(default_factory=JudgedEnergy)
    day: JudgedEnergy = field(default_factory=JudgedEnergy)
    minute: JudgedEnergy = field(default_factory=JudgedEnergy)
    minutes: tuple[tuple[float, float], ...] = ()
    trips_ago_s: tuple[float, ...] = ()
    own_turns: ReversalHistory = field(default_factory=ReversalHistory)
    twin_turns: ReversalHistory = field(default_factory=ReversalHistory)


def judge(
    now_s: float, step_s: float, second: TickCost | None, tripped: bool, evidence: ComparisonState
) -> tuple[tuple[str, ...], ComparisonState]:
    """Take one tick.

    Args:
        now_s: instant of the tick.
        step_s: since the last one, which the readings stand for.
        second: None where the policy was not meant to act, or without a sample.
        tripped: whether the detector has begun a day with the fallback in this tick.
        evidence: from the tick before.

    Returns:
        Reasons to roll back, and what to remember. The caller forgets it all for a new policy, and once a
        rollback is acknowledged.
    """
    trips_ago_s = tuple(ago_s + step_s for ago_s in evidence.trips_ago_s if ago_s + step_s < TRIPS_S)
    trips_ago_s = (*trips_ago_s, *((0.0,) if tripped else ()))[-TRIPS:]
    evidence = replace(evidence, trips_ago_s=trips_ago_s)
    reasons = ("anomalies",) if len(trips_ago_s) == TRIPS else ()
    if second is None:
        return reasons, replace(evidence, own_turns=ReversalHistory(), twin_turns=ReversalHistory())
    evidence = _counted(now_s, second, evidence)
    evidence = replace(
        evidence,
        minute=evidence.minute.add(second, step_s),
        span=evidence.span.add(second, step_s),
        day=evidence.day.add(second, step_s),
    )
    if evidence.minute.judged_s >= MINUTE_S:
        is_dark = evidence.minute.costs_nothing
        evidence = _minute_over(evidence)
        reasons = (*reasons, *(("gross",) if is_gross(evidence.minutes) else ()))
        evidence, worse = _day_judged(evidence, is_dark)
        reasons = (*reasons, *worse)
    if evidence.span.judged_s >= SPAN_S:
        evidence = _span_over(evidence)
        worse = tuple(name for name, pairs in totals(evidence).items() if is_worse(pairs))
        reasons = (*reasons, *(name for name in worse if name not in reasons))
    return (*reasons, *(("oscillation",) if oscillates(evidence) else ())), evidence


def _day_judged(evidence: ComparisonState, is_dark: bool) -> tuple[ComparisonState, tuple[str, ...]]:
    """Where the day is over: with one day more, and what is worse by now."""
    if not is_day_over(evidence.day, is_dark):
        return evidence, ()
    evidence = _day_over(evidence)
    found = (("export", evidence.export_days), ("j", evidence.j_days))
    return evidence, tuple(name for name, days in found if is_worse_by_days(days))


def is_day_over(day: JudgedEnergy, is_dark: bool) -> bool:
    """Whether a day is whole: its sun is over, or it is full."""
    had_light = day.judged_s >= DAY_MIN_S and not day.costs_nothing
    return day.judged_s >= DAY_MAX_S or (is_dark and had_light)


def totals(evidence: ComparisonState) -> dict[str, PairedSums]:
    """The whole spans of both quantities, own against the twin's."""
    return {"export": evidence.export, "j": evidence.j}


def is_worse(pairs: PairedSums) -> bool:
    """Whether spans show that more was lost than the twin would have, by an amount that matters."""
    return pairs.spans >= SPANS_MIN and log_e_value(pairs, EXCESS_MIN) >= log(1.0 / SPANS_ALPHA)


def is_worse_by_days(days: PairedSums) -> bool:
    """Whether whole days show beyond doubt that more was lost, by an amount that matters as far as seen."""
    seen = day_excess(days)
    if seen is None or seen <= EXCESS_MIN:
        return False
    return days_rule_out(days, TWIN_ERROR, DAYS_ALPHA, above=True)


def is_better_by_days(days: PairedSums) -> bool:
    """Whether whole days show beyond doubt that less was lost, by more than the twin may be off."""
    return days_rule_out(days, -BETTER_MIN, BETTER_ALPHA, above=False)


def is_gross(minutes: tuple[tuple[float, float], ...]) -> bool:
    """Whether the last hour's export, in Wh a minute (own, twin), needs no statistics."""
    own_wh, twin_wh = (sum_in_order(column) for column in zip(*minutes, strict=True))
    return bool(own_wh - twin_wh > GROSS_WH and own_wh > (1.0 + GROSS_EXCESS) * twin_wh)


def oscillates(evidence: ComparisonState) -> bool:
    """Whether an action on air turns again and again, and the twin's does not."""
    pairs = zip(evidence.own_turns.at_s, evidence.twin_turns.at_s, strict=True)
    return any(len(own) >= max(REVERSALS, TIMES_TWIN * len(twin)) for own, twin in pairs)


def _counted(now_s: float, second: TickCost, evidence: ComparisonState) -> ComparisonState:
    return replace(
        evidence,
        own_turns=evidence.own_turns.after(second.own_action_w, now_s),
        twin_turns=evidence.twin_turns.after(second.twin_action_w, now_s),
    )


def _minute_over(evidence: ComparisonState) -> ComparisonState:
    minute = evidence.minute
    newest = (minute.own_export_ws / WH, minute.twin_export_ws / WH)
    minutes = (*evidence.minutes, newest)[-MINUTES:]
    return replace(evidence, minutes=minutes, minute=JudgedEnergy())


def _day_over(evidence: ComparisonState) -> ComparisonState:
    day = evidence.day
    if day.costs_nothing:
        return replace(evidence, day=JudgedEnergy())  # no sun: nothing was judged
    return replace(
        evidence,
        export_days=evidence.export_days.add_weighted(day.own_export_ws / WH, day.twin_export_ws / WH),
        j_days=evidence.j_days.add_weighted(day.own_j_ws / WH, day.twin_j_ws / WH),
        day=JudgedEnergy(),
    )


def _span_over(evidence: ComparisonState) -> ComparisonState:
    span = evidence.span
    return replace(
        evidence,
        export=evidence.export.add(span.own_export_ws / WH, span.twin_export_ws / WH),
        j=evidence.j.add(span.own_j_ws / WH, span.twin_j_ws / WH),
        span=JudgedEnergy(),
    )
