"""Power cuts in the middle of saving what stands: what may be on the disk afterwards, and what is made of it.

A cut leaves each 512-byte sector that was not yet synced old, new, zero, noise or half written, in any order;
a new file may be short or missing, its directory entry lost. Three worlds:

- ``honest``: the disk keeps what was synced. The copy that was being written is torn; the record before the
  save or the new one must come back, its fallbacks not a second shorter.
- ``lying``: the disk forgets what it said was synced: both copies are torn. What comes back must be a record
  that was saved once, or nothing, which costs an hour with the fallback.
- ``rotten``: bits flip in both copies, anywhere. Again: a record that was saved, or nothing.
"""

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from daemon.system.state_file import COPIES, COPY_BYTES, StateFile
from safety.timers import PersistentFaults, latch, restore, save, start, start_violation
from tests.campaigns.table import heading, parser

SECTOR_BYTES = 512
CUTS_PER_SAVE = 25
BOOT = "8d6c1d0e-boot"
WORLDS = ("honest", "lying", "rotten")


@dataclass
class PowerCutResult:
    """Over all cuts of one world."""

    cuts: int = 0
    old: int = 0
    new: int = 0
    nothing: int = 0
    wrong: int = 0


def standing(at_s: float, rng: Random) -> PersistentFaults:
    """Something that stands."""
    what = PersistentFaults(at_s=at_s)
    for _ in range(rng.randrange(4)):
        what = (
            start_violation(what)
            if rng.random() < 0.6
            else start(what, rng.choice(("anomaly", "state_lost")))
        )
    return latch(what, ("meter_sign", "rollback") if rng.random() < 0.3 else ())


def torn(old: bytes, new: bytes, rng: Random) -> bytes | None:
    """What a cut can leave of a copy that was being overwritten; None when the file is missing."""
    if old == b"" and rng.random() < 0.1:
        return None
    old, new = old.ljust(COPY_BYTES, b"\0"), new.ljust(COPY_BYTES, b"\0")
    kinds = rng.choice(
        (("old", "new"), ("old", "new", "zero"), ("old", "new", "zero", "noise", "half"), ("new",))
    )
    out = bytearray()
    for at in range(0, COPY_BYTES, SECTOR_BYTES):
        before, after = old[at : at + SECTOR_BYTES], new[at : at + SECTOR_BYTES]
        kind = rng.choice(kinds)
        if kind == "half":
            cut = rng.randrange(SECTOR_BYTES)
            out += after[:cut] + before[cut:]
        elif kind == "noise":
            out += rng.randbytes(SECTOR_BYTES)
        else:
            out += {"old": before, "new": after, "zero": bytes(SECTOR_BYTES)}[kind]
    return bytes(out[: rng.choice((COPY_BYTES, COPY_BYTES, COPY_BYTES, rng.randrange(COPY_BYTES)))])


def rotten(data: bytes, rng: Random) -> bytes:
    """One to three flipped bits within what is used, or a sector exchanged with another."""
    out = bytearray(data)
    used = max(1, len(data.rstrip(b"\0")))
    for _ in range(rng.randint(1, 3) if out else 0):
        bit = rng.randrange(8 * used)
        out[bit // 8] ^= 1 << bit % 8
    if out and rng.random() < 0.2:
        a, b = (rng.randrange(len(out) // SECTOR_BYTES) * SECTOR_BYTES for _ in range(2))
        out[a : a + SECTOR_BYTES], out[b : b + SECTOR_BYTES] = (
            out[b : b + SECTOR_BYTES],
            out[a : a + SECTOR_BYTES],
        )
    return bytes(out)


def _put(path: Path, data: bytes | None) -> None:
    if data is None:
        path.unlink(missing_ok=True)
    else:
        path.write_bytes(data)


def _record(at_s: float, rng: Random) -> dict[str, Any]:
    """What the daemon saves, and something that makes it fill one to six sectors."""
    saved = save(standing(at_s, rng), boot_id=BOOT, unix_s=1.8e9 + at_s, synced=True)
    return {"saved": saved, "fill": "x" * rng.randrange(5 * SECTOR_BYTES)}


def _keeps(before: dict[str, Any], after: dict[str, Any], found: dict[str, Any] | None, at_s: float) -> bool:
    """Whether what comes back is one of the two, and restores to no less than it says."""
    if found is None or found not in (before, after):
        return False
    back = restore(found["saved"], boot_id=BOOT, boottime_s=at_s, unix_s=0.0, synced=False)
    ends_s = {name: at_s + left_s for name, left_s in back.left_s}
    saved = found["saved"]["standing"]
    return all(
        abs(ends_s.get(name, 0.0) - (saved["at_s"] + left_s)) <= 1e-6
        for name, left_s in saved["left_s"].items()
    ) and set(back.latched) == set(saved["latched"])


def _save(path: Path, world: str, found: PowerCutResult, rng: Random) -> None:
    """A few saves, and many ways in which the last one is cut."""
    copies = [path.with_name(path.name + suffix) for suffix in COPIES]
    for copy in copies:
        copy.unlink(missing_ok=True)
    file, at_s, saved = StateFile(path), 1000.0, []
    history = [[copy.read_bytes() if copy.exists() else b"" for copy in copies]]
    for _ in range(rng.randint(2, 5)):
        saved.append(_record(at_s, rng))
        file.save(saved[-1])
        history.append([copy.read_bytes() if copy.exists() else b"" for copy in copies])
        at_s += rng.uniform(0.1, 20.0)
    before, now = history[-2], history[-1]
    for _ in range(CUTS_PER_SAVE):
        for index, copy in enumerate(copies):
            older = history[max(0, len(history) - 3)][index]
            if world == "honest":
                left = torn(before[index], now[index], rng) if before[index] != now[index] else now[index]
            elif world == "lying":
                left = torn(older, now[index], rng)
            else:
                left = rotten(now[index], rng) if rng.random() < 0.9 else now[index]
            _put(copy, left)
        came = StateFile(path).load()
        found.cuts += 1
        found.new += came == saved[-1]
        found.old += came is not None and came != saved[-1]
        found.nothing += came is None
        if world == "honest":
            found.wrong += not _keeps(saved[-2], saved[-1], came, at_s)
        else:
            found.wrong += came is not None and came not in saved
    for copy, data in zip(copies, now, strict=True):
        _put(copy, data)


def campaign(folder: Path, cuts: int, seed: int) -> dict[str, PowerCutResult]:
    """So many cuts, a third in each world. The disk's own sync is left out: the cut is simulated."""
    rng = Random(seed)
    result = {}
    with patch.object(os, "fsync", lambda _descriptor: None):
        for world in WORLDS:
            found = PowerCutResult()
            while found.cuts * len(WORLDS) < cuts:
                _save(folder / "standing", world, found, rng)
            result[world] = found
    return result


def table(result: dict[str, PowerCutResult]) -> str:
    """What was found."""
    lines = ["| world | cuts | old record | new record | nothing | wrong |", "|---|---|---|---|---|---|"]
    for world, found in result.items():
        cells = (found.cuts, found.old, found.new, found.nothing, found.wrong)
        lines.append(f"| {world} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> int:
    """The long form."""
    chosen = parser(__doc__, trials=150_000).parse_args()
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        result = campaign(Path(folder), chosen.trials, chosen.seed)
    print(heading(chosen.seed))
    print(table(result))
    return 1 if any(found.wrong for found in result.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
