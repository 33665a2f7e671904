"""A journal that tells most ticks by what changed gives back every tick, whole and to the last bit."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.journal_day import lived
from daemon.commands.engineering.replay import replay
from daemon.commissioning.embedded_site import write_site
from daemon.journal import writer
from daemon.journal.reader import read_journal, records_of
from daemon.journal.records import Checkpoint, Tick, TickInputs
from daemon.journal.segments import segments
from daemon.journal.writer import Journal
from daemon.runtime.journal_completion import Completion, read_whole
from daemon.simulation.simulate import default_site

TICKS = 300


@pytest.fixture
def site(tmp_path: Path) -> Path:
    config = write_site(tmp_path, default_site().slaves, 1502, "socket://127.0.0.1:6638")
    config.write_text(config.read_text() + '\n[policy]\nbundle = "builtin"\n')
    return config


async def written(config: Path, drop: range = range(0)) -> list[Tick]:
    """The ticks of a journal beside the configuration; those to be dropped never reach it."""
    journal = Journal(config.parent / "journal", "run", 10**9)
    ticks = []
    for number, (record, before) in enumerate(lived(config, TICKS)):
        if isinstance(record, Tick):
            ticks.append(record)
        if number not in drop:
            journal.put(record, before)
        if number % 10 == 0:
            await journal.close()
    await journal.close()
    return ticks


def replayed(config: Path) -> dict[str, Any]:
    outcome: dict[str, Any] = json.loads(
        CliRunner().invoke(replay, [str(config.parent / "journal"), "--json"]).output
    )
    return outcome


def without_registers(tick: Tick) -> str:
    return repr(tick).partition(", meter_raw=")[0]


async def test_every_tick_comes_back_whole(site: Path) -> None:
    ticks = await written(site)
    kinds = [type(record) for record in read_journal(site.parent / "journal")]
    assert kinds.count(TickInputs) > 0.95 * TICKS
    assert kinds.count(Tick) >= TICKS // 60
    completion = Completion()
    read = [one for one in completion.records(read_journal(site.parent / "journal")) if isinstance(one, Tick)]
    assert list(map(without_registers, read)) == list(map(without_registers, ticks))
    assert (completion.different, completion.unknown) == (0, 0)
    assert replayed(site) == {
        "ticks": TICKS,
        "different": 0,
        "left_out": 0,
        "other_files": [],
        "first": None,
    }
    for quick, tick in zip(
        (one for one in read_whole(site.parent / "journal", decides=False) if isinstance(one, Tick)),
        ticks,
        strict=True,
    ):
        assert (quick.snapshot, quick.decision.estimate) == (tick.snapshot, tick.decision.estimate)
        assert (quick.decision.verdict, quick.decision.send) == (tick.decision.verdict, tick.decision.send)
        assert quick.decision.policy_action_w == tick.decision.policy_action_w


async def test_a_run_without_its_first_segment_is_decided_again_from_its_memory(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 20_000)
    ticks = await written(site)
    first, second, *_ = segments(site.parent / "journal")
    gone = sum(isinstance(record, Tick | TickInputs) for record in read_journal(first))
    first.unlink()
    assert any(isinstance(record, Checkpoint) for record in read_journal(second))
    outcome = replayed(site)
    assert (outcome["ticks"], outcome["different"], outcome["left_out"]) == (TICKS - gone, 0, 0)
    read = [one for one in read_whole(site.parent / "journal") if isinstance(one, Tick)]
    assert list(map(without_registers, read)) == list(map(without_registers, ticks[gone:]))


async def test_after_dropped_ticks_the_replay_goes_on_at_once(site: Path) -> None:
    await written(site, drop=range(150, 170))
    outcome = replayed(site)
    assert (outcome["ticks"], outcome["different"], outcome["left_out"]) == (TICKS - 20, 0, 0)


async def test_a_damaged_line_costs_what_builds_on_it_and_no_more(site: Path) -> None:
    await written(site)
    (file,) = segments(site.parent / "journal")
    lines = file.read_bytes().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if n > 100 and b'"kind":"inputs"' in line)
    lines[at] = lines[at].replace(b'"at"', b'"ta"')
    file.write_bytes(b"".join(lines))
    told: list[str] = []
    read = [one for one in records_of(file, told.append) if isinstance(one, Tick | TickInputs)]
    assert TICKS - 60 <= len(read) < TICKS
    assert f":{at + 1}: checksum does not match" in told[0]
    assert all("the whole tick that it builds on is missing" in problem for problem in told[1:])


async def test_the_policy_is_kept_beside_the_journal(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a replay decides with it when it is not any more where it was."""
    await written(site)
    monkeypatch.setattr("daemon.commands.engineering.replay.known_directories", lambda *_: iter(()))
    outcome = replayed(site)
    assert (outcome["different"], outcome["other_files"]) == (0, [])
