"""A counter is never given out twice, whatever happens to the process or to its file."""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.errors import ConfigError
from drivers.zigbee.frame_counter import BLOCK, COUNTER_MAX, LEAP_MAX, NEAR_END, FrameCounter

SECOND_COPY_AT = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "counter"


def test_it_begins_at_one_and_counts(path: Path) -> None:
    counter = FrameCounter.create(path)
    assert [counter.take() for _ in range(3)] == [1, 2, 3]
    assert counter.take(5) == 4
    assert counter.take() == 9


def test_its_file_is_the_owners_alone(path: Path) -> None:
    FrameCounter.create(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_second_creation_is_refused(path: Path) -> None:
    FrameCounter.create(path).take()
    with pytest.raises(ConfigError, match="never start again"):
        FrameCounter.create(path)


def test_a_lost_file_says_what_to_do(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Restore the file .* or commission a new site key"):
        FrameCounter.open(path)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 700), st.booleans()), min_size=1, max_size=8))
def test_counters_rise_through_crashes(lives: list[tuple[int, bool]]) -> None:
    """Each life takes some counters and ends without a word; sometimes it reserved ahead."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "counter"
        counter, last = FrameCounter.create(path), 0
        for takes, ahead in lives:
            for _ in range(takes):
                value = counter.take()
                assert value > last
                last = value
            if ahead:
                counter.reserve()
            counter = FrameCounter.open(path)


def _torn(content: bytes) -> Iterator[bytes]:
    for at in (0, SECOND_COPY_AT):
        for damage in (b"", b"\xff" * 20, content[at : at + 12] + b"\x00" * 8):
            yield content[:at] + damage.ljust(20, b"\x00") + content[at + 20 :]


def test_one_damaged_copy_costs_a_block_at_most(path: Path) -> None:
    counter = FrameCounter.create(path)
    used = [counter.take() for _ in range(BLOCK + 1)]
    content = path.read_bytes()
    for damaged in _torn(content):
        path.write_bytes(damaged)
        assert used[-1] < FrameCounter.open(path).take() <= 3 * BLOCK + 1


def test_the_newer_copy_may_be_the_damaged_one(path: Path) -> None:
    """Counters of the newest block stay used up even if only the copy before it survives."""
    counter = FrameCounter.create(path)
    counter.take(BLOCK)
    older = path.read_bytes()[SECOND_COPY_AT:]
    used = counter.take(BLOCK)
    content = bytearray(path.read_bytes())
    content[SECOND_COPY_AT:] = older
    content[0] ^= 1
    path.write_bytes(bytes(content))
    assert FrameCounter.open(path).take() > used + BLOCK - 1


def test_two_damaged_copies_are_refused(path: Path) -> None:
    FrameCounter.create(path).take()
    content = bytearray(path.read_bytes())
    content[9] ^= 1
    content[SECOND_COPY_AT + 9] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ConfigError, match=r"damaged.* Without it slaves would ignore every frame"):
        FrameCounter.open(path)


def test_nothing_is_given_out_before_it_is_on_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = FrameCounter.create(path)

    def broken_disk(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken_disk)
    with pytest.raises(ConfigError, match="cannot be written"):
        counter.take()
    monkeypatch.undo()
    assert counter.take() == 1


def test_reserving_ahead_keeps_the_disk_out_of_the_way(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = FrameCounter.create(path)
    counter.reserve()
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("the disk was touched"))
    assert not counter.low
    for _ in range(BLOCK // 2 + 1):
        counter.take()
    assert counter.low


def test_a_report_carries_a_restored_counter_forward(path: Path) -> None:
    counter = FrameCounter.create(path)
    backup = path.read_bytes()
    assert counter.skip_past(54_321)
    assert counter.take() == 54_322
    assert counter.skip_past(3)
    assert counter.take() == 54_323
    path.write_bytes(backup)
    counter = FrameCounter.open(path)
    assert counter.take() == 1
    counter.skip_past(54_323)
    assert counter.take() == 54_324
    assert FrameCounter.open(path).take() > 54_324


@pytest.mark.parametrize("seen", [LEAP_MAX + 1, 2**31, COUNTER_MAX])
def test_a_leap_that_no_backup_explains_is_refused(path: Path, seen: int) -> None:
    """One lie of one slave must not use up the counters of the site."""
    counter = FrameCounter.create(path)
    assert not counter.skip_past(seen)
    assert counter.take() == 1
    assert FrameCounter.open(path).take() < 2 * BLOCK


def test_all_leaps_of_one_life_together_are_bounded(path: Path) -> None:
    counter = FrameCounter.create(path)
    assert counter.skip_past(LEAP_MAX)
    assert not counter.skip_past(LEAP_MAX + 1)
    counter.take(10)
    assert counter.skip_past(LEAP_MAX + 5), "what was given out since is no leap"
    assert not counter.skip_past(2 * LEAP_MAX)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, COUNTER_MAX), max_size=20))
def test_whatever_slaves_say_a_life_costs_a_leap_at_most(seen: list[int]) -> None:
    with TemporaryDirectory() as folder:
        counter = FrameCounter.create(Path(folder) / "counter")
        for value in seen:
            counter.skip_past(value)
        assert counter.take() <= LEAP_MAX + 1


def full(path: Path, reserved: int) -> FrameCounter:
    """A counter that has come so far."""
    FrameCounter.create(path)
    record = b"SKcount1" + struct.pack("<Q", reserved)
    record += struct.pack("<I", zlib.crc32(record))
    with path.open("r+b") as stream:
        for at in (0, SECOND_COPY_AT):
            stream.seek(at)
            stream.write(record)
    return FrameCounter.open(path)


def test_the_end_is_told_long_before(path: Path) -> None:
    assert FrameCounter.create(path).warning == ""
    path.unlink()
    assert full(path, COUNTER_MAX - NEAR_END - 1).warning == ""
    path.unlink()
    warning = full(path, COUNTER_MAX - NEAR_END + 1).warning
    assert "268435455 of 4294967295 frame counters are left" in warning
    assert "a new site key" in warning


def test_the_end_of_the_32_bits_is_refused(path: Path) -> None:
    counter = full(path, COUNTER_MAX - 2)
    assert counter.take(2) == COUNTER_MAX - 1
    with pytest.raises(ConfigError, match="new site key"):
        counter.take()
    assert path.stat().st_size < 2 * SECOND_COPY_AT
