"""Writes what happened. Never stops control: when the disk refuses, records are dropped and counted."""

import asyncio
import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from core.parts import Memory
from daemon.journal.artifact_archive import ArtifactArchive
from daemon.journal.records import AnyRecord, Continuation, PolicyChange, Start
from daemon.journal.segment_writer import SegmentWriter
from daemon.journal.segments import PLAIN, tidy
from daemon.system.log import log
from models.bundle import BundleError

SYNC_EVERY_S = 10.0
"""Decisions reach the disk at most this late; transitions at once."""
SEGMENT_BYTES = 8 * 2**20
"""About a quarter of a day; a full one takes a fifth once it is compressed."""
WAITING_RECORDS_MAX = 900
"""A quarter of an hour of ticks kept in memory while the disk refuses."""


@dataclass(slots=True)
class Journal:
    """Append-only segments in one directory (`daemon.journal.segments`), oldest removed above `max_bytes`.

    `put` only queues a record; `flush_if_due` makes lines of them, writes and syncs in a worker thread, so
    that a slow disk never holds the tick. Every later segment of a run begins with what its first began
    with: the first may be removed. The artifacts that the records name are kept beside them
    (`daemon.journal.artifact_archive`); `calibration` is where that of the detector lies.
    """

    directory: Path
    run: str
    max_bytes: int
    calibration: Path | None = None
    dropped_lines: int = 0
    kept_bytes: int = 0
    problem: str = ""
    _waiting: deque[tuple[AnyRecord, Memory | None]] = field(default_factory=deque)
    """Records, ticks with the memory with which they were decided."""
    _heading: Continuation | None = None
    """What a segment begins with whose first record comes next."""
    _segment: int = 0
    _segment_bytes: int = 0
    _lines: SegmentWriter = field(default_factory=SegmentWriter)
    _synced_at_s: float = 0.0
    _busy: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        while self._file.exists():  # of a run that had the same name: two starts within a second
            self._segment += 1

    def put(self, record: AnyRecord, before: Memory | None = None) -> None:
        """Queue one record; `before` is the memory with which a tick was decided."""
        if len(self._waiting) >= WAITING_RECORDS_MAX:
            self._follow(self._waiting.popleft()[0])
            self.dropped_lines += 1
        self._waiting.append((record, before))

    def flush_if_due(self, at_s: float, *, now: bool) -> None:
        """Start writing in the background when it is time, or at once for a transition."""
        due = now or at_s - self._synced_at_s >= SYNC_EVERY_S
        if due and (self._busy is None or self._busy.done()):
            self._synced_at_s = at_s
            self._busy = asyncio.create_task(asyncio.to_thread(self._write), name="journal")

    async def close(self) -> None:
        """Write what is left."""
        if self._busy is not None:
            await self._busy
        await asyncio.to_thread(self._write)

    def _write(self) -> None:
        taken = []
        while self._waiting:
            taken.append(self._waiting.popleft())
        if not taken:
            return
        try:
            self._append(taken)
            self.problem = ""
        except OSError as error:
            self.dropped_lines += len(taken)
            self._next_segment()
            self.problem = f"{self.directory}: {error.strerror}"
            log.error("journal_unwritable", reason=error.strerror, directory=str(self.directory))
        for record, _ in taken:
            self._follow(record)
            self._keep_artifacts(record)

    def _follow(self, record: AnyRecord) -> None:
        """What a later segment begins with, once this record is behind."""
        if isinstance(record, Start):
            self._heading = Continuation.of(record)
        elif isinstance(record, PolicyChange) and self._heading is not None:
            self._heading = Continuation.of(self._heading.start, record)

    def _keep_artifacts(self, record: AnyRecord) -> None:
        if isinstance(record, Start | PolicyChange):
            try:
                ArtifactArchive(self.directory).keep(record, self.calibration)
            except (OSError, BundleError) as error:
                log.warning("artifact_not_kept", reason=str(error), directory=str(self.directory))

    def _is_begun(self) -> bool:
        """Whether anything reached the segment; a disk that stays full must not collect empty ones."""
        try:
            return self._file.stat().st_size > 0
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def _append(self, records: list[tuple[AnyRecord, Memory | None]]) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_gone = self._segment_bytes and not self._file.exists()  # somebody has tidied up
        if is_gone or self._segment_bytes > SEGMENT_BYTES:
            self._next_segment()
        is_new = not self._segment_bytes
        heading = b"" if self._heading is None or not is_new else self._lines.lines(self._heading)
        data = heading + b"".join(self._lines.lines(record, before) for record, before in records)
        descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        self._segment_bytes += len(data)
        self.kept_bytes += len(data)
        if is_new:  # after the lines are safe: compressing a segment takes seconds on a small machine
            self._tidy()

    def _tidy(self) -> None:
        archive = ArtifactArchive(self.directory)
        if self._heading is not None:
            archive.touch(self._heading)
        self.kept_bytes, removed_unix_s = tidy(self.directory, self._file, self.max_bytes)
        archive.tidy(removed_unix_s)

    @property
    def _file(self) -> Path:
        return self.directory / f"{self.run}-{self._segment:04d}{PLAIN}"

    def _next_segment(self) -> None:
        """From here on another file, unless nothing reached this one: a torn line must stay the last."""
        self._segment += self._is_begun()
        self._segment_bytes = 0
        self._lines = SegmentWriter()
