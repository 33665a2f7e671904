"""Far ends of simulated hours: slaves, radio and meter of a site, usual or with a fault.

The usual far end is drawn as `daemon.simulation.simulate.Scenario.far_end` draws it from the same seed.
Trouble changes what its name says and leaves all other luck as it is.
"""

from dataclasses import replace
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray

from core.site import Slave
from daemon.simulation.simulate import HEATER_W, HEATERS_PER_PHASE
from plant.radio.link import LOST, draw_delays, draw_link, draw_noise
from plant.site.actuators import sample_actuators
from plant.site.trace import DAY_S
from training.batched.simulator import PLACES

LOSS = 0.10
"""Of the frames, per slave, where the radio is lossy; usual are 1 to 5 %."""
FEWEST_SLAVES = 2
"""Per phase of another site; `PLACES` is the most."""

Floats = NDArray[np.float64]


class FaultScenario(Enum):
    """What differs from the usual site. Nobody tells the controller, except how many slaves there are."""

    NONE = "none"
    LOSSY = "10 % of frames lost"
    MISSING_SLAVE = "a slave missing"
    OTHER_SITES = "2 to 4 slaves per phase"
    MISLED = "estimator believes in 1 s too much"


TROUBLES = tuple(FaultScenario)


class SiteDay(NamedTuple):
    """A whole day's luck of one site; the day itself and its billing have no part in it."""

    slaves: NDArray[np.int64]  # [3], how many
    gain: Floats  # [3, PLACES]
    share: Floats  # [3, PLACES], of the way to the target in 1 s
    noise_w: Floats  # [DAY_S, 3]
    delays: NDArray[np.int8]  # [DAY_S, 3, PLACES]
    told_s: int


@lru_cache(maxsize=32)
def far_end(seed: int, extra_delay_s: int, trouble: FaultScenario) -> SiteDay:
    """Draw one; `extra_delay_s` is added to every frame and told to nobody."""
    slaves, radio, meter, other = map(default_rng, SeedSequence(seed).spawn(4))
    counts = np.full(3, HEATERS_PER_PHASE)
    if trouble is FaultScenario.OTHER_SITES:
        counts = other.integers(FEWEST_SLAVES, PLACES + 1, 3)
    places = np.arange(PLACES) < counts[:, None]
    gain, share = _actuators(slaves, counts, places)
    if trouble is FaultScenario.MISSING_SLAVE:
        gain[other.integers(3), other.integers(HEATERS_PER_PHASE)] = 0.0
    link = draw_link(radio)
    if trouble is FaultScenario.LOSSY:
        link = replace(link, loss=LOSS)
    delays = np.full((DAY_S, 3, PLACES), LOST, np.int8)
    delays[:, places] = draw_delays(radio, link, DAY_S, int(counts.sum()), extra_delay_s)
    told_s = int(trouble is FaultScenario.MISLED)
    return SiteDay(counts, gain, share, draw_noise(meter, DAY_S), delays, told_s)


def _actuators(
    luck: Generator, counts: NDArray[np.int64], places: NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Gain and share of every place, [3, PLACES]; 1 where there is no slave."""
    phases = np.repeat(np.arange(3), counts).tolist()
    slaves = [Slave(slot, f"heater {slot + 1}", phase, HEATER_W) for slot, phase in enumerate(phases)]
    actuators = sample_actuators(luck, slaves)
    gain, share = np.ones((3, PLACES)), np.ones((3, PLACES))
    gain[places] = [actuator.gain for actuator in actuators]
    share[places] = 1.0 - np.exp([-1.0 / actuator.lag_s for actuator in actuators])
    return gain, share
