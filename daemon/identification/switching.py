"""When a slave is switched so that its answer can be told from the house's own changes."""

import numpy as np
from numpy.random import Generator

HOLDS_S = (4.0, 8.0, 12.0, 24.0)
"""Drawn at random: short ones show the dead time, long ones the gain and a slow lag."""
QUIET_S = 10.0
"""Before the first switching and after the last."""
LENGTHS_S = (120.0, 240.0, 480.0, 900.0)
"""After each of these the numbers are judged; the last is the end."""


def switching_instants(rng: Generator, length_s: float, period_s: float) -> tuple[float, ...]:
    """Seconds from the start at which a slave is switched: on, off, on, ...

    Each instant has a part of the period of its own: readings once a period then see the answer at many
    different ages, which makes a dead time far shorter than the period visible (four times as exact).

    Args:
        length_s: of the whole sequence.
        period_s: between two readings.
    """
    holds_s = rng.choice(HOLDS_S, int(length_s / HOLDS_S[0]))
    at_s = QUIET_S + np.cumsum(holds_s)
    at_s = at_s[at_s < length_s - QUIET_S]
    at_s = at_s[: at_s.size - at_s.size % 2]  # what was switched on is switched off
    return tuple((at_s + rng.uniform(0.0, min(period_s, 2.0), at_s.size)).tolist())
