"""What was seen in one step of the plan. Missing data count as nothing, never as success."""

from dataclasses import dataclass, field, replace
from statistics import pstdev

from core.site import Phases
from daemon.rollout.lot import LotCount, OpenBlock

LATENCY_MAX_S = 0.1
"""Per answer (specification, online criteria)."""
CHANGE_W = 50.0
"""A proposal that moves by more than the radio's deadband is a change."""


@dataclass(frozen=True, slots=True)
class RolloutTick:
    """One tick as the plan sees it.

    `step_s` is the time it stands for, 0 across a gap. `is_measured`: with a fresh sample. `has_sun`: without
    the slaves the site would export. `proposal_w` is the policy's, None without an answer. `is_violation` and
    `is_anomaly` are new in this tick. `block`, `propensity` and `is_policy` are the lot's.
    """

    step_s: float
    is_measured: bool
    has_sun: bool
    proposal_w: Phases | None
    latency_s: float
    is_violation: bool
    is_anomaly: bool
    block: int
    propensity: float
    is_policy: bool


@dataclass(frozen=True, slots=True)
class StepEvidence:
    """Times in s: that the daemon ran, with a sample, with a surplus, with an answer of the policy, with a
    slow one, and since the last violation or anomaly; changes of the proposals summed over the phases; the
    spread of the proposals over the phases in W s."""

    ran_s: float = 0.0
    measured_s: float = 0.0
    sun_s: float = 0.0
    proposed_s: float = 0.0
    slow_s: float = 0.0
    clean_s: float = 0.0
    violations: int = 0
    anomalies: int = 0
    changes: int = 0
    imbalance_ws: float = 0.0
    lot: LotCount = field(default_factory=LotCount)
    block: OpenBlock | None = None
    proposal_w: Phases | None = None


def observed(evidence: StepEvidence, tick: RolloutTick, block_s: float) -> StepEvidence:
    """With one tick more."""
    step_s, has_sun = tick.step_s, tick.has_sun and tick.is_measured
    is_answered = tick.is_measured and tick.proposal_w is not None
    is_clean = not (tick.is_violation or tick.is_anomaly)
    lot, block = _lot(evidence, tick, block_s)
    return replace(
        evidence,
        ran_s=evidence.ran_s + step_s,
        measured_s=evidence.measured_s + (step_s if tick.is_measured else 0.0),
        sun_s=evidence.sun_s + (step_s if has_sun else 0.0),
        proposed_s=evidence.proposed_s + (step_s if is_answered else 0.0),
        slow_s=evidence.slow_s + (step_s if is_answered and not tick.latency_s <= LATENCY_MAX_S else 0.0),
        clean_s=evidence.clean_s + step_s if is_clean else 0.0,
        violations=evidence.violations + tick.is_violation,
        anomalies=evidence.anomalies + tick.is_anomaly,
        changes=evidence.changes + _changes(evidence.proposal_w, tick.proposal_w),
        imbalance_ws=evidence.imbalance_ws
        + (step_s * pstdev(tick.proposal_w) if is_answered and tick.proposal_w else 0.0),
        lot=lot,
        block=block,
        proposal_w=tick.proposal_w,
    )


def _changes(before_w: Phases | None, now_w: Phases | None) -> int:
    if before_w is None or now_w is None:
        return 0
    return sum(abs(now - then) > CHANGE_W for then, now in zip(before_w, now_w, strict=True))


def _lot(evidence: StepEvidence, tick: RolloutTick, block_s: float) -> tuple[LotCount, OpenBlock | None]:
    lot, block = evidence.lot, evidence.block
    if tick.block < 0:
        return lot, block
    if block is None or block.index != tick.block:
        lot = lot if block is None else lot.add(block, block_s)
        block = OpenBlock(tick.block, tick.is_policy, tick.propensity)
    is_other = (tick.is_policy, tick.propensity) != (block.is_policy, block.propensity)
    return lot, replace(
        block,
        measured_s=block.measured_s + (tick.step_s if tick.is_measured else 0.0),
        is_mixed=block.is_mixed or is_other,
    )
