"""Logs of other controllers, as CSV or Parquet, read in pieces and put on the grid of seconds.

A folder holds three kinds of logs, each a folder of `*.csv` or `*.parquet` files that follow each other in
the order of their names:

    meter_readings/    unix_s, grid_a_w, grid_b_w, grid_c_w          + import, - export
    zigbee_commands/   unix_s, action_a_w, action_b_w, action_c_w    totals per phase that went on air
    pi_state/          unix_s, steady_a_w, steady_b_w, steady_c_w    what the PI proposed (may be missing)

Other columns are ignored. Instead of `unix_s` (Unix time in seconds) there may be `time`: ISO 8601 with
offset in a CSV file, a time stamp in a Parquet file. Time runs forward through a kind, rates may be any.

The tick of second s sees the newest reading of the second before it, as the daemon would, and the command
that was on air; commands sent in the second from s on are its action. Up to two seconds without a reading
are lived blind, as the daemon lives them; a longer gap ends the episode. Commands expire with their time to
live.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from core.estimation.state_estimate import EstimatorState, estimate_state
from core.scheduling.staged import has_staged
from core.site import ZERO, Phases, Site
from core.snapshot import METER_LOST_S, OnAirState, SlaveState, Snapshot
from plant.site.physics import TTL_S
from training.data.samples import DatasetError, DatasetTerms, Sample

METER, COMMANDS, PI = "meter_readings", "zigbee_commands", "pi_state"
COLUMNS = {
    METER: ("grid_a_w", "grid_b_w", "grid_c_w"),
    COMMANDS: ("action_a_w", "action_b_w", "action_c_w"),
    PI: ("steady_a_w", "steady_b_w", "steady_c_w"),
}
BATCH_ROWS = 500_000
CEILING_W = 1.0e6
"""Beyond a megawatt the unit is wrong."""
UNIX_RANGE_S = (1.0e8, 1.0e10)
"""1973 to 2286: outside, the unit is wrong."""
_ROW = "_row"

Second: TypeAlias = tuple[int, Phases]
Batch: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Instants [n] in Unix seconds, values [n, 3] in W."""


def log_files(folder: Path, kind: str) -> list[Path]:
    """The files of a kind, in the order of their names. Raises DatasetError when a required kind has none."""
    files = sorted(path for path in (folder / kind).glob("*") if path.suffix in (".csv", ".parquet"))
    if not files and kind != PI:
        raise DatasetError(f"{folder / kind}: no .csv or .parquet file in it")
    return files


def read_batches(path: Path, columns: tuple[str, ...], rows: int = BATCH_ROWS) -> Iterator[Batch]:
    """One file in pieces.

    Raises:
        DatasetError: missing column, or a value that is no finite, plausible number; names line and column.
    """
    names, time = _names(path, columns)
    frame = _scan(path, names).select(_ROW, _instant(path, time), *columns)
    try:
        for batch in frame.collect_batches(chunk_size=rows, maintain_order=True):
            _check(path, batch, columns, time)
            yield batch[time].to_numpy(), batch.select(columns).to_numpy()
    except pl.exceptions.PolarsError as error:
        raise DatasetError(f"{path}: cannot be read: {error}") from error


def _names(path: Path, columns: tuple[str, ...]) -> tuple[list[str], str]:
    try:
        if path.suffix == ".csv":
            names = list(pl.scan_csv(path, infer_schema=False).collect_schema().names())
        else:
            names = list(pl.scan_parquet(path).collect_schema().names())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DatasetError(f"{path}: cannot be read: {error}") from error
    missing = [name for name in columns if name not in names]
    time = next((name for name in ("unix_s", "time") if name in names), "")
    if missing or not time:
        wanted = ", ".join((*missing, *(() if time else ("unix_s or time",))))
        raise DatasetError(f"{path}:1: no column {wanted}; it has {', '.join(names)}")
    return names, time


def _scan(path: Path, names: list[str]) -> pl.LazyFrame:
    """Everything as it stands; what is no number becomes null and is found by `_check`."""
    if path.suffix == ".parquet":
        return pl.scan_parquet(path, row_index_name=_ROW)
    as_read = {name: pl.Float64() for name in names if name != "time"}
    kinds = {name: as_read.get(name, pl.String()) for name in names}
    return pl.scan_csv(path, schema=kinds, ignore_errors=True, row_index_name=_ROW)


def _instant(path: Path, time: str) -> pl.Expr:
    if time == "unix_s":
        return pl.col(time).cast(pl.Float64)
    stamp = pl.col(time)
    if path.suffix == ".csv":
        stamp = stamp.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    return stamp.dt.timestamp("us").cast(pl.Float64) / 1.0e6


def _check(path: Path, batch: pl.DataFrame, columns: tuple[str, ...], time: str) -> None:
    for name in (time, *columns):
        low, high = UNIX_RANGE_S if name == time else (-CEILING_W, CEILING_W)
        values = batch[name].cast(pl.Float64).to_numpy()
        wrong = np.flatnonzero(~((values >= low) & (values <= high)))
        if wrong.size:
            row = int(batch[_ROW][int(wrong[0])])
            raise DatasetError(
                f"{_place(path, row)}: column {name}: {_quoted(path, row, values[wrong[0]])} "
                f"is not a number from {low:g} to {high:g}"
            )


def _place(path: Path, row: int) -> str:
    """Line of a CSV file (the header is line 1), row of a Parquet file."""
    return f"{path}:{row + 2}" if path.suffix == ".csv" else f"{path}, row {row}"


def _quoted(path: Path, row: int, value: float) -> str:
    """What stands there."""
    if path.suffix != ".csv":
        return f"{value:g}"
    with path.open(encoding="utf-8", errors="replace") as stream:
        return repr(next(islice(stream, row + 1, None), "").rstrip("\n")[:120])


def _runs_forward(path: Path, times: NDArray[np.float64], last_s: float, before: int) -> None:
    back = np.flatnonzero(np.diff(times, prepend=last_s) < 0.0)
    if back.size:
        at = int(back[0])
        earlier = last_s if at == 0 else times[at - 1]
        raise DatasetError(
            f"{_place(path, before + at)}: time runs backwards, {times[at]:.3f} s after {earlier:.3f} s; "
            "sort the rows by time, or the files by name"
        )


def by_second(files: list[Path], columns: tuple[str, ...], *, up: bool) -> Iterator[Second]:
    """The last row of every second of a log; seconds without a row are left out.

    Args:
        up: readings belong to the tick at the end of their second; commands (False) to that at its beginning.
    """
    last_s = -np.inf
    held: Second | None = None
    for path in files:
        before = 0
        for times, values in read_batches(path, columns):
            if not len(times):
                continue
            _runs_forward(path, times, last_s, before)
            last_s, before = float(times[-1]), before + len(times)
            seconds = (np.ceil(times) if up else np.floor(times)).astype(np.int64)
            ends = np.append(np.flatnonzero(np.diff(seconds)), len(seconds) - 1)
            for second, (a, b, c) in zip(seconds[ends].tolist(), values[ends].tolist(), strict=True):
                if held is not None and held[0] != second:
                    yield held
                held = (second, (a, b, c))
    if held is not None:
        yield held


@dataclass
class Newest:
    """A log read forward: the newest second up to the one asked for."""

    rows: Iterator[Second]
    _newest: Second | None = None
    _next: Second | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._next = next(self.rows, None)

    def until(self, second: int) -> Second | None:
        """The newest at or before `second`, None before the first; seconds asked for only grow."""
        while self._next is not None and self._next[0] <= second:
            self._newest, self._next = self._next, next(self.rows, None)
        return self._newest


def foreign_samples(folder: Path, site: Site, ttl_s: float = TTL_S) -> Iterator[Sample]:
    """Every second of the logs in a folder that has a reading, or is lived blind between two.

    Raises:
        DatasetError: see above; names file and line.
    """
    DatasetTerms.of(site)
    if has_staged(site):
        raise DatasetError(
            "Logs of other controllers do not tell which slaves were switched, and the site has slaves with "
            "a minimum or levels. Give journals, or a configuration without them."
        )
    readings = by_second(log_files(folder, METER), COLUMNS[METER], up=True)
    logs = {kind: by_second(log_files(folder, kind), COLUMNS[kind], up=False) for kind in (COMMANDS, PI)}
    commands, proposals = Newest(logs[COMMANDS]), Newest(logs[PI])
    slaves = (SlaveState(),) * len(site.slaves)
    belief, air_s, air_w = EstimatorState(), -1, ZERO
    for tick, (second, age_s, grid_w) in zip(count(), _ticks(readings)):
        before = commands.until(second - 1)
        if before is not None:
            air_s, air_w = before
        fresh_air = before is not None and second - air_s <= ttl_s
        on_air = OnAirState(air_w, (), float(second - air_s)) if fresh_air else OnAirState()
        snapshot = Snapshot(tick, float(second), grid_w, age_s, slaves, on_air)
        estimate, belief = estimate_state(site, snapshot, belief)
        sent, proposed = commands.until(second), proposals.until(second)
        applied_w = sent[1] if sent is not None and sent[0] == second else on_air.action_w
        fallback_action_w = proposed[1] if proposed is not None and proposed[0] == second else None
        yield Sample(second, snapshot, estimate, applied_w, fallback_action_w)


def _ticks(readings: Iterator[Second]) -> Iterator[tuple[int, float, Phases]]:
    """(second, age of the reading, reading): those with a reading, and the blind ones of short gaps."""
    last: Second | None = None
    for second, grid_w in readings:
        if last is not None and second - last[0] <= METER_LOST_S + 1.0:
            for blind in range(last[0] + 1, second):
                yield blind, float(blind - last[0]), last[1]
        last = (second, grid_w)
        yield second, 0.0, grid_w
