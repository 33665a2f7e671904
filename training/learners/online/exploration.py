"""A bonus for entropy that fades: an on-policy learner tries much at first and less later."""

from typing import Any

from training.learners.callback import Callback
from training.learners.learner import Learner
from training.learners.online.ppo import Ppo


def bonus_at(step: int, steps: int, start: float, until: float) -> float:
    """The weight of entropy: from `start` evenly to 0 after the share `until` of the training."""
    return start * max(0.0, 1.0 - step / (until * steps))


class FadingBonus(Callback):
    """Pays PPO for entropy at first, and less and less."""

    name = "bonus"

    def __init__(self, start: float, until: float = 0.7) -> None:
        super().__init__()
        self._start, self._until = start, until

    def before(self, learner: Learner[Any], step: int, steps: int) -> None:
        """Set the weight of this update."""
        assert isinstance(learner, Ppo), "only PPO takes a bonus"
        learner.entropy_weight = bonus_at(step, steps, self._start, self._until)
