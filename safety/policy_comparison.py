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
from safety.evidence import PairedSums, log_e_value

SPAN_S = 7200.0
"""Of judged time, compared as one: the shorter the spans of a day, the more they resemble each other."""
SPANS_MIN = 84
"""A week of judged time before numbers roll back: days of one kind of weather prove nothing."""
MINUTE_S, MINUTES = 60.0, 60
ALPHA = 0.01
"""Chance of a wrong bound, each side of each quantity (docs/operate/rollback.md measures what comes of
it)."""
EXCESS_MIN = 0.05
"""Excess that must lie below the lower bound (specification: 5 %). It covers the error of the twin, too."""
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

    `export` and `j` are the whole spans, `span` and `minute` what is under way, `minutes` the export of the
    last hour's minutes (own, twin) in Wh, `trips_ago_s` how long ago the last anomalies tripped.
    """

    export: PairedSums = field(default_factory=PairedSums)
    j: PairedSums = field(default_factory=PairedSums)
    span: JudgedEnergy = field(default_factory=JudgedEnergy)
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
    minute, span = evidence.minute.add(second, step_s), evidence.span.add(second, step_s)
    evidence = replace(evidence, minute=minute, span=span)
    if minute.judged_s >= MINUTE_S:
        evidence = _minute_over(evidence)
        reasons = (*reasons, *(("gross",) if is_gross(evidence.minutes) else ()))
    if span.judged_s >= SPAN_S:
        evidence = _span_over(evidence)
        reasons = (*reasons, *(name for name, pairs in totals(evidence).items() if is_worse(pairs)))
    return (*reasons, *(("oscillation",) if oscillates(evidence) else ())), evidence


def totals(evidence: ComparisonState) -> dict[str, PairedSums]:
    """The whole spans of both quantities, own against the twin's."""
    return {"export": evidence.export, "j": evidence.j}


def is_worse(pairs: PairedSums) -> bool:
    """Whether more was lost than the twin would have, by an amount that matters and beyond doubt."""
    return pairs.spans >= SPANS_MIN and log_e_value(pairs, EXCESS_MIN) >= log(1.0 / ALPHA)


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


def _span_over(evidence: ComparisonState) -> ComparisonState:
    span = evidence.span
    return replace(
        evidence,
        export=evidence.export.add(span.own_export_ws / WH, span.twin_export_ws / WH),
        j=evidence.j.add(span.own_j_ws / WH, span.twin_j_ws / WH),
        span=JudgedEnergy(),
    )
