"""The documentation site builds without a warning, and a dead link, anchor or picture is found."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOT_PAGES = (
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "firmware/README.md",
)
DEAD = ("[page](nowhere.md)", "[anchor](report.md#nowhere)", "![picture](../images/nowhere.png)")

pytest.importorskip("mkdocs", reason="the site needs the extra docs")


def build(root: Path, into: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(into)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(
        words, cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def test_it_builds_without_a_warning(tmp_path: Path) -> None:
    done = build(ROOT, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    assert (tmp_path / "architecture.html").is_file()
    assert 'href="operate/hardware.html"' in (tmp_path / "index.html").read_text()


def test_what_is_dead_is_found(tmp_path: Path) -> None:
    site = tmp_path / "copy"
    for folder in ("docs", "tools"):
        shutil.copytree(ROOT / folder, site / folder)
    for page in (*ROOT_PAGES, "mkdocs.yml"):
        (site / page).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / page, site / page)
    tuning = site / "docs" / "operate" / "tuning.md"
    tuning.write_text(tuning.read_text() + "\n" + "\n\n".join(DEAD) + "\n")
    done = build(site, tmp_path / "site")
    assert done.returncode == 1
    for target in ("nowhere.md", "#nowhere", "nowhere.png"):
        assert any(target in line and "tuning.md" in line for line in done.stderr.splitlines()), done.stderr
