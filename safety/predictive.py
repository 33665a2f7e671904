"""The predictive fallback: an internal-model controller with trend and lead.

It places the surplus that the estimator sees, filtered fast where letting go would cost export and slowly
elsewhere, and led by its own change and trend.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from core.arrays import SCALAR, Namespace, Number
from core.estimation.learned_response import LearnedResponse
from core.estimation.state_estimate import StateEstimate
from core.site import Phases, Site, per_phase


@dataclass(frozen=True, slots=True)
class PredictiveGains:
    """Gains per phase for absorbing slaves; `for_sign` turns them for generating ones.

    `k_up`, `k_down` and `slope_share` are what one second closes of a gap; shorter and longer periods close
    the same in the same time. `lead` is per second, too.

    Tuned for export + 0.5 * avoidable import. Confirmed under the airtime limit on 16 stretches of measured
    training days (`training.tune`, both meterings, November 2026): within 1.6 % of the best of 53
    candidates, which were not better on other days.
    """

    k_up: float = 0.9
    k_down: float = 0.5
    trend_s: float = 0.9
    slope_share: float = 0.25
    slope_max_w_per_s: float = 200.0
    lead: float = 1.1
    margin_w: float = 0.0

    def for_sign(self, sign: float) -> "PredictiveGains":
        """A generating site exports when its action is too high: fast and slow swap, the margin turns."""
        if sign > 0.0:
            return self
        return replace(self, k_up=self.k_down, k_down=self.k_up, margin_w=-self.margin_w)


PredictiveRule: TypeAlias = Callable[[LearnedResponse], PredictiveGains]
"""Gains of a phase by what its moves have told."""


class TrendState(NamedTuple):
    """Memory of the law for one phase, or arrays of phases. `started` is 0 before the first sample."""

    filtered_w: Number = 0.0
    slope_w_per_s: Number = 0.0
    before_w: Number = 0.0
    started: Number = 0.0


def share_of_period(share: Number, period_s: float, xp: Namespace) -> Number:
    """What a period closes of a gap of which a second closes `share`."""
    return share if period_s == 1.0 else 1.0 - xp.clip(1.0 - share, 0.0, 1.0) ** period_s


def step(
    cell: TrendState, surplus_w: Number, gains: PredictiveGains, xp: Namespace, period_s: float = 1.0
) -> tuple[Number, TrendState]:
    """One period of the law for one cell.

    Args:
        surplus_w: power left to place, as estimated now.
        gains: turned for the role of the slaves; its fields may be arrays.
        xp: namespace of the numbers.

    Returns:
        The unbounded action in W, and the memory for the next period.
    """
    is_first = cell.started < 0.5
    filtered_w = xp.where(is_first, surplus_w, cell.filtered_w)
    before_w = xp.where(is_first, surplus_w, cell.before_w)
    rise_w = surplus_w - before_w
    per_s = rise_w if period_s == 1.0 else rise_w / period_s
    rise = xp.clip(per_s, -gains.slope_max_w_per_s, gains.slope_max_w_per_s)
    slope = cell.slope_w_per_s + share_of_period(gains.slope_share, period_s, xp) * (
        rise - cell.slope_w_per_s
    )
    gap_w = surplus_w - filtered_w
    per_second_w = xp.where(gap_w > 0.0, gains.k_up, gains.k_down) * gap_w
    change_w = per_second_w
    if period_s != 1.0:
        k_up, k_down = (share_of_period(k, period_s, xp) for k in (gains.k_up, gains.k_down))
        change_w = xp.where(gap_w > 0.0, k_up, k_down) * gap_w
    action_w = filtered_w + change_w + gains.trend_s * slope + gains.lead * per_second_w + gains.margin_w
    return action_w, TrendState(
        filtered_w + change_w, slope, surplus_w, xp.where(is_first, 1.0, cell.started)
    )


@dataclass(frozen=True, slots=True)
class PredictiveMemory:
    """One cell per phase, and what was last allowed (None at start)."""

    cells: tuple[TrendState, TrendState, TrendState] = (TrendState(), TrendState(), TrendState())
    base_w: Phases | None = None


class PredictiveFallback:
    """The predictive law, phase by phase.

    It has no integrator: its memory follows the surplus, whoever acts.
    `gains` are for all phases, or one for each (`safety.gain_rule`); where something was learned of a phase,
    those of `rule` take their place.
    """

    def __init__(
        self,
        site: Site,
        gains: PredictiveGains | tuple[PredictiveGains, PredictiveGains, PredictiveGains] | None = None,
        rule: PredictiveRule | None = None,
    ) -> None:
        chosen = gains or PredictiveGains()
        self._gains = (chosen,) * 3 if isinstance(chosen, PredictiveGains) else chosen
        self._rule = rule
        self._phase_max_w, self._period_s = site.limits.phase_max_w, site.period_s

    @property
    def cold(self) -> PredictiveMemory:
        """The memory of a controller that has seen nothing."""
        return PredictiveMemory()

    def propose(self, estimate: StateEstimate, memory: PredictiveMemory) -> tuple[Phases, PredictiveMemory]:
        """The action for this tick; without a fresh sample, what was allowed last."""
        if not estimate.fresh:
            return memory.base_w or estimate.command_w, memory
        cells = zip(memory.cells, estimate.surplus_w, self._in_force(estimate), strict=True)
        a, b, c = (
            step(cell, surplus_w, gains.for_sign(estimate.sign), SCALAR, self._period_s)
            for cell, surplus_w, gains in cells
        )
        bounds_w = [min(capacity_w, self._phase_max_w) for capacity_w in estimate.capacity_w]
        action_w = [SCALAR.clip(u, 0.0, bound_w) for (u, _), bound_w in zip((a, b, c), bounds_w, strict=True)]
        return per_phase(action_w), replace(memory, cells=(a[1], b[1], c[1]))

    def _in_force(self, estimate: StateEstimate) -> tuple[PredictiveGains, ...]:
        if self._rule is None or not any(estimate.learned):
            return self._gains
        cells = zip(self._gains, estimate.learned, strict=True)
        return tuple(gains if learned is None else self._rule(learned) for gains, learned in cells)

    def track(
        self, memory: PredictiveMemory, _sight: StateEstimate, safe_action_w: Phases
    ) -> PredictiveMemory:
        """Remember what was allowed, for the ticks without a sample."""
        return replace(memory, base_w=safe_action_w)
