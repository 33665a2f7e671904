"""Parts of days to judge gains on: from measured traces, or from what a site's own journals say of its days.

What the sun gives and the house takes does not depend on the slaves, so a recorded day can be lived again
under any gains. From every day stretches are drawn in which there is power to place.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from core.roles import Role, sign
from core.site import Metering, Site
from daemon.simulation.simulate import SETTLE_S, Scenario
from plant.site.physics import TTL_S
from plant.site.stepped import bare_grid_w
from plant.site.trace import DAY_S, Trace
from training.data.days import find_days
from training.data.journal_days import read_site_days
from training.data.split import Shares, split_days

PLACEABLE_W = (400.0, 12_000.0)
"""Mean of a stretch: something to place, and not more than all slaves can take."""
DRAWS = 200
"""Stretches tried per day."""
SPLITS = ("train", "val")
"""Days that choose, and days that are only reported. Days of the split "test" are never opened."""


class TuningError(ValueError):
    """Nothing to tune on; the message says why and what to do."""


class Recorded(NamedTuple):
    """One day: its name, what was measured, and how its PV is connected. Unknown seconds are NaN."""

    name: str
    trace: Trace
    connection: str


@dataclass(frozen=True)
class Stretch:
    """A part of a day with its own radio; `beyond_w` is the mean export that no slave could prevent."""

    day: str
    scenario: Scenario
    beyond_w: float


@dataclass(frozen=True)
class SamplingRules:
    """How stretches are drawn: their length, how many of each day, and the seed of places and radios."""

    stretch_s: int = 2400
    per_day: int = 1
    seed: int = 1
    ttl_s: float = TTL_S


def days_of_traces(folder: Path) -> dict[str, list[Recorded]]:
    """Measured days by split. Raises DaysError, plant.site.trace.TraceError."""
    return {
        split: [Recorded(day.path.stem, day.load(), day.connection) for day in find_days(folder, split)]
        for split in SPLITS
    }


def days_of_journals(folder: Path, site: Site, seed: int) -> dict[str, list[Recorded]]:
    """A site's own UTC days by split, with the power at its meter as it would be without slaves.

    The split is that of `sunkeep dataset` with the same seed.

    Raises:
        TuningError: fewer than three days, or days of another role.
        JournalError, DatasetError, SettingsError: of `training.data.journal_days.read_site_days`.
    """
    found = read_site_days([folder])
    if found.terms.role is not site.role:
        raise TuningError(f"{folder}: slaves that {found.terms.role.value}, the site's {site.role.value}")
    dates = found.bare_w
    try:
        split = split_days(list(dates), Shares(), seed)
    except ValueError as error:
        raise TuningError(f"{folder}: {error}; let the site run for some days more") from None
    recorded = {
        date: Recorded(date, Trace(date, bare_w, np.zeros(DAY_S)), "3ph") for date, bare_w in dates.items()
    }
    return {name: [recorded[date] for date in dates if split[date] == name] for name in SPLITS}


def draw_stretches(days: Iterable[Recorded], site: Site, rules: SamplingRules) -> tuple[Stretch, ...]:
    """Stretches with power to place; days without enough of it have none."""
    rng = np.random.default_rng(rules.seed)
    stretches = []
    for number, day in enumerate(days):
        whole = Scenario(day.trace, site, day.connection, ttl_s=rules.ttl_s)
        placeable_w = -sign(site.role) * bare_grid_w(day.trace, day.connection).sum(axis=1)
        for repeat in range(rules.per_day):
            start_s = _start_s(placeable_w, rules.stretch_s, rng)
            if start_s is None:
                continue
            seed = 1000 * rules.seed + 10 * number + repeat
            part = Scenario(
                day.trace,
                site,
                day.connection,
                start_s,
                start_s + rules.stretch_s,
                seed,
                ttl_s=whole.ttl_s,
            )
            stretches.append(Stretch(day.name, part, beyond_w(part)))
    return tuple(stretches)


def _start_s(placeable_w: NDArray[np.float64], stretch_s: int, rng: Generator) -> int | None:
    """Where a stretch with something to place begins whose every second is known, its lead included."""
    low_w, high_w = PLACEABLE_W
    for start_s in rng.integers(0, len(placeable_w) - stretch_s, DRAWS).tolist():
        lived_w = placeable_w[max(0, start_s - SETTLE_S) : start_s + stretch_s]
        if np.isfinite(lived_w).all() and low_w <= lived_w[-stretch_s:].mean() <= high_w:
            return int(start_s)
    return None


def beyond_w(scenario: Scenario) -> float:
    """Mean export that remains with absorbing slaves at their most, generating ones at rest, as billed."""
    site = scenario.site
    relief_w = np.zeros(3)
    if site.role is Role.ABSORB:
        for slave in site.slaves:
            relief_w[slave.phase] += slave.max_w
        relief_w = np.minimum(relief_w, site.limits.phase_max_w)
    grid_w = bare_grid_w(scenario.trace, scenario.connection)[scenario.start_s : scenario.end_s] + relief_w
    if site.metering is Metering.NET:
        return float(np.maximum(-grid_w.sum(axis=1), 0.0).mean())
    return float(np.maximum(-grid_w, 0.0).sum(axis=1).mean())
