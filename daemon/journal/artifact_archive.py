"""Policy bundles and calibrations beside a journal, by hash: what a replay of it needs besides its lines.

``artifacts/policy-HASH/`` is a bundle, ``artifacts/calibration-HASH.json`` a calibration of the detector.
HASH is the beginning of the SHA-256 that the journal names.
"""

import os
import shutil
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from daemon.journal.records import Continuation, PolicyChange, Start
from models.bundle import BundleError, read_files
from models.manifest import MANIFEST_FILE

FOLDER = "artifacts"
HASH_DIGITS = 16
MARGIN_S = 86400.0
"""An artifact is not removed sooner after the segments that name it; a wall clock may be wrong by hours."""


@dataclass(frozen=True, slots=True)
class ArtifactArchive:
    """The artifacts of one journal: a directory of segments, or one segment."""

    journal: Path

    @property
    def directory(self) -> Path:
        """Where they lie."""
        return (self.journal if self.journal.is_dir() else self.journal.parent) / FOLDER

    def keep(self, record: Start | PolicyChange, calibration: Path | None = None) -> None:
        """Copy what a record names, unless it is there, and note that it is in use now.

        Args:
            calibration: where the calibration of a start lies.

        Raises:
            OSError: a file cannot be read or written.
            BundleError: the bundle is not any more where it was, or not the same.
        """
        if record.bundle_sha256 and record.bundle_directory:
            target = self.bundle(record.bundle_sha256)
            if not _is_there(target):
                self._write(target, _contents(record))
        if isinstance(record, Start) and record.calibration_sha256 and calibration is not None:
            target = self.calibration(record.calibration_sha256)
            if not _is_there(target):
                self._write(target, calibration.read_bytes())

    def _write(self, target: Path, content: bytes | dict[str, bytes]) -> None:
        """A file, or a folder of files, in one step."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.directory) as folder:
            passing = Path(folder) / target.name
            if isinstance(content, bytes):
                passing.write_bytes(content)
            else:
                passing.mkdir()
                for name, data in content.items():
                    (passing / name).write_bytes(data)
            passing.rename(target)

    def touch(self, heading: Continuation) -> None:
        """Note that what a segment begins with is in use now. Raises OSError."""
        names = [heading.start.bundle_sha256, "" if heading.policy is None else heading.policy.bundle_sha256]
        kept = [*map(self.bundle, filter(None, names)), self.calibration(heading.start.calibration_sha256)]
        for item in kept:
            _is_there(item)

    def tidy(self, before_unix_s: float) -> None:
        """Remove what was last used before every segment that is left began. Raises OSError."""
        if not self.directory.is_dir():
            return
        for item in self.directory.iterdir():
            if item.stat().st_mtime < before_unix_s - MARGIN_S:
                shutil.rmtree(item) if item.is_dir() else item.unlink()

    def bundle(self, sha256: str) -> Path:
        """Where the bundle of this hash would lie."""
        return self.directory / f"policy-{sha256[:HASH_DIGITS]}"

    def calibration(self, sha256: str) -> Path:
        """Where the calibration of this hash would lie."""
        return self.directory / f"calibration-{sha256[:HASH_DIGITS]}.json"


def _is_there(item: Path) -> bool:
    """Whether it is kept already; it is in use now."""
    try:
        os.utime(item)
    except FileNotFoundError:
        return False
    return True


def _contents(record: Start | PolicyChange) -> dict[str, bytes]:
    contents = read_files(Path(record.bundle_directory))
    if sha256(contents[MANIFEST_FILE]).hexdigest() != record.bundle_sha256:
        raise BundleError(f"{record.bundle_directory} holds another bundle now.", "")
    return contents
