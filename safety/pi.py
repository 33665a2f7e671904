"""The PI fallback."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from core.arrays import SCALAR
from core.estimation.learned_response import LearnedResponse
from core.estimation.state_estimate import StateEstimate
from core.site import Phases, Site, per_phase


@dataclass(frozen=True, slots=True)
class PiGains:
    """Gains per phase: `kp` in W/W, `ki` in W/W per second. `margin_w` is the import that is aimed at.

    Tuned under the airtime limit for export + 0.5 * avoidable import: the best of 65 candidates on 16
    stretches of the measured training days (`training.tune`, net metering, November 2026).
    """

    kp: float = 0.7
    ki: float = 0.25
    margin_w: float = 10.0


PiRule: TypeAlias = Callable[[LearnedResponse], PiGains]
"""Gains of a phase by what its moves have told."""


@dataclass(frozen=True, slots=True)
class PiMemory:
    """`base_w` is what was last allowed, whoever asked for it; `error_w` the error then. None at start."""

    base_w: Phases | None = None
    error_w: Phases | None = None


class PiFallback:
    """PI controller in velocity form on the applied action: no integrator of its own that could wind up.

    `gains` are for all phases, or one for each (`safety.gain_rule`); where something was learned of a phase,
    those of `rule` take their place.

    u = base + kp * (e - e_prev) + ki * period * e, with e the power that should still be placed.
    """

    def __init__(
        self,
        site: Site,
        gains: PiGains | tuple[PiGains, PiGains, PiGains] | None = None,
        rule: PiRule | None = None,
    ) -> None:
        chosen = gains or PiGains()
        self._gains = (chosen,) * 3 if isinstance(chosen, PiGains) else chosen
        self._rule, self._phase_max_w, self._period_s = rule, site.limits.phase_max_w, site.period_s

    @property
    def cold(self) -> PiMemory:
        """The memory of a controller that has seen nothing."""
        return PiMemory()

    def propose(self, estimate: StateEstimate, memory: PiMemory) -> tuple[Phases, PiMemory]:
        """The action for this tick; without a fresh sample, what was allowed last."""
        base_w = memory.base_w or estimate.command_w
        if not estimate.fresh:
            return base_w, replace(memory, base_w=base_w)
        in_force = self._in_force(estimate)
        cells = zip(in_force, estimate.meter_w, strict=True)
        error_w = per_phase([estimate.sign * (gains.margin_w - meter_w) for gains, meter_w in cells])
        before_w = memory.error_w or error_w
        law = zip(in_force, base_w, error_w, before_w, estimate.capacity_w, strict=True)
        action_w = [
            SCALAR.clip(
                u + gains.kp * (e - e_prev) + gains.ki * self._period_s * e,
                0.0,
                min(capacity_w, self._phase_max_w),
            )
            for gains, u, e, e_prev, capacity_w in law
        ]
        return per_phase(action_w), PiMemory(base_w, error_w)

    def _in_force(self, estimate: StateEstimate) -> tuple[PiGains, ...]:
        if self._rule is None or not any(estimate.learned):
            return self._gains
        cells = zip(self._gains, estimate.learned, strict=True)
        return tuple(gains if learned is None else self._rule(learned) for gains, learned in cells)

    def track(self, memory: PiMemory, _sight: StateEstimate, safe_action_w: Phases) -> PiMemory:
        """Continue from what was allowed, also while another controller was in charge."""
        return replace(memory, base_w=safe_action_w)
