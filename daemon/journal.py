"""Writes what happened. Never stops control: when the disk refuses, lines are dropped and counted."""

import asyncio
import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from daemon.records import Record, to_line

SYNC_EVERY_S = 10.0
"""Decisions reach the disk at most this late; transitions at once."""
SEGMENT_BYTES = 32 * 2**20
WAITING_LINES_MAX = 900
"""A quarter of an hour of ticks kept in memory while the disk refuses."""


@dataclass(slots=True)
class Journal:
    """Append-only segments ``RUN-NNNN.journal`` in one directory, oldest removed above `max_bytes`.

    `put` only queues a line; `flush` writes and syncs in a worker thread, so that a slow disk never holds
    the tick.
    """

    directory: Path
    run: str
    max_bytes: int
    dropped_lines: int = 0
    written_bytes: int = 0
    problem: str = ""
    _waiting: deque[bytes] = field(default_factory=deque)
    _segment: int = 0
    _segment_bytes: int = 0
    _synced_at_s: float = 0.0
    _busy: asyncio.Task[None] | None = None

    def put(self, record: Record) -> None:
        """Queue one record."""
        if len(self._waiting) >= WAITING_LINES_MAX:
            self._waiting.popleft()
            self.dropped_lines += 1
        self._waiting.append(to_line(record))

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
        lines = []
        while self._waiting:
            lines.append(self._waiting.popleft())
        if not lines:
            return
        data = b"".join(lines)
        try:
            self._append(data)
            self.problem = ""
        except OSError as error:
            self.dropped_lines += len(lines)
            self._segment += 1  # a torn line must stay the last of its file
            self._segment_bytes = 0
            self.problem = f"{self.directory}: {error.strerror}"

    def _append(self, data: bytes) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        if self._segment_bytes > SEGMENT_BYTES:
            self._segment += 1
            self._segment_bytes = 0
            self._remove_oldest()
        file = self.directory / f"{self.run}-{self._segment:04d}.journal"
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        self._segment_bytes += len(data)
        self.written_bytes += len(data)

    def _remove_oldest(self) -> None:
        files = sorted(self.directory.glob("*.journal"))
        total = sum(file.stat().st_size for file in files)
        for file in files[:-1]:
            if total <= self.max_bytes:
                return
            total -= file.stat().st_size
            file.unlink()
