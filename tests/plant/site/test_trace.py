"""Loading a measured day: the shipped one, files of both kinds, and every kind of broken file."""

import builtins
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from plant.site import trace
from plant.site.trace import DAY_S, Trace, TraceError, load_trace

Columns = dict[str, np.ndarray]


def a_day() -> Columns:
    t = np.arange(DAY_S, dtype=float)
    loads = {name: 200.0 + 10 * i + (t % 60) for i, name in enumerate(trace.LOADS)}
    return {"t": t, **loads, "pv_w": np.rint(np.maximum(0.0, 8000 * np.sin((t - 21600) / 43200 * np.pi)))}


def write_csv(path: Path, columns: Columns) -> Path:
    with path.open("w") as stream:
        stream.write(",".join(columns) + "\n")
        np.savetxt(stream, np.column_stack(list(columns.values())), delimiter=",", fmt="%.10g")
    return path


def write_parquet(path: Path, columns: Columns) -> Path:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table(columns), path)
    return path


def same(one: Trace, columns: Columns) -> None:
    np.testing.assert_allclose(one.pv_w, columns["pv_w"])
    for phase, name in enumerate(trace.LOADS):
        np.testing.assert_allclose(one.load_w[:, phase], columns[name])


def test_the_shipped_day_loads_and_is_a_sunny_house() -> None:
    day = load_trace()
    assert day.load_w.shape == (DAY_S, 3)
    assert day.pv_w.shape == (DAY_S,)
    assert day.pv_w.max() == pytest.approx(12_000, abs=1)
    assert 50e3 < day.pv_w.sum() / 3600 < 120e3
    assert (day.load_w >= 0).all()
    assert 8e3 < day.load_w[:, 0].sum() / 3600 < 30e3


def test_the_shipped_day_is_small() -> None:
    assert (Path(trace.__file__).parents[1] / "day" / "day.npz").stat().st_size < 300_000


def test_the_shipped_day_needs_no_parquet_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert load_trace().pv_w.max() > 0


@pytest.mark.parametrize(("writer", "suffix"), [(write_csv, ".csv"), (write_parquet, ".parquet")])
def test_files_of_both_kinds(tmp_path: Path, writer: Callable[[Path, Columns], Path], suffix: str) -> None:
    columns = a_day()
    extra = {"note": np.zeros(DAY_S), **dict(reversed(columns.items()))}
    same(load_trace(writer(tmp_path / f"day{suffix}", extra)), columns)


def broken(change: Callable[[Columns], None]) -> Columns:
    columns = a_day()
    change(columns)
    return columns


def cut(columns: Columns) -> None:
    for name in columns:
        columns[name] = columns[name][:-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("p_b_w"), "missing column p_b_w"),
        (lambda c: c["pv_w"].__setitem__(7, np.nan), "column pv_w, row 7: not a finite number"),
        (lambda c: c["p_a_w"].__setitem__(0, np.inf), "column p_a_w, row 0: not a finite"),
        (
            lambda c: c["t"].__setitem__(slice(500, None), c["t"][500:] + 1),
            "gap at row 500: t is 501 s instead of 500",
        ),
        (cut, "86399 rows; a trace is one day of 86400"),
        (lambda c: c["pv_w"].__setitem__(3, -1.0), "column pv_w, row 3: -1 W is outside"),
        (lambda c: c["p_c_w"].__setitem__(3, 2e6), "column p_c_w, row 3"),
    ],
)
def test_broken_days_say_where(tmp_path: Path, change: Callable[[Columns], None], message: str) -> None:
    with pytest.raises(TraceError) as caught:
        load_trace(write_parquet(tmp_path / "day.parquet", broken(change)))
    assert message in str(caught.value)
    assert "day.parquet" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("day.csv", "t,p_a_w\n0,word\n", "cannot be read as CSV"),
        ("day.csv", "", "missing column t"),
        ("day.parquet", "not parquet", "cannot be read as Parquet"),
        ("day.npz", "not an archive", "cannot be read"),
        ("day.txt", "", "unknown kind of trace"),
    ],
)
def test_foreign_files(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(TraceError, match=message):
        load_trace(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no such file"):
        load_trace(tmp_path / "day.csv")


def test_parquet_without_its_library_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_parquet(tmp_path / "day.parquet", a_day())
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(TraceError, match=r"pip install 'sunkeep\[train\]'"):
        load_trace(path)
