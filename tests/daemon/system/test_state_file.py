"""Two copies on a disk that is full, fails or lies. Power cuts: `tests.campaigns.power_cuts`."""

import errno
import os
import struct
from hashlib import sha256
from pathlib import Path

import pytest

from daemon.system.state_file import COPY_BYTES, StateFile, decode, encode, replace_whole


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


def test_a_save_writes_what_has_changed_and_no_more_than_its_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card wears by what is written: once allocated, a copy of 300 bytes costs a page. A long one before it
    leaves nothing behind."""
    file, written = StateFile(tmp_path / "state"), list[int]()
    pwrite = os.pwrite

    def counted(descriptor: int, data: memoryview, at: int) -> int:
        written.append(done := pwrite(descriptor, data, at))
        return done

    monkeypatch.setattr(os, "pwrite", counted)
    records = [{"text": "x" * size} for size in (10, 20, 9000, 9000, 30, 40)]
    for record in records:
        file.save(record)
        assert StateFile(tmp_path / "state").load() == record
    assert written == [COPY_BYTES, COPY_BYTES, 12288, 12288, 4096, 4096]


def test_a_file_is_replaced_whole_and_never_through_a_link(tmp_path: Path) -> None:
    victim, file = tmp_path / "victim", tmp_path / "state" / "file"
    victim.write_text("untouched")
    file.parent.mkdir()
    (file.parent / "file.new").symlink_to(victim)
    for content in (b"one", b"two"):
        replace_whole(file, content)
        assert file.read_bytes() == content
        assert [path.name for path in file.parent.iterdir()] == ["file"]
    assert victim.read_text() == "untouched"
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileNotFoundError):
        replace_whole(tmp_path / "none" / "file", b"")


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


@pytest.mark.parametrize("text", [b"no JSON", b"[" * 5000, b"", b"\xff\xfe", b"[1]", b"null", b'{"a": NaN'])
def test_a_copy_that_is_whole_and_no_record_is_none(tmp_path: Path, text: bytes) -> None:
    """Its checksum holds: whatever wrote it, it must not keep the daemon from starting."""
    file = StateFile(tmp_path / "state")
    file.save({"number": 1})
    head = struct.pack("<8sQI", b"SUNKEEP1", 99, len(text))
    data = (head + sha256(head + text).digest() + text).ljust(COPY_BYTES, b"\0")
    assert decode(data) == (0, None)
    (tmp_path / "state.b").write_bytes(data)
    assert StateFile(tmp_path / "state").load() == {"number": 1}
    (tmp_path / "state.a").write_bytes(data)
    assert StateFile(tmp_path / "state").load() is None


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
