"""Which version is in force, and whether it was put back."""

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from daemon.system.release import release, rolled_back


def test_a_checkout_has_the_projects_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert release() == version("sunkeep")
    assert rolled_back() == ""


def test_a_package_says_which_it_is_and_what_became_of_an_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = tmp_path / ".venv"
    environment.mkdir()
    monkeypatch.setattr(sys, "prefix", str(environment))
    (environment / "release").write_text("0.1.0+2~deb12\n")
    (tmp_path / "rolled-back").write_text("3 did not come. Put back 2.\nmore\n")
    assert release() == "0.1.0+2~deb12"
    assert rolled_back() == "3 did not come. Put back 2."


@pytest.mark.parametrize("content", [b"\xff\xfe\n", b"\x1b[31mred\n", b""])
def test_a_damaged_file_says_nothing(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    (tmp_path / "rolled-back").write_bytes(content)
    assert rolled_back() == ""
