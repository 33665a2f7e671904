"""Rows of the fault table, so many trials each, in random order on one site for each kind of wire."""

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

from daemon.system.clock import boottime_s
from tests.campaigns.pairs import Pair
from tests.faults.log_file import LogFile
from tests.faults.rig import running_rig
from tests.faults.row import SERIAL, FaultTrialResult, Row
from tests.faults.rows import meter, policy, radio
from tests.faults.trial import inject
from tests.support import virtual_time

ROWS: tuple[Row, ...] = (*meter.ROWS, *radio.ROWS, *policy.ROWS)
NOT_AT_WORK = "the site did not come back to work before it"


@dataclass(frozen=True)
class FailedTrial:
    """A trial that could not be made, or ended the daemon."""

    row: Row
    why: str


def chosen(names: Iterable[str], *, short: bool) -> list[Row]:
    """Rows by their numbers; all without any. The short form leaves out what takes long."""
    wanted = set(names)
    return [row for row in ROWS if (not wanted or row.number in wanted) and not (short and row.is_long)]


def campaign(
    folder: Path,
    rows: Sequence[Row],
    trials: int,
    seed: int,
    keep: Callable[[list[FaultTrialResult | FailedTrial]], None] = lambda _done: None,
) -> list[FaultTrialResult | FailedTrial]:
    """Every row so often, in virtual time. `keep` gets everything so far after each trial."""
    done: list[FaultTrialResult | FailedTrial] = []
    for kind in dict.fromkeys(map(_kind, rows)):
        share = [row for row in rows if _kind(row) == kind]
        left = [row for row in share for _ in range(1 if row.is_long else trials)]
        Random(f"{seed} {kind}").shuffle(left)
        settle_s = virtual_time.SETTLE_S if kind[0] == SERIAL else 0.0
        while left:
            number = len(done)
            living = _live(folder / f"{number}", left, Random(seed * 1000 + number), done, keep)
            virtual_time.run(living, settle_s=settle_s, real_inference=share[0].measures_inference)
    return done


def _kind(row: Row) -> tuple[str, str, bool, bool]:
    """Rows of one kind share a site."""
    return row.rig, row.more, row.ends_daemon, row.measures_inference


async def _live(
    folder: Path,
    left: list[Row],
    rng: Random,
    done: list[FaultTrialResult | FailedTrial],
    keep: Callable[[list[FaultTrialResult | FailedTrial]], None],
) -> None:
    """One site, until nothing is left or it cannot go on."""
    log = LogFile(boottime_s)
    row = left[-1]
    async with AsyncExitStack() as stack:
        stack.callback(log.close)
        pair = await stack.enter_async_context(
            running_rig(folder, row.rig, rng.randrange(1 << 30), more=row.more)
        )
        while left:
            row = left.pop()
            result = await _tried(row, pair, log, rng)
            done.append(result)
            keep(done)
            told = result.why if isinstance(result, FailedTrial) else "; ".join(result.misses)
            print(f"{row.number} {row.injection.name}: {told or 'holds'}", file=sys.stderr, flush=True)
            if isinstance(result, FailedTrial) or row.ends_daemon or pair.whole.task.done():
                return


async def _tried(row: Row, pair: Pair, log: LogFile, rng: Random) -> FaultTrialResult | FailedTrial:
    try:
        result = await inject(row, pair, log, rng)
    except TimeoutError:
        return FailedTrial(row, f"{NOT_AT_WORK}: {pair.lived[-1].decision.verdict}")
    if pair.whole.task.done() and not row.ends_daemon:
        return FailedTrial(row, f"the daemon ended: {pair.whole.task.exception()!r}")
    return result
