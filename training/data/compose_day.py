"""Compose the measured day that ships with the product.

    python -m training.data.compose_day FOLDER [--out plant/day/day.npz]

FOLDER holds `load/gjw_1s_*.parquet` (columns day, t, p_w) and `pv/i2x_pcloud_1s.parquet` (t, pv_pu). The
days are of the training split, so the shipped day tells nothing about the days a policy is judged on.
The same folder gives the same file, byte for byte.
"""

import argparse
import datetime
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyarrow import compute, parquet

PHASE_DAYS = ("2015-05-25", "2015-06-10", "2015-05-05")
"""One day of the same house on each phase: three dwellings on a three-phase connection."""
PV_KW = 12.0
"""A third of it per phase, 4 kW, stays below what a phase of slaves may take (5 kW)."""
DAY_S = 86_400


def load_day(folder: Path, day: str) -> NDArray[np.int16]:
    """Measured load of one day, W at 1 s. Raises LookupError when no file holds the whole day."""
    wanted = datetime.date.fromisoformat(day)
    for path in sorted((folder / "load").glob("gjw_1s_*.parquet")):
        table = parquet.read_table(path)
        rows = table.filter(compute.equal(table["day"], wanted)).sort_by("t")
        if rows.num_rows == DAY_S:
            return np.asarray(rows["p_w"].to_numpy(), dtype=np.int16)
    raise LookupError(f"no file in {folder / 'load'} holds all of {day}")


def pv_day(folder: Path, peak_w: float) -> NDArray[np.int16]:
    """Measured PV of one cloudy day, W at 1 s, scaled to `peak_w`."""
    table = parquet.read_table(folder / "pv" / "i2x_pcloud_1s.parquet").sort_by("t")
    per_unit = np.asarray(table["pv_pu"].to_numpy(), dtype=np.float64)
    return np.rint(per_unit * peak_w).astype(np.int16)


def write_npz(path: Path, columns: dict[str, NDArray[np.int16]]) -> None:
    """Like `numpy.savez_compressed`, but with fixed time stamps, so that equal columns give equal bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, column in columns.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, column, allow_pickle=False)
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, buffer.getvalue())


def main(arguments: Sequence[str] | None = None) -> None:
    """Compose and write the day."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder with load/ and pv/")
    parser.add_argument("--out", type=Path, default=Path("plant/day/day.npz"))
    options = parser.parse_args(arguments)
    names = ("p_a_w", "p_b_w", "p_c_w")
    columns = {name: load_day(options.folder, day) for name, day in zip(names, PHASE_DAYS, strict=True)}
    columns["pv_w"] = pv_day(options.folder, PV_KW * 1000.0)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_npz(options.out, columns)
    net_w = sum(columns[name].astype(int) for name in names) - columns["pv_w"]
    export_kwh = float(np.maximum(-net_w, 0).sum()) / 3.6e6
    print(f"{options.out}: {options.out.stat().st_size} bytes, {export_kwh:.1f} kWh exported without control")


if __name__ == "__main__":
    main()
