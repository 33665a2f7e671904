"""The PI fallback."""

from dataclasses import dataclass, replace

from core.arrays import SCALAR
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


@dataclass(frozen=True, slots=True)
class PiMemory:
    """`base_w` is what was last allowed, whoever asked for it; `error_w` the error then. None at start."""

    base_w: Phases | None = None
    error_w: Phases | None = None


class PiFallback:
    """PI controller in velocity form on the applied action: no integrator of its own that could wind up.

    `gains` are for all phases, or one for each (`safety.gain_rule`).

    u = base + kp * (e - e_prev) + ki * period * e, with e the power that should still be placed.
    """

    def __init__(self, site: Site, gains: PiGains | tuple[PiGains, PiGains, PiGains] | None = None) -> None:
        chosen = gains or PiGains()
        self._gains = (chosen,) * 3 if isinstance(chosen, PiGains) else chosen
        self._ki_per_tick = tuple(gains.ki * site.period_s for gains in self._gains)
        self._phase_max_w = site.limits.phase_max_w

    @property
    def cold(self) -> PiMemory:
        """The memory of a controller that has seen nothing."""
        return PiMemory()

    def propose(self, sight: StateEstimate, memory: PiMemory) -> tuple[Phases, PiMemory]:
        """The action for this tick; without a fresh sample, what was allowed last."""
        base_w = memory.base_w or sight.command_w
        if not sight.fresh:
            return base_w, replace(memory, base_w=base_w)
        cells = zip(self._gains, sight.meter_w, strict=True)
        error_w = per_phase([sight.sign * (gains.margin_w - meter_w) for gains, meter_w in cells])
        before_w = memory.error_w or error_w
        law = zip(self._gains, self._ki_per_tick, base_w, error_w, before_w, sight.capacity_w, strict=True)
        action_w = [
            SCALAR.clip(u + gains.kp * (e - e_prev) + ki * e, 0.0, min(capacity_w, self._phase_max_w))
            for gains, ki, u, e, e_prev, capacity_w in law
        ]
        return per_phase(action_w), PiMemory(base_w, error_w)

    def track(self, memory: PiMemory, _sight: StateEstimate, safe_action_w: Phases) -> PiMemory:
        """Continue from what was allowed, also while another controller was in charge."""
        return replace(memory, base_w=safe_action_w)
