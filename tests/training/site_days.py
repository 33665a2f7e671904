"""Small days for tests of the training side."""

from functools import cache

import numpy as np

from plant.trace import DAY_S, Trace, load_trace
from training.days import Day


def swinging_day(period_s: float = 90.0, load_w: float = 300.0) -> Trace:
    """`load_w` per phase; PV swings between 2 and 8 kW all day long."""
    t = np.arange(DAY_S)
    return Trace(
        "swinging", np.full((DAY_S, 3), load_w), 5000.0 + 3000.0 * np.sin(2.0 * np.pi * t / period_s)
    )


@cache
def _shipped() -> Trace:
    return load_trace()


class ShippedDay(Day):
    """The day that ships, under any name; read once."""

    def load(self) -> Trace:
        return _shipped()
