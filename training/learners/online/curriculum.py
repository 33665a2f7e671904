"""From easy windows to hard ones: calm days on sites that answer at once come first.

What makes a window hard is how much the surplus changes within seconds, and a far end that is later than it
should be, has other slaves, a dead one, or loses frames. Difficulty 0 is the calmest of some windows on the
usual far end, 1 is what learners meet without a curriculum.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from training.batched.randomization import DomainRandomization
from training.batched.windows import (
    Floats,
    RolloutWindow,
    SolarDay,
    candidates,
    reel_of,
    roughness_w,
    varied,
)
from training.learners.callback import Callback
from training.learners.learner import Learner


def difficulty_at(step: int, steps: int, until: float) -> float:
    """From 0 evenly to 1 at the share `until` of the training, then 1."""
    return min(1.0, step / (until * steps))


def eased(chances: DomainRandomization, difficulty: float) -> DomainRandomization:
    """The same kinds of far ends with every trouble as likely as `difficulty` says.

    Which way the site is billed is no trouble. Who is told a wrong delay is told the right one instead.
    """
    on_time, *late = (share * difficulty for share in chances.extra_s)
    wrong = 1.0 - chances.told_nothing - chances.told_right
    return replace(
        chances,
        extra_s=(on_time + 1.0 - difficulty, *late),
        told_right=chances.told_right + (1.0 - difficulty) * wrong,
        other_slaves=chances.other_slaves * difficulty,
        dead_slave=chances.dead_slave * difficulty,
        lossy=chances.lossy * difficulty,
    )


class Curriculum(Callback):
    """A scenery that becomes harder in the course of a training.

    Args:
        days: of the split "train".
        chances: far ends at full difficulty.
        until: share of the training after which nothing becomes harder.
    """

    name = "curriculum"

    def __init__(self, days: Sequence[SolarDay], chances: DomainRandomization, until: float = 0.5) -> None:
        super().__init__()
        self._days, self._chances, self._until = days, chances, until
        self.difficulty = 0.0

    def before(self, learner: Learner[Any], step: int, steps: int) -> None:
        """Set the difficulty of this update."""
        self.difficulty = difficulty_at(step, steps, self._until)

    def __call__(self, count: int, seconds: int, rng: np.random.Generator) -> RolloutWindow:
        """Draw windows with their far ends."""
        windows = [self._window(seconds, rng) for _ in range(count)]
        return reel_of(windows, rng, eased(self._chances, self.difficulty))

    def _window(self, seconds: int, rng: np.random.Generator) -> Floats:
        if rng.random() < self.difficulty:
            return varied(self._days, seconds, rng)
        return min(candidates(self._days, seconds, rng), key=roughness_w)
