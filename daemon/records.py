"""What the journal holds, and how a line of it is made and read.

One line is ``CRC32 JSON``: eight hexadecimal digits over the bytes of the JSON text, a space, the text.
Floats are written in the shortest form that reads back as the same float, so a replay is exact.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from core.decision import Authority, Decision
from core.snapshot import Snapshot


class Record(BaseModel):
    """Common to every line."""

    model_config = ConfigDict(ser_json_inf_nan="constants", extra="forbid", frozen=True)


class Start(Record):
    """The daemon started: everything a replay needs besides the ticks.

    `standing` is what outlived the restart (`safety.timers`), `settings_toml` the configuration as it
    was read and `settings_path` where it lay (relative paths in it are resolved against that).
    """

    kind: Literal["start"] = "start"
    version: str
    unix_s: float
    run: str
    settings_path: str
    settings_toml: str
    bundle_sha256: str
    calibration_sha256: str = ""
    standing: dict[str, Any]


class Tick(Record):
    """One tick: what was seen, who should have acted and how likely, what was decided."""

    kind: Literal["tick"] = "tick"
    unix_s: float
    snapshot: Snapshot
    authority: Authority
    propensity: float
    block: int
    confounded: bool
    decision: Decision
    frames_hex: tuple[str, ...] = ()
    accepted: bool | None = None
    meter_raw: tuple[int, ...] = ()


class Event(Record):
    """Something that happened between ticks."""

    kind: Literal["event"] = "event"
    unix_s: float
    event: str
    detail: dict[str, Any] = {}


AnyRecord = Annotated[Start | Tick | Event, Field(discriminator="kind")]
_ADAPTER: TypeAdapter[Start | Tick | Event] = TypeAdapter(AnyRecord)


class JournalError(Exception):
    """A journal cannot be read; the message says which file and line, and what to do."""


def to_line(record: Record) -> bytes:
    """A record as one line of the journal."""
    body = record.model_dump_json().encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def from_line(line: bytes) -> Start | Tick | Event:
    """The record of one line.

    Raises:
        ValueError: the checksum does not match or the content is not a record.
    """
    checksum, _, body = line.rstrip(b"\n").partition(b" ")
    if checksum != b"%08x" % zlib.crc32(body):
        raise ValueError("checksum does not match")
    try:
        return _ADAPTER.validate_json(body)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise ValueError(f"not a record of this version ({where}: {problem['msg']})") from None


def read_journal(path: Path) -> Iterator[Start | Tick | Event]:
    """Records of one file, or of all files of a directory in the order of their names.

    A torn last line (power cut) is left out; damage anywhere else is an error.

    Raises:
        JournalError: missing, empty or damaged.
    """
    files = sorted(path.glob("*.journal")) if path.is_dir() else [path]
    if not files:
        raise JournalError(f"{path}: no *.journal file in this directory")
    for file in files:
        yield from _read_file(file)


def _read_file(file: Path) -> Iterator[Start | Tick | Event]:
    try:
        lines = file.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise JournalError(f"{file}: cannot be read ({error.strerror})") from None
    if not lines:
        raise JournalError(f"{file}: empty")
    for number, line in enumerate(lines, 1):
        try:
            yield from_line(line)
        except ValueError as error:
            if number == len(lines):
                return
            raise JournalError(f"{file}:{number}: {error}. The file was changed or damaged.") from None
