"""Gains of the fallbacks from what was measured: dead time and lag of the slaves.

PI: the form of SIMC (Skogestad 2003; Grimholt and Skogestad 2012) with its constants fitted to this loop,
where the disturbance adds to the output and export costs twice: within 8 % of the best of a grid of gains on
fourteen sites between 0.1 and 6 s of dead time and 0.3 and 8 s of lag. A dead time told 0.3 s too short can
oscillate, 0.3 s too long costs little: the rule takes the upper end of what was measured.
"""

from dataclasses import replace

from core.arrays import sum_in_order
from core.estimation.actuator_model import DEAD_TIME_MAX_S, ResponseGroup, response_groups
from core.estimation.learned_response import LearnedResponse
from core.site import Site
from safety.pi import PiGains
from safety.predictive import PredictiveGains

LAG_WEIGHT = 0.60
DEAD_TIME_WEIGHT = 0.33
INTEGRAL_WEIGHT = 0.90
KP_RANGE = (0.02, 4.0)
KI_MAX = 4.0
TREND_BASE_S = 0.4
TREND_PER_LAG = 0.6
QUICK_LAG_S = 0.5
"""Below this, and where the lag is the longer one, the trend of the usual site looks too far ahead."""


def pi_gains_by_phase(site: Site, gains: PiGains) -> tuple[PiGains, PiGains, PiGains]:
    """Gains for each phase: by the rule where all of its slaves were measured, else as given.

    Args:
        gains: of a site where nothing was measured; `margin_w` is kept.
    """
    a, b, c = (
        gains if dynamics is None else _pi_gains(dynamics[0] + dynamics[2], dynamics[1], site.period_s, gains)
        for dynamics in _dynamics(site)
    )
    return a, b, c


def predictive_gains_by_phase(
    site: Site, gains: PredictiveGains
) -> tuple[PredictiveGains, PredictiveGains, PredictiveGains]:
    """The trend looks as far as the lag makes a change late; the other gains hold on every site."""
    a, b, c = (
        gains if dynamics is None else _predictive_gains(dynamics[0], dynamics[1], gains)
        for dynamics in _dynamics(site)
    )
    return a, b, c


def learned_pi_gains(learned: LearnedResponse, period_s: float, gains: PiGains) -> PiGains:
    """Those of a phase by what its moves have told: the upper end of its dead time, as above."""
    return _pi_gains(learned.dead_time_high_s, learned.lag_s, period_s, gains)


def learned_predictive_gains(learned: LearnedResponse, gains: PredictiveGains) -> PredictiveGains:
    """Those of a phase by what its moves have told."""
    return _predictive_gains(learned.dead_time_s, learned.lag_s, gains)


def _predictive_gains(dead_time_s: float, lag_s: float, gains: PredictiveGains) -> PredictiveGains:
    if QUICK_LAG_S <= lag_s <= dead_time_s:
        return gains
    return replace(gains, trend_s=TREND_BASE_S + TREND_PER_LAG * lag_s)


def _pi_gains(dead_time_s: float, lag_s: float, period_s: float, gains: PiGains) -> PiGains:
    """The rule. The estimator counts in watts told, so the slaves' gain is in it already."""
    wait_s = dead_time_s + 0.5 * period_s
    low, high = KP_RANGE
    kp = (LAG_WEIGHT * lag_s + DEAD_TIME_WEIGHT * dead_time_s) / wait_s
    return replace(gains, kp=min(max(kp, low), high), ki=min(INTEGRAL_WEIGHT / wait_s, KI_MAX))


def _dynamics(site: Site) -> list[tuple[float, float, float] | None]:
    """Longest dead time and mean lag of each phase's slaves, and how much longer the dead time may be; None
    where not all of them were measured."""
    found: list[tuple[float, float, float] | None] = []
    groups = response_groups(site)
    for phase in range(3):
        own = [group for group in groups if group.phase == phase]
        dead_times_s = [group.dead_time_s for group in own if group.dead_time_s is not None]
        if not own or len(dead_times_s) < len(own):
            found.append(None)
        else:
            longest_s, lag_s = max(dead_times_s), sum_in_order(group.weight * group.lag_s for group in own)
            found.append((longest_s, lag_s, _most_s(site, own) - longest_s))
    return found


def _most_s(site: Site, groups: list[ResponseGroup]) -> float:
    """The longest dead time that any of them may have: the upper end of what was measured."""
    most_s = 0.0
    for group in groups:
        slaves = [site.slaves[place] for place, _ in group.shares]
        beyond_s = [(slave.dead_time_high_s or 0.0) - (slave.dead_time_s or 0.0) for slave in slaves]
        most_s = max(most_s, (group.dead_time_s or 0.0) + max(0.0, *beyond_s))
    return min(most_s, DEAD_TIME_MAX_S)
