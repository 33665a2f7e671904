"""Whether the loop swings by itself, whoever acts, and how much of its gains is left then.

Clouds and cycling appliances turn the setpoints, too, up to fifteen times a minute. Two things tell a loop
that swings from one that is driven. It turns more often than anything drives it, or what the meter shows is
explained by the site's own commands: some delay and lag exist with which the slaves' power makes the grid's.
Which ones is not believed from anybody, because a wrong belief is what makes a loop swing. All slaves are
taken together: where the meter nets the phases, each phase is told what the others leave.

While it swings, every controller goes only a part of the way that it wants to go, which for one in velocity
form is a part of its gains. The full gains are tried again later, ever more seldom when that fails.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import exp, inf
from typing import NamedTuple

from core.arrays import sum_in_order
from core.estimation.reversal import ReversalState, swing
from core.roles import sign
from core.site import ZERO, Phases, Site, per_phase
from core.snapshot import METER_LOST_S, Snapshot

REVERSAL_W = 100.0
WINDOW_S = 90.0
"""Reversals and powers are forgotten with this time constant: a swing of a late loop takes 20 s."""
OFTEN_PER_MIN = 4.5
"""On one phase, as an average over the window; the aim of the design is to stay below 5."""
TOO_OFTEN_PER_MIN = 18.0
"""Nothing but the loop itself turns a setpoint so often: on measured days the largest was 15
(docs/results/measured-actuators.md)."""
OWN_SHARE = 0.42
"""Of the amplitude that moved on the site, what its own commands may leave unexplained. On measured days it
stays above 0.5 while setpoints turn often; a loop that swings leaves 0.2 to 0.5."""
MISLED_SHARE, MISLED_BY = 0.65, 0.55
"""More may be left where delay and lag are believed so wrong that others leave only this part of what the
believed ones do. With right ones it was above 0.6 in all but seconds of the measured days."""
FLOOR_W = 50.0
"""Smaller moves are noise of the meter."""
SPAN_S = 3.0
"""Powers are compared with those of so long ago."""
DELAYS_S = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
LAGS_S = (0.4, 1.5, 4.0)
FALL = 0.4
"""What a fall leaves of the gains. A loop that is 4 s later than believed needs a third of them."""
LEAST_SHARE = 0.06
CALM_S = 600.0
CALM_MAX_S = 14400.0
"""Of moving slaves, until more of the gains is tried; twice as long each time that fails."""
PROVEN_AFTER = 4.0
"""So many times as long without a fall is no failure of the try any more."""
BELIEVABLE_W = 1.0e6
"""Nothing that is larger is taken at its word."""


@dataclass(frozen=True, slots=True)
class Swinging:
    """The loop has swung: most on this phase (0, 1, 2), and `gain_share` is what is left of the gains.

    It swung as slaves do that begin to answer `delay_s` after a command (the meter's lateness in it) and
    follow with `lag_s`: the nearest of few hypotheses, no measurement.
    """

    phase: int
    gain_share: float
    delay_s: float
    lag_s: float


class _Grid(NamedTuple):
    """What follows from the period: ticks of every delay and of the span, and what a tick adds."""

    delays: tuple[int, ...]
    span: int
    part: float
    ways: tuple[float, ...]


class SwingState(NamedTuple):
    """Memory of the watch.

    What was seen began at `since_s`. `turns` and `per_min` are of each phase's setpoint on air. `told_w` is
    what the slaves would draw without any delay, once for each lag, `moves_w` its change over the span,
    `grid_w` the grid power and `model_w` what the slaves are believed to draw, newest first and summed over
    the phases. Mean squares: `moved_w2` of the changes, for each lag; `left_w2` of what each hypothesis
    leaves unexplained, `missed_w2` of what the belief does. `gain_share` is what is left of the gains; when
    they fell, `phase` turned most and `delay_s` with `lag_s` explained most. `moved_s` is for how long slaves
    have moved since the share changed last, `has_risen` whether that was a rise; after `calm_s` of it more is
    tried. `action_w` is what was decided last.
    """

    at_s: float = -inf
    since_s: float = inf
    turns: tuple[ReversalState, ReversalState, ReversalState] = (ReversalState(),) * 3
    per_min: Phases = ZERO
    told_w: tuple[tuple[float, ...], ...] = ()
    moves_w: tuple[tuple[float, ...], ...] = ()
    grid_w: tuple[float, ...] = ()
    model_w: tuple[float, ...] = ()
    missed_w2: float = 0.0
    moved_w2: tuple[float, ...] = ()
    left_w2: tuple[float, ...] = ()
    gain_share: float = 1.0
    phase: int = 0
    delay_s: float = 0.0
    lag_s: float = 0.0
    has_risen: bool = False
    moved_s: float = 0.0
    calm_s: float = CALM_S
    action_w: Phases | None = None


def watch_swings(site: Site, snapshot: Snapshot, model_w: Phases, state: SwingState) -> SwingState:
    """Take in one tick. `model_w` is what the slaves are believed to draw or feed."""
    air_w = snapshot.on_air.action_w
    seen = (
        _believable_w(sign(site.role) * sum_in_order(snapshot.grid_power_w)),
        _believable_w(sum_in_order(model_w)),
    )
    grid = _grid(site.period_s)
    is_whole = 0.0 < snapshot.at_s - state.at_s <= max(METER_LOST_S, 2.0 * site.period_s)
    if not (is_whole and state.grid_w):
        return _anew(state._replace(at_s=snapshot.at_s), snapshot.at_s + WINDOW_S, air_w, seen, grid)
    state = _advanced(state, snapshot.at_s, air_w, seen, grid, site.period_s)
    if state.at_s - state.since_s >= WINDOW_S and _swings(state):
        return _fallen(state, grid, site.period_s)
    if state.gain_share < 1.0 and state.moved_s >= state.calm_s:
        return state._replace(gain_share=min(1.0, state.gain_share / FALL), has_risen=True, moved_s=0.0)
    return state


def _swings(state: SwingState) -> bool:
    """Whether the setpoints turn so often, by the site's own commands."""
    often = max(state.per_min) - OFTEN_PER_MIN
    if not often >= 0.0:
        return False
    limit = MISLED_SHARE if is_misled(state) else OWN_SHARE
    return often >= TOO_OFTEN_PER_MIN - OFTEN_PER_MIN or unexplained(state) <= limit


def is_misled(state: SwingState) -> bool:
    """Whether some delay and lag explain the meter much better than those that are believed."""
    return min(state.left_w2) <= MISLED_BY**2 * state.missed_w2


def unexplained(state: SwingState) -> float:
    """Amplitude that the best hypothesis leaves, as a share of what it says has moved."""
    delays = len(state.left_w2) // len(LAGS_S)
    shares = [
        min(state.left_w2[at * delays : (at + 1) * delays]) / (moved_w2 + FLOOR_W**2)
        for at, moved_w2 in enumerate(state.moved_w2)
    ]
    return float(min(shares) ** 0.5)


def what_swings(state: SwingState) -> Swinging | None:
    """What was found; None while the gains are full."""
    if state.gain_share >= 1.0:
        return None
    return Swinging(state.phase, state.gain_share, state.delay_s, state.lag_s)


def damped(action_w: Phases, before_w: Phases | None, share: float, period_s: float) -> Phases:
    """So much of the way from what was decided last as is left of the gains."""
    if share >= 1.0 or before_w is None:
        return action_w
    part = share if period_s == 1.0 else 1.0 - (1.0 - share) ** period_s
    return per_phase([was_w + part * (w - was_w) for w, was_w in zip(action_w, before_w, strict=True)])


def _believable_w(power_w: float) -> float:
    """Bounded; nothing for what is not a number."""
    return min(max(power_w, -BELIEVABLE_W), BELIEVABLE_W) if power_w == power_w else 0.0


@lru_cache(maxsize=8)
def _grid(period_s: float) -> _Grid:
    delays = tuple(sorted({round(delay_s / period_s) for delay_s in DELAYS_S}))
    span = max(1, round(SPAN_S / period_s))
    ways = tuple(1.0 - exp(-period_s / lag_s) for lag_s in LAGS_S)
    return _Grid(delays, span, 1.0 - exp(-period_s / WINDOW_S), ways)


def _anew(
    state: SwingState, since_s: float, air_w: Phases, seen: tuple[float, float], grid: _Grid
) -> SwingState:
    """Nothing is known but what is on air and what is `seen`: the grid's power, and what is believed."""
    return state._replace(
        since_s=since_s,
        turns=(ReversalState(),) * 3,
        per_min=ZERO,
        told_w=((_believable_w(sum_in_order(air_w)),) * (grid.span + 1),) * len(LAGS_S),
        moves_w=((0.0,) * (grid.delays[-1] + 1),) * len(LAGS_S),
        grid_w=(seen[0],) * (grid.span + 1),
        model_w=(seen[1],) * (grid.span + 1),
        moved_w2=(0.0,) * len(LAGS_S),
        left_w2=(0.0,) * (len(grid.delays) * len(LAGS_S)),
        missed_w2=0.0,
    )


def _advanced(
    state: SwingState,
    at_s: float,
    air_w: Phases,
    seen: tuple[float, float],
    grid: _Grid,
    period_s: float,
) -> SwingState:
    part, span = grid.part, grid.span
    turned = [swing(held, w, REVERSAL_W) for held, w in zip(state.turns, air_w, strict=True)]
    a, b, c = (held for held, _ in turned)
    per_turn = part * 60.0 / period_s
    per_min = [
        (1.0 - part) * rate + (per_turn if is_turn else 0.0)
        for rate, (_, is_turn) in zip(state.per_min, turned, strict=True)
    ]
    total_w = _believable_w(sum_in_order(air_w))
    told_w = tuple(
        [
            (past[0] + way * (total_w - past[0]), *past[:-1])
            for past, way in zip(state.told_w, grid.ways, strict=True)
        ]
    )
    moves_w = tuple(
        [(told[0] - told[span], *past[:-1]) for told, past in zip(told_w, state.moves_w, strict=True)]
    )
    grid_w, model_w = (seen[0], *state.grid_w[:-1]), (seen[1], *state.model_w[:-1])
    seen_w = grid_w[0] - grid_w[span]
    missed_w = seen_w - (model_w[0] - model_w[span])
    left = [seen_w - past[delay] for past in moves_w for delay in grid.delays]
    return state._replace(
        at_s=at_s,
        turns=(a, b, c),
        per_min=per_phase(per_min),
        told_w=told_w,
        moves_w=moves_w,
        grid_w=grid_w,
        model_w=model_w,
        moved_w2=tuple(
            [w2 + part * (w[0] * w[0] - w2) for w2, w in zip(state.moved_w2, moves_w, strict=True)]
        ),
        left_w2=tuple([w2 + part * (w * w - w2) for w2, w in zip(state.left_w2, left, strict=True)]),
        missed_w2=state.missed_w2 + part * (missed_w * missed_w - state.missed_w2),
        moved_s=state.moved_s + (period_s if state.moved_w2[0] > FLOOR_W**2 else 0.0),
    )


def _fallen(state: SwingState, grid: _Grid, period_s: float) -> SwingState:
    """Less of the gains at once. What was seen with more of them counts no longer."""
    calm_s = state.calm_s
    if state.has_risen:
        has_failed = state.moved_s < PROVEN_AFTER * state.calm_s
        calm_s = min(2.0 * state.calm_s, CALM_MAX_S) if has_failed else CALM_S
    best = state.left_w2.index(min(state.left_w2))
    return state._replace(
        since_s=state.at_s,
        per_min=ZERO,
        moved_w2=(0.0,) * len(state.moved_w2),
        left_w2=(0.0,) * len(state.left_w2),
        missed_w2=0.0,
        gain_share=max(LEAST_SHARE, FALL * state.gain_share),
        phase=state.per_min.index(max(state.per_min)),
        delay_s=grid.delays[best % len(grid.delays)] * period_s,
        lag_s=LAGS_S[best // len(grid.delays)],
        has_risen=False,
        calm_s=calm_s,
        moved_s=0.0,
    )
