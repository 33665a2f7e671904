"""What earlier versions wrote is read, and decided again, to the last bit."""

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from core.decision import State
from core.modes import Mode
from daemon.commands.engineering.replay import replay
from daemon.journal.format import from_line, to_line
from daemon.journal.reader import read_journal
from daemon.journal.records import Continuation, Event, PolicyChange, Start, Tick, unchecked
from daemon.journal.segments import segments
from tests.daemon.journal.golden_files import RUNS, journal_of, name_of, texts

TICKS = {"ab": 91, "calibrated": 91, "fallback": 91, "modes": 241, "production": 349}


@pytest.mark.parametrize("run", RUNS, ids=name_of)
def test_a_golden_journal_is_decided_again_without_a_difference(run: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(replay, [str(journal_of(run, tmp_path)), "--json"])
    outcome = json.loads(done.output)
    assert outcome == {
        "ticks": TICKS[run.name],
        "different": 0,
        "left_out": 0,
        "other_files": [],
        "first": None,
    }


@pytest.mark.parametrize("version", sorted({run.parent for run in RUNS}), ids=lambda folder: folder.name)
def test_the_golden_journals_hold_every_mode_state_and_kind_of_record(version: Path) -> None:
    seen: Counter[object] = Counter()
    for run in RUNS:
        if run.parent != version:
            continue
        for record in read_journal(run):
            seen[type(record)] += 1
            if isinstance(record, Tick):
                seen[record.mode] += 1
                seen[record.decision.verdict.state] += 1
                seen["unknown fate"] += bool(record.snapshot.on_air.doubts)
                seen["refused"] += record.accepted is False
                seen["intervention"] += bool(record.decision.interventions)
    for wanted in (*Mode, *State, Start, Continuation, PolicyChange, Event, "unknown fate", "refused"):
        assert seen[wanted], wanted
    assert seen["intervention"]


def test_a_golden_journal_without_its_first_segment_goes_on_from_the_next_start(tmp_path: Path) -> None:
    run = next(run for run in RUNS if run.name == "production")
    journal = journal_of(run, tmp_path)
    segments(journal)[0].unlink()
    assert isinstance(next(iter(read_journal(journal))), Continuation)
    done = CliRunner().invoke(replay, [str(journal)])
    assert "the start of its run is not in it" in done.output


@pytest.mark.parametrize("run", RUNS, ids=name_of)
def test_a_golden_journal_is_read_without_a_loss(run: Path) -> None:
    """Written in its own version again, every line has the same content."""
    version = int(run.parent.name.removeprefix("version_"))
    for text, line in texts(run):
        record = from_line(line, version)
        assert unchecked(to_line(record, version)) == text
