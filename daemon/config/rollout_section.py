"""The plan from shadow to production, as an installer writes it."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from core.modes import BLOCK_S, DAY_S, Mode
from daemon.config.consistency import Contradiction
from daemon.config.sections import ModeSection, Section

WEEK_H = 168.0
"""Of the specification: a week in the shadow at the least, a week of comparison, a week for every share."""
LEAST_H = 24.0
"""Of the specification: proposals that are stable for 24 hours and more. No plan may be shorter."""
LEAST_SUN_H = 20.0
"""Ten spans of the judge: a week of rain proves nothing."""
BLOCKS_S = {"quarter_hours": BLOCK_S, "days": DAY_S}
LEAST_BLOCKS = {"quarter_hours": 40, "days": 1}
"""Of each controller: a day of them, or one whole day. What is certain is for the judge to say."""


class StepSection(Section):
    """What it takes to leave a step of the plan: time with the daemon running, time with a surplus in it,
    blocks of each controller where a lot gives them out, and who says the last word."""

    least_h: float = Field(default=WEEK_H, ge=LEAST_H, le=8760.0)
    least_sun_h: float = Field(default=LEAST_SUN_H, ge=0.0, le=8760.0)
    least_blocks: int | None = Field(default=None, ge=1, le=10_000)
    confirm: Literal["automatic", "operator"] = "automatic"


class RolloutSection(Section):
    """The plan: each step is left only when what its section asks for is there, and everything else holds.

    `blocks`: what a lot gives to the policy or to the fallback. Heat that one controller stored is not needed
    in the other's next quarter of an hour, so sites with boilers and other stores compare days.
    """

    blocks: Literal["quarter_hours", "days"] = "days"
    shadow: StepSection = StepSection(confirm="operator")
    ab: StepSection = StepSection()
    share_25: StepSection = StepSection()
    share_50: StepSection = StepSection()
    share_75: StepSection = StepSection()
    share_100: StepSection = StepSection()

    def steps(self) -> tuple[StepSection, ...]:
        """All of them, in order."""
        return (self.shadow, self.ab, self.share_25, self.share_50, self.share_75, self.share_100)


def plan_stands_alone(rollout: RolloutSection | None, mode: ModeSection) -> Iterator[Contradiction]:
    """With a plan, the plan says who acts."""
    if rollout is None:
        return
    for key, is_told in (
        ("mode", mode.mode is not Mode.SHADOW),
        ("rollout_percent", mode.rollout_percent != 0.0),
        ("schedule", bool(mode.schedule)),
    ):
        if is_told:
            yield (
                ("mode", key),
                "says who acts, and [rollout] does so, too",
                "Remove it, or remove [rollout]; `sunkeep rollout` moves the plan",
            )
