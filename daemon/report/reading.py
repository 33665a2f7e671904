"""Which segments of a journal hold the wanted days, and what is whole in them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from daemon.journal.format import WHOLE, LineReader
from daemon.journal.reader import records_of
from daemon.journal.records import AnyRecord, Continuation, Event, PolicyChange, Start, Tick, TickInputs
from daemon.journal.segments import lines_of, size_bytes
from daemon.runtime.journal_completion import Completion

WARM_UP_S = 900.0
"""Read before the first day, so that what is followed from tick to tick (the slaves' power, active causes)
is known when it begins, as it is when that day is one of many."""
HEAD_RECORDS = 50
"""A segment begins with its run's start and, within few records, a tick."""


@dataclass(frozen=True, slots=True)
class DateRange:
    """Local days, both included; None is open."""

    first: date | None = None
    last: date | None = None

    def __contains__(self, day: date) -> bool:
        return (self.first is None or day >= self.first) and (self.last is None or day <= self.last)


def newest(files: Sequence[Path]) -> tuple[Start, float] | None:
    """Start of the newest run, and the newest Unix time in it; None when no segment holds both."""
    for file in reversed(files):
        start = next((record for record in _head(file) if isinstance(record, Start)), None)
        ends_at = None if start is None else _ends_at_unix_s(file)
        if start is not None and ends_at is not None:
            return start, ends_at
    return None


def needed(files: Sequence[Path], span: DateRange, zone: ZoneInfo) -> list[Path]:
    """The segments from which the days of `span` can be told.

    A segment is left out when the next one begins, by a synchronised clock, well before the first day.
    """
    if span.first is None:
        return list(files)
    midnight = datetime(span.first.year, span.first.month, span.first.day, tzinfo=zone).timestamp()
    for at in range(len(files) - 1, 0, -1):
        begins_at = _begins_at_unix_s(files[at])
        if begins_at is not None and begins_at <= midnight - WARM_UP_S:
            return list(files[at:])
    return list(files)


def read(
    files: Sequence[Path], damaged: Callable[[str], None], tell: Callable[[float], None] = lambda _: None
) -> Iterator[AnyRecord]:
    """Records of segments, in order.

    Args:
        damaged: told what is not whole and left out (`daemon.journal.records.records_of`).
        tell: called with the share of the bytes that is done, segment by segment.
    """
    total = size_bytes(files) or 1
    done = 0
    completion = Completion(decides=False)
    for file in files:
        size = size_bytes([file])
        yield from completion.records(records_of(file, damaged))
        done += size
        tell(done / total)


def _head(file: Path) -> Iterator[AnyRecord]:
    """The first records; of a continuation what its run began with."""
    for _, record in zip(range(HEAD_RECORDS), records_of(file, lambda _: None), strict=False):
        yield record.start if isinstance(record, Continuation) else record


def _begins_at_unix_s(file: Path) -> float | None:
    tick = next((record for record in _head(file) if isinstance(record, Tick)), None)
    return None if tick is None or tick.snapshot.hour is None else tick.unix_s


def _ends_at_unix_s(file: Path) -> float | None:
    tail, ends_at = list[bytes](), None
    reader = LineReader()
    with suppress(OSError, ValueError):
        for number, line in enumerate(lines_of(file)):
            if not number:
                with suppress(ValueError):
                    reader.read(line)
            if WHOLE in line:  # what follows builds on it, and on nothing before
                tail.clear()
            tail.append(line)
    for line in tail:
        with suppress(ValueError):  # the very last may be torn
            record = reader.read(line)
            if isinstance(record, Start | Tick | TickInputs | Event | PolicyChange):
                ends_at = record.unix_s
    return ends_at
