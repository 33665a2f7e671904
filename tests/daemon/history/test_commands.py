"""A real daemon lives a few minutes; the commands read, fill, back up and check what came of it."""

import json
from pathlib import Path

import pytest

from daemon import __main__ as command_line
from daemon.commissioning.embedded_site import CONFIG_FILE
from daemon.config.settings import load_settings
from daemon.history.database import FILE, open_history
from daemon.history.reading import HistoryReader
from tests.daemon.report.journals import configure
from tests.support.full_daemon import until, whole


def told(capsys: pytest.CaptureFixture[str], *arguments: str | int | Path) -> str:
    assert command_line.main([*map(str, arguments)]) == 0
    return capsys.readouterr().out


async def test_a_daemon_lives_its_history_and_the_commands_look_after_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with whole(tmp_path) as pair:
        await until(lambda: pair.service.figures is not None and pair.service.figures.ticks > 12, 30.0)
        settings = pair.service.settings
        await pair.stop()
    capsys.readouterr()
    config, history = tmp_path / CONFIG_FILE, settings.state.directory / FILE
    assert "whole" in told(capsys, "history", "check", "--config", config)
    (day, *_) = sorted(HistoryReader(history, settings.zone()).days())
    year = json.loads(told(capsys, "report", "--config", config, "--year", day.year, "--json"))
    month = json.loads(told(capsys, "report", "--config", config, "--month", f"{day:%Y-%m}", "--json"))
    assert (year["by"], month["by"]) == ("month", "day")
    journal = json.loads(told(capsys, "report", "--journal", settings.journal.directory, "--json"))
    for name in ("placed_wh", "exported_wh", "imported_wh", "surplus_wh", "saved", "ticks", "frames_sent"):
        assert year["total"][name] == pytest.approx(journal["total"][name], abs=0.01), name
    assert journal["total"]["ticks"] > 12
    (backup,) = (tmp_path / "copy.db",)
    assert "MB" in told(capsys, "history", "backup", "--config", config, backup)
    assert HistoryReader(backup, settings.zone()).days().keys() == {day}
    assert "0 minutes added" in told(capsys, "history", "fill", "--config", config)  # it has lived them
    assert "EUR saved" in " ".join(told(capsys, "report", "--config", config, "--year", day.year).split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--year", "1990"), "Nothing of 1990-01-01 to 1990-12-31"),
        (("--year", "1990", "--days", "2"), "exclude each other"),
        (("--year", "1990", "--month", "1990-01"), "exclude each other"),
    ],
)
def test_what_no_history_holds_is_said_in_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configure(tmp_path)
    state = load_settings(config, key=False).state.directory
    open_history(state / FILE).close()
    assert command_line.main(["report", "--config", str(config), *arguments]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert words in said
    assert "Traceback" not in said


def test_without_a_history_the_report_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configure(tmp_path)
    assert command_line.main(["report", "--config", str(config), "--year", "2026"]) == 2
    assert "No history can be read" in capsys.readouterr().err
    assert not (load_settings(config, key=False).state.directory / FILE).exists()
