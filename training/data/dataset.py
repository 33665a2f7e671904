"""Builds a data set: ``train.parquet``, ``val.parquet``, ``test.parquet``, the normalisation and a manifest.

Days come one after the other and each is written by itself, so memory holds one day whatever the size of the
logs. Once all days are known they are split, and the files of a split are joined row group by row group.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from importlib.metadata import version
from operator import add
from pathlib import Path

import numpy as np
from pyarrow import parquet

from models.features import FEATURE_NAMES
from models.manifest import NORMALIZATION_FILE, Range
from models.strict_model import StrictModel
from training.data.days import SPLITS
from training.data.samples import DatasetError, DatasetTerms, Sample
from training.data.statistics import Moments, normalization_of, ranges_of
from training.data.table import ACTION_NAMES, SCHEMA, DayRows, RowBuilder, as_table

LOOKAHEAD_S = 5
MANIFEST_FILE = "dataset.json"
_STAGING = "days.part"

Splitter = Callable[[Sequence[str]], dict[str, str]]
"""From the dates present to the split of each."""


class FileFacts(StrictModel):
    """One file, as read or as written."""

    sha256: str
    size: int


class SplitFacts(StrictModel):
    """What one split holds."""

    days: tuple[str, ...]
    rows: int
    targets: int


class DatasetManifest(StrictModel):
    """`dataset.json`: where the data came from, what is in it, and hashes of all of it."""

    schema_version: int = 3
    sunkeep_version: str
    site: str = ""
    role: str
    metering: str
    lookahead_s: int
    seed: int
    feature_names: tuple[str, ...] = FEATURE_NAMES
    sources: dict[str, FileFacts]
    files: dict[str, FileFacts]
    splits: dict[str, SplitFacts]
    acted_s: dict[str, int]
    episodes: int
    gaps: int
    gap_s: int
    repeated_s: int
    ranges: dict[str, Range]


@dataclass(slots=True)
class _Written:
    """A day on disk."""

    path: Path
    rows: int
    targets: int
    moments: Moments


@dataclass
class Builder:
    """Writes one data set into `out`, which must not hold one already.

    `tell` is called with every day written, for a progress line.
    """

    out: Path
    terms: DatasetTerms
    split: Splitter
    lookahead_s: int = LOOKAHEAD_S
    seed: int = 0
    tell: Callable[[str, int], None] = lambda _date, _rows: None
    _days: dict[str, _Written] = field(default_factory=dict)
    _acted: dict[str, int] = field(default_factory=dict)

    def build(self, samples: Iterator[Sample], sources: Iterable[Path]) -> DatasetManifest:
        """Write everything.

        Args:
            samples: seconds in order.
            sources: the files they came from, for the manifest.

        Raises:
            DatasetError: `out` is in use, no usable day, or too few days to split.
        """
        _require_free(self.out)
        staging = self.out / _STAGING
        staging.mkdir(parents=True)
        try:
            rows = RowBuilder(self.terms)
            for day in rows.days(samples):
                self._write(day, staging)
            splits = self._split()
            for name in SPLITS:
                self._join(name, splits)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        learnt = self._moments(splits, "train")
        normalization = normalization_of(learnt).model_dump_json(indent=1)
        (self.out / NORMALIZATION_FILE).write_text(normalization + "\n", encoding="utf-8")
        manifest = self._manifest(splits, rows, ranges_of(learnt), sources)
        (self.out / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
        return manifest

    def _write(self, day: DayRows, staging: Path) -> None:
        table = as_table(day, self.lookahead_s, self.terms)
        path = staging / f"{day.date}.parquet"
        parquet.write_table(table, path, compression="zstd", row_group_size=table.num_rows)
        for source in day.sources:
            self._acted[source] = self._acted.get(source, 0) + 1
        moments = Moments.of(day.block((*FEATURE_NAMES, *ACTION_NAMES)))
        targets = int(np.count_nonzero(table["has_target"].to_numpy()))
        self._days[day.date] = _Written(path, table.num_rows, targets, moments)
        self.tell(day.date, table.num_rows)

    def _split(self) -> dict[str, str]:
        if not self._days:
            raise DatasetError("no second of data in these sources")
        try:
            return self.split(sorted(self._days))
        except ValueError as error:
            raise DatasetError(str(error)) from None

    def _of(self, splits: dict[str, str], name: str) -> list[str]:
        return [date for date in sorted(self._days) if splits[date] == name]

    def _join(self, name: str, splits: dict[str, str]) -> None:
        with parquet.ParquetWriter(self.out / f"{name}.parquet", SCHEMA, compression="zstd") as writer:
            for date in self._of(splits, name):
                path = self._days[date].path
                writer.write_table(parquet.read_table(path, schema=SCHEMA))
                path.unlink()  # so that the disk holds a day twice at most

    def _moments(self, splits: dict[str, str], name: str) -> Moments:
        return reduce(add, (self._days[date].moments for date in self._of(splits, name)))

    def _manifest(
        self, splits: dict[str, str], rows: RowBuilder, ranges: dict[str, Range], sources: Iterable[Path]
    ) -> DatasetManifest:
        made = (*(f"{name}.parquet" for name in SPLITS), NORMALIZATION_FILE)
        return DatasetManifest(
            sunkeep_version=version("sunkeep"),
            site=self.terms.site_id,
            role=self.terms.role.value,
            metering=self.terms.metering.value,
            lookahead_s=self.lookahead_s,
            seed=self.seed,
            sources={str(path): facts_of(path) for path in sorted(sources)},
            files={name: facts_of(self.out / name) for name in made},
            splits={name: self._facts(splits, name) for name in SPLITS},
            acted_s=dict(sorted(self._acted.items())),
            episodes=rows.episodes,
            gaps=rows.gaps,
            gap_s=rows.gap_s,
            repeated_s=rows.repeated_s,
            ranges=ranges,
        )

    def _facts(self, splits: dict[str, str], name: str) -> SplitFacts:
        dates = self._of(splits, name)
        written = [self._days[date] for date in dates]
        return SplitFacts(
            days=tuple(dates), rows=sum(w.rows for w in written), targets=sum(w.targets for w in written)
        )


def facts_of(path: Path) -> FileFacts:
    """Hash and size of a file, read in pieces."""
    with path.open("rb") as stream:
        return FileFacts(sha256=hashlib.file_digest(stream, "sha256").hexdigest(), size=path.stat().st_size)


def _require_free(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(f"{out}: not an empty folder; give another --out, or remove it first")
