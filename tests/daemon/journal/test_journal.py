"""The journal on disk: segments are compressed when full, the oldest go, and nothing is lost on the way."""

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import structlog
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import daemon.journal.segments
import daemon.journal.writer
from core.decision import Authority
from core.parts import initial_memory
from core.tick import decide
from daemon.commands.engineering.replay import replay as replay_command
from daemon.config.settings import load_settings
from daemon.journal.format import to_segment
from daemon.journal.reader import read_journal
from daemon.journal.records import (
    AnyRecord,
    Continuation,
    Event,
    JournalError,
    PolicyChange,
    Start,
    Tick,
    TickInputs,
)
from daemon.journal.segments import COMPRESSED, PLAIN, compress, segments, size_bytes
from daemon.journal.writer import Journal
from daemon.runtime.assembly import assemble_from
from models.bundle import builtin_bundle, read_manifest
from safety.timers import PersistentFaults, to_record
from tests.support.configuration import write_configuration
from tests.support.examples import snapshot
from training.data.samples import journal_samples

SEGMENT_BYTES = 20_000


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon.journal.writer, "SEGMENT_BYTES", SEGMENT_BYTES)


def event(number: int) -> Event:
    return Event(
        unix_s=float(number),
        event="note",
        detail={"number": number, "padding": Random(number).randbytes(450).hex()},
    )


def start_record(settings_toml: str = "", settings_path: str = "/sunkeep.toml") -> Start:
    return Start(
        version="0", unix_s=0.0, run="1", settings_path=settings_path, settings_toml=settings_toml,
        bundle_sha256=read_manifest(builtin_bundle())[1], standing=to_record(PersistentFaults()),
    )  # fmt: skip


async def written(
    directory: Path, records: list[AnyRecord], max_bytes: int = 10**9, run: str = "run"
) -> Journal:
    journal = Journal(directory, run, max_bytes)
    for record in records:
        journal.put(record)
        await journal.close()  # one write per record, as one flush per some seconds
    return journal


def numbers(path: Path) -> list[int]:
    return [record.detail["number"] for record in read_journal(path) if isinstance(record, Event)]


async def test_full_segments_are_compressed_and_read_as_one(tmp_path: Path) -> None:
    journal = await written(tmp_path, [start_record(), *map(event, range(100))])
    assert numbers(tmp_path) == list(range(100))
    *full, newest = segments(tmp_path)
    assert len(full) == 4
    assert all(file.name.endswith(COMPRESSED) for file in full)
    assert newest.name.endswith(PLAIN)
    assert (
        journal.kept_bytes
        == size_bytes(segments(tmp_path))
        == sum(f.stat().st_size for f in tmp_path.iterdir())
    )
    assert journal.kept_bytes < 0.75 * 100 * 900
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


async def test_a_segment_left_by_an_earlier_run_is_compressed_by_the_next(tmp_path: Path) -> None:
    await written(tmp_path, [event(0)], run="a")
    (tmp_path / "empty-0000.journal").touch()  # a full disk took its name and no line
    await written(tmp_path, [event(1)], run="b")
    assert [file.name for file in segments(tmp_path)] == [
        "a-0000.journal.gz",
        "b-0000.journal",
        "empty-0000.journal",
    ]
    assert numbers(tmp_path) == [0, 1]


async def test_the_oldest_are_removed_and_what_the_run_began_with_stays(tmp_path: Path) -> None:
    began = start_record("[site]")
    await written(tmp_path, [began, *map(event, range(200))], max_bytes=25_000)
    records = list(read_journal(tmp_path))
    assert records[0] == Continuation(start=began)
    kept = numbers(tmp_path)
    assert kept == list(range(kept[0], 200))
    assert kept[0] > 0
    assert size_bytes(segments(tmp_path)) <= 25_000 + SEGMENT_BYTES


async def test_a_disk_that_cannot_hold_the_compressed_file_keeps_the_plain_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    pack = daemon.journal.segments._pack
    monkeypatch.setattr(daemon.journal.segments, "_pack", full)
    journal = await written(tmp_path, list(map(event, range(60))))
    assert "No space left" in journal.problem
    assert sorted(set(numbers(tmp_path))) == numbers(tmp_path)
    assert {file.suffix for file in tmp_path.iterdir()} == {PLAIN}
    monkeypatch.setattr(daemon.journal.segments, "_pack", pack)
    await written(tmp_path, [event(99)], run="run2")
    assert all(file.name.endswith(COMPRESSED) for file in segments(tmp_path)[:-1])


@given(cut=st.sampled_from(["while packing", "before the name", "before the plain one goes"]))
def test_a_power_cut_while_compressing_loses_nothing_and_tells_nothing_twice(
    tmp_path_factory: pytest.TempPathFactory, cut: str
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    file = folder / "run-0000.journal"
    file.write_bytes(to_segment(map(event, range(30))))
    plain = file.read_bytes()
    if cut == "while packing":
        (folder / "run-0000.journal.gz.part").write_bytes(b"\x1f\x8b half")
    elif cut == "before the name":
        compress(file)
        (folder / "run-0000.journal.gz").rename(folder / "run-0000.journal.gz.part")
        file.write_bytes(plain)
    else:
        compress(file)
        file.write_bytes(plain)
    assert numbers(folder) == list(range(30))
    assert daemon.journal.segments.tidy(folder, folder / "next-0000.journal", 10**9)[0] > 0
    assert [kept.name for kept in folder.iterdir()] == ["run-0000.journal.gz"]
    assert numbers(folder) == list(range(30))


def test_a_segment_compressed_while_it_is_read_is_found(tmp_path: Path) -> None:
    file = tmp_path / "run-0000.journal"
    file.write_bytes(to_segment([event(7)]))
    compress(file)
    assert numbers(file) == [7]


def test_a_damaged_compressed_segment_is_named(tmp_path: Path) -> None:
    file = tmp_path / "run-0000.journal"
    file.write_bytes(to_segment(map(event, range(30))))
    compress(file)
    packed = tmp_path / "run-0000.journal.gz"
    packed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(JournalError, match=r"run-0000\.journal\.gz: not a complete gzip file"):
        list(read_journal(tmp_path))
    packed.write_bytes(b"")
    with pytest.raises(JournalError, match=r"0000\.journal\.gz: not a complete gzip file \(it is empty\)"):
        list(read_journal(tmp_path))


async def test_a_segment_that_was_removed_is_followed_by_one_with_a_heading(tmp_path: Path) -> None:
    journal = await written(tmp_path, [start_record(), event(1)])
    for file in tmp_path.iterdir():
        file.unlink()
    journal.put(event(2))
    await journal.close()
    assert numbers(tmp_path) == [2]
    assert next(iter(read_journal(tmp_path))) == Continuation.of(start_record())


async def test_a_later_segment_names_the_policy_that_was_in_force(tmp_path: Path) -> None:
    changes = [PolicyChange(unix_s=1.0), PolicyChange(unix_s=2.0, bundle_sha256="ab" * 32)]
    await written(tmp_path, [start_record(), *changes, *map(event, range(60))])
    first, *later = segments(tmp_path)
    assert later
    first.unlink()
    assert next(iter(read_journal(tmp_path))) == Continuation.of(start_record(), changes[-1])


async def test_a_segment_is_headed_by_the_policy_of_its_first_tick(tmp_path: Path) -> None:
    """Not by that of a change which waits behind it in the same flush."""
    change = PolicyChange(unix_s=2.0, bundle_sha256="ab" * 32)
    journal = await written(tmp_path, [start_record(), *map(event, range(20))])  # one segment, full
    for record in (event(20), change, event(21)):
        journal.put(record)
    await journal.close()
    _, newest = segments(tmp_path)
    assert list(read_journal(newest)) == [Continuation.of(start_record()), event(20), change, event(21)]


async def test_a_disk_that_stays_full_collects_no_empty_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, refuse = os.write, [True]

    def full(descriptor: int, data: bytes) -> int:
        if refuse[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    with structlog.testing.capture_logs() as told:
        journal = await written(tmp_path, [start_record(), *map(event, range(5))])
    assert journal.dropped_lines == 6
    assert len(list(tmp_path.iterdir())) == 1
    assert {(line["event"], line["reason"]) for line in told} == {
        ("journal_unwritable", "No space left on device")
    }
    refuse[0] = False
    journal.put(event(6))
    await journal.close()
    assert numbers(tmp_path) == [6]
    assert next(iter(read_journal(tmp_path))) == Continuation.of(start_record())


def differently(config: Path, ticks: int) -> list[AnyRecord]:
    """Ticks of a run that has seen other things before."""
    return [*lived(config, ticks, grid_w=-2000.0)][1:]


def lived(config: Path, ticks: int, grid_w: float = 0.0) -> Iterator[AnyRecord]:
    """A start and the ticks of the parts that `config` assembles."""
    settings = load_settings(config)
    parts = assemble_from(settings).parts
    yield start_record(config.read_text(), str(config))
    memory = initial_memory(parts)
    for tick in range(ticks):
        seen = replace(snapshot(at_s=float(tick), slaves=2), tick=tick, grid_power_w=(grid_w,) * 3)
        decision, memory = decide(seen, Authority.FALLBACK, memory, parts)
        yield Tick(
            unix_s=float(tick), snapshot=seen, authority=Authority.FALLBACK, propensity=1.0, block=0,
            confounded=False, decision=decision,
        )  # fmt: skip


async def test_a_run_whose_beginning_was_dropped_is_not_taken_for_the_run_before(tmp_path: Path) -> None:
    """A full disk and a kill: of the second run the start is lost, and a continuation begins what was kept.

    Its first tick that was kept follows, by its number, the last one of the run before.
    """
    config = write_configuration(tmp_path)
    first, *ticks = lived(config, 40)
    other = replace(start_record(config.read_text(), str(config)), run="2", unix_s=2.0)
    await written(tmp_path / "journal", [first, *ticks[:20]], run="a")
    await written(tmp_path / "journal", [Continuation.of(other), *differently(config, 40)[20:]], run="b")
    done = CliRunner().invoke(replay_command, [str(tmp_path / "journal")])
    assert done.output.splitlines()[0] == "20 ticks decided again, 0 different", done.output
    assert "20 left out" in done.output
    samples = [sample for _, sample in journal_samples(tmp_path / "journal")]
    assert [at for at, sample in enumerate(samples) if sample.is_start] == [0, 20]


async def test_ticks_after_dropped_lines_are_left_out(tmp_path: Path) -> None:
    config = write_configuration(tmp_path)
    records = list(lived(config, 40))
    await written(tmp_path / "journal", [*records[:21], *records[31:]], run="a")
    await written(tmp_path / "journal", records, run="b")
    done = CliRunner().invoke(replay_command, [str(tmp_path / "journal")])
    assert done.output.splitlines()[0] == "60 ticks decided again, 0 different", done.output
    assert "10 left out" in done.output


async def test_a_journal_whose_beginning_was_removed_is_decided_again_from_the_next_start(
    tmp_path: Path,
) -> None:
    config = write_configuration(tmp_path)
    records: list[AnyRecord] = list(lived(config, 200))
    await written(tmp_path / "journal", records, run="a")
    await written(tmp_path / "journal", records, run="b")
    first = segments(tmp_path / "journal")[0]
    gone = sum(isinstance(record, Tick | TickInputs) for record in read_journal(first))
    first.unlink()
    done = CliRunner().invoke(replay_command, [str(tmp_path / "journal")])
    assert done.output.splitlines()[0] == "200 ticks decided again, 0 different", done.output
    assert f"{200 - gone} left out" in done.output
    alone = CliRunner().invoke(replay_command, [str(segments(tmp_path / "journal")[0])])
    assert "Give the directory" in alone.output
