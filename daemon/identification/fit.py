"""Phase, gain, dead time and lag of one slave, from when it was switched and what the meter showed.

A grid over dead time and lag, coarse and then finer; the gain by robust least squares; the noise of the house
as one of three colours, by likelihood. All grid points nearly as likely as the best one are the interval.
"""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from daemon.identification.likelihood import high_pass, score
from daemon.identification.response import RAMP_W_PER_S, Smoothing, Values, responses_w
from daemon.identification.spread import ActuatorResponse, Switchings, delay_spread

DEAD_TIMES_S = np.arange(0.0, 9.0, 0.3)
LAGS_S = np.geomspace(0.1, 20.0, 12)
LAG_RANGE_S = (0.03, 30.0)
POLES = (0.0, 0.6, 0.9)
INSIDE_NATS = 3.84
"""Twice the textbook's for 95 %: the noise is not quite what is assumed."""
ROUNDS = 3
"""Of dead time and lag, then the delay of each switching, again and again."""
DRAWN_SDS = 2.2
"""Where each command takes a time of its own, the mean of a dozen says no more of the mean of all: the 97.5 %
point of Student's t with 11 degrees of freedom."""
GRID_S, GRID_LAG_SHARE, GRID_GAIN = 0.05, 0.03, 0.003
"""The grid's own share of the uncertainty."""


@dataclass(frozen=True, slots=True)
class IntervalEstimate:
    """A number and the interval in which the true one lies, 95 of 100 times."""

    value: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """Of the interval."""
        return self.high - self.low


@dataclass(frozen=True, slots=True)
class ResponseFit:
    """What the readings say. Dead time from the command to where the meter shows its first effect.

    `gains` are watts at the meter per watt told on each phase (+ import), with `gain_sds`; `phase` is where
    it is surest, None for all three. `gain` and `gain_sd` are of that phase, or of their sum.
    `dead_time_s` holds the meter's own lateness, half the window of a meter that averages included.
    `reading_interval_s` is between two new readings.
    """

    phase: int | None
    gain: float
    gain_sd: float
    gains: tuple[float, float, float]
    gain_sds: tuple[float, float, float]
    dead_time_s: IntervalEstimate
    dead_time_sd_s: float
    lag_s: IntervalEstimate
    noise_w: float
    reading_interval_s: float
    averages: bool
    switchings: int


def fit_response(
    switch_at_s: Values,
    changes_w: Values,
    reading_at_s: Values,
    grid_w: Values,
    is_three_phase: bool = False,
    is_ramped: bool = True,
) -> ResponseFit:
    """Fit one slave.

    Args:
        switch_at_s: when each change went on air, rising, [k].
        changes_w: how much more it was told from then on, [k].
        reading_at_s: when each reading was taken, rising, [n].
        grid_w: the readings, [n, 3], + import.
        is_three_phase: whether it is said to draw alike from all phases.
        is_ramped: whether it surely moves with the ramp of the setpoint protocol. A meter that averages over
            as long looks the same, and would put half of that on the dead time.
    """
    fresh = np.flatnonzero(np.r_[True, np.any(np.diff(grid_w, axis=0) != 0.0, axis=1)])
    at_s, seen_w = reading_at_s[fresh], grid_w[fresh]  # a slow meter repeats itself: that is no answer
    interval_s = float(np.median(np.diff(at_s)))
    phase = None if is_three_phase else _surest_phase(switch_at_s, changes_w, at_s, seen_w)
    column_w = seen_w.sum(axis=1) if phase is None else seen_w[:, phase]
    seen = Switchings(switch_at_s, changes_w, at_s, column_w)
    response = _coarse(seen, interval_s, is_ramped)
    shifts_s, sd_s, sd_high_s = np.zeros(switch_at_s.size), 0.0, 0.0
    for _ in range(ROUNDS):
        moved = replace(seen, at_s=switch_at_s + shifts_s)
        response, dead_time, lag, gain_sd = _fine(moved, response)
        found = delay_spread(seen, response, shifts_s)
        sd_high_s = found.sd_high_s
        if found.sd_s == 0.0 and sd_s == 0.0:
            break
        shifts_s, sd_s = found.shifts_s, found.sd_s
    shift_s = 0.5 * response.smoothing.window_s
    drawn_s = DRAWN_SDS * sd_high_s / np.sqrt(max(1, switch_at_s.size))
    gains, gain_sds = _by_phase(replace(seen, at_s=switch_at_s + shifts_s), seen_w, response)
    return ResponseFit(
        phase=phase,
        gain=response.gain,
        gain_sd=gain_sd + GRID_GAIN,
        gains=gains,
        gain_sds=gain_sds,
        dead_time_s=_widened(dead_time, shift_s, GRID_S + drawn_s),
        dead_time_sd_s=sd_s,
        lag_s=_widened(lag, 0.0, GRID_LAG_SHARE * (lag.value + 1.0)),
        noise_w=response.scale_w,
        reading_interval_s=interval_s,
        averages=response.smoothing.window_s > 0.0,
        switchings=int(switch_at_s.size),
    )


def _widened(estimate: IntervalEstimate, shift_s: float, by_s: float) -> IntervalEstimate:
    value_s = estimate.value + shift_s
    return IntervalEstimate(value_s, max(0.0, estimate.low + shift_s - by_s), estimate.high + shift_s + by_s)


def _surest_phase(switch_at_s: Values, changes_w: Values, at_s: Values, seen_w: Values) -> int:
    """Where the gain stands out of its uncertainty most: likelihoods of different phases do not compare."""
    rows = high_pass(responses_w(at_s, switch_at_s, changes_w, DEAD_TIMES_S, LAGS_S, Smoothing()), 0.0)
    sure = []
    for phase in range(3):
        scored = score(rows, high_pass(seen_w[:, phase], 0.0))
        best = int(np.argmax(scored.log_likelihood))
        sure.append(abs(scored.gain[best]) / scored.gain_sd[best])
    return int(np.argmax(sure))


def _coarse(seen: Switchings, interval_s: float, is_ramped: bool) -> ActuatorResponse:
    """The best of the coarse grid, for a meter of the moment or one that averages, with the slave's ramp and,
    where that is not sure, without."""
    best, best_likelihood = None, -np.inf
    ramp_s = float(np.abs(seen.changes_w).max()) / RAMP_W_PER_S
    for window_s, ramped_s in product((0.0, interval_s), (ramp_s,) if is_ramped else (0.0, ramp_s)):
        smoothing = Smoothing(window_s, ramped_s)
        rows_w = responses_w(seen.reading_at_s, seen.at_s, seen.changes_w, DEAD_TIMES_S, LAGS_S, smoothing)
        for pole in POLES:  # the filters have unit determinant: their likelihoods compare
            scored = score(high_pass(rows_w, pole), high_pass(seen.seen_w, pole))
            place = int(np.argmax(scored.log_likelihood))
            if best is None or scored.log_likelihood[place] > best_likelihood:
                best_likelihood = scored.log_likelihood[place]
                lag_place, dead_place = divmod(place, DEAD_TIMES_S.size)
                best = ActuatorResponse(
                    float(DEAD_TIMES_S[dead_place]),
                    float(LAGS_S[lag_place]),
                    float(scored.gain[place]),
                    float(scored.scale_w[place]),
                    pole,
                    smoothing,
                )
    assert best is not None
    return best


def _fine(
    seen: Switchings, start: ActuatorResponse
) -> tuple[ActuatorResponse, IntervalEstimate, IntervalEstimate, float]:
    """Finer grids around a start: the response, the intervals of dead time and lag, the gain's deviation."""
    passed_w = high_pass(seen.seen_w, start.pole)
    dead_s, lag_s = start.dead_time_s, start.lag_s
    for reach in (0.9, 0.45):
        dead_times_s = np.unique(np.maximum(0.0, dead_s + np.linspace(-reach, reach, 25)))
        lags_s = np.unique(np.clip(lag_s * np.exp(np.linspace(-reach, reach, 17)), *LAG_RANGE_S))
        rows_w = responses_w(
            seen.reading_at_s, seen.at_s, seen.changes_w, dead_times_s, lags_s, start.smoothing
        )
        scored = score(high_pass(rows_w, start.pole), passed_w)
        place = int(np.argmax(scored.log_likelihood))
        lag_place, dead_place = divmod(place, dead_times_s.size)
        dead_s, lag_s = float(dead_times_s[dead_place]), float(lags_s[lag_place])
    nearness = scored.log_likelihood - scored.log_likelihood[place]
    weight = np.exp(nearness)
    weight /= weight.sum()
    every_dead_s, every_lag_s = np.tile(dead_times_s, lags_s.size), np.repeat(lags_s, dead_times_s.size)
    inside = nearness > -INSIDE_NATS
    dead = IntervalEstimate(float(weight @ every_dead_s), *_span(every_dead_s[inside]))
    lag = IntervalEstimate(float(np.exp(weight @ np.log(every_lag_s))), *_span(every_lag_s[inside]))
    response = replace(
        start,
        dead_time_s=dead.value,
        lag_s=lag.value,
        gain=float(scored.gain[place]),
        scale_w=float(scored.scale_w[place]),
    )
    return response, dead, lag, float(scored.gain_sd[place])


def _span(values: Values) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _by_phase(
    seen: Switchings, seen_w: Values, response: ActuatorResponse
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Gain of the response found on each phase, and its standard deviation."""
    row_w = responses_w(
        seen.reading_at_s,
        seen.at_s,
        seen.changes_w,
        np.array([response.dead_time_s]),
        np.array([response.lag_s]),
        response.smoothing,
    )
    passed_w = high_pass(row_w, response.pole)
    scored = [score(passed_w, high_pass(column_w, response.pole)) for column_w in seen_w.T]
    a, b, c = (float(one.gain[0]) for one in scored)
    sd_a, sd_b, sd_c = (float(one.gain_sd[0]) for one in scored)
    return (a, b, c), (sd_a, sd_b, sd_c)
