"""What must hold before a step is left: each demand with what was found, and what it takes."""

from dataclasses import dataclass

from daemon.rollout.evidence import LATENCY_MAX_S, StepEvidence
from daemon.rollout.plan import BY_LOT, HOUR_S, RolloutPlan, RolloutStep, StepRule
from safety.evidence import PairedSums, day_excess
from safety.policy_comparison import BETTER_MIN, is_better_by_days

ANSWERED_SHARE, MEASURED_SHARE = 0.99, 0.9
SLOW_SHARE = 0.001
CHANGES_MAX_PER_MIN = 10.0
IMBALANCE_MAX_W = 500.0
"""Both of the specification, of the proposals: changes on a phase, spread over the phases."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One demand of a step. `found` says what there is, in words, and what it takes."""

    name: str
    holds: bool
    found: str


@dataclass(frozen=True, slots=True)
class Judged:
    """The judge's sums so far (`safety.policy_comparison`): where the policy acted, and in the shadow.

    `live_export_days` are whole days, which a step upwards is taken on; the others are spans.

    None when the judge ended with a fault: nothing is known then.
    """

    live_export: PairedSums
    live_export_days: PairedSums
    live_j: PairedSums
    shadow_export: PairedSums
    shadow_j: PairedSums


def requirements(
    plan: RolloutPlan, step: RolloutStep, evidence: StepEvidence, judged: Judged | None
) -> tuple[Requirement, ...]:
    """Everything that leaving this step asks for; nothing for the last one."""
    rule = plan.rule(step)
    if rule is None:
        return ()
    return (
        *_time(rule, evidence),
        *_behaviour(rule, evidence),
        *_lot(rule, step, evidence),
        *_worth(step, judged),
    )


def _time(rule: StepRule, evidence: StepEvidence) -> tuple[Requirement, ...]:
    measured = _share(evidence.measured_s, evidence.ran_s)
    return (
        Requirement("time", evidence.ran_s >= rule.least_s, _hours(evidence.ran_s, rule.least_s)),
        Requirement("sun", evidence.sun_s >= rule.least_sun_s, _hours(evidence.sun_s, rule.least_sun_s)),
        Requirement(
            "measured", measured >= MEASURED_SHARE, f"{measured:.1%} of the time, {MEASURED_SHARE:.0%} needed"
        ),
    )


def _behaviour(rule: StepRule, evidence: StepEvidence) -> tuple[Requirement, ...]:
    answered = _share(evidence.proposed_s, evidence.measured_s)
    slow = _share(evidence.slow_s, evidence.proposed_s)
    minutes = evidence.proposed_s / 60.0
    changes = evidence.changes / 3.0 / minutes if minutes > 0.0 else 0.0
    spread_w = _share(evidence.imbalance_ws, evidence.proposed_s)
    return (
        Requirement(
            "clean",
            evidence.clean_s >= rule.least_s,
            f"{_hours(evidence.clean_s, rule.least_s)}, without a violation ({evidence.violations} so far) "
            f"or an anomaly ({evidence.anomalies})",
        ),
        Requirement("answers", answered >= ANSWERED_SHARE, f"{answered:.2%}, {ANSWERED_SHARE:.0%} needed"),
        Requirement(
            "latency",
            evidence.proposed_s > 0.0 and slow <= SLOW_SHARE,
            f"{slow:.2%} of the answers later than {1000.0 * LATENCY_MAX_S:.0f} ms, {SLOW_SHARE:.1%} allowed",
        ),
        Requirement(
            "changes",
            minutes > 0.0 and changes < CHANGES_MAX_PER_MIN,
            f"{changes:.1f} per minute and phase, fewer than {CHANGES_MAX_PER_MIN:.0f} needed",
        ),
        Requirement(
            "imbalance",
            evidence.proposed_s > 0.0 and spread_w < IMBALANCE_MAX_W,
            f"{spread_w:.0f} W over the phases, less than {IMBALANCE_MAX_W:.0f} W needed",
        ),
    )


def _lot(rule: StepRule, step: RolloutStep, evidence: StepEvidence) -> tuple[Requirement, ...]:
    if step not in BY_LOT:
        return ()
    lot = evidence.lot
    fewest = min(lot.policy, lot.fallback)
    return (
        Requirement(
            "blocks",
            fewest >= rule.least_blocks,
            f"{lot.policy} of the policy, {lot.fallback} of the fallback, {rule.least_blocks} of each needed",
        ),
        Requirement(
            "lot",
            not lot.is_broken,
            f"{lot.policy_short} and {lot.fallback_short} blocks fell short: "
            + ("the ratio of what is left cannot be chance" if lot.is_broken else "the ratio is as drawn"),
        ),
    )


def _worth(step: RolloutStep, judged: Judged | None) -> tuple[Requirement, ...]:
    """In the shadow what the twin would have exported; from then on beyond doubt, against a twin that is
    better than the real fallback (docs/operate/rollback.md)."""
    if judged is None:
        return (Requirement("better", False, "the judge failed: nothing is known until the next start"),)
    if step is RolloutStep.SHADOW:
        return (_less("export", judged.shadow_export), _less("j", judged.shadow_j))
    return (_better(judged.live_export_days), _less("j", judged.live_j))


def _less(name: str, pairs: PairedSums) -> Requirement:
    excess = pairs.excess
    if excess is None:
        return Requirement(name, False, "nothing judged yet")
    return Requirement(name, excess < 0.0, f"{excess:+.1%} beside the fallback, below 0 needed")


def _better(days: PairedSums) -> Requirement:
    excess = day_excess(days)
    if excess is None:
        return Requirement("export", False, "no whole day judged yet")
    is_certain = is_better_by_days(days)
    said = "beyond doubt" if is_certain else f"not {BETTER_MIN:.0%} less beyond doubt yet"
    of_days = f"{days.spans} day{'' if days.spans == 1 else 's'}"
    return Requirement("export", is_certain, f"{excess:+.1%} beside the fallback in {of_days}, {said}")


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0.0 else 0.0


def _hours(found_s: float, least_s: float) -> str:
    return f"{found_s / HOUR_S:.1f} h of {least_s / HOUR_S:g} h"
