"""Whose seconds transitions are: how the slaves act and how the site is billed, as the data say it.

A reward is what one billing costs. So the policy that learns from it is for that billing and no other, and
the data decide which it is.
"""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import compute, parquet
from pydantic import ValidationError

from core.roles import Role
from core.site import Metering
from training.data.dataset import MANIFEST_FILE, DatasetManifest
from training.data.table import TERM_NAMES
from training.learners.data.files import files_of
from training.learners.data.transitions import TransitionsError


@dataclass(frozen=True)
class RecordedTerms:
    """What the rows say: every word that occurs; nothing where no row and no manifest says it."""

    sites: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    meterings: frozenset[str] = frozenset()


def read_terms(path: Path) -> RecordedTerms:
    """What a Parquet file, or all of a folder, say of their site.

    Every row says it since version 3 of the data sets. For an older file the manifest beside it does.

    Raises:
        TransitionsError: no file, or one that cannot be read.
    """
    of_files = [_of_file(file) for file in files_of(path)]
    return RecordedTerms(*(frozenset().union(*words) for words in zip(*of_files, strict=True)))


def metering_of(path: Path, told: str | None) -> Metering:
    """How the site of some transitions is billed.

    Args:
        path: file or folder of transitions.
        told: what the command line says, if anything.

    Raises:
        TransitionsError: slaves that generate, several billings, another billing than was told, or data that
            do not say while nothing was told.
    """
    terms = read_terms(path)
    if Role.GENERATE.value in terms.roles:
        raise TransitionsError(
            f"{path}: rows of slaves that generate; nothing is trained for such yet, rewards are of slaves "
            "that absorb"
        )
    if len(terms.meterings) > 1:
        raise TransitionsError(
            f"{path}: rows of sites that are billed {' and '.join(sorted(terms.meterings))}; a policy is for "
            "one billing, so put the files of each into a folder of its own"
        )
    (said,) = terms.meterings or {told}
    if said is None:
        raise TransitionsError(f"{path}: does not say how its site is billed; give --metering")
    if told not in (None, said):
        raise TransitionsError(
            f"{path}: its site is billed {said}, and so were its rewards; leave out --metering, or make the "
            f"data set anew with --metering {told}"
        )
    return Metering(said)


def _of_file(file: Path) -> tuple[set[str], set[str], set[str]]:
    """Sites, roles and meterings of a file."""
    try:
        names = parquet.read_schema(file).names
        if set(TERM_NAMES) <= set(names):
            table = parquet.read_table(file, columns=list(TERM_NAMES))
            sites, roles, meterings = (set(compute.unique(table[name]).to_pylist()) for name in TERM_NAMES)
            return sites, roles, meterings
    except (OSError, pa.ArrowException) as error:
        raise TransitionsError(f"{file}: {error}") from error
    beside = file.with_name(MANIFEST_FILE)
    if not beside.is_file():
        return set(), set(), set()
    try:
        manifest = DatasetManifest.model_validate_json(beside.read_bytes())
    except (OSError, ValidationError) as error:
        raise TransitionsError(f"{beside}: not the manifest of a data set: {error}") from error
    return {manifest.site} - {""}, {manifest.role}, {manifest.metering}
