"""The slaves' power, tick by tick: the controller's estimate, corrected by their reports."""

from dataclasses import dataclass, field
from math import inf, isfinite

from core.estimation.state_estimate import StateEstimate
from core.metering import exported_w
from core.roles import sign
from core.site import Metering, Phases, Site, per_phase
from core.snapshot import SlaveState, Snapshot

TRUSTED_FOR_S = 15.0
"""A report older than this corrects nothing; the slave counts as lost by then."""
GAIN = 0.4
"""Share of the error a new report removes: reports are a second or two older than the belief."""


@dataclass(slots=True)
class SlavePowerEstimator:
    """Follows the slave power of each phase between reports.

    The controller's belief follows every command at once but knows nothing of a boiler that is hot. The
    reports know, every few seconds. The belief plus a slowly corrected error is right in both.
    """

    error_w: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    _ages_s: tuple[float, ...] = ()
    _site: Site | None = None
    _members: tuple[tuple[int, ...], ...] = ((), (), ())

    def update(self, site: Site, snapshot: Snapshot, sight: StateEstimate) -> Phases:
        """Power of the slaves per phase in W, a magnitude."""
        ages_s = tuple(state.report_age_s for state in snapshot.slaves)
        before_s = self._ages_s if len(self._ages_s) == len(ages_s) else (inf,) * len(ages_s)
        self._ages_s = ages_s
        if site is not self._site:
            self._site, self._members = site, _members(site)
        for phase, members in enumerate(self._members):
            powers_w = [
                power_w for at in members if (power_w := heard_power_w(snapshot.slaves[at])) is not None
            ]
            if not members or len(powers_w) < len(members):
                self.error_w[phase] = 0.0
            elif any(ages_s[at] < before_s[at] for at in members):
                error_w = sum(powers_w) - sight.model_w[phase]
                self.error_w[phase] += GAIN * (error_w - self.error_w[phase])
        return per_phase(
            [
                min(max(0.0, model_w + error_w), site.limits.phase_max_w)
                for model_w, error_w in zip(sight.model_w, self.error_w, strict=True)
            ]
        )


def _members(site: Site) -> tuple[tuple[int, ...], ...]:
    """Places of the slaves of each phase."""
    return tuple(
        tuple(at for at, slave in enumerate(site.slaves) if slave.phase == phase) for phase in range(3)
    )


def heard_power_w(state: SlaveState) -> float | None:
    """What a slave draws or feeds in W as it says itself; None when that was too long ago."""
    if state.power_w is None or not isfinite(state.power_w):
        return None
    return state.power_w if state.report_age_s <= TRUSTED_FOR_S else None


def is_silent(state: SlaveState, radio_up: bool) -> bool:
    """Whether a slave does not answer.

    While the radio is down the snapshot counts every slave as available, because none of them can be asked;
    to people one that was not heard does not answer. A radio that has just come up gives it time.
    """
    return not state.available or (not radio_up and not state.report_age_s <= TRUSTED_FOR_S)


def without_slaves_w(grid_power_w: Phases, placed_w: Phases, site: Site) -> Phases:
    """What the meter would read if no slave acted."""
    s = sign(site.role)
    return per_phase([g - s * p for g, p in zip(grid_power_w, placed_w, strict=True)])


def reachable_w(without_w: Phases, capacity_w: Phases, metering: Metering) -> float:
    """The part of the surplus that absorbing slaves of this capacity could take, as billed."""
    if metering is Metering.NET:
        return min(exported_w(without_w, metering), sum(capacity_w))
    return sum(min(max(0.0, -w), c) for w, c in zip(without_w, capacity_w, strict=True))
