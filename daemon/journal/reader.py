"""Reads journals of every version: one file, or all files of a directory."""

from collections.abc import Callable, Iterator
from pathlib import Path

from daemon.journal.format import LineReader, VersionError
from daemon.journal.records import DAMAGED, AnyRecord, JournalError
from daemon.journal.segments import lines_of, segments


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
    problem, reader = "", LineReader()
    try:
        for number, line in enumerate(lines_of(file), 1):
            if problem:
                damaged(problem)
            problem = ""
            try:
                record = reader.read(line)
                if record is not None:
                    yield record
            except VersionError as error:
                damaged(f"{file}: {error}. Read it with that version.")
                return
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
