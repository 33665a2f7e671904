"""Reports of the program's own faults: bounded in number and in size."""

import os
from pathlib import Path

import pytest

from daemon.cli.crash_report import REPORT_MAX_BYTES, REPORTS_MAX, write_report


def failed(text: str) -> Exception:
    try:
        raise ZeroDivisionError(text)
    except ZeroDivisionError as error:
        return error


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    return tmp_path


def test_of_many_reports_the_newest_are_kept(folder: Path) -> None:
    (folder / "standing.a").write_text("no report")
    for number in range(REPORTS_MAX + 5):
        report = write_report(failed(f"fault {number}"))
        assert report is not None
        os.utime(report, (number, number))
    reports = sorted(folder.glob("sunkeep-crash-*"))
    assert len(reports) == REPORTS_MAX
    kept = {report.read_text().rpartition("fault ")[2].strip() for report in reports}
    assert kept == {str(number) for number in range(5, REPORTS_MAX + 5)}
    assert (folder / "standing.a").exists()


def test_an_error_that_says_much_leaves_a_short_report_with_both_ends(folder: Path) -> None:
    report = write_report(failed("é" * 10**6 + " the end"))
    assert report is not None
    content = report.read_bytes()
    assert len(content) <= REPORT_MAX_BYTES
    assert content.startswith(b"sunkeep ")
    assert b"Traceback" in content
    assert content.endswith(b" the end\n")
    assert b"(left out)" in content


def test_a_folder_that_cannot_be_written_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "missing"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    report = write_report(failed("elsewhere"))
    assert report is not None
    assert report.parent == tmp_path
