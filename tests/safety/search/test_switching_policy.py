"""A policy that says nonsense in the very tick in which a slave is switched."""

from math import inf, nan

import pytest

from core.decision import Decision, Source
from core.site import Phases
from tests.safety.search.house import SearchedHouse

SURPLUS_W = 2500.0
SENSIBLE_W = (2500.0, 2500.0, 2500.0)


def decided(ticks: int, last_action_w: Phases = SENSIBLE_W) -> Decision:
    """The last decision on a site whose slaves have a smallest power; the policy was sensible before it."""
    house = SearchedHouse(minimum_w=700, is_big=True)
    decision = None
    for tick in range(ticks):
        a, b, c = house.air.action_w
        action_w = last_action_w if tick == ticks - 1 else SENSIBLE_W
        decision = house.tick(action_w, (a - SURPLUS_W, b - SURPLUS_W, c - SURPLUS_W))
    assert decision is not None
    return decision


@pytest.mark.parametrize("wild_w", [inf, -inf, nan])
def test_a_switching_lets_no_number_without_end_through(wild_w: float) -> None:
    """The totals of a switching are judged by its setpoints; such a proposal is a violation all the same."""
    ticks = next(n for n in range(1, 200) if _switches_by_policy(n))
    decision = decided(ticks, (wild_w, 1000.0, 1000.0))
    assert decision.violations == ("finite",)
    assert decision.verdict.source is not Source.POLICY


def _switches_by_policy(ticks: int) -> bool:
    decision = decided(ticks)
    return decision.switch is not None and decision.verdict.source is Source.POLICY
