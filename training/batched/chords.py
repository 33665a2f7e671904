"""Broken cloud without end: a clear-sky index at 1 s from the chords that clouds draw over a site.

A line of clouds and gaps passes with the wind. Lengths of both follow a power law (Wood and Field, Journal
of Climate 2011); edges are about 100 m wide and pass with about 9 m/s (Lappalainen and Valkealahti 2016;
Jarvela, Lappalainen and Valkealahti 2020); small clouds let part of the light through, and bright edges lift
the gaps beside them, at most to 1.5 times the clear sky (Mol et al. 2023). It is for training beside
measured days; what decides is measured.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.batched.windows import SolarDay

Floats = NDArray[np.float64]

EXPONENT = 1.66
"""Of the density of chord lengths."""
CHORD_M = (100.0, 20_000.0)
"""Shorter ones are edges, longer ones a covered sky."""
SPEED_M_S, SPEED_SPREAD = 9.0, 0.4
"""Median and logarithmic spread of the speed with which edges pass, one for a day."""
EDGE_M, EDGE_SPREAD = 100.0, 0.5
OPAQUE_M = 750.0
"""Clouds with shorter chords are partly transparent."""
DEEP_INDEX = (0.15, 0.45)
"""Clear-sky index below a cloud that lets nothing through directly, one for a day."""
ENHANCED_MAX = 1.5
BRIGHT = 0.12
"""Mean enhancement beside an edge; it fades over `BRIGHT_M`."""
BRIGHT_M = 400.0


@dataclass(frozen=True)
class CloudWeather:
    """What stays for a day: speed in m/s, share of the sky that is covered, index below deep cloud."""

    speed_m_s: float
    cover: float
    deep_index: float


def draw_weather(rng: Generator) -> CloudWeather:
    """A day of broken cloud."""
    return CloudWeather(
        float(SPEED_M_S * np.exp(SPEED_SPREAD * rng.normal())),
        float(rng.uniform(0.2, 0.8)),
        float(rng.uniform(*DEEP_INDEX)),
    )


def chord_lengths_m(rng: Generator, count: int) -> Floats:
    """Lengths by the power law, cut at both ends."""
    low, high = (length ** (1.0 - EXPONENT) for length in CHORD_M)
    return np.asarray((low + rng.random(count) * (high - low)) ** (1.0 / (1.0 - EXPONENT)))


def clear_sky_index(rng: Generator, seconds: int, weather: CloudWeather) -> Floats:
    """The index of so many seconds, [seconds]: 1 below a clear sky."""
    path_m = seconds * weather.speed_m_s + 2.0 * CHORD_M[1]
    clouds_m, gaps_m = _line(rng, path_m, weather.cover)
    begin_m = np.concatenate([[0.0], np.cumsum(clouds_m + gaps_m)[:-1]]) + gaps_m
    at_m = CHORD_M[1] + weather.speed_m_s * np.arange(seconds)
    place = np.clip(np.searchsorted(begin_m, at_m) - 1, 0, len(begin_m) - 2)
    edge_m = EDGE_M * np.exp(EDGE_SPREAD * rng.normal(size=len(begin_m)))
    depth = (1.0 - weather.deep_index) * np.minimum(1.0, clouds_m / OPAQUE_M)
    bright = np.minimum(rng.exponential(BRIGHT, len(begin_m)), ENHANCED_MAX - 1.0)
    since_m = at_m - begin_m[place]
    left_m = begin_m[place] + clouds_m[place] - at_m
    ahead_m = begin_m[place + 1] - at_m
    shade = depth[place] * _edge(np.minimum(since_m, left_m), edge_m[place])
    shade += depth[place + 1] * _edge(-ahead_m, edge_m[place + 1])
    outside_m = np.minimum(np.maximum(-left_m, 0.0), np.maximum(ahead_m, 0.0))
    lift = bright[place] * np.exp(-outside_m / BRIGHT_M) * (left_m < 0.0)
    return np.asarray(np.clip(1.0 - shade + lift, 0.05, ENHANCED_MAX))


def with_broken_cloud(day: SolarDay, rng: Generator) -> SolarDay:
    """The day's load under another sun: a clear sky from its first to its last light, and drawn cloud."""
    first_s, end_s = day.lit_s
    span_s = max(1, end_s - first_s)
    height = np.sin(np.pi * (np.arange(span_s) + 0.5) / span_s)
    pv_w = np.zeros_like(day.pv_w)
    peak_w = float(np.quantile(day.pv_w[first_s:end_s], 0.99)) if span_s > 1 else 0.0
    pv_w[first_s:end_s] = peak_w * height * clear_sky_index(rng, span_s, draw_weather(rng))
    return day._replace(pv_w=pv_w)


def _line(rng: Generator, path_m: float, cover: float) -> tuple[Floats, Floats]:
    """Clouds and gaps that cover the path; gaps are stretched so that clouds cover their share of it."""
    clouds_m = np.zeros(0)
    gaps_m = np.zeros(0)
    while clouds_m.sum() + gaps_m.sum() < path_m or len(clouds_m) < 3:
        clouds_m = np.append(clouds_m, chord_lengths_m(rng, 64))
        gaps_m = np.append(gaps_m, chord_lengths_m(rng, 64) * (1.0 - cover) / cover)
    return clouds_m, gaps_m


def _edge(inside_m: Floats, edge_m: Floats) -> Floats:
    """From 0 outside to 1 inside over about `edge_m`."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(4.0 * inside_m / edge_m, -40.0, 40.0))))
