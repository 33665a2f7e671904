"""Measured days at one-second steps: the input of the simulated site.

A trace has the columns `t` (s, 0 to 86,399, without gaps), `p_a_w`, `p_b_w`, `p_c_w` (load per phase, +
consumption) and `pv_w` (the whole site's generation). Parquet files need pyarrow; CSV files and the day that
ships with the product (`plant/day`) need only numpy.
"""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

DAY_S = 86_400
LOADS = ("p_a_w", "p_b_w", "p_c_w")
COLUMNS = ("t", *LOADS, "pv_w")
CEILING_W = 1.0e6
"""Beyond a megawatt a house's trace is in the wrong unit."""

Column = NDArray[np.float64]


class TraceError(ValueError):
    """A trace that cannot be used; the message names the file, the place and what to do."""


@dataclass(frozen=True)
class Trace:
    """One day. `load_w` is [86400, 3] in W, + consumption; `pv_w` is [86400] in W, the whole site, >= 0."""

    name: str
    load_w: NDArray[np.float64]
    pv_w: Column


def load_trace(path: Path | None = None, *, has_gaps: bool = False) -> Trace:
    """Load a day from a .parquet or .csv file, or the shipped day when `path` is None.

    Args:
        path: the file.
        has_gaps: accept seconds in which every power is NaN: unknown ones.

    Raises:
        TraceError: unreadable file, missing column, NaN, gap, wrong length, or implausible value.
    """
    if path is None:
        return _checked("the shipped day", _shipped())
    readers: dict[str, Callable[[Path], dict[str, Column]]] = {
        ".parquet": _parquet,
        ".csv": _csv,
        ".npz": _npz,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise TraceError(f"{path}: unknown kind of trace; give a .parquet or .csv file")
    if not path.is_file():
        raise TraceError(f"{path}: no such file")
    return _checked(str(path), reader(path), has_gaps)


def _shipped() -> dict[str, Column]:
    with as_file(files("plant").joinpath("day", "day.npz")) as path:
        return _npz(path)


def _npz(path: Path) -> dict[str, Column]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            columns = {name: np.asarray(stored[name], dtype=np.float64) for name in stored.files}
    except (OSError, ValueError, BadZipFile) as error:
        raise TraceError(f"{path}: cannot be read: {error}") from error
    if columns:  # the shipped form leaves out t
        columns.setdefault("t", np.arange(len(next(iter(columns.values()))), dtype=np.float64))
    return columns


def _parquet(path: Path) -> dict[str, Column]:
    try:
        from pyarrow import ArrowException, parquet  # noqa: PLC0415  (optional: not on the Pi)
    except ImportError as error:
        raise TraceError(
            f"{path}: reading Parquet needs pyarrow; pip install 'sunkeep[train]', or use a .csv"
        ) from error
    try:
        present = parquet.read_schema(path).names
        table = parquet.read_table(path, columns=[name for name in COLUMNS if name in present])
        return {name: np.asarray(table[name].to_numpy(), dtype=np.float64) for name in table.column_names}
    except (ArrowException, OSError, ValueError) as error:
        raise TraceError(f"{path}: cannot be read as Parquet: {error}") from error


def _csv(path: Path) -> dict[str, Column]:
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            header = [name.strip() for name in next(csv.reader(stream), [])]
            wanted = [header.index(name) for name in COLUMNS if name in header]
            if not wanted:
                return {}
            rows = np.loadtxt(stream, delimiter=",", usecols=wanted, ndmin=2, comments=None)
    except (OSError, ValueError) as error:
        raise TraceError(f"{path}: cannot be read as CSV: {error}") from error
    return {header[index]: rows[:, place] for place, index in enumerate(wanted)}


def _checked(name: str, columns: Mapping[str, Column], has_gaps: bool = False) -> Trace:
    missing = [column for column in COLUMNS if column not in columns]
    if missing:
        raise TraceError(f"{name}: missing column {', '.join(missing)}; a trace has {', '.join(COLUMNS)}")
    length = len(columns["t"])
    if length != DAY_S:
        raise TraceError(f"{name}: {length} rows; a trace is one day of {DAY_S} rows, one per second")
    powers = np.column_stack([columns[column] for column in COLUMNS[1:]])
    unknown = np.asarray(np.isnan(powers).all(axis=1)) & has_gaps
    for column in COLUMNS:
        bad = np.flatnonzero(~np.isfinite(columns[column]) & ~(unknown & (column != "t")))
        if bad.size:
            raise TraceError(f"{name}: column {column}, row {bad[0]}: not a finite number")
    wrong = np.flatnonzero(columns["t"] != np.arange(DAY_S))
    if wrong.size:
        at = int(wrong[0])
        raise TraceError(
            f"{name}: gap at row {at}: t is {columns['t'][at]:g} s instead of {at} s; resample to 1 s"
        )
    for column in COLUMNS[1:]:
        _plausible(name, column, columns[column], unknown)
    return Trace(name, np.column_stack([columns[column] for column in LOADS]), columns["pv_w"])


def _plausible(name: str, column: str, values: Column, unknown: NDArray[np.bool_]) -> None:
    low = 0.0 if column == "pv_w" else -CEILING_W
    inside = ((values >= low) & (values <= CEILING_W)) | unknown
    if not inside.all():
        row = int(np.flatnonzero(~inside)[0])
        raise TraceError(
            f"{name}: column {column}, row {row}: {values[row]:g} W is outside {low:g}..{CEILING_W:g} W"
        )
