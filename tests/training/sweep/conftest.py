"""What sweeps learn from and are judged on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from core.site import Metering
from models.features import FEATURE_NAMES
from plant.site.trace import COLUMNS, DAY_S
from training.data.table import ACTION_NAMES
from training.learners.data.files import write_log

LIT_S = (40_000, 41_500)


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day that teaches, one that chooses, and one for tests that cannot be read."""
    place = tmp_path_factory.mktemp("traces")
    second = np.arange(DAY_S)
    rows = [{"file": "absent.parquet", "split": "test", "pv_connection": "3ph"}]
    for split, period_s in (("train", 90.0), ("val", 70.0)):
        lit = (second >= LIT_S[0]) & (second < LIT_S[1])
        pv_w = np.where(lit, 5000.0 + 3000.0 * np.sin(2.0 * np.pi * second / period_s), 0.0)
        columns = (second, *[np.full(DAY_S, 250.0)] * 3, pv_w)
        parquet.write_table(pa.table(dict(zip(COLUMNS, columns, strict=True))), place / f"{split}.parquet")
        rows.append({"file": f"{split}.parquet", "split": split, "pv_connection": "3ph"})
    (place / "SUMMARY.json").write_text(json.dumps(rows))
    return place


@pytest.fixture(scope="module")
def transitions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log whose action is 300 W below the surplus."""
    path = tmp_path_factory.mktemp("rows") / "train.parquet"
    rng, count = np.random.default_rng(1), 300
    states = rng.normal(500.0, 200.0, (count, len(FEATURE_NAMES))).astype(np.float32)
    columns: dict[str, Any] = {name: states[:, i] for i, name in enumerate(FEATURE_NAMES)}
    for name in ACTION_NAMES:
        surplus_w = columns[f"surplus_hat{name.removeprefix('applied')}"]
        columns[name] = np.clip(surplus_w - 300.0, 0.0, 5000.0)
    more: dict[str, Any] = {
        "reward": rng.normal(size=count).astype(np.float32),
        "episode": np.zeros(count, np.int32),
    }
    more |= {"is_fresh": np.ones(count, bool), "source": np.full(count, "logged")}
    write_log(path, {**columns, **more}, Metering.NET)
    return path
