"""The steps from shadow to production, and what each asks for before the next one is taken."""

from dataclasses import dataclass, replace
from enum import Enum

from core.modes import Mode, ModePlan

HOUR_S = 3600.0
DAY_S = 86400.0


class RolloutStep(Enum):
    """A step of the plan, in order (the specification's phases 1 to 4)."""

    SHADOW = "shadow"
    AB = "ab"
    SHARE_25 = "share_25"
    SHARE_50 = "share_50"
    SHARE_75 = "share_75"
    SHARE_100 = "share_100"
    PRODUCTION = "production"


STEPS = tuple(RolloutStep)
_MODES = {
    RolloutStep.SHADOW: (Mode.SHADOW, 0.0),
    RolloutStep.AB: (Mode.AB, 0.0),
    RolloutStep.SHARE_25: (Mode.ROLLOUT, 25.0),
    RolloutStep.SHARE_50: (Mode.ROLLOUT, 50.0),
    RolloutStep.SHARE_75: (Mode.ROLLOUT, 75.0),
    RolloutStep.SHARE_100: (Mode.ROLLOUT, 100.0),
    RolloutStep.PRODUCTION: (Mode.PRODUCTION, 0.0),
}
BY_LOT = (RolloutStep.AB, RolloutStep.SHARE_25, RolloutStep.SHARE_50, RolloutStep.SHARE_75)
"""Steps in which a lot gives blocks to the policy and to the fallback."""


class Confirmation(Enum):
    """Who takes the step once everything holds."""

    AUTOMATIC = "automatic"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class StepRule:
    """What it takes to leave a step: time with the daemon running, time with a surplus in it, blocks of each
    controller, and who confirms."""

    least_s: float
    least_sun_s: float
    least_blocks: int
    confirmation: Confirmation


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """The rules of every step but the last one, in their order, and how long a block of the lot is."""

    rules: tuple[StepRule, ...]
    block_s: float

    def rule(self, step: RolloutStep) -> StepRule | None:
        """What it takes to leave this step; None for the last one."""
        place = STEPS.index(step)
        return self.rules[place] if place < len(self.rules) else None

    def mode_plan(self, step: RolloutStep, configured: ModePlan) -> ModePlan:
        """The mode of a step, with the site's seed."""
        mode, percent = _MODES[step]
        return replace(configured, mode=mode, rollout_percent=percent, schedule=(), block_s=self.block_s)


def after(step: RolloutStep) -> RolloutStep:
    """The next step; the last one stays."""
    return STEPS[min(STEPS.index(step) + 1, len(STEPS) - 1)]


def before(step: RolloutStep) -> RolloutStep:
    """The step before; the first one stays."""
    return STEPS[max(STEPS.index(step) - 1, 0)]


def is_later(step: RolloutStep, than: RolloutStep) -> bool:
    """Whether a step gives the policy more."""
    return STEPS.index(step) > STEPS.index(than)
