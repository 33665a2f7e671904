"""The model of broken cloud: lengths, cover, edges and what of it reaches a day."""

import numpy as np
import pytest

from training.batched.chords import (
    CHORD_M,
    ENHANCED_MAX,
    EXPONENT,
    CloudWeather,
    chord_lengths_m,
    clear_sky_index,
    draw_weather,
    with_broken_cloud,
)
from training.batched.windows import SolarDay

HOURS_S = 6 * 3600


def index(
    seed: int, cover: float = 0.5, speed_m_s: float = 9.0
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    weather = CloudWeather(speed_m_s, cover, 0.3)
    return clear_sky_index(np.random.default_rng(seed), HOURS_S, weather)


def test_chord_lengths_follow_the_power_law() -> None:
    lengths_m = chord_lengths_m(np.random.default_rng(0), 200_000)
    assert CHORD_M[0] <= lengths_m.min() < lengths_m.max() <= CHORD_M[1]
    counts, edges = np.histogram(lengths_m, np.geomspace(150.0, 10_000.0, 15))
    density = counts / np.diff(edges)
    slope = np.polyfit(np.log(np.sqrt(edges[1:] * edges[:-1])), np.log(density), 1)[0]
    assert slope == pytest.approx(-EXPONENT, abs=0.05)


def test_more_cover_lets_less_light_through() -> None:
    light = [np.mean([index(seed, cover).mean() for seed in range(6)]) for cover in (0.2, 0.5, 0.8)]
    assert light[0] > light[1] + 0.05 > light[2] + 0.1
    assert 0.05 <= index(1).min() < 0.45 < 1.0 < index(1).max() <= ENHANCED_MAX


def test_ramps_are_those_of_broken_cloud() -> None:
    """In % of a clear sky: most seconds hardly change, some by several, and an edge takes seconds to pass."""
    series = [index(seed) for seed in range(8)]
    steps = np.abs(np.concatenate([np.diff(one) for one in series]))
    spans = np.abs(np.concatenate([one[10:] - one[:-10] for one in series]))
    assert np.quantile(steps, 0.5) < 0.01
    assert 0.02 < np.quantile(steps, 0.99) < 0.12
    assert 0.2 < np.quantile(spans, 0.99) < 0.8
    slow, fast = (np.quantile(np.abs(np.diff(index(3, speed_m_s=v))), 0.99) for v in (4.0, 16.0))
    assert fast > 2.0 * slow


def test_a_day_keeps_its_load_and_gets_another_sun() -> None:
    second = np.arange(86_400)
    lit_s = (30_000, 60_000)
    pv_w = np.where((second >= lit_s[0]) & (second < lit_s[1]), 6000.0, 0.0).astype(np.float32)
    day = SolarDay(np.full((86_400, 3), 400.0, np.float32), pv_w, "A", lit_s)
    one, other = (with_broken_cloud(day, np.random.default_rng(seed)) for seed in (1, 2))
    assert one.connection == "A"
    assert np.array_equal(one.load_w, day.load_w)
    assert not one.pv_w[: lit_s[0]].any()
    assert not one.pv_w[lit_s[1] :].any()
    assert one.pv_w.max() <= ENHANCED_MAX * 6000.0
    assert not np.array_equal(one.pv_w, other.pv_w)
    again = with_broken_cloud(day, np.random.default_rng(1))
    assert np.array_equal(one.pv_w, again.pv_w)
    assert draw_weather(np.random.default_rng(5)) == draw_weather(np.random.default_rng(5))
