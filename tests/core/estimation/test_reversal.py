"""Reversals of a setpoint: what counts as one."""

import pytest

from core.estimation.reversal import ReversalState, swing


@pytest.mark.parametrize(
    ("actions", "reversals"),
    [
        ([0, 150, 300, 450], 0),
        ([0, 150, 40], 1),
        ([0, 150, 60], 0),  # 90 W back is no reversal
        ([0, 150, 200, 90], 1),  # the reference followed to 200
        ([0, 90, 180, 60], 1),  # 90 sets no direction, 180 does, 60 turns it
        ([0, 150, 60, 150, 60, 150], 0),
        ([0, 150, 0, 150, 0], 3),
        ([0, -150, 0], 1),
    ],
)
def test_reversals(actions: list[float], reversals: int) -> None:
    held, count = ReversalState(), 0
    for action in actions:
        held, is_reversal = swing(held, action, 100.0)
        count += is_reversal
    assert count == reversals


def test_at_first_no_direction_is_known() -> None:
    assert ReversalState() == ReversalState(0.0, 0)


def test_the_reference_moves_on_with_the_held_direction_only() -> None:
    held, _ = swing(ReversalState(), 150.0, 100.0)
    assert held == ReversalState(150.0, 1)
    assert swing(held, 150.5, 100.0) == (ReversalState(150.5, 1), False)
    assert swing(held, 149.5, 100.0) == (held, False)
    falling, _ = swing(ReversalState(), -150.0, 100.0)
    assert swing(falling, -150.5, 100.0) == (ReversalState(-150.5, -1), False)
    assert swing(falling, -149.5, 100.0) == (falling, False)
    assert swing(held, 140.0, 100.0) == (held, False)
    assert swing(held, 50.0, 100.0) == (held, False)  # exactly the amplitude is no turn
    assert swing(held, 49.0, 100.0) == (ReversalState(49.0, -1), True)
