"""The state file against power cuts: sectors not yet synced may be old, new, zero or noise."""

import errno
import os
import random
from pathlib import Path
from typing import Any

import pytest

from daemon import statefile
from daemon.statefile import COPY_BYTES, StateFile, decode, encode

SECTOR_BYTES = 512


def record(number: int, rng: random.Random) -> dict[str, Any]:
    """A record that fills one to six sectors."""
    return {"number": number, "fill": "x" * rng.randrange(6 * SECTOR_BYTES)}


def torn(old: bytes, new: bytes, rng: random.Random) -> bytes:
    """What a power cut can leave of a copy that was being overwritten."""
    kinds = rng.choice((("old", "new"), ("old", "new", "zero"), ("old", "new", "zero", "noise", "half")))
    out = bytearray()
    for start in range(0, COPY_BYTES, SECTOR_BYTES):
        before, after = old[start : start + SECTOR_BYTES], new[start : start + SECTOR_BYTES]
        kind = rng.choice(kinds)
        if kind == "half":
            cut = rng.randrange(SECTOR_BYTES)
            out += after[:cut] + before[cut:]
        elif kind == "noise":
            out += rng.randbytes(SECTOR_BYTES)
        else:
            out += {"old": before, "new": after, "zero": bytes(SECTOR_BYTES)}[kind]
    length = rng.choice((COPY_BYTES, COPY_BYTES, rng.randrange(COPY_BYTES)))  # a new file may come out short
    return bytes(out[:length])


def power_cuts(directory: Path, states: int, seed: int) -> int:
    """Cut the power in the middle of saves; returns how often the interrupted record itself was whole."""
    rng = random.Random(seed)
    path = directory / "state"
    new_whole = 0
    for _ in range(max(1, states // 50)):
        for copy in directory.iterdir():
            copy.unlink()
        for number in range(1, rng.randrange(2, 5)):
            StateFile(path).save(record(number, rng))
        file = StateFile(path)
        before = file.load()
        assert before is not None
        copies = {suffix: directory / f"state{suffix}" for suffix in statefile.COPIES}
        untouched = {s: c.read_bytes() if c.exists() else bytes(COPY_BYTES) for s, c in copies.items()}
        after = record(before["number"] + 1, rng)
        file.save(after)
        written = {s: c.read_bytes() if c.exists() else bytes(COPY_BYTES) for s, c in copies.items()}
        (target,) = (s for s in statefile.COPIES if written[s] != untouched[s])
        for _ in range(50):
            copies[target].write_bytes(torn(untouched[target], written[target], rng))
            found = StateFile(path).load()
            assert found in (before, after)
            new_whole += found == after
    return new_whole


def test_a_power_cut_leaves_the_old_record_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _fd: None)  # the cut is simulated; the real disk only costs time
    new_whole = power_cuts(tmp_path, 600, seed=20261120)
    assert 0 < new_whole < 600  # both outcomes were really met


def test_saves_alternate_and_the_newest_counts(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "deep" / "state")
    assert file.is_new()
    assert file.load() is None
    for number in range(5):
        file.save({"number": number})
        assert StateFile(tmp_path / "deep" / "state").load() == {"number": number}
    assert not file.is_new()
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == ["state.a", "state.b"]
    assert all(p.stat().st_size == COPY_BYTES for p in (tmp_path / "deep").iterdir())
    assert (tmp_path / "deep" / "state.a").stat().st_mode & 0o777 == 0o600


def test_two_damaged_copies_are_no_record(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state")
    file.save({"number": 1})
    file.save({"number": 2})
    for copy in tmp_path.iterdir():
        data = bytearray(copy.read_bytes())
        data[60] ^= 1
        copy.write_bytes(data)
    assert StateFile(tmp_path / "state").load() is None
    assert not StateFile(tmp_path / "state").is_new()


def test_every_single_bit_matters() -> None:
    data = encode(7, {"a": 1})
    used = len(data.rstrip(b"\0"))
    assert decode(data) == (7, {"a": 1})
    for bit in range(8 * used):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert decode(bytes(flipped)) == (0, None)


@pytest.mark.parametrize("data", [b"", b"\0" * COPY_BYTES, encode(1, {}) + b"\0", encode(1, {})[:-1]])
def test_anything_else_is_not_a_record(data: bytes) -> None:
    assert decode(data) == (0, None)


def test_json_that_is_not_an_object_is_not_a_record() -> None:
    assert decode(encode(1, [1])) == (0, None)  # type: ignore[arg-type]


def test_a_record_that_does_not_fit_or_is_not_plain_is_refused(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state")
    file.save({"number": 1})
    with pytest.raises(ValueError, match="more than"):
        file.save({"fill": "x" * COPY_BYTES})
    with pytest.raises(ValueError, match="JSON"):
        file.save({"x": float("nan")})
    assert StateFile(tmp_path / "state").load() == {"number": 1}


def test_a_full_or_failing_disk_leaves_the_record_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = StateFile(tmp_path / "state")
    file.save({"number": 1})
    file.save({"number": 2})

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", refuse)
        for _ in range(3):  # again and again the same copy is tried, never the good one
            with pytest.raises(OSError, match="No space"):
                file.save({"number": 3})
    assert StateFile(tmp_path / "state").load() == {"number": 2}
    file.save({"number": 4})
    assert StateFile(tmp_path / "state").load() == {"number": 4}


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: whole(fd, data[:100], at))
    StateFile(tmp_path / "state").save({"number": 1})
    assert StateFile(tmp_path / "state").load() == {"number": 1}


def test_a_save_is_synced_before_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(Path(f"/proc/self/fd/{fd}").readlink().name))
    file = StateFile(tmp_path / "state")
    file.save({"number": 1})
    assert synced == ["state.a", tmp_path.name]
    file.save({"number": 2})
    file.save({"number": 3})
    assert synced[2:] == ["state.b", tmp_path.name, "state.a"]
