"""Rows of a data set as arrays: state and action, the state `lookahead_s` later, and what follows what."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from models.features import FEATURE_NAMES
from models.manifest import NORMALIZATION_FILE, Normalization
from training.data.dataset import MANIFEST_FILE, DatasetManifest
from training.data.samples import DatasetError
from training.data.table import ACTION_NAMES, NEXT_NAMES, Floats, stacked

ROWS_MAX = 4_000_000
"""Rows read of one split: 1 GB of states, actions and targets. Of more, whole days are drawn."""


@dataclass(frozen=True)
class LookAheads:
    """[n, 30] states, [n, 3] actions in W, [n, 30] states after the look-ahead; raw units.

    Only rows with a target. `seconds` and `episodes` say which row follows which, `sources` who acted.
    """

    states: Floats
    actions_w: Floats
    targets: Floats
    seconds: NDArray[np.int64]
    episodes: NDArray[np.int64]
    sources: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.states)

    def where(self, mask: NDArray[np.bool_]) -> "LookAheads":
        """Those rows."""
        return LookAheads(*(getattr(self, name)[mask] for name in LookAheads.__dataclass_fields__))


def read_manifest(folder: Path) -> DatasetManifest:
    """What `sunkeep dataset` wrote about a data set.

    Raises:
        DatasetError: not a data set, or of another version.
    """
    try:
        manifest = DatasetManifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise DatasetError(f"{folder}: not a data set of `sunkeep dataset` ({error})") from error
    if manifest.feature_names != FEATURE_NAMES:
        raise DatasetError(f"{folder}: made with other features; make it again")
    return manifest


def read_normalization(folder: Path) -> Normalization:
    """Mean and spread over the training days. Raises OSError, pydantic.ValidationError."""
    return Normalization.model_validate_json((folder / NORMALIZATION_FILE).read_bytes())


def read_look_aheads(folder: Path, split: str, rows_max: int = ROWS_MAX, seed: int = 0) -> LookAheads:
    """The rows of a split that have a target; whole days are drawn where there are more than `rows_max`.

    Raises:
        DatasetError: no such split, or no row with a target.
    """
    path = folder / f"{split}.parquet"
    names = ["unix_s", "episode", "has_target", "source", *FEATURE_NAMES, *ACTION_NAMES, *NEXT_NAMES]
    try:
        with parquet.ParquetFile(path) as file:
            days = np.random.default_rng(seed).permutation(file.num_row_groups).tolist()
            taken, rows = [], 0
            for day in days:
                if rows and rows + file.metadata.row_group(day).num_rows > rows_max:
                    break
                taken.append(day)
                rows += file.metadata.row_group(day).num_rows
            parts = [_part(file.read_row_group(day, columns=names)) for day in sorted(taken)]
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{path}: cannot be read: {error}") from error
    if not sum(map(len, parts)):
        raise DatasetError(f"{path}: no row with a target")
    fields = LookAheads.__dataclass_fields__
    return LookAheads(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))


def _part(table: pa.Table) -> LookAheads:
    table = table.filter(table["has_target"])
    return LookAheads(
        stacked(table, FEATURE_NAMES),
        stacked(table, ACTION_NAMES),
        stacked(table, NEXT_NAMES),
        table["unix_s"].to_numpy().astype(np.int64),
        table["episode"].to_numpy().astype(np.int64),
        np.asarray(table["source"].to_pylist(), np.str_),
    )
