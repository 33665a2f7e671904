"""Reversals of a setpoint: changes of its direction by more than a chosen amplitude."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReversalState:
    """The way one phase's action is going: up (1), down (-1), or not known yet (0), and from where."""

    reference_w: float = 0.0
    direction: int = 0


def swing(held: ReversalState, action_w: float, amplitude_w: float) -> tuple[ReversalState, bool]:
    """Take the next action; whether it is a reversal.

    The reference follows the action while it moves on in the held direction. A move of more than
    `amplitude_w` away from it sets a direction, and is a reversal when that is the opposite of the held one.
    """
    away_w = action_w - held.reference_w
    way = (away_w > 0.0) - (away_w < 0.0)
    if abs(away_w) > amplitude_w:
        return ReversalState(action_w, way), held.direction == -way
    if way == held.direction:
        return ReversalState(action_w, held.direction), False
    return held, False
