"""A slave of the plant is switched as `sunkeep commission` does it, in accelerated time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from daemon.identification.switching import LENGTHS_S, switching_instants
from plant.site.description import Description, load_description
from plant.site.drawing import draw_far_end, told
from plant.site.trace import load_trace

STEP_S = 0.1
REPEAT_AFTER_S = 2.0
REPEAT_EVERY_S = 4.0
NOON_S, EVENING_S = 12.5 * 3600, 19.0 * 3600


@dataclass(frozen=True, slots=True)
class SwitchedSite:
    """What commissioning sees of one slave, and the truth."""

    switch_at_s: NDArray[np.float64]
    changes_w: NDArray[np.float64]
    reading_at_s: NDArray[np.float64]
    grid_w: NDArray[np.float64]
    dead_time_s: float
    lag_s: float
    gain: float
    phase: int


def fine(name: str) -> Description:
    """A member of the family in steps of 0.1 s, so that switching between two ticks is possible."""
    description = load_description(name)
    slaves = tuple(
        part.model_copy(update={"dead_time_s": (0.1, 0.1)}) if part.dead_time_s == (0.0, 0.0) else part
        for part in description.slaves
    )
    return description.model_copy(update={"slaves": slaves})


def switched_site(
    description: Description, start_s: float, seed: int, place: int = 0, told_w: int | None = None
) -> SwitchedSite:
    """Switch one slave for 900 s on the shipped day."""
    rng = np.random.default_rng(seed)
    site = draw_far_end(description, load_trace(), "3ph", seed=seed, start_s=int(start_s))
    slaves = description.core_site().slaves
    truth = told(slaves, description, seed)[place]
    watts = min(slaves[place].max_w, 1990) if told_w is None else told_w
    at_s = np.array(switching_instants(rng, LENGTHS_S[-1], 1.0))
    changes_w = watts * np.where(np.arange(at_s.size) % 2 == 0, 1.0, -1.0)
    sending = _sending(at_s.tolist(), LENGTHS_S[-1])
    levels_w = np.r_[0.0, np.cumsum(changes_w)]
    setpoints_w = [0] * len(slaves)
    readings = []
    for step in range(round(LENGTHS_S[-1] / STEP_S)):
        if step % round(1.0 / STEP_S) == 0:
            readings.append(site.meter_w)
        if step in sending:
            setpoints_w[place] = int(levels_w[sending[step]])
            site.transmit(setpoints_w)
        site.step()
    return SwitchedSite(
        np.round(at_s / STEP_S) * STEP_S,
        changes_w,
        np.arange(LENGTHS_S[-1]),
        np.array(readings),
        (truth.dead_time_s or 0.0) + _lateness_s(description),
        truth.lag_s or 0.0,
        truth.gain or 1.0,
        slaves[place].phase,
    )


def _sending(at_s: Sequence[float], length_s: float) -> dict[int, int]:
    """Steps at which a frame goes out, and how many switchings were before it."""
    steps = {}
    for count, (first_s, last_s) in enumerate(zip([0.0, *at_s], [*at_s, length_s], strict=True)):
        repeat_s = first_s
        while repeat_s == first_s or repeat_s < last_s - 2.0:
            steps[round(repeat_s / STEP_S)] = count
            repeat_s += REPEAT_AFTER_S if repeat_s == first_s else REPEAT_EVERY_S
    return steps


def _lateness_s(description: Description) -> float:
    meter = description.meter
    return meter.delay_s + (0.5 * meter.period_s if meter.reading == "averaged" else 0.0)


def until(site: SwitchedSite, length_s: float) -> SwitchedSite:
    """The first part of it."""
    readings, switches = site.reading_at_s < length_s, site.switch_at_s < length_s
    return replace(
        site,
        switch_at_s=site.switch_at_s[switches],
        changes_w=site.changes_w[switches],
        reading_at_s=site.reading_at_s[readings],
        grid_w=site.grid_w[readings],
    )
