"""Small days for tests of the training side."""

import numpy as np

from plant.trace import DAY_S, Trace


def swinging_day(period_s: float = 90.0, load_w: float = 300.0) -> Trace:
    """`load_w` per phase; PV swings between 2 and 8 kW all day long."""
    t = np.arange(DAY_S)
    return Trace(
        "swinging", np.full((DAY_S, 3), load_w), 5000.0 + 3000.0 * np.sin(2.0 * np.pi * t / period_s)
    )
