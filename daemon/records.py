"""What the journal holds, and how a line of it is made and read.

One line is ``CRC32 JSON``: eight hexadecimal digits over the bytes of the JSON text, a space, the text.
Floats are written in the shortest form that reads back as the same float, so a replay is exact.
"""

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from core.decision import Authority, Decision
from core.modes import Mode
from core.snapshot import Snapshot
from daemon.segments import lines_of, segments


class Record(BaseModel):
    """Common to every line."""

    model_config = ConfigDict(ser_json_inf_nan="constants", extra="forbid", frozen=True)


class Start(Record):
    """The daemon started: everything a replay needs besides the ticks.

    `standing` is what outlived the restart (`safety.timers`), `settings_toml` the configuration as it
    was read and `settings_path` where it lay (relative paths in it are resolved against that). Without a
    `bundle_sha256` there was no policy; `bundle_directory` is where the bundle lay.
    """

    kind: Literal["start"] = "start"
    version: str
    unix_s: float
    run: str
    settings_path: str
    settings_toml: str
    bundle_sha256: str
    bundle_directory: str = ""
    calibration_sha256: str = ""
    standing: dict[str, Any]


class PolicyChange(Record):
    """Between two ticks another bundle took over. Without a hash no policy answers until the next change."""

    kind: Literal["policy"] = "policy"
    unix_s: float
    bundle_sha256: str = ""
    bundle_directory: str = ""


class Continuation(Record):
    """A later segment begins here: what its run started with. The ticks before may have been removed.

    `policy` is the last change of policy before, None when there was none.
    """

    kind: Literal["continuation"] = "continuation"
    start: Start
    policy: PolicyChange | None = None

    @classmethod
    def of(cls, start: Start, policy: PolicyChange | None = None) -> "Continuation":
        """Of the run that began with `start`."""
        return cls(start=start, policy=policy)


class Tick(Record):
    """One tick: what was seen, who should have acted and how likely, what was decided.

    `mode` is the one in force, None in journals that did not tell it yet.
    """

    kind: Literal["tick"] = "tick"
    unix_s: float
    mode: Mode | None = None
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


AnyRecord = Start | Continuation | PolicyChange | Tick | Event
DAMAGED = "The file was changed or damaged."
_ADAPTER: TypeAdapter[AnyRecord] = TypeAdapter(Annotated[AnyRecord, Field(discriminator="kind")])


class JournalError(Exception):
    """A journal cannot be read; the message says which file and line, and what to do."""


def to_line(record: Record) -> bytes:
    """A record as one line of the journal."""
    body = record.model_dump_json().encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def from_line(line: bytes) -> AnyRecord:
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


def read_journal(path: Path) -> Iterator[AnyRecord]:
    """Records of one file, or of all files of a directory in the order of their names.

    A torn last line (power cut) and a file that nothing came into are left out; damage anywhere else is an
    error.

    Raises:
        JournalError: missing or damaged.
    """
    for file in journal_files(path):
        yield from records_of(file, _refuse)


def records_of(file: Path, damaged: Callable[[str], None]) -> Iterator[AnyRecord]:
    """Every record of a segment that is whole, and nothing else.

    Args:
        file: a segment, compressed or not.
        damaged: told in words, naming file and line, what is not whole: a line whose checksum fails is left
            out, and so is whatever follows in a segment that cannot be read on. A torn last line is none.
    """
    problem = ""
    try:
        for number, line in enumerate(lines_of(file), 1):
            if problem:
                damaged(problem)
            problem = ""
            try:
                yield from_line(line)
            except ValueError as error:
                problem = f"{file}:{number}: {error}. {DAMAGED}"  # the last line may be torn by a power cut
    except OSError as error:
        damaged(f"{file}: cannot be read ({error.strerror})")
    except ValueError as error:
        damaged(f"{file}: {error}. {DAMAGED}")


def _refuse(problem: str) -> None:
    raise JournalError(problem)


def journal_files(path: Path) -> list[Path]:
    """The segments of a directory, or the one file that was named.

    Raises:
        JournalError: there is none.
    """
    files = segments(path) if path.is_dir() else [path]
    if not files:
        raise JournalError(f"{path}: no *.journal file in this directory")
    return files
