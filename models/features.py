"""The 30 features a policy sees: their names, their order and the law that makes them.

This is the only place. The daemon, the simulation and training on batches run the same lines: the law is
written for one cell (a phase) with the operators of `core.arrays`, so plain floats serve the daemon and
``[batch, 3]`` arrays or tensors serve training.

Nine features per phase, phase after phase, then three of the site. All are raw SI units; scaling is part of
the policy's graph. One step of the law is one tick of 1 s.
"""

from math import exp, isfinite, nan
from typing import NamedTuple

from core.arrays import SCALAR, Namespace, Number, sum_in_order
from core.estimation.state_estimate import StateEstimate
from core.site import PHASE_NAMES
from core.snapshot import METER_LOST_S, Snapshot

PHASE_FEATURES = (
    "surplus_hat_w",
    "surplus_change_1s_w",
    "slope_fast_w_s",
    "slope_slow_w_s",
    "log_volatility",
    "command_minus_surplus_w",
    "in_flight_w",
    "max_10s_minus_now_w",
    "last_step_decayed_w",
)
"""What `describe` returns for one phase, in this order."""
SITE_FEATURES = ("delay_estimate_s", "link_loss_rate", "capacity_headroom_w")
FEATURE_NAMES: tuple[str, ...] = (
    *(f"{name}_{phase}" for phase in PHASE_NAMES for name in PHASE_FEATURES),
    *SITE_FEATURES,
)
"""The order of the policy's input: ``surplus_hat_w_a`` first, ``capacity_headroom_w`` last."""

POWER_MAX_W = 100_000.0
"""Powers are bounded here, so that every feature is finite (house connections: under 50 kW)."""
DELAY_MAX_S = 10.0
"""Bound of the delay estimate; the slaves let go long before the meaning of more is learnt."""
FAST_SHARE, FAST_CLIP_W_S = 0.25, 200.0
"""EMA of the 1 s change, bounded so that a switched load does not look like a ramp."""
SLOW_SHARE, SLOW_CLIP_W_S = 0.08, 60.0
VOLATILITY_SHARE, VOLATILITY_CLIP_W = 0.03, 200.0
STEP_W = 200.0
"""A change beyond this is a step: a load switched or a cloud edge."""
STEP_MEMORY_S = 30.0
STEP_KEPT = exp(-1.0 / STEP_MEMORY_S)
"""What is left of a step's memory after one tick of 1 s."""
WINDOW = 10
"""Estimates in the 10 s maximum, the newest among them."""


class FeatureHistory(NamedTuple):
    """History of one phase, or of an array of phases. `recent_w` holds the last estimates, newest first."""

    change_w: Number
    fast_w_s: Number
    slow_w_s: Number
    volatility_w: Number
    step_w: Number
    recent_w: tuple[Number, ...]


def begin(surplus_w: Number, xp: Namespace = SCALAR) -> FeatureHistory:
    """A history at rest at this surplus: the first tick, and the first after a gap."""
    surplus_w = xp.clip(surplus_w, -POWER_MAX_W, POWER_MAX_W)
    zero = 0.0 * surplus_w
    return FeatureHistory(zero, zero, zero, zero, zero, (surplus_w,) * WINDOW)


def advance(cell: FeatureHistory, surplus_w: Number, xp: Namespace = SCALAR) -> FeatureHistory:
    """Take in the estimate of one tick.

    Args:
        cell: the history, of the same shape as `surplus_w`.
        surplus_w: the estimated surplus, bounded to +-`POWER_MAX_W`.
        xp: `core.arrays.SCALAR`, numpy or torch.
    """
    surplus_w = xp.clip(surplus_w, -POWER_MAX_W, POWER_MAX_W)
    change_w = surplus_w - cell.recent_w[0]
    size_w = abs(change_w)
    fast = xp.clip(change_w, -FAST_CLIP_W_S, FAST_CLIP_W_S)
    slow = xp.clip(change_w, -SLOW_CLIP_W_S, SLOW_CLIP_W_S)
    unrest = xp.clip(size_w, 0.0, VOLATILITY_CLIP_W)
    return FeatureHistory(
        change_w,
        cell.fast_w_s + FAST_SHARE * (fast - cell.fast_w_s),
        cell.slow_w_s + SLOW_SHARE * (slow - cell.slow_w_s),
        cell.volatility_w + VOLATILITY_SHARE * (unrest - cell.volatility_w),
        xp.where(size_w > STEP_W, change_w, STEP_KEPT * cell.step_w),
        (surplus_w, *cell.recent_w[:-1]),
    )


def describe(
    cell: FeatureHistory, command_w: Number, model_w: Number, xp: Namespace = SCALAR
) -> tuple[Number, ...]:
    """The nine features of one phase, in the order of `PHASE_FEATURES`.

    Args:
        cell: history that has taken in this tick's estimate.
        command_w: what is on air, bounded like the surplus.
        model_w: what the slaves are believed to draw or feed, bounded likewise.
        xp: `core.arrays.SCALAR`, numpy or torch.
    """
    now_w = cell.recent_w[0]
    command_w = xp.clip(command_w, -POWER_MAX_W, POWER_MAX_W)
    high_w = now_w
    for past_w in cell.recent_w[1:]:
        high_w = xp.where(past_w > high_w, past_w, high_w)
    return (
        now_w,
        cell.change_w,
        cell.fast_w_s,
        cell.slow_w_s,
        xp.log1p(cell.volatility_w),
        command_w - now_w,
        command_w - xp.clip(model_w, -POWER_MAX_W, POWER_MAX_W),
        high_w - now_w,
        cell.step_w,
    )


class Observed(NamedTuple):
    """What the observer carries: when it last took in an estimate, and three histories (none when cold)."""

    at_s: float
    cells: tuple[FeatureHistory, ...]


_COLD = Observed(0.0, ())
_UNKNOWN = (nan,) * len(FEATURE_NAMES)


class FeatureObserver:
    """Turns the state estimate into the 30 features. Satisfies `core.parts.Observer`."""

    @property
    def cold(self) -> Observed:
        """No history."""
        return _COLD

    def observe(
        self, snapshot: Snapshot, estimate: StateEstimate, memory: Observed
    ) -> tuple[tuple[float, ...], Observed]:
        """The features of one tick, in the order of `FEATURE_NAMES`.

        An estimate that is not fresh leaves the history as it is and describes it with what is on air now.
        When more than `core.snapshot.METER_LOST_S` passed since the last estimate, or time
        ran backwards, the history begins anew. Finite input gives finite features; an estimate that is not
        finite gives NaN throughout, which no policy answers, and leaves the history as it is.
        """
        powers = (*estimate.surplus_w, *estimate.command_w, *estimate.model_w)
        if not all(map(isfinite, powers)):
            return _UNKNOWN, memory
        step_s = snapshot.at_s - memory.at_s
        cells = memory.cells
        if estimate.fresh:
            if cells and 0.0 < step_s <= METER_LOST_S:
                cells = tuple(map(advance, cells, estimate.surplus_w))
            else:
                cells = tuple(map(begin, estimate.surplus_w))
            memory = Observed(snapshot.at_s, cells)
        elif not cells:
            cells = tuple(map(begin, estimate.surplus_w))
        phases = zip(cells, estimate.command_w, estimate.model_w, strict=True)
        a, b, c = (describe(cell, command_w, model_w) for cell, command_w, model_w in phases)
        return (*a, *b, *c, *_site_features(snapshot, estimate)), memory


def _site_features(snapshot: Snapshot, estimate: StateEstimate) -> tuple[float, float, float]:
    """Those of `SITE_FEATURES`; the headroom is 0 when more is on air than the available slaves can take."""
    headroom_w = sum_in_order(estimate.capacity_w) - sum_in_order(estimate.command_w)
    return (
        SCALAR.clip(estimate.delay_s, 0.0, DELAY_MAX_S),
        SCALAR.clip(snapshot.link_loss_rate, 0.0, 1.0),
        SCALAR.clip(headroom_w, 0.0, POWER_MAX_W),
    )
