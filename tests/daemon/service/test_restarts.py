"""Ends that nobody ordered are counted across processes and boots; an orderly restart is none."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import StartError
from daemon.service.restarts import STORM, WITHIN_S, Now, RestartFile, marked_run, unordered_ends

NOW = Now("boot", 1000.0, 1e9, synced=True)


def record(**changes: Any) -> dict[str, Any]:
    return {
        "boot_id": "boot",
        "boottime_s": 900.0,
        "unix_s": 1e9 - 100.0,
        "synced": True,
        "running": True,
        "ago_s": [10.0, 550.0],
    } | changes


@pytest.mark.parametrize(
    ("found", "ago_s"),
    [
        (None, ()),
        (record(ago_s=[]), (0.0,)),
        (record(ago_s=[], running=False), ()),
        (record(), (110.0, 0.0)),  # the older one is forgotten
        (record(boot_id="other"), (110.0, 0.0)),
        (record(boot_id="other", synced=False), (10.0, 550.0, 0.0)),  # unknown time has not passed
        (record(boot_id="other", unix_s=2e9), (10.0, 550.0, 0.0)),
        (record(running="no"), (110.0, 0.0)),
        ({}, ()),
        (record(ago_s="x"), ()),
        (record(ago_s=[-1.0]), ()),
        (record(boottime_s=None), ()),
    ],
)
def test_what_a_record_tells(found: dict[str, Any] | None, ago_s: tuple[float, ...]) -> None:
    assert unordered_ends(found, NOW) == ago_s


@given(st.lists(st.booleans(), max_size=12))
def test_every_unordered_end_counts_and_no_ordered_one(ends: list[bool]) -> None:
    """True: killed; within the time that counts."""
    found: dict[str, Any] | None = None
    counted: tuple[float, ...] = ()
    for at, is_killed in enumerate((*ends, False)):
        now = Now("boot", 1000.0 + at, 1e9, synced=True)
        counted = unordered_ends(found, now)
        found = record(boottime_s=now.boottime_s, running=is_killed, ago_s=list(counted))
    assert len(counted) == sum(ends)


def test_the_file_keeps_them(tmp_path: Path) -> None:
    assert RestartFile(tmp_path).begin() == 0
    assert [RestartFile(tmp_path).begin() for _ in range(50)] == list(range(1, 51))
    assert RestartFile(tmp_path).begin() >= STORM  # not more than are kept
    RestartFile(tmp_path).end()
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("ordered", [None, StartError("no meter"), asyncio.CancelledError()])
def test_an_orderly_end_is_no_crash(tmp_path: Path, ordered: BaseException | None) -> None:
    for _ in range(STORM + 1):
        try:
            with marked_run(tmp_path) as ends:
                assert ends == 0
                if ordered is not None:
                    raise ordered
        except (StartError, asyncio.CancelledError):
            pass


def test_a_fault_of_the_program_is_one(tmp_path: Path) -> None:
    for before in range(STORM):
        with pytest.raises(ZeroDivisionError), marked_run(tmp_path) as ends:
            assert 1 // (ends - before) == 0
    assert RestartFile(tmp_path).begin() == STORM


def test_a_disk_that_refuses_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.pwrite", refuse)
    with marked_run(tmp_path) as ends:
        assert ends == 0


def test_a_storm_is_several_ends_within_minutes() -> None:
    assert (STORM, WITHIN_S) == (3, 600.0)
