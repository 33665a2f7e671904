"""Lines of the journal and the records they hold, in every version of the format (docs/develop/journal.md).

Version 1 is what Sunkeep 0.1 wrote; its files name no version. Version 2 begins every file with a line that
does. Version 3 tells what slaves echo and which of them do not follow. Version 4 tells most ticks by what
changed (`daemon.journal.compact_ticks`). Version 5 tells what the owner said of single devices.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from daemon.journal.compact_ticks import TickReader
from daemon.journal.keys import FORMATS, KIND, KINDS
from daemon.journal.records import AnyRecord, Segment, Tick, TickInputs, checked, unchecked
from daemon.system.file_format import FormatError

VERSION = 5
"""What is written."""
_SEGMENT, _INPUTS = "segment", "inputs"
WHOLE = b'"kind":"tick"'
"""In a line that tells a tick in full."""


class VersionError(ValueError):
    """A file of a version that this release does not know."""


class LineReader:
    """Reads the lines of one file, the first of which may tell the version; without it they are version 1.

    Where the first line is damaged, every version is tried.
    """

    def __init__(self) -> None:
        self._versions: tuple[int, ...] = ()
        self._ticks = TickReader()
        self._whole: Tick | None = None

    def read(self, line: bytes) -> AnyRecord | None:
        """The record of the next line; None for one that tells the version.

        Raises:
            VersionError: the file cannot be read by this release.
            ValueError: the checksum does not match, the content is no record, or it builds on one that is
                lost.
        """
        try:
            return self._read(line)
        except ValueError:
            self._whole = None
            self._ticks.lost()
            raise

    def _read(self, line: bytes) -> AnyRecord | None:
        is_first = not self._versions
        if is_first:
            self._versions = tuple(FORMATS)
        content = unchecked(line)
        if is_first:
            self._versions = (1,)
            if content.get(KIND) == _SEGMENT:
                version = content.get("version")
                if not isinstance(version, int) or version not in FORMATS:
                    raise VersionError(f"is of version {version} of the format, made by a newer Sunkeep")
                self._versions = (version,)
                return None
        if content.get(KIND) == _INPUTS:
            if self._whole is not None:
                self._ticks.whole(inputs_tree(self._whole))
                self._whole = None
            return from_content(self._ticks.next(content), VERSION)
        *others, last = self._versions
        for version in others:
            with suppress(ValueError):
                return from_content(content, version)
        record = from_content(content, last)
        if isinstance(record, Tick):
            self._whole = record
        return record


def to_line(record: AnyRecord | Segment, version: int = VERSION) -> bytes:
    """A record as one line of the journal."""
    if isinstance(record, Segment):
        content: dict[str, object] = {KIND: _SEGMENT, "version": record.version}
    else:
        content = FORMATS[version].encode(record)
    return checked(json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode())


def from_line(line: bytes, version: int = VERSION) -> AnyRecord:
    """The record of one line.

    Raises:
        ValueError: the checksum does not match or the content is not a record of this version.
    """
    return from_content(unchecked(line), version)


def from_content(content: dict[str, object], version: int) -> AnyRecord:
    """The record of a JSON object. Raises ValueError: it is none."""
    kind = KINDS.get(str(content.get(KIND)))
    try:
        if kind is None:
            raise FormatError("kind: unknown")
        record: AnyRecord = FORMATS[version].decode(kind, content)
        return record
    except FormatError as error:
        raise ValueError(f"not a record of version {version} ({error})") from None


def inputs_tree(tick: Tick) -> dict[str, Any]:
    """What the ticks after a whole one build on."""
    tree: dict[str, Any] = FORMATS[VERSION].encode(TickInputs.of(tick, ""))
    return tree


def to_segment(records: Iterable[AnyRecord]) -> bytes:
    """A whole file of the journal."""
    return b"".join(map(to_line, (Segment(version=VERSION), *records)))
