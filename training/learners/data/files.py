"""Transitions out of data sets (`sunkeep dataset`) and out of logs of an exploring controller."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from core.decision import Source
from core.metering import AVOIDABLE_WEIGHT
from core.roles import Role
from core.site import PHASE_NAMES, Metering
from models.features import FEATURE_NAMES
from training.data.dataset import MANIFEST_FILE
from training.data.days import files_sha256
from training.data.samples import DatasetTerms
from training.data.table import ACTION_NAMES, Floats, stacked, term_columns
from training.learners.data.transitions import Transitions, TransitionsError, from_rows, joined

REWARD_W = 200.0
"""A watt of cost is 1/200 of a unit of reward, so that returns over ten seconds are near one."""
FALLBACK_NAMES, POLICY_NAMES = (
    tuple(f"{kind}_action_w_{p}" for p in PHASE_NAMES) for kind in ("fallback", "policy")
)
ACTIONS = ("acted", "applied", "fallback", "policy")
"""Which recorded action counts: of the controller in charge, on air, the PI's, the policy's."""
_NAMES_1 = {
    f"{old}_w_{p}": f"{new}_action_w_{p}"
    for old, new in (("steady", "fallback"), ("wished", "policy"))
    for p in PHASE_NAMES
}
"""Columns of version 1 of the data sets, and what they are called now."""
_COSTS = ("export_w", "avoidable_import_w")


def read_transitions(path: Path, action: str = "acted") -> Transitions:
    """Transitions of a Parquet file, or of all files of a folder.

    A data set says in each row what was billed in the sample before the tick, so what an action brought is in
    the row after it: reward = -(export + 0.5 avoidable import) / 200. A log with a column `reward` says it
    in its own row. Rows without a fresh sample end a stretch of time, as the end of an episode does.

    Args:
        path: file or folder.
        action: one of `ACTIONS`.

    Raises:
        TransitionsError: no file, a missing column, or numbers that are not finite.
    """
    return joined([_read(file, action) for file in files_of(path)])


def files_of(path: Path) -> list[Path]:
    """A Parquet file, or those of a folder; of a data set only the days that teach.

    Raises TransitionsError when there is none.
    """
    files = sorted(path.glob(_taught(path))) if path.is_dir() else [path]
    if not files:
        raise TransitionsError(f"{path}: no Parquet file")
    return files


def _taught(folder: Path) -> str:
    return "train.parquet" if (folder / MANIFEST_FILE).is_file() else "*.parquet"


def transitions_sha256(path: Path) -> str:
    """One hash for what `read_transitions` reads."""
    return files_sha256(path.glob(_taught(path)) if path.is_dir() else [path])


def write_log(
    path: Path, columns: Mapping[str, NDArray[Any]], metering: Metering, site_id: str = "simulated"
) -> None:
    """Write rows of a site with absorbing slaves for `read_transitions`."""
    terms = term_columns(DatasetTerms(Role.ABSORB, metering, site_id), len(next(iter(columns.values()))))
    parquet.write_table(pa.table({**columns, **terms}), path, compression="zstd")


def _read(path: Path, action: str) -> Transitions:
    try:
        table = parquet.read_table(path)
        table = table.rename_columns([_NAMES_1.get(name, name) for name in table.column_names])
    except (OSError, pa.ArrowException) as error:
        raise TransitionsError(f"{path}: {error}") from error
    costs = ("reward",) if "reward" in table.column_names else _COSTS
    needed = (*FEATURE_NAMES, *ACTION_NAMES, *costs, "episode", "is_fresh")
    if missing := [name for name in needed if name not in table.column_names]:
        raise TransitionsError(f"{path}: no column {', '.join(missing)}")
    fresh = _column(table, "is_fresh").astype(bool)
    segment = np.cumsum(~fresh) + (int((~fresh).sum()) + 1) * _column(table, "episode").astype(np.int64)
    density = _column(table, "log_density")[fresh] if "log_density" in table.column_names else None
    return from_rows(
        stacked(table, FEATURE_NAMES)[fresh],
        _actions(table, action)[fresh],
        _rewards(table)[fresh],
        segment[fresh],
        log_density=density,
    )


def _rewards(table: pa.Table) -> Floats:
    if "reward" in table.column_names:
        return _column(table, "reward").astype(np.float32)
    cost_w = _column(table, "export_w") + AVOIDABLE_WEIGHT * _column(table, "avoidable_import_w")
    return np.asarray(np.append(cost_w[1:], cost_w[-1:]) / -REWARD_W, np.float32)


def _actions(table: pa.Table, action: str) -> Floats:
    """[n, 3] in W; what was on air where the wanted action is not known."""
    applied_w = stacked(table, ACTION_NAMES)
    if action == "applied":
        return applied_w
    chosen_w = applied_w.copy()
    for source, names in ((Source.FALLBACK, FALLBACK_NAMES), (Source.POLICY, POLICY_NAMES)):
        if action == "acted":
            rows = np.asarray(table["source"].to_pylist()) == source.value
        else:
            rows = np.full(len(applied_w), names[0].startswith(action))
        if rows.any():
            found = stacked(table, names)
            rows &= np.isfinite(found).all(axis=1)
            chosen_w[rows] = found[rows]
    return chosen_w


def _column(table: pa.Table, name: str) -> NDArray[Any]:
    return np.asarray(table[name].to_numpy())
