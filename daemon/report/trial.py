"""Blocks of 15 minutes that were assigned to the policy or to the fallback, gathered from the ticks."""

from dataclasses import dataclass, field
from enum import Enum

from core.decision import Authority, Source
from core.modes import BLOCK_S, Mode
from daemon.journal.records import Tick
from daemon.monitoring.energy_ledger import EnergyTotals

CARRY_OVER_S = 60.0
"""The first minute of a block still shows what the block before left on air."""
MEASURED_LEAST_S = (BLOCK_S - CARRY_OVER_S) / 2.0
"""A block measured for less than half of the time that counts says too little."""


class Design(Enum):
    """How blocks were assigned: one of each pair by lot, each by lot, or by the time of day."""

    PAIRS = "pairs"
    SHARE = "share"
    SCHEDULE = "schedule"


@dataclass(slots=True)
class TrialBlock:
    """One block of one assignment, without its first minute.

    `propensity` is the probability with which the policy was chosen, `policy_sha256` its bundle's hash,
    `policy_s` how long it really acted.
    """

    index: int
    design: Design
    assigned: Authority
    propensity: float
    policy_sha256: str = ""
    energy: EnergyTotals = field(default_factory=EnergyTotals)
    recorded_s: float = 0.0
    policy_s: float = 0.0
    is_mixed: bool = False


@dataclass(slots=True)
class BlockTrial:
    """All blocks, by index. A block belongs to whom it was assigned to, whoever really acted in it."""

    blocks: dict[int, TrialBlock] = field(default_factory=dict)

    def book(
        self, tick: Tick, mode: Mode, policy_sha256: str, energy: EnergyTotals, recorded_s: float
    ) -> None:
        """Take in one tick; ticks that were not assigned by blocks are left alone.

        Args:
            mode: as configured at that time.
            policy_sha256: of the bundle in force; another policy begins within a block at times.
            energy: of this tick.
            recorded_s: the step to this tick, 0 across a gap.
        """
        design = _design(tick, mode)
        if design is None or tick.unix_s % BLOCK_S < CARRY_OVER_S:
            return
        block = self.blocks.get(tick.block)
        if block is None:
            block = TrialBlock(tick.block, design, tick.authority, tick.propensity, policy_sha256)
            self.blocks[tick.block] = block
        assigned = (block.design, block.assigned, block.propensity, block.policy_sha256)
        block.is_mixed |= assigned != (design, tick.authority, tick.propensity, policy_sha256)
        block.energy.add(energy)
        block.recorded_s += recorded_s
        if tick.decision.verdict.source is Source.POLICY:
            block.policy_s += recorded_s


def _design(tick: Tick, mode: Mode) -> Design | None:
    """None for a tick that no lot and no schedule assigned; a run that is being ended is none, too."""
    if tick.block < 0 or tick.authority is Authority.REST:
        return None
    if tick.confounded:
        return Design.SCHEDULE
    if not 0.0 < tick.propensity < 1.0:
        return None
    return Design.PAIRS if mode is Mode.AB else Design.SHARE
