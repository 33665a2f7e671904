"""Bars of long work: one for each piece of it, on stderr, and nothing is left of them."""

import io

import pytest
from rich.console import Console

from training.commands import progress


def test_every_piece_of_work_has_one_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()

    def terminal(*, stderr: bool) -> Console:
        assert stderr
        return Console(file=shown, force_terminal=True, width=80)

    monkeypatch.setattr(progress, "Console", terminal)
    with progress.bars() as told:
        told("hours lived", 1, 4)
        told("hours asked", 1, 2)
        told("hours lived", 4, 4)
    last = shown.getvalue().split("hours lived")[-1]
    assert "4/4" in last.split("hours asked")[0]
    assert "1/2" in last.split("hours asked")[1]
    erased = "\x1b[1A\x1b[2K"
    assert shown.getvalue().endswith(erased * 2)


def test_nothing_of_it_comes_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.bars() as told:
        told("hours lived", 1, 4)
    assert capsys.readouterr().out == ""
