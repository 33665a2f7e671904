"""The policy's blocks against the fallback's, with an uncertainty that the assignment by lot justifies.

The unit is the block. A block belongs to whom the lot gave it to, whoever really acted in it
(intention-to-treat), else the policy's worst moments would be on the fallback's account.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import sqrt
from typing import TypeAlias

import numpy as np

from core.decision import Authority
from core.metering import AVOIDABLE_WEIGHT
from core.modes import BLOCK_S
from daemon.monitoring.energy_ledger import FLOOR_J
from daemon.report.trial import MEASURED_LEAST_S, Design, TrialBlock

PAIRS_LEAST = 12
"""Below, and from 6 on, the interval would be exact only if the effect were the same in every pair."""
BLOCKS_LEAST = 20
"""Of each arm, where every block is assigned by itself."""
STUDENT_T = 2.093
"""97.5 % quantile of Student's t with 19 degrees of freedom, those of the fewest blocks that count."""
SUBSETS, SUBSETS_AT_ONCE = 10_000, 500
TAIL = 0.025
ARMS = (Authority.POLICY, Authority.FALLBACK)
Figure: TypeAlias = Callable[[TrialBlock], float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Policy less fallback, in W on average, with a 95 % interval. Negative: the policy less."""

    value_w: float
    low_w: float
    high_w: float


@dataclass(frozen=True, slots=True)
class Arm:
    """What the blocks of one controller show, in W on average (the same number as Wh per hour).

    `acted_share` is how much of their time the policy really acted in.
    """

    blocks: int
    measured_s: float
    export_w: float
    avoidable_import_w: float
    j_w: float
    surplus_w: float
    acted_share: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One policy's blocks of one design, side by side. `too_few` says in words what is missing.

    `without_surplus` and `incomplete` are blocks that do not count, the latter by whom they were assigned to.
    """

    policy_sha256: str
    design: Design
    policy: Arm | None
    fallback: Arm | None
    pairs: int
    without_surplus: int
    incomplete: dict[Authority, int]
    export: Estimate | None = None
    j: Estimate | None = None
    too_few: str = ""

    @property
    def confounded(self) -> bool:
        """Whether the sun chose with: then a difference says nothing about the controllers."""
        return self.design is Design.SCHEDULE


def compare(blocks: Iterable[TrialBlock]) -> list[Comparison]:
    """One comparison for each policy and each way in which blocks were assigned, in the order of time."""
    alike: dict[tuple[str, Design], list[TrialBlock]] = {}
    for block in sorted(blocks, key=lambda block: block.index):
        alike.setdefault((block.policy_sha256, block.design), []).append(block)
    return [_compare(*key, together) for key, together in alike.items()]


def _compare(policy_sha256: str, design: Design, blocks: list[TrialBlock]) -> Comparison:
    whole = [block for block in blocks if _is_whole(block)]
    units = _pairs(whole) if design is Design.PAIRS else [[block] for block in whole]
    sunny = [unit for unit in units if _worth_j(unit) >= FLOOR_J * len(unit) * BLOCK_S / 3600.0]
    policy, fallback = ([block for unit in sunny for block in unit if block.assigned is arm] for arm in ARMS)
    counted = [block for unit in units for block in unit]
    incomplete = {arm: _count(blocks, arm) - _count(counted, arm) for arm in ARMS}
    found = Comparison(
        policy_sha256=policy_sha256,
        design=design,
        policy=_arm(policy),
        fallback=_arm(fallback),
        pairs=len(sunny) if design is Design.PAIRS else 0,
        without_surplus=len(counted) - len(policy) - len(fallback),
        incomplete=incomplete,
        too_few=_too_few(design, policy, fallback),
    )
    if design is Design.SCHEDULE or found.too_few:
        return found
    estimate = _typical if design is Design.PAIRS else _weighted
    return replace(found, export=estimate(policy, fallback, _export_w), j=estimate(policy, fallback, _j_w))


def _too_few(design: Design, policy: list[TrialBlock], fallback: list[TrialBlock]) -> str:
    if design is Design.PAIRS and len(policy) < PAIRS_LEAST:
        return f"{len(policy)} pairs with a surplus, and {PAIRS_LEAST} are needed"
    if design is Design.SHARE and min(len(policy), len(fallback)) < BLOCKS_LEAST:
        return (
            f"{len(policy)} and {len(fallback)} blocks with a surplus, and {BLOCKS_LEAST} of each are needed"
        )
    return ""


def _count(blocks: list[TrialBlock], arm: Authority) -> int:
    return sum(block.assigned is arm for block in blocks)


def _is_whole(block: TrialBlock) -> bool:
    return not block.is_mixed and block.energy.measured_s >= MEASURED_LEAST_S


def _pairs(blocks: list[TrialBlock]) -> list[list[TrialBlock]]:
    """Pairs of which both halves are there, one of each; half a pair says nothing."""
    halves: dict[int, list[TrialBlock]] = {}
    for block in blocks:
        halves.setdefault(block.index // 2, []).append(block)
    return [pair for pair in halves.values() if {block.assigned for block in pair} == set(ARMS)]


def _worth_j(blocks: list[TrialBlock]) -> float:
    """Surplus, or what slaves took without one: were control the same, the lot would not change the sum."""
    return sum(block.energy.exported_without_j + block.energy.placed_j for block in blocks)


def _export_w(block: TrialBlock) -> float:
    return block.energy.exported_j / block.energy.measured_s


def _avoidable_import_w(block: TrialBlock) -> float:
    return block.energy.avoidable_import_j / block.energy.measured_s


def _j_w(block: TrialBlock) -> float:
    return _export_w(block) + AVOIDABLE_WEIGHT * _avoidable_import_w(block)


def _surplus_w(block: TrialBlock) -> float:
    return block.energy.exported_without_j / block.energy.measured_s


def _weight(block: TrialBlock) -> float:
    """One over the odds that this block was given to whom it was given to; all alike without a lot."""
    odds = block.propensity if block.assigned is Authority.POLICY else 1.0 - block.propensity
    return 1.0 / odds if 0.0 < odds < 1.0 else 1.0


def _mean(blocks: list[TrialBlock], figure: Figure) -> float:
    weights = [_weight(block) for block in blocks]
    return sum(w * figure(block) for w, block in zip(weights, blocks, strict=True)) / sum(weights)


def _arm(blocks: list[TrialBlock]) -> Arm | None:
    if not blocks:
        return None
    recorded_s = sum(block.recorded_s for block in blocks)
    return Arm(
        blocks=len(blocks),
        measured_s=sum(block.energy.measured_s for block in blocks),
        export_w=_mean(blocks, _export_w),
        avoidable_import_w=_mean(blocks, _avoidable_import_w),
        j_w=_mean(blocks, _j_w),
        surplus_w=_mean(blocks, _surplus_w),
        acted_share=sum(block.policy_s for block in blocks) / recorded_s,
    )


def _typical(policy: list[TrialBlock], fallback: list[TrialBlock], figure: Figure) -> Estimate:
    """Mean difference of the pairs, with an interval from the lot alone.

    By the lot each difference lies symmetrically around the effect. Then the means of random subsets divide
    the line into parts of equal probability (Hartigan 1969, "Using subsample values as typical values").
    """
    differences_w = np.array(
        [figure(one) - figure(other) for one, other in zip(policy, fallback, strict=True)]
    )
    rng = np.random.default_rng(0)
    parts = []
    for _ in range(SUBSETS // SUBSETS_AT_ONCE):
        chosen = rng.random((SUBSETS_AT_ONCE, len(differences_w))) < 0.5
        chosen = chosen[chosen.any(axis=1)]
        parts.append(chosen @ differences_w / chosen.sum(axis=1))
    low_w, high_w = np.quantile(np.concatenate(parts), (TAIL, 1.0 - TAIL))
    return Estimate(float(differences_w.mean()), float(low_w), float(high_w))


def _weighted(policy: list[TrialBlock], fallback: list[TrialBlock], figure: Figure) -> Estimate:
    """Difference of the means, with the spread of each arm's blocks (Neyman 1923: never too narrow)."""
    value_w = _mean(policy, figure) - _mean(fallback, figure)
    half_w = STUDENT_T * sqrt(_variance(policy, figure) + _variance(fallback, figure))
    return Estimate(value_w, value_w - half_w, value_w + half_w)


def _variance(blocks: list[TrialBlock], figure: Figure) -> float:
    """Of the weighted mean."""
    mean_w, weights = _mean(blocks, figure), [_weight(block) for block in blocks]
    squares = sum((w * (figure(block) - mean_w)) ** 2 for w, block in zip(weights, blocks, strict=True))
    return squares / sum(weights) ** 2 * len(blocks) / (len(blocks) - 1)
