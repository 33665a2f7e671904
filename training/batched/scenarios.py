"""Far ends of simulated hours: slaves, radio and meter of a site, usual, with a fault, or of the family.

They are drawn as `daemon.simulation.simulate.Scenario.far_end` draws them from the same seed. Trouble changes
what its name says and leaves all other randomness as it is.
"""

from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray

from core.estimation.actuator_model import response_groups
from core.site import Slave
from daemon.simulation.simulate import HEATER_W, HEATERS_PER_PHASE
from plant.radio.link import LOST, draw_delays, draw_link, draw_noise
from plant.site.actuators import sample_actuators
from plant.site.description import Description, load_description
from plant.site.drawing import draw_actuators_of, draw_delays_of, pace_of, told
from plant.site.stepped import EVERY_SECOND, Pace
from plant.site.trace import DAY_S
from training.batched.simulator import PLACES, SLAVE_W

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


@dataclass(frozen=True)
class FamilyMember:
    """A member of the family by its name, and whether its site was told what commissioning would measure."""

    name: str
    is_told: bool = True


class SiteDay(NamedTuple):
    """A whole day's randomness of one site; the day itself and its billing have no part in it.

    `told` are dead time with the meter's lateness, its spread, lag and gain, [4, 3, PLACES]; none where
    nothing was measured. The noise of a reading stands in every second that shows it.
    """

    slaves: NDArray[np.int64]  # [3], how many
    gain: Floats  # [3, PLACES]
    share: Floats  # [3, PLACES], of the way to the target in 1 s
    noise_w: Floats  # [DAY_S, 3]
    delays: NDArray[np.int8]  # [DAY_S, 3, PLACES]
    told_s: int
    told: Floats | None = None
    pace: Pace = EVERY_SECOND


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


def _actuators(rng: Generator, counts: NDArray[np.int64], places: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Gain and share of every place, [3, PLACES]; 1 where there is no slave."""
    phases = np.repeat(np.arange(3), counts).tolist()
    slaves = [Slave(slot, f"heater {slot + 1}", phase, HEATER_W) for slot, phase in enumerate(phases)]
    actuators = sample_actuators(rng, slaves)
    gain, share = np.ones((3, PLACES)), np.ones((3, PLACES))
    gain[places] = [actuator.gain for actuator in actuators]
    share[places] = 1.0 - np.exp([-1.0 / actuator.lag_s for actuator in actuators])
    return gain, share


@lru_cache(maxsize=32)
def member_end(member: FamilyMember, seed: int, extra_delay_s: int) -> SiteDay:
    """Draw the far end of a member; `extra_delay_s` is added to every frame and told to nobody.

    Raises:
        ValueError: a batch cannot be that site: it has other slaves, or moves faster than by the second.
    """
    description = load_description(member.name)
    pace = pace_of(description)
    _require_batchable(description, pace)
    slaves, radio, meter, others = map(default_rng, SeedSequence(seed).spawn(4))
    actuators = draw_actuators_of(description, slaves, others)
    counts = np.bincount([actuator.phase for actuator in actuators], minlength=3)
    places = np.arange(PLACES) < counts[:, None]
    delays = np.full((DAY_S, 3, PLACES), LOST, np.int8)
    drawn = draw_delays_of(description.radio, radio, DAY_S, len(actuators), float(extra_delay_s), pace)
    delays[:, places] = drawn + np.where(drawn == LOST, 0, [round(a.dead_time_s) for a in actuators])
    readings = DAY_S // pace.reading_steps + 1
    noise_w = draw_noise(meter, readings, description.meter.noise_w).repeat(pace.reading_steps, axis=0)
    gain = _by_place([actuator.gain for actuator in actuators], places)
    lag_s = _by_place([actuator.lag_s for actuator in actuators], places)
    measured = _measured(description, seed, places) if member.is_told else None
    return SiteDay(counts, gain, 1.0 - np.exp(-1.0 / lag_s), noise_w[:DAY_S], delays, 0, measured, pace)


def _measured(description: Description, seed: int, places: NDArray[np.bool_]) -> Floats:
    """What commissioning would tell the site, [4, 3, PLACES] as in `SiteDay.told`."""
    slaves = told(description.core_site().slaves, description, seed)
    site = replace(description.core_site(), slaves=slaves, meter_delay_s=description.meter.lateness_s(1.0))
    alone = [response_groups(replace(site, slaves=(slave,)))[0] for slave in slaves]
    rows = [
        [group.dead_time_s or 0.0 for group in alone],
        [group.dead_time_sd_s for group in alone],
        [group.lag_s for group in alone],
        [group.gain for group in alone],
    ]
    return np.stack([_by_place(row, places) for row in rows])


def _by_place(values: list[float], places: NDArray[np.bool_]) -> Floats:
    """One value for each slave, at its place, [3, PLACES]; 1 where there is none."""
    table = np.ones((3, PLACES))
    table[places] = values
    return table


def _require_batchable(description: Description, pace: Pace) -> None:
    if pace.step_s != 1.0 or pace.tick_steps != 1:
        raise ValueError(f"{description.name} moves faster than by the second, which batches do not")
    for part, slave in description.parts():
        if slave.max_w != SLAVE_W or slave.is_three_phase or slave.levels_w or slave.min_w or part.thermostat:
            raise ValueError(f"{description.name} has slaves that are no heaters of {SLAVE_W:.0f} W")
