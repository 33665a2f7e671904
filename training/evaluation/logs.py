"""Logs as days to replay: the surplus is rebuilt from what the meter read and what was on air.

What the sun gives and the house takes does not depend on the controller, so any other controller can be
lived over it, through slaves and a radio drawn afresh. What the logged slaves really drew is not known; the
estimator's model says what they are believed to have drawn, with the delay that fits the log best.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet
from scipy.signal import lfilter

from core.estimation.actuator_model import HISTORY_S, delayed_command, first_order_lag
from core.site import PHASE_NAMES
from plant.site.trace import DAY_S
from training.batched.day_runs import is_sunny, known_hours
from training.data.days import Day
from training.data.samples import DatasetError, Sample
from training.data.table import ACTION_NAMES

EXTRA_DELAYS_S = (0, 1, 2, 3)
"""Delays beyond the usual one that a log is searched for."""
WARM_UP_S = int(HISTORY_S)
"""Seconds at the begin of a stretch in which the belief does not know what was on air before."""
GRID_NAMES = tuple(f"grid_w_{phase}" for phase in PHASE_NAMES)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Logged:
    """A day of a log, [DAY_S, 3] in W each, NaN where nothing is known.

    Args:
        grid_w: the meter's sample of the tick of each second, + import.
        on_air_w: per-phase totals on air after it.
    """

    name: str
    grid_w: Floats
    on_air_w: Floats

    def stretches(self) -> Iterator[slice]:
        """Seconds without a gap, longer than the warm-up."""
        known = np.isfinite(self.grid_w).all(1) & np.isfinite(self.on_air_w).all(1)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]])))
        for begin, end in edges.reshape(-1, 2).tolist():
            if end - begin > WARM_UP_S + 1:
                yield slice(begin, end)

    def believed_w(self, stretch: slice, extra_s: int) -> Floats:
        """What the slaves are believed to have drawn in the second before each tick, [seconds, 3]."""
        on_air_w = self.on_air_w[stretch]
        padded_w = np.concatenate([np.repeat(on_air_w[:1], WARM_UP_S + 1, 0), on_air_w])
        seconds = len(on_air_w)
        # what was on air 1, 2, ... s before each tick
        sent_w = tuple(padded_w[WARM_UP_S - k : WARM_UP_S - k + seconds] for k in range(WARM_UP_S))
        target_w = delayed_command(sent_w, extra_s, 1.0)
        share = first_order_lag(0.0, 1.0, 1.0)
        kept = (1.0 - share) * on_air_w[:1]
        model_w, _ = lfilter([share], [1.0, share - 1.0], target_w, axis=0, zi=kept)
        return np.asarray(model_w)

    def bare_w(self, extra_s: int) -> Floats:
        """Grid power without slaves, [DAY_S, 3], NaN where it cannot be rebuilt."""
        bare_w = np.full((DAY_S, 3), np.nan)
        for stretch in self.stretches():
            found = self.grid_w[stretch] - self.believed_w(stretch, extra_s)
            first_s = stretch.start + WARM_UP_S
            # a sample speaks of the second before its tick
            bare_w[first_s - 1 : stretch.stop - 1] = found[WARM_UP_S:]
        return bare_w


def fitted_delay_s(days: Iterable[Logged]) -> int:
    """The extra delay with which the rebuilt surplus moves least: a wrong one lets commands shine through."""
    days = list(days)

    def unrest(extra_s: int) -> float:
        moves = [np.abs(np.diff(day.bare_w(extra_s), axis=0)) for day in days]
        return float(np.nanmean(np.concatenate(moves)))

    return min(EXTRA_DELAYS_S, key=unrest)


@dataclass(frozen=True)
class Rebuilt:
    """Days to replay, and the extra delay that was fitted to them."""

    bare_w: dict[Day, Floats]
    extra_s: int

    def of(self, day: Day) -> Floats:
        """Grid power of a day without slaves, as `training.batched.day_runs.rows_of` wants it."""
        return self.bare_w[day]

    def hours(self) -> list[tuple[Day, int]]:
        """Whole known hours with surplus, with the minute before them."""
        return [
            (day, begin_s)
            for day, bare_w in self.bare_w.items()
            for begin_s in known_hours(bare_w, 0, DAY_S)
            if is_sunny(bare_w, begin_s)
        ]


def rebuild(days: Iterable[Logged]) -> Rebuilt:
    """Fit the delay and rebuild all days."""
    days = list(days)
    extra_s = fitted_delay_s(days)
    return Rebuilt({Day(Path(day.name), "log", "logged"): day.bare_w(extra_s) for day in days}, extra_s)


def of_samples(name: str, samples: Iterable[Sample]) -> Logged:
    """One day, from samples of journals or of a simulation (`training.data.samples`)."""
    grid_w, on_air_w = (np.full((DAY_S, 3), np.nan) for _ in range(2))
    for sample in samples:
        second = sample.second % DAY_S
        if sample.estimate.fresh:
            grid_w[second] = sample.snapshot.grid_power_w
        on_air_w[second] = sample.applied_w
    return Logged(name, grid_w, on_air_w)


def of_dataset(path: Path) -> list[Logged]:
    """Every day of a file of `sunkeep dataset`.

    Raises:
        DatasetError: no such file, or not one of `sunkeep dataset`.
    """
    names = ["unix_s", "is_fresh", *GRID_NAMES, *ACTION_NAMES]
    try:
        table = parquet.read_table(path, columns=names)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{path}: not a file of `sunkeep dataset`: {error}") from error
    columns = {name: table[name].to_numpy() for name in names}
    day_number, second = np.divmod(columns["unix_s"], DAY_S)
    grid_w, on_air_w = (
        np.column_stack([columns[name] for name in group]).astype(np.float64)
        for group in (GRID_NAMES, ACTION_NAMES)
    )
    grid_w[~columns["is_fresh"].astype(bool)] = np.nan
    days = []
    for number in np.unique(day_number).tolist():
        rows = day_number == number
        logged = Logged(str(np.datetime64(number, "D")), *(np.full((DAY_S, 3), np.nan) for _ in range(2)))
        logged.grid_w[second[rows]], logged.on_air_w[second[rows]] = grid_w[rows], on_air_w[rows]
        days.append(logged)
    return days
