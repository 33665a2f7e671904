"""The slaves' power, tick by tick: the controller's estimate, corrected by their reports."""

from dataclasses import dataclass, field
from math import exp, inf, isfinite

from core.estimation.state_estimate import StateEstimate
from core.metering import exported_w
from core.roles import sign
from core.site import Metering, Phases, Site, per_phase
from core.snapshot import SlaveState, Snapshot

TRUSTED_FOR_S = 15.0
"""A report older than this corrects nothing; the slave counts as lost by then."""
LATENESS_SD_S = 1.5
"""How much later or sooner than believed a slave may be: the spread of Zigbee's delays and of heaters."""
ON_ITS_WAY_SD = 0.35
"""Share of a command that is not yet followed that may be followed already, or the reverse."""
SETTLE_S = 3.0
"""How fast doubt goes after a move: dead time and lag of the usual slave."""
HOUSE_SD_W_S = 50.0
"""How far sun and house move a phase within a second, most of the time."""
NOISE_W = 10.0
"""Of the meter."""
FORGET_S = 5.0
"""After a gap this long the estimate begins anew."""
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

    def update(self, site: Site, snapshot: Snapshot, estimate: StateEstimate) -> Phases:
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
                error_w = sum(powers_w) - estimate.model_w[phase]
                self.error_w[phase] += GAIN * (error_w - self.error_w[phase])
        return per_phase(
            [
                min(max(0.0, model_w + error_w), site.limits.phase_max_w)
                for model_w, error_w in zip(estimate.model_w, self.error_w, strict=True)
            ]
        )


def _members(site: Site) -> tuple[tuple[int, ...], ...]:
    """Places of the slaves of each phase."""
    return tuple(
        tuple(at for at, slave in enumerate(site.slaves) if slave.phase == phase) for phase in range(3)
    )


@dataclass(slots=True)
class UncontrolledPowerEstimator:
    """The grid power without slaves, for people to see: trusted less while the slaves are on their way.

    What the slaves draw in the seconds after a command is only believed; how late each one is differs by a
    second or two. At a ramp of 1 kW/s an estimate from one tick is off by as much, and jumps back. So each
    tick's estimate counts by how sure it is: a scalar Kalman filter per phase. The energy account takes
    the ticks as they are: there errors up and down cancel.
    """

    shown_w: list[float] = field(default_factory=list)
    _variance_w2: list[float] = field(default_factory=list)
    _spread_w: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    _model_w: Phases | None = None
    _at_s: float = -inf

    def update(self, raw_w: Phases, estimate: StateEstimate, at_s: float) -> Phases:
        """What to show, per phase in W.

        Args:
            raw_w: the estimate of this tick alone.
            estimate: what the controller believes of the slaves.
            at_s: of the snapshot; after a gap the estimate begins anew.
        """
        step_s, self._at_s = at_s - self._at_s, at_s
        before_w, self._model_w = self._model_w, estimate.model_w
        if before_w is None or not self.shown_w or not 0.0 < step_s <= FORGET_S:
            self.shown_w, self._variance_w2 = list(raw_w), [NOISE_W**2] * 3
            return raw_w
        for at, (model_w, was_w) in enumerate(zip(estimate.model_w, before_w, strict=True)):
            moving_w = abs(model_w - was_w) / step_s * LATENESS_SD_S
            on_its_way_w = abs(estimate.command_w[at] - model_w) * ON_ITS_WAY_SD
            kept_w = self._spread_w[at] * exp(-step_s / SETTLE_S)
            self._spread_w[at] = max(moving_w + on_its_way_w, kept_w)
            predicted_w2 = self._variance_w2[at] + (HOUSE_SD_W_S * step_s) ** 2
            gain = predicted_w2 / (predicted_w2 + NOISE_W**2 + self._spread_w[at] ** 2)
            self.shown_w[at] += gain * (raw_w[at] - self.shown_w[at])
            self._variance_w2[at] = (1.0 - gain) * predicted_w2
        return per_phase(self.shown_w)


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
