"""Wiring monitor: whether sign and phases are wired as commissioned, from the meter's response to moves.

Each wiring hypothesis predicts the meter's response to a setpoint change: the right one the move itself, a
turned sign its opposite, exchanged phases the moves of others. For every sample the squared prediction errors
of a wrong hypothesis and of the right one are compared: (right - wrong) / (right + wrong), which no cloud can
make larger than 1, weighted with how far the two predictions are apart. Moves are seen through a high pass of
`MOVE_S`: slaves follow with 1 to 5 s of delay, so what is believed and what is read do not move in the same
second.

A cloud's edge can look like a turned sign for as long as it lasts: the surplus rises twice as fast as the
slaves that follow it. So evidence from one direction only suspects, and the stop that follows ends by itself.
A turned sign is proven by moves both up and down. Exchanged phases are not mistaken for a cloud.
"""

from dataclasses import dataclass
from itertools import permutations
from math import exp, inf

from core.arrays import sum_in_order
from core.causes import Cause
from core.site import ZERO, Phases, per_phase
from core.snapshot import METER_LOST_S

MOVE_S = 2.0
"""Time constant of the high pass: between the delays of the slaves and the length of a cloud's edge."""
WINDOW_S = 30.0
"""Evidence is forgotten with this time constant."""
SHARE = 0.5
"""Of all movement in the window, this much must speak for the wrong wiring."""
SUSPECTED_W = 2600.0
"""Evidence that stops the site for a while: 1300 W that went the wrong way, 290 W that came back tenfold."""
PROVEN_W = 800.0
"""Evidence that waits for an operator: of a turned sign in each direction, of exchanged phases in all.

On 56 h of measured days in closed loop, right wiring, the largest was 370 W
(docs/results/safety-campaigns.md)."""
TENFOLD = 10.0
"""A wrong scale of the registers, in a meter that tells nothing to check its power against."""
BELIEVABLE_W = 1.0e6
"""Beyond this nothing is compared: the watch starts anew."""

_TURNED = ((0,), (1,), (2,), (0, 1, 2))
_CROSSED = tuple(permutations((0, 1, 2)))[1:]
_WAYS = 2 * len(_TURNED)
_NOTHING = (0.0,) * (_WAYS + len(_CROSSED) + 1)


@dataclass(frozen=True, slots=True)
class WiringMonitorState:
    """Memory of the monitor: evidence for each wrong hypothesis, in W, and the movement behind it.

    In this order: each phase turned and all turned, seen in moves up; the same, in moves down; each exchange;
    tenfold power. `slow_...` is what the high pass takes away.
    """

    at_s: float = -inf
    slow_model_w: Phases = ZERO
    slow_grid_w: Phases = ZERO
    told_w: tuple[float, ...] = _NOTHING
    moved_w: tuple[float, ...] = _NOTHING


def check_wiring(
    at_s: float, model_w: Phases, grid_power_w: Phases, sign: float, memory: WiringMonitorState
) -> tuple[tuple[Cause, ...], WiringMonitorState]:
    """Judge the wiring by one more fresh sample.

    Args:
        model_w: what the slaves are believed to draw or feed, at the instant of the sample.
        grid_power_w: the sample.
        sign: +1 absorb, -1 generate.

    Returns:
        Causes that the evidence supports now, of meter_sign, meter_phases, loop_diverges.
    """
    if not all(abs(power_w) <= BELIEVABLE_W for power_w in (*model_w, *grid_power_w)):
        return (), WiringMonitorState()
    step_s = at_s - memory.at_s
    if not 0.0 < step_s <= METER_LOST_S:
        return (), WiringMonitorState(at_s, model_w, grid_power_w)
    passed = exp(-step_s / MOVE_S)
    moved_w = [passed * (new - slow) for new, slow in zip(model_w, memory.slow_model_w, strict=True)]
    seen_w = [passed * (new - slow) for new, slow in zip(grid_power_w, memory.slow_grid_w, strict=True)]
    told = _hypothesis_evidence(moved_w, [sign * power_w for power_w in seen_w])
    keep, weight = 1.0 - step_s / WINDOW_S, step_s / MOVE_S
    memory = WiringMonitorState(
        at_s,
        per_phase([new - fast for new, fast in zip(model_w, moved_w, strict=True)]),
        per_phase([new - fast for new, fast in zip(grid_power_w, seen_w, strict=True)]),
        tuple(keep * old + weight * new for old, (new, _) in zip(memory.told_w, told, strict=True)),
        tuple(keep * old + weight * new for old, (_, new) in zip(memory.moved_w, told, strict=True)),
    )
    return _causes(memory), memory


def _hypothesis_evidence(moved_w: list[float], seen_w: list[float]) -> list[tuple[float, float]]:
    """What a sample tells for each wrong wiring, and the movement it tells it from; `WiringMonitorState`'s
    order."""
    up, down = [(0.0, 0.0)] * len(_TURNED), [(0.0, 0.0)] * len(_TURNED)
    for place, phases in enumerate(_TURNED):
        moved = [moved_w[phase] for phase in phases]
        told = _weighed(moved, [-power_w for power_w in moved], [seen_w[phase] for phase in phases])
        (up if sum_in_order(moved) > 0.0 else down)[place] = told
    crossed = [_weighed(moved_w, [moved_w[phase] for phase in order], seen_w) for order in _CROSSED]
    tenfold = _weighed(moved_w, [TENFOLD * power_w for power_w in moved_w], seen_w)
    return [*up, *down, *crossed, tenfold]


def _weighed(right_w: list[float], wrong_w: list[float], seen_w: list[float]) -> tuple[float, float]:
    """Between -x and x, how much better the wrong prediction was; and x, how far the two are apart."""
    right_w2, wrong_w2 = _squares(right_w, seen_w), _squares(wrong_w, seen_w)
    apart_w, errors_w2 = _squares(right_w, wrong_w) ** 0.5, right_w2 + wrong_w2
    return apart_w * (right_w2 - wrong_w2) / errors_w2 if errors_w2 > 0.0 else 0.0, apart_w


def _squares(one: list[float], other: list[float]) -> float:
    return sum_in_order((x - y) ** 2 for x, y in zip(one, other, strict=True))


def _causes(memory: WiringMonitorState) -> tuple[Cause, ...]:
    told = list(zip(memory.told_w, memory.moved_w, strict=True))
    up, down, crossed, tenfold = told[: len(_TURNED)], told[len(_TURNED) : _WAYS], told[_WAYS:-1], told[-1]
    ways = list(zip(up, down, strict=True))

    def speaks(told_w: float, moved_w: float, least_w: float) -> bool:
        return told_w >= least_w and told_w >= SHARE * moved_w

    found = {
        Cause.METER_SIGN: any(speaks(*one, PROVEN_W) and speaks(*other, PROVEN_W) for one, other in ways),
        Cause.METER_PHASES: any(speaks(*one, PROVEN_W) for one in crossed),
        Cause.LOOP_DIVERGES: any(speaks(a + c, b + d, SUSPECTED_W) for (a, b), (c, d) in ways)
        or speaks(*tenfold, SUSPECTED_W),
    }
    return tuple(name for name, is_found in found.items() if is_found)
