"""Policy bundles and calibrations beside a journal, by hash: what a replay of it needs besides its lines.

``artifacts/policy-HASH/`` is a bundle, ``artifacts/calibration-HASH.json`` a calibration of the detector.
HASH is the beginning of the SHA-256 that the journal names.
"""

from dataclasses import dataclass
from pathlib import Path

FOLDER = "artifacts"
HASH_DIGITS = 16


@dataclass(frozen=True, slots=True)
class ArtifactArchive:
    """The artifacts of one journal: a directory of segments, or one segment."""

    journal: Path

    @property
    def directory(self) -> Path:
        """Where they lie."""
        return (self.journal if self.journal.is_dir() else self.journal.parent) / FOLDER

    def bundle(self, sha256: str) -> Path:
        """Where the bundle of this hash would lie."""
        return self.directory / f"policy-{sha256[:HASH_DIGITS]}"

    def calibration(self, sha256: str) -> Path:
        """Where the calibration of this hash would lie."""
        return self.directory / f"calibration-{sha256[:HASH_DIGITS]}.json"
