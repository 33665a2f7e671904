"""Runs in blocks: on one core or several the same, within a time, and a failure says which block it was."""

from functools import partial

import pytest

from tests.safety.search import blocks
from tests.safety.search.blocks import SearchRun, done


def square(limit: int, number: int) -> int:
    if number >= limit:
        raise AssertionError(f"unsafe {number}")
    return number * number


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_block_is_worked_once(jobs: int) -> None:
    run = SearchRun(jobs=jobs, first=3)
    assert sorted(done(partial(square, 99), 4, run, "squares")) == [9, 16, 25, 36]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failure_names_seed_and_block(jobs: int) -> None:
    with pytest.raises(AssertionError, match="unsafe 2") as told:
        list(done(partial(square, 2), 3, SearchRun(seed=7, jobs=jobs), "squares", "--twice 2"))
    assert told.value.__notes__[0].startswith("block 2; again: python -m ")
    assert told.value.__notes__[0].endswith(" --twice 2 --seed 7 --block 2")


def test_one_block_alone() -> None:
    assert list(done(partial(square, 99), 4, SearchRun(only=8), "squares")) == [64]
    assert list(done(partial(square, 99), 0, SearchRun(only=8), "squares")) == []


def test_no_block_begins_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = iter((0.0, 10.0, 50.0, 61.0))
    monkeypatch.setattr("tests.safety.search.blocks.time.monotonic", lambda: next(now_s, 61.0))
    squares = blocks._alone(partial(square, 99), range(9), SearchRun(minutes=1.0), "")
    assert list(squares) == [0, 1]
