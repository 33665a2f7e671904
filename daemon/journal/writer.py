"""Writes what happened. Never stops control: when the disk refuses, lines are dropped and counted."""

import asyncio
import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from daemon.journal.format import VERSION, to_line
from daemon.journal.records import AnyRecord, Continuation, PolicyChange, Segment, Start
from daemon.journal.segments import PLAIN, tidy
from daemon.system.log import log

SYNC_EVERY_S = 10.0
"""Decisions reach the disk at most this late; transitions at once."""
SEGMENT_BYTES = 32 * 2**20
WAITING_LINES_MAX = 900
"""A quarter of an hour of ticks kept in memory while the disk refuses."""


@dataclass(slots=True)
class Journal:
    """Append-only segments in one directory (`daemon.journal.segments`), oldest removed above `max_bytes`.

    `put` only queues a line; `flush_if_due` writes and syncs in a worker thread, so that a slow disk never
    holds the tick. Every later segment of a run begins with what its first began with: the first may be
    removed.
    """

    directory: Path
    run: str
    max_bytes: int
    dropped_lines: int = 0
    kept_bytes: int = 0
    problem: str = ""
    _waiting: deque[tuple[bytes, bytes]] = field(default_factory=deque)
    """Lines, each with the heading from there on; empty where it stays."""
    _segment: int = 0
    _segment_bytes: int = 0
    _start: Start | None = None
    _heading: bytes = b""
    _owes_heading: bool = False
    _synced_at_s: float = 0.0
    _busy: asyncio.Task[None] | None = None

    def put(self, record: AnyRecord) -> None:
        """Queue one record."""
        heading = b""
        if isinstance(record, Start):
            self._start = record
        if isinstance(record, Start | PolicyChange) and self._start is not None:
            policy = record if isinstance(record, PolicyChange) else None
            heading = to_line(Continuation.of(self._start, policy))
        if len(self._waiting) >= WAITING_LINES_MAX:
            self._heading = self._waiting.popleft()[1] or self._heading
            self.dropped_lines += 1
        self._waiting.append((to_line(record), heading))

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
        data = b"".join(line for line, _ in taken)
        try:
            self._append(data)
            self.problem = ""
        except OSError as error:
            self.dropped_lines += len(taken)
            self._owes_heading = True  # what the run began with may be among what was dropped
            if self._is_begun():
                self._next_segment()  # a torn line must stay the last of its file
            self.problem = f"{self.directory}: {error.strerror}"
            log.error("journal_unwritable", reason=error.strerror, directory=str(self.directory))
        self._heading = next((heading for _, heading in reversed(taken) if heading), self._heading)

    def _is_begun(self) -> bool:
        """Whether anything reached the segment; a disk that stays full must not collect empty ones."""
        try:
            return self._file.stat().st_size > 0
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def _append(self, data: bytes) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_gone = self._segment_bytes and not self._file.exists()  # somebody has tidied up
        if is_gone or self._segment_bytes > SEGMENT_BYTES:
            self._next_segment()
        is_new = not self._segment_bytes
        if is_new:
            data = to_line(Segment(version=VERSION)) + (self._heading if self._owes_heading else b"") + data
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
            self.kept_bytes = tidy(self.directory, self._file, self.max_bytes)

    @property
    def _file(self) -> Path:
        return self.directory / f"{self.run}-{self._segment:04d}{PLAIN}"

    def _next_segment(self) -> None:
        self._segment += 1
        self._segment_bytes = 0
        self._owes_heading = True
