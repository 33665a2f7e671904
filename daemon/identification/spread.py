"""By how much the dead time differs from command to command: each switching has a delay of its own."""

from dataclasses import dataclass

import numpy as np

from daemon.identification.likelihood import high_pass, student_t
from daemon.identification.response import Smoothing, Values, step_response

SHIFT_MAX_S = 3.0
SHIFTS_S = np.linspace(-SHIFT_MAX_S, SHIFT_MAX_S, 61)
SPREADS_S = (0.1, 0.15, 0.2, 0.3, 0.45, 0.65, 0.9, 1.2, 1.6)
BELIEVED_NATS = 3.0
"""A spread that explains the readings no better than this is none."""
POSSIBLE_NATS = 1.92
"""So much less likely than the best one, a spread is possible yet: the textbook's 95 %."""


@dataclass(frozen=True, slots=True)
class DelaySpread:
    """Spread of the dead time (standard deviation), and how much later than the mean each switching acted.

    `sd_high_s` is the largest spread that explains the readings nearly as well as the best one does.
    """

    sd_s: float
    shifts_s: Values
    sd_high_s: float


@dataclass(frozen=True, slots=True)
class Switchings:
    """What was switched, and what the meter showed on one phase."""

    at_s: Values
    changes_w: Values
    reading_at_s: Values
    seen_w: Values


@dataclass(frozen=True, slots=True)
class ActuatorResponse:
    """One believed response; `pole` is of the noise."""

    dead_time_s: float
    lag_s: float
    gain: float
    scale_w: float
    pole: float
    smoothing: Smoothing


def delay_spread(seen: Switchings, response: ActuatorResponse, before: Values) -> DelaySpread:
    """The delay of each switching, given the others as in `before` (shifts in s), and their spread."""
    likelihoods = _by_shift(seen, response, before)
    fixed = likelihoods[:, _nearest(0.0)].sum()
    best, spread_s, posterior = fixed + BELIEVED_NATS, 0.0, None
    found = {0.0: float(fixed)}
    for sd_s in SPREADS_S:
        prior = -0.5 * (SHIFTS_S / sd_s) ** 2
        joint = likelihoods + (prior - np.logaddexp.reduce(prior))
        evidence = np.logaddexp.reduce(joint, axis=1)
        found[sd_s] = float(evidence.sum())
        if evidence.sum() > best:
            best, spread_s = evidence.sum(), sd_s
            posterior = np.exp(joint - evidence[:, None])
    shifts_s = np.zeros(seen.at_s.size) if posterior is None else posterior @ SHIFTS_S
    likeliest = max(found.values())
    high_s = max(sd_s for sd_s, nats in found.items() if nats >= likeliest - POSSIBLE_NATS)
    centred_s = shifts_s - shifts_s.mean() if shifts_s.size else shifts_s
    return DelaySpread(spread_s, centred_s, max(high_s, spread_s))


def _by_shift(seen: Switchings, response: ActuatorResponse, before: Values) -> Values:
    """Log likelihood of every shift of every switching, [switchings, shifts]."""
    ages_s = seen.reading_at_s[:, None] - (seen.at_s + before)[None, :] - response.dead_time_s
    shares = step_response(ages_s, response.lag_s, response.smoothing)
    rest_w = seen.seen_w - response.gain * (shares @ seen.changes_w)
    found = []
    for place, change_w in enumerate(seen.changes_w):
        age_s = seen.reading_at_s - seen.at_s[place] - response.dead_time_s
        near = (age_s > -SHIFT_MAX_S - 2.0) & (age_s < SHIFT_MAX_S + 2.0 + 2.0 * response.lag_s)
        moved = step_response(age_s[near][None, :] - SHIFTS_S[:, None], response.lag_s, response.smoothing)
        own_w = response.gain * change_w * (shares[near, place][None, :] - moved)
        passed_w = high_pass(rest_w[near][None, :] + own_w, response.pole)
        found.append(student_t(passed_w, response.scale_w).sum(-1))
    return np.array(found)


def _nearest(shift_s: float) -> int:
    return int(np.argmin(np.abs(SHIFTS_S - shift_s)))
