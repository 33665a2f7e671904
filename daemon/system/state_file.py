"""What must outlive a power cut: two checksummed copies, written in turn.

Each copy is a file of fixed size, allocated once, so that a full disk cannot stop a save. A save touches
only the older copy and is on the disk when it returns; whatever a power cut leaves of it, the other copy
still stands.
"""

import json
import os
import struct
from hashlib import sha256
from pathlib import Path
from typing import Any

COPIES = (".a", ".b")
COPY_BYTES = 16384
PAGE_BYTES = 4096
"""What is written at once at least: a block of the usual file systems, and a page of the card's memory."""
_HEAD = struct.Struct("<8sQI")
"""Magic, number of the save, length of the JSON text; then 32 bytes SHA-256 over head and text."""
_MAGIC = b"SUNKEEP1"
_DIGEST_BYTES = 32


class StateFile:
    """One record of plain JSON values. Not for two processes at once.

    Args:
        path: the two copies lie there with ".a" and ".b" added; the directory is made when missing.
    """

    def __init__(self, path: Path) -> None:
        self._directory = path.parent
        self._paths = [path.with_name(path.name + suffix) for suffix in COPIES]
        self._saves: list[int] | None = None

    def is_new(self) -> bool:
        """Whether nothing was ever saved here."""
        return not any(path.exists() for path in self._paths)

    def load(self) -> dict[str, Any] | None:
        """The newest whole record, or None when no copy is whole."""
        found = [_read(path) for path in self._paths]
        self._saves = [number for number, _ in found]
        return max(found, key=lambda copy: copy[0])[1]

    def save(self, record: dict[str, Any]) -> None:
        """Replace the older copy; on the disk when this returns.

        Raises:
            OSError: the disk refused. The newest whole record is still the one before.
            ValueError: the record does not fit or is not plain JSON.
        """
        if self._saves is None:
            self._saves = [_read(path)[0] for path in self._paths]
        index = 0 if self._saves[0] <= self._saves[1] else 1
        number = max(self._saves) + 1
        data = encode(number, record)
        if _size(self._paths[index]) == COPY_BYTES:  # what lies behind the text says nothing
            data = data[: -(-len(data.rstrip(b"\0")) // PAGE_BYTES) * PAGE_BYTES]
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_new = not self._paths[index].exists()
        self._saves[index] = 0  # from here on until it is on the disk, not a copy to rely on
        descriptor = os.open(self._paths[index], os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.pwrite(descriptor, view, len(data) - len(view)) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            sync_directory(self._directory)
        self._saves[index] = number


def encode(number: int, record: dict[str, Any]) -> bytes:
    """One copy, padded to its fixed size."""
    text = json.dumps(record, allow_nan=False, separators=(",", ":")).encode()
    head = _HEAD.pack(_MAGIC, number, len(text))
    data = head + sha256(head + text).digest() + text
    if len(data) > COPY_BYTES:
        raise ValueError(f"the state needs {len(data)} bytes, more than {COPY_BYTES}")
    return data.ljust(COPY_BYTES, b"\0")


def decode(data: bytes) -> tuple[int, dict[str, Any] | None]:
    """The number and record of one copy; (0, None) when it is not whole."""
    if len(data) != COPY_BYTES:
        return 0, None
    magic, number, length = _HEAD.unpack_from(data)
    start = _HEAD.size + _DIGEST_BYTES
    text = data[start : start + length]
    if magic != _MAGIC or sha256(data[: _HEAD.size] + text).digest() != data[_HEAD.size : start]:
        return 0, None
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):  # whole, and of no use: written by something else
        return 0, None
    return (number, record) if isinstance(record, dict) else (0, None)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read(path: Path) -> tuple[int, dict[str, Any] | None]:
    try:
        with path.open("rb") as file:
            return decode(file.read(COPY_BYTES + 1))
    except OSError:
        return 0, None


def replace_whole(file: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file in one step: whoever reads it, and a power cut, finds what was there or all of this.

    Written by root, it belongs to the owner of its folder, who is to read it: the daemon's user. Nothing is
    written through a link that somebody else has put in its way.

    Raises:
        OSError: what was there is as it was.
    """
    passing = file.with_name(f"{file.name}.new")
    passing.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(passing, flags, mode), "wb") as stream:
        stream.write(content)
        stream.flush()
        folder = file.parent.stat()
        if folder.st_uid != os.geteuid() == 0:
            os.fchown(stream.fileno(), folder.st_uid, folder.st_gid)
        os.fsync(stream.fileno())
    passing.replace(file)
    sync_directory(file.parent)


def sync_directory(directory: Path) -> None:
    """Bring the names in a directory to the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
