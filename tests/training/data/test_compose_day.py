"""The shipped day can be made again from its sources."""

import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from plant.site.trace import load_trace
from training.data import compose_day
from training.data.compose_day import DAY_S, PHASE_DAYS, main


def write_sources(folder: Path) -> None:
    (folder / "load").mkdir()
    (folder / "pv").mkdir()
    days = [datetime.date.fromisoformat(day) for day in PHASE_DAYS]
    t = np.tile(np.arange(DAY_S, dtype=np.int32), 3)
    watts = np.repeat(np.array([100, 200, 300], dtype=np.int16), DAY_S)
    columns = {"day": [day for day in days for _ in range(DAY_S)], "t": t, "p_w": watts}
    parquet.write_table(pa.table(columns), folder / "load" / "gjw_1s_here.parquet")
    pv = {"t": np.arange(DAY_S, dtype=np.int32), "pv_pu": np.linspace(0, 1, DAY_S, dtype=np.float32)}
    parquet.write_table(pa.table(pv), folder / "pv" / "i2x_pcloud_1s.parquet")


def test_the_same_sources_give_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sources(tmp_path)
    one, two = tmp_path / "one.npz", tmp_path / "two.npz"
    for out in (one, two):
        main([str(tmp_path), "--out", str(out)])
    assert one.read_bytes() == two.read_bytes()
    day = load_trace(one)
    assert day.load_w[0].tolist() == [100, 200, 300]
    assert day.pv_w[-1] == 12_000
    assert "kWh exported without control" in capsys.readouterr().out


def test_a_missing_day_is_named(tmp_path: Path) -> None:
    write_sources(tmp_path)
    with pytest.raises(LookupError, match="2001-01-01"):
        compose_day.load_day(tmp_path, "2001-01-01")
