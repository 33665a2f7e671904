"""The frame counter: strictly increasing over the life of the site key, also through a crash.

Slaves refuse every counter that is not greater than the last one they accepted, so a counter used twice
is a frame nobody obeys. Blocks of counters are reserved on disk before the first of them is used; what a
crash leaves unused is skipped. The file holds two checksummed copies that are overwritten in place, one
after the other: a torn write spoils only the copy it was writing, and a full disk does not matter.
"""

import os
import struct
import threading
import zlib
from pathlib import Path
from typing import Self

from drivers.errors import ConfigError

BLOCK = 1000
"""Counters reserved at once: at 0.5 frames/s one write in half an hour, and 2^32 last for 272 years."""
COUNTER_MAX = 0xFFFF_FFFF
LEAP_MAX = 2**24
"""Farther than this no report carries the counter in one life of the daemon: a year and more at 0.5 frames/s,
the oldest backup that helps. Beyond it somebody who has the site key is lying, or the backup is older."""
NEAR_END = 2**28
"""So many left are 17 years at 0.5 frames/s, or 16 leaps."""
NEW_KEY = (
    "commission a new site key: move the old key and the frame-counter away, run `sunkeep zigbee key`, and "
    "give the new key to every slave"
)

_RECORD = struct.Struct("<8sQI")
_MAGIC = b"SKcount1"
_SECOND_COPY_AT = 4096
"""A file system block further on, so that no single write touches both copies."""


class FrameCounter:
    """Gives out frame counters. Not for two processes at once: the serial port's lock sees to that."""

    def __init__(self, path: Path, reserved: int) -> None:
        """Use `FrameCounter.create` or `FrameCounter.open`. Everything up to `reserved` may be used up."""
        self._path = path
        self._last = reserved
        self._reserved = reserved
        self._leap_limit = reserved + LEAP_MAX
        self._lock = threading.Lock()

    @classmethod
    def create(cls, path: Path) -> Self:
        """Begin at 1, for a new site key.

        Raises:
            ConfigError: there is a counter already, or the file cannot be written.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise ConfigError(f"{path} exists: a counter must never start again with the same key") from None
        except OSError as error:
            raise ConfigError(f"{path} cannot be made: {error.strerror}") from error
        try:
            _write(descriptor, 0, 0)
            _write(descriptor, _SECOND_COPY_AT, 0)
            _sync_directory(path.parent)
        finally:
            os.close(descriptor)
        return cls(path, 0)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Go on behind everything that may have been used.

        Raises:
            ConfigError: the file is lost or both copies are damaged; the message says what to do.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(_lost(path, f"cannot be read ({error.strerror})")) from error
        copies = [_read(content, at) for at in (0, _SECOND_COPY_AT)]
        intact = [reserved for reserved in copies if reserved is not None]
        if not intact:
            raise ConfigError(_lost(path, "is damaged"))
        # the damaged copy may have been the newer one, and it is at most one block ahead
        reserved = max(intact) + (BLOCK if len(intact) < len(copies) else 0)
        return cls(path, reserved)

    @property
    def last(self) -> int:
        """The counter given out last, or the end of what an earlier life may have used."""
        return self._last

    @property
    def left(self) -> int:
        """How many counters the key has left."""
        return COUNTER_MAX - self._last

    @property
    def warning(self) -> str:
        """What to do before the counters are used up; empty while that is far away."""
        if self.left >= NEAR_END:
            return ""
        return (
            f"{self.left} of {COUNTER_MAX} frame counters are left, and slaves ignore every frame after the "
            f"last: {NEW_KEY}"
        )

    def take(self, n: int = 1) -> int:
        """The first of `n` consecutive counters that nobody had before.

        Touches the disk only when the reserved block is used up, which `reserve` prevents.

        Raises:
            ConfigError: the block cannot be reserved, or 32 bits are used up.
        """
        while self._last + n > self._reserved:
            self.reserve()
        first = self._last + 1
        self._last += n
        return first

    @property
    def low(self) -> bool:
        """Half of the block is used: time for `reserve`, in a thread if the disk may be slow."""
        return self._reserved - self._last < BLOCK // 2

    def reserve(self) -> None:
        """Reserve one more block on disk. May run in another thread than `take`.

        Raises:
            ConfigError: as `take`.
        """
        with self._lock:
            self._reserve_up_to(self._reserved + BLOCK)

    def skip_past(self, seen: int) -> bool:
        """Never give out `seen` or less: a slave says that it has accepted it.

        This happens after the file came back from an old backup. A counter that was already passed
        changes nothing.

        Returns:
            Whether it is believed: one that lies more than `LEAP_MAX` beyond where this life began is not,
            or one false report would use up the counters of the key.

        Raises:
            ConfigError: as `take`.
        """
        if seen <= self._last:
            return True
        if not seen <= self._leap_limit:
            return False
        with self._lock:
            if seen > self._reserved:
                self._reserve_up_to(seen + BLOCK)
            self._last = seen
        return True

    def _reserve_up_to(self, reserved: int) -> None:
        reserved = min(reserved, COUNTER_MAX)
        if reserved == self._reserved:
            raise ConfigError(f"the frame counter has used up its 32 bits: {NEW_KEY}")
        try:
            descriptor = os.open(self._path, os.O_RDWR)
            try:
                for at in (0, _SECOND_COPY_AT):
                    _write(descriptor, at, reserved)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be written: {error.strerror}") from error
        self._reserved = reserved


def _write(descriptor: int, at: int, reserved: int) -> None:
    body = _MAGIC + struct.pack("<Q", reserved)
    os.pwrite(descriptor, body + struct.pack("<I", zlib.crc32(body)), at)
    os.fsync(descriptor)


def _read(content: bytes, at: int) -> int | None:
    record = content[at : at + _RECORD.size]
    if len(record) != _RECORD.size:
        return None
    magic, reserved, checksum = _RECORD.unpack(record)
    if magic != _MAGIC or checksum != zlib.crc32(record[:-4]) or reserved > COUNTER_MAX:
        return None
    return int(reserved)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lost(path: Path, what: str) -> str:
    return (
        f"the frame counter {path} {what}. Without it slaves would ignore every frame. "
        "Restore the file from a backup (an old one will do: reports of the slaves carry it forward), "
        "or commission a new site key in all slaves and make a new counter"
    )
