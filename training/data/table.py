"""The columns of a data set and how the seconds of one day become rows.

Columns, one row per second (units in the names, Unix time, + import):

    site, role, metering                        whose second it is, how its slaves act, how it is billed
    unix_s, episode, gap_before_s, is_fresh     the grid; an episode misses no second and ends at midnight
    grid_w_a..c                                 the meter's sample of the tick
    the 30 features of models.features          as the daemon's own observer makes them
    applied_w_a..c                              the action: what was on air after the tick
    fallback_action_w_a..c, policy_action_w_a..c    the PI's and the policy's proposal, null where unknown
    source, propensity, block, is_confounded    who acted, and how likely the policy was to be chosen
    export_w, avoidable_import_w                as billed in the tick's sample, slave power as believed
    action_change_w                             sum over the phases of the change of the action
    ahead_export_w, ahead_avoidable_import_w    their means over the look-ahead, null without a target
    has_target, next_FEATURE                    the features `lookahead_s` later, null without a target

`is_fresh` is False where the site lived a second without a valid sample: the features then repeat what was
known, as they did for the controller. Such a row has no target, and no look-ahead passes over it.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.metering import avoidable_import_w, exported_w
from core.site import PHASE_NAMES, ZERO, Phases
from models.features import FEATURE_NAMES, FeatureObserver
from training.data.samples import DatasetTerms, Sample, day_of

CHUNK_ROWS = 3600
_PHASE_COLUMNS = tuple(
    f"{what}_w_{phase}"
    for what in ("grid", "applied", "fallback_action", "policy_action")
    for phase in PHASE_NAMES
)
_TERMS = ("export_w", "avoidable_import_w", "action_change_w")
_FLOATS = (*_PHASE_COLUMNS, *FEATURE_NAMES, "propensity", *_TERMS)
ACTION_NAMES = tuple(f"applied_w_{phase}" for phase in PHASE_NAMES)
NEXT_NAMES = tuple(f"next_{name}" for name in FEATURE_NAMES)
AHEAD_NAMES = ("ahead_export_w", "ahead_avoidable_import_w")
WORD = pa.dictionary(pa.int8(), pa.string())
TERM_NAMES = ("site", "role", "metering")
"""Of every row, so that the rows of many sites can lie in one folder."""
SCHEMA = pa.schema(
    [
        *((name, WORD) for name in TERM_NAMES),
        ("unix_s", pa.int64()),
        ("episode", pa.int32()),
        ("gap_before_s", pa.int64()),
        ("is_fresh", pa.bool_()),
        ("has_target", pa.bool_()),
        ("source", WORD),
        ("block", pa.int64()),
        ("is_confounded", pa.bool_()),
        *((name, pa.float32()) for name in (*_FLOATS, *AHEAD_NAMES, *NEXT_NAMES)),
    ]
)

Floats = NDArray[np.float32]
_NOTHING = (float("nan"),) * 3


class DayRows(NamedTuple):
    """The rows of one day. `marks` are [n, 6] integers: second, episode, gap, fresh, block, confounded."""

    date: str
    marks: NDArray[np.int64]
    sources: list[str]
    floats: Floats  # [n, len(_FLOATS)]

    def column(self, name: str) -> Floats:
        """One column by name."""
        return self.floats[:, _FLOATS.index(name)]

    def block(self, names: tuple[str, ...]) -> Floats:
        """Several columns by name, [n, len(names)]."""
        return self.floats[:, [_FLOATS.index(name) for name in names]]


class RowBuilder:
    """Turns samples into days of rows: observes the features, counts episodes and gaps."""

    def __init__(self, terms: DatasetTerms) -> None:
        self._terms, self._observer = terms, FeatureObserver()
        self._memory = self._observer.cold
        self._last_s, self._date, self._episode = -1, "", -1
        self._applied_w: Phases = ZERO
        self.gaps = self.gap_s = self.repeated_s = 0

    @property
    def episodes(self) -> int:
        """How many there were."""
        return self._episode + 1

    def days(self, samples: Iterator[Sample]) -> Iterator[DayRows]:
        """Every day that has samples, in order; one day at a time is in memory."""
        for date, of_day in groupby(self._forward(samples), key=lambda sample: day_of(sample.second)):
            marks: list[NDArray[np.int64]] = []
            floats: list[Floats] = []
            sources: list[str] = []
            rows: list[tuple[tuple[int, ...], tuple[float, ...]]] = []
            for sample in of_day:
                rows.append(self._row(sample, date))
                sources.append(sample.source)
                if len(rows) == CHUNK_ROWS:
                    _pack(rows, marks, floats)
            _pack(rows, marks, floats)
            yield DayRows(date, np.concatenate(marks), sources, np.concatenate(floats))

    def _forward(self, samples: Iterator[Sample]) -> Iterator[Sample]:
        """Leave out and count seconds that came before: two ticks in one, or a clock that was set back."""
        last_s, is_start = -1, False
        for sample in samples:
            is_start |= sample.is_start
            if sample.second <= last_s:
                self.repeated_s += 1
                continue
            yield sample._replace(is_start=is_start)
            last_s, is_start = sample.second, False

    def _row(self, sample: Sample, date: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
        estimate, snapshot = sample.estimate, sample.snapshot
        if sample.is_start:
            self._memory = self._observer.cold
        features, self._memory = self._observer.observe(snapshot, estimate, self._memory)
        gap_s = 0 if self._last_s < 0 else sample.second - self._last_s - 1
        if gap_s or sample.is_start or date != self._date:
            self._episode += 1
            self._applied_w = snapshot.on_air.action_w
        self.gaps, self.gap_s = self.gaps + bool(gap_s), self.gap_s + gap_s
        self._last_s, self._date = sample.second, date
        change_w = sum(abs(new - old) for new, old in zip(sample.applied_w, self._applied_w, strict=True))
        self._applied_w = sample.applied_w
        marks = (sample.second, self._episode, gap_s, estimate.fresh, sample.block, sample.is_confounded)
        floats = (
            *snapshot.grid_power_w,
            *sample.applied_w,
            *(sample.fallback_action_w or _NOTHING),
            *(sample.policy_action_w or _NOTHING),
            *features,
            _NOTHING[0] if sample.propensity is None else sample.propensity,
            *(self._billed_w(sample) if estimate.fresh else _NOTHING[:2]),
            change_w,
        )
        return marks, floats

    def _billed_w(self, sample: Sample) -> tuple[float, float]:
        grid_w, metering = sample.snapshot.grid_power_w, self._terms.metering
        return exported_w(grid_w, metering), avoidable_import_w(sample.estimate.model_w, grid_w, metering)


def _pack(
    rows: list[tuple[tuple[int, ...], tuple[float, ...]]],
    marks: list[NDArray[np.int64]],
    floats: list[Floats],
) -> None:
    if rows:
        marks.append(np.array([mark for mark, _ in rows], np.int64))
        floats.append(np.array([values for _, values in rows], np.float32))
        rows.clear()


def term_columns(terms: DatasetTerms, rows: int) -> dict[str, pa.Array]:
    """The columns of `TERM_NAMES`: the same words in every row."""
    words = (terms.site_id, terms.role.value, terms.metering.value)
    return {
        name: pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int8)), pa.array([word]))
        for name, word in zip(TERM_NAMES, words, strict=True)
    }


def as_table(day: DayRows, lookahead_s: int, terms: DatasetTerms) -> pa.Table:
    """The rows of a day with their targets, in the columns of `SCHEMA`."""
    second, episode, gap_s, fresh, block, confounded = day.marks.T
    has_target = targets(day, lookahead_s)
    columns: dict[str, pa.Array] = {
        **term_columns(terms, len(second)),
        "unix_s": pa.array(second),
        "episode": pa.array(episode.astype(np.int32)),
        "gap_before_s": pa.array(gap_s),
        "is_fresh": pa.array(fresh.astype(bool)),
        "has_target": pa.array(has_target),
        "source": pa.array(day.sources).dictionary_encode().cast(SCHEMA.field("source").type),
        "block": pa.array(block),
        "is_confounded": pa.array(confounded.astype(bool)),
    }
    for name in _FLOATS:
        values = day.column(name)
        columns[name] = pa.array(values, mask=np.isnan(values))
    for name, term in zip(AHEAD_NAMES, _TERMS, strict=False):
        columns[name] = pa.array(_ahead(day.column(term), lookahead_s), mask=~has_target)
    for name, feature in zip(NEXT_NAMES, FEATURE_NAMES, strict=True):
        columns[name] = pa.array(_shifted(day.column(feature), lookahead_s), mask=~has_target)
    return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def stacked(table: pa.Table, names: Sequence[str]) -> Floats:
    """Columns of a table side by side, [rows, len(names)]."""
    columns = [table[name].to_numpy().astype(np.float32) for name in names]
    return np.ascontiguousarray(np.column_stack(columns))


def targets(day: DayRows, lookahead_s: int) -> NDArray[np.bool_]:
    """Which rows have a target: this one and the next `lookahead_s` are fresh and of one episode."""
    episode, fresh = day.marks[:, 1], day.marks[:, 3]
    has = np.zeros(len(episode), bool)
    if len(episode) > lookahead_s:
        seen = np.concatenate([[0], np.cumsum(fresh)])
        in_a_row = seen[1 + lookahead_s :] - seen[: -1 - lookahead_s] == 1 + lookahead_s
        has[:-lookahead_s] = (episode[lookahead_s:] == episode[:-lookahead_s]) & in_a_row
    return has


def _shifted(values: Floats, lookahead_s: int) -> Floats:
    later = np.zeros_like(values)
    later[:-lookahead_s] = values[lookahead_s:]
    return later


def _ahead(values: Floats, lookahead_s: int) -> Floats:
    """Mean of the following `lookahead_s` rows."""
    sums = np.concatenate([[0.0], np.cumsum(np.nan_to_num(values), dtype=np.float64)])
    ahead = np.zeros_like(values)
    n = len(values) - lookahead_s
    if n > 0:
        ahead[:n] = (sums[1 + lookahead_s :][:n] - sums[1:][:n]) / lookahead_s
    return ahead
