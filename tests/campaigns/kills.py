"""A process that keeps saving what stands is killed at random instants, inside running fallbacks.

The child starts fallbacks, lets them run, latches causes and saves after each step, as the daemon does. It
says what it is about to save before, and that it is saved after, each in a log of its own that is on the
disk before it goes on. The parent kills it and restores: what comes back must be the last record that was
said to be saved, or the one that was being saved, never a shorter fallback and never anything else.
"""

import json
import os
import sys
import tempfile
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from daemon.runtime.supervisor_state import SupervisorStateFile
from daemon.system.clock import boottime_s
from safety.timers import PersistentFaults, advance, latch, start, start_violation
from tests.campaigns.killing import kill_after
from tests.campaigns.pairs import silent_log
from tests.campaigns.table import heading, parser

LIFE_S = (0.005, 0.25)
SAME_S = 1e-3
"""Instants of the same deadline; one clock, double precision."""


@dataclass(frozen=True)
class KillRecord:
    """What stood when it was saved: when each fallback ends on CLOCK_BOOTTIME, and what was latched."""

    ends_s: dict[str, float]
    latched: tuple[str, ...]

    @classmethod
    def of(cls, standing: PersistentFaults) -> "KillRecord":
        """Ends instead of what is left, so that time does not matter."""
        at_s = standing.at_s or 0.0
        return cls({name: at_s + left_s for name, left_s in standing.left_s}, standing.latched)

    def same(self, other: "KillRecord") -> bool:
        """Equal but for the last bits."""
        return (
            self.latched == other.latched
            and self.ends_s.keys() == other.ends_s.keys()
            and all(abs(self.ends_s[name] - other.ends_s[name]) <= SAME_S for name in self.ends_s)
        )


def _say(descriptor: int, word: str, record: KillRecord) -> None:
    text = json.dumps([word, record.ends_s, record.latched])
    os.write(descriptor, f"{zlib.crc32(text.encode())} {text}\n".encode())
    os.fdatasync(descriptor)


def _said(path: Path) -> list[tuple[str, KillRecord]]:
    """Whole lines; a torn last one was never said."""
    lines = []
    for line in path.read_text().splitlines():
        checksum, _, text = line.partition(" ")
        if text and checksum == str(zlib.crc32(text.encode())):
            word, ends_s, latched = json.loads(text)
            lines.append((word, KillRecord(ends_s, tuple(latched))))
    return lines


def child(directory: Path, said: Path, seed: int) -> None:
    """Live until killed."""
    rng = Random(seed)
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    file = SupervisorStateFile(directory)
    standing = file.restore()
    while True:
        standing = advance(standing, boottime_s())
        kind = rng.random()
        if kind < 0.2:
            standing = start_violation(standing)
        elif kind < 0.3:
            standing = start(standing, "anomaly")
        elif kind < 0.35:
            standing = latch(standing, ("meter_sign",))
        elif kind < 0.4:
            standing = PersistentFaults(
                at_s=boottime_s()
            )  # as after long enough: what was once there is no excuse
        _say(descriptor, "try", KillRecord.of(standing))
        file.save(standing)
        _say(descriptor, "saved", KillRecord.of(standing))


@dataclass
class KillResult:
    """Over all kills. `errors_s` are the differences of deadlines from the record they should be."""

    kills: int = 0
    inside: int = 0
    between: int = 0
    newer: int = 0
    shortened: int = 0
    strange: int = 0
    saves: int = 0
    worst_s: float = 0.0


def _judge(
    found: KillResult, before: KillRecord, said: list[tuple[str, KillRecord]], now: KillRecord
) -> None:
    """`before` is what stood when the child began."""
    saved = [record for word, record in said if word == "saved"]
    tried = [record for word, record in said if word == "try"]
    last = saved[-1] if saved else before
    found.saves += len(saved)
    found.inside += bool(last.ends_s)
    candidates = [last]
    if len(tried) > len(saved):
        found.between += 1
        candidates.append(tried[-1])
    fitting = [record for record in candidates if record.same(now)]
    if not fitting:
        found.strange += 1
        found.shortened += any(now.ends_s.get(n, 0.0) < end_s - 1.0 for n, end_s in last.ends_s.items())
        return
    found.newer += not last.same(now)
    record = fitting[0]
    gaps_s = [abs(now.ends_s[name] - end_s) for name, end_s in record.ends_s.items()]
    found.worst_s = max([found.worst_s, *gaps_s])


def campaign(folder: Path, kills: int, seed: int) -> KillResult:
    """So many lives, each ended at a random instant."""
    rng, found = Random(seed), KillResult()
    state = folder / "state"
    state.mkdir()
    SupervisorStateFile(state).begin()
    for number in range(kills):
        said = folder / "said"
        said.unlink(missing_ok=True)
        said.touch()
        before = KillRecord.of(SupervisorStateFile(state).restore())
        work = partial(child, state, said, seed * 1_000_003 + number)
        kill_after(rng.uniform(*LIFE_S), work)
        found.kills += 1
        _judge(found, before, _said(said), KillRecord.of(SupervisorStateFile(state).restore()))
    return found


def table(found: KillResult) -> str:
    """What was found."""
    rows = {
        "kills": found.kills,
        "saves that were said to be done": found.saves,
        "killed inside a running fallback": found.inside,
        "killed between 'try' and 'saved'": found.between,
        "of these, the new record stood already": found.newer,
        "fallback shortened": found.shortened,
        "restored something that was not saved": found.strange,
        "largest error of a fallback's end": f"{found.worst_s * 1000:.3f} ms",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def main() -> int:
    """The long form."""
    chosen = parser(__doc__, trials=1000).parse_args()
    with tempfile.TemporaryDirectory() as folder, silent_log():
        found = campaign(Path(folder), chosen.trials, chosen.seed)
    print(heading(chosen.seed))
    print(table(found))
    return 1 if found.strange or found.shortened else 0


if __name__ == "__main__":
    sys.exit(main())
