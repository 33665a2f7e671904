"""Dead time, the slave's own ramp and first-order lag after each switching, as the meter shows it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

FINE_S = 0.02
"""Between two points of a response; between them it is taken as straight."""
RAMP_W_PER_S = 1000.0
"""A slave of the setpoint protocol moves no faster (rule W2); others may."""


@dataclass(frozen=True, slots=True)
class Smoothing:
    """What spreads a step besides the lag: a meter that averages, the slave's ramp; 0 for neither."""

    window_s: float = 0.0
    ramp_s: float = 0.0


def step_response(age_s: Values, lag_s: float, smoothing: Smoothing) -> Values:
    """Share of a step that is seen at these ages (any shape), 0 before it."""
    grid_s = np.arange(-FINE_S, max(float(age_s.max(initial=0.0)), 0.0) + 2.0 * FINE_S, FINE_S)
    share = _smoothed(-np.expm1(-np.maximum(grid_s, 0.0) / lag_s), smoothing)
    return np.interp(age_s, grid_s, share)


def responses_w(
    reading_at_s: Values,
    switch_at_s: Values,
    changes_w: Values,
    dead_times_s: Values,
    lags_s: Values,
    smoothing: Smoothing,
) -> Values:
    """Power at each reading for every pair of dead time and lag.

    Returns:
        [lags * dead times, readings] in W, the dead times of one lag side by side.
    """
    start_s = float(switch_at_s[0]) - FINE_S
    grid_s = np.arange(start_s, max(float(reading_at_s[-1]), float(switch_at_s[-1])) + 2.0 * FINE_S, FINE_S)
    at_s = reading_at_s[None, :] - dead_times_s[:, None]
    return np.concatenate(
        [
            np.interp(at_s, grid_s, _smoothed(_course_w(grid_s, switch_at_s, changes_w, lag_s), smoothing))
            for lag_s in lags_s
        ]
    )


def _course_w(grid_s: Values, switch_at_s: Values, changes_w: Values, lag_s: float) -> Values:
    """First-order response to all switchings, without dead time."""
    course_w = np.zeros(grid_s.size)
    edges = [*np.searchsorted(grid_s, switch_at_s).tolist(), grid_s.size]
    level_w, target_w, last_s = 0.0, 0.0, float(switch_at_s[0])
    for place, change_w in enumerate(changes_w.tolist()):
        at_s = float(switch_at_s[place])
        level_w = target_w + (level_w - target_w) * np.exp(-(at_s - last_s) / lag_s)
        last_s, target_w = at_s, target_w + change_w
        part = slice(edges[place], edges[place + 1])
        course_w[part] = target_w + (level_w - target_w) * np.exp(-(grid_s[part] - last_s) / lag_s)
    return course_w


def _smoothed(course: Values, smoothing: Smoothing) -> Values:
    for span_s in (smoothing.ramp_s, smoothing.window_s):
        count = round(span_s / FINE_S)
        if count > 1:
            area = np.cumsum(course)
            before = np.r_[np.zeros(count), area[:-count]][: area.size]
            course = (area - before) / count
    return course
