"""From the description of a true site and a seed to its far end: slaves, radio and meter are drawn."""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, gcd

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from core.roles import sign
from core.site import Slave
from plant.radio.link import BURST_EVERY_S, BURST_S, LOST, draw_delays, draw_link, draw_noise
from plant.site.actuators import Actuator, Thermostat
from plant.site.description import WATER_WH_PER_L_K, Description, RadioPart, Range, SlavePart
from plant.site.stepped import Pace, SteppedSite, bare_grid_w
from plant.site.trace import DAY_S, Trace

FINE_MS = 100
"""Steps where anything is faster than seconds: short against the lags that slaves have."""
SHORTEST_LAG_S = 1.0
"""Slaves that are faster than this need fine steps, but those that are only switched."""


def draw_far_end(
    description: Description,
    trace: Trace,
    connection: str,
    seed: int = 0,
    start_s: int = 0,
    extra_delay_s: float = 0.0,
) -> SteppedSite:
    """The far end at its first second, slaves at rest.

    Every tick of a day has its own randomness, so a part of the day lives what the whole day lives there.

    Args:
        trace: of the day that is lived.
        connection: how the inverter feeds the phases, a key of `plant.site.physics.PHASE_SHARES`.
        extra_delay_s: added to what is described.
    """
    slaves, radio, meter, others = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(4))
    actuators = draw_actuators_of(description, slaves, others)
    pace = pace_of(description)
    ticks = ceil(DAY_S / (pace.step_s * pace.tick_steps))
    delays = draw_delays_of(description.radio, radio, ticks, len(actuators), extra_delay_s, pace)
    readings = ceil(DAY_S / (pace.step_s * pace.reading_steps)) + 1
    noise_w = draw_noise(meter, readings, description.meter.noise_w)
    bare_w = bare_grid_w(scaled(trace, description), connection)
    return SteppedSite(
        bare_w,
        actuators,
        delays,
        noise_w,
        sign(description.site.role),
        start_s,
        description.radio.ttl_s,
        pace,
    )


def scaled(trace: Trace, description: Description) -> Trace:
    """The day with the house's loads and PV power as described."""
    house = description.house
    if house.pv_scale == house.load_scale == 1.0:
        return trace
    return replace(trace, load_w=trace.load_w * house.load_scale, pv_w=trace.pv_w * house.pv_scale)


def draw_actuators_of(description: Description, rng: Generator, other_rng: Generator) -> tuple[Actuator, ...]:
    """Every slave as it really is; gain and lag are drawn as `plant.site.actuators.sample_actuators` does."""
    actuators = []
    for part, slave in description.parts():
        gain, lag_s = float(rng.uniform(*part.gain)), float(rng.uniform(*part.lag_s))
        actuators.append(
            Actuator(
                slave.slot,
                slave.phase,
                slave.max_w,
                gain,
                lag_s,
                slave.is_three_phase,
                float(part.min_w),
                tuple(map(float, part.levels_w)),
                _drawn(other_rng, part.dead_time_s),
                part.ramp_w_per_s,
                _thermostat(part, other_rng),
            )
        )
    return tuple(actuators)


def told(slaves: Sequence[Slave], description: Description, seed: int) -> tuple[Slave, ...]:
    """The slaves with what commissioning would measure on this far end: mean dead time, lag and gain.

    Args:
        slaves: as the controller knows them, in the order of the description.
        seed: of the far end.
    """
    rng, radio, _, others = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(4))
    actuators = draw_actuators_of(description, rng, others)
    pace = pace_of(description)
    delays = draw_delays_of(description.radio, radio, DAY_S, len(actuators), 0.0, pace)
    heard = np.ma.masked_equal(delays, LOST)
    means_s, spreads_s = heard.mean(axis=0) * pace.step_s, heard.std(axis=0) * pace.step_s
    return tuple(
        replace(
            slave,
            dead_time_s=float(mean_s) + actuator.dead_time_s,
            dead_time_sd_s=float(spread_s),
            lag_s=actuator.lag_s,
            gain=actuator.gain,
        )
        for slave, actuator, mean_s, spread_s in zip(slaves, actuators, means_s, spreads_s, strict=True)
    )


def pace_of(description: Description) -> Pace:
    """Whole seconds where everything is, else fine steps into which ticks and readings divide."""
    meter, period_s = description.meter, description.site.period_s
    spans_ms = [round(1000 * s) for s in (1.0, period_s, meter.period_s, meter.delay_s) if s > 0.0]
    if _is_fast(description):
        spans_ms.append(FINE_MS)
    step_ms = gcd(*spans_ms)
    return Pace(
        step_s=step_ms / 1000,
        tick_steps=round(1000 * period_s) // step_ms,
        reading_steps=round(1000 * meter.period_s) // step_ms,
        late_steps=round(1000 * meter.delay_s) // step_ms,
        averages=meter.reading == "averaged",
        resolution_w=meter.resolution_w,
    )


def _is_fast(description: Description) -> bool:
    slaves = description.slaves
    return (
        description.radio.delay_s != "zigbee"
        or any(part.lag_s[0] < SHORTEST_LAG_S and not part.levels_w for part in slaves)
        or any(not s.is_integer() for part in slaves for s in part.dead_time_s)
    )


def draw_delays_of(
    radio: RadioPart, rng: Generator, ticks: int, slaves: int, extra_delay_s: float, pace: Pace
) -> NDArray[np.int16]:
    """Steps until a frame of each tick reaches each slave, [ticks, slaves], or `plant.radio.link.LOST`."""
    extra_s = radio.extra_delay_s + extra_delay_s
    if radio.delay_s == "zigbee":
        link = draw_link(rng)
        if radio.loss is not None:
            link = replace(link, loss=_drawn(rng, radio.loss))
        if not radio.has_bursts:
            link = replace(link, burst_every_s=np.inf)
        seconds = (np.arange(ticks) * (pace.tick_steps * pace.step_s)).astype(np.int64)
        delays = draw_delays(rng, link, DAY_S, slaves, extra_s)[seconds].astype(np.int16)
        return np.where(delays == LOST, LOST, delays * round(1.0 / pace.step_s)).astype(np.int16)
    delay_s = rng.uniform(*radio.delay_s, (ticks, slaves)) + extra_s
    lost = rng.random((ticks, slaves)) < _drawn(rng, radio.loss or (0.0, 0.0))
    if radio.has_bursts:
        tick_s = pace.tick_steps * pace.step_s
        for start in np.flatnonzero(rng.random(ticks) < tick_s / BURST_EVERY_S):
            lost[start : start + ceil(rng.integers(BURST_S[0], BURST_S[1] + 1) / tick_s)] = True
    steps = np.maximum(1, np.ceil(delay_s / pace.step_s - 1.0e-9))
    steps = np.where(steps == LOST, LOST + 1, steps)  # the number that means lost
    return np.where(lost, LOST, steps).astype(np.int16)


def _thermostat(part: SlavePart, rng: Generator) -> Thermostat | None:
    store = part.thermostat
    if store is None:
        return None
    return Thermostat(
        store.volume_l * WATER_WH_PER_L_K,
        store.loss_w_per_k,
        store.room_c,
        _drawn(rng, store.start_c),
        store.open_c,
        store.close_c,
    )


def _drawn(rng: Generator, span: Range) -> float:
    return float(rng.uniform(*span))
