"""A site's own days as a folder of traces: what `training.data.days` finds, with a role for every date.

A journal knows the power at the meter without slaves, not sun and load apart. What the three phases have to
spare together is written as generation on all of them, and the rest as load, so that every phase is what it
was, and windows can be varied as those of measured days are.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from daemon.journal.reader import journal_files
from plant.site.physics import PHASE_SHARES
from plant.site.trace import COLUMNS, DAY_S
from training.batched.day_runs import is_sunny, lit_hours
from training.batched.windows import SURPLUS_W, measured, read_days
from training.data.days import SPLITS, SUMMARY_FILE, Day, DaysError, find_days
from training.data.journal_days import Floats, SiteDays

TEACH, CHOOSE, JUDGE = SPLITS
ROTA = (TEACH, JUDGE, TEACH, CHOOSE, JUDGE)
"""Roles of five dates in a row. Not drawn anew: a date that judged never teaches a later challenger. Five and
the seven days of a week share no divisor, so that no role always falls on a weekend."""
WORDS = {TEACH: "teach", CHOOSE: "choose", JUDGE: "judge"}
FEWEST = {TEACH: 2, CHOOSE: 1, JUDGE: 3}
"""With fewer days that judge, an interval over days would say nothing about other days."""
CONNECTION = "3ph"
SOURCES_FILE = "journals.json"


@dataclass(frozen=True)
class JournalSource:
    """A journal as it was when it was read: where, and the bytes of every segment by name."""

    path: str
    segments: dict[str, int]


def sources_of(journals: Iterable[Path]) -> tuple[JournalSource, ...]:
    """What these journals are now. Ask before they are read: one in use grows meanwhile.

    Raises:
        daemon.journal.records.JournalError: no segment in one of them.
    """
    return tuple(
        JournalSource(str(path.resolve()), {file.name: file.stat().st_size for file in journal_files(path)})
        for path in journals
    )


def role_of(day: str) -> str:
    """What the days of a date (ISO) are for, in every retraining."""
    return ROTA[date.fromisoformat(day).toordinal() % len(ROTA)]


def apart_w(bare_w: Floats) -> tuple[Floats, Floats]:
    """Load [n, 3] and generation [n] in W that together are this grid power without slaves, [n, 3]."""
    pv_w = np.maximum(-bare_w.sum(axis=1), 0.0)
    return bare_w + pv_w[:, None] * np.array(PHASE_SHARES[CONNECTION]), pv_w


def write_days(days: SiteDays, sources: Sequence[JournalSource], folder: Path) -> tuple[Day, ...]:
    """Write every day that has a whole sunny hour without a gap, and the summary last.

    Args:
        days: of the journals.
        sources: the journals; `kept_days` asks for the same.
        folder: of the traces; is made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for day, bare_w in days.bare_w.items():
        load_w, pv_w = apart_w(bare_w)
        columns = (np.arange(DAY_S), *load_w.T.astype(np.float32), pv_w.astype(np.float32))
        path = folder / f"{day}.parquet"
        parquet.write_table(pa.table(dict(zip(COLUMNS, columns, strict=True))), path, compression="zstd")
        hours = lit_hours(Day(path, role_of(day), CONNECTION, has_gaps=True))
        if any(is_sunny(bare_w, begin_s) for begin_s in hours):
            rows.append(
                {"file": path.name, "split": role_of(day), "pv_connection": CONNECTION, "has_gaps": True}
            )
        else:
            path.unlink()
    (folder / SOURCES_FILE).write_text(json.dumps([asdict(source) for source in sources], indent=1))
    (folder / SUMMARY_FILE).write_text(json.dumps(rows, indent=1))
    return tuple(Day(folder / str(row["file"]), str(row["split"]), CONNECTION, True) for row in rows)


def kept_days(sources: Sequence[JournalSource], folder: Path) -> tuple[Day, ...] | None:
    """The days that an interrupted run has written already; None where there are none.

    Raises:
        DaysError: they come from other journals, or from these before they grew.
    """
    if not (folder / SUMMARY_FILE).exists():
        return None
    before = _sources_in(folder)
    if [source.path for source in before] != [source.path for source in sources]:
        raise DaysError(f"{folder}: days of other journals; give another --out")
    for was, now in zip(before, sources, strict=True):
        if was != now:
            raise DaysError(
                f"{now.path}: has changed since its days were written to {folder} (then {_size(was)}, now "
                f"{_size(now)}); give another --out to begin anew with what is there now"
            )
    found: list[Day] = []
    for split in SPLITS:
        try:
            found += find_days(folder, split)
        except DaysError:
            continue
    return tuple(found)


def require_enough(
    days: Iterable[Day], window_s: int, also_choose: Sequence[Day] = (), dates: int | None = None
) -> Mapping[str, tuple[Day, ...]]:
    """The days by role.

    Args:
        days: with a whole sunny hour each.
        window_s: length of the windows that choose.
        also_choose: days of others that choose as well.
        dates: how many there were before that was asked of them, where it is known.

    Raises:
        DaysError: too few of a role, or no window to choose on; says what there is, what it takes, and what
            to do.
    """
    roles = {role: tuple(day for day in days if day.split == role) for role in SPLITS}
    if all(len(roles[role]) >= fewest for role, fewest in FEWEST.items()):
        choosing = (*roles[CHOOSE], *also_choose)
        if not measured(read_days(choosing), window_s + 1):
            raise DaysError(_nothing_to_choose_on(choosing, window_s))
        return roles
    total = sum(map(len, roles.values()))
    there = ", ".join(f"{len(roles[role])} to {word}" for role, word in WORDS.items())
    wanted = ", ".join(f"{FEWEST[role]} to {word}" for role, word in WORDS.items())
    before = "" if dates is None else f" of {dates}"
    raise DaysError(
        f"{total}{before} days have a whole sunny hour without a gap: {there}; needed are {wanted}. Let the "
        "site run for some days more (of five dates in a row two teach, one chooses, two judge), or give "
        "more journals"
    )


def _nothing_to_choose_on(choosing: Sequence[Day], window_s: int) -> str:
    low_w, high_w = SURPLUS_W
    return (
        f"none of the days that choose ({', '.join(day.path.stem for day in choosing)}) has {window_s} s "
        f"without a gap in which {low_w:.0f} to {high_w:.0f} W are to spare on average. Let the site run for "
        "some days more (of five dates in a row one chooses), or give more journals, or measured days with "
        "--traces"
    )


def _sources_in(folder: Path) -> list[JournalSource]:
    """What the days of a folder were read from; nothing where it cannot be said."""
    try:
        rows = json.loads((folder / SOURCES_FILE).read_text(encoding="utf-8"))
        return [JournalSource(row["path"], row["segments"]) for row in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _size(source: JournalSource) -> str:
    count = len(source.segments)
    return f"{sum(source.segments.values()):,} bytes in {count} {'segment' if count == 1 else 'segments'}"
