"""How the slaves of one phase answer by what their moves have told, and what goes by it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import TypeAlias

from core.estimation.actuator_model import ResponseGroup

MOVED_S, MOVED_LAG = 0.15, 0.1
"""What is in force follows the belief in steps of so many seconds, or of so much in the log of the lag."""


@dataclass(frozen=True, slots=True)
class LearnedResponse:
    """How the slaves of one phase answer, as their moves have told.

    `dead_time_s` is from a command to its first effect as the loop sees it, the meter's lateness in it;
    `dead_time_high_s` the most that it may be. `gain` is in watts drawn per watt told. `moving_s` is for how
    long slaves have moved while this was learned. `in_force` is whether estimator and gains by rule go by it.
    """

    dead_time_s: float
    dead_time_high_s: float
    lag_s: float
    gain: float
    moving_s: float = 0.0
    in_force: bool = False


Learned: TypeAlias = tuple[LearnedResponse | None, ...]
"""By phase; None where nothing can be told."""
NOT_LEARNED: Learned = (None, None, None)


def adapted(groups: Sequence[ResponseGroup], in_force: Learned) -> tuple[ResponseGroup, ...]:
    """The response groups of a site, with what was learned of their phase."""
    if not any(in_force):
        return tuple(groups)
    cells = [(group, in_force[group.phase]) for group in groups]
    return tuple(
        group if learned is None else group.answering(learned.dead_time_s, learned.lag_s)
        for group, learned in cells
    )


def stepped(was: LearnedResponse | None, now: LearnedResponse) -> LearnedResponse:
    """What is in force, once the belief is `now`: as it was until that is a step away."""
    if was is None:
        return now
    is_near = (
        abs(now.dead_time_s - was.dead_time_s) <= MOVED_S
        and abs(now.dead_time_high_s - was.dead_time_high_s) <= 2.0 * MOVED_S
        and abs(log(now.lag_s / was.lag_s)) <= MOVED_LAG
    )
    return was if is_near else now
