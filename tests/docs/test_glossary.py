"""The generated part of the glossary is current."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "develop" / "glossary.md"


def check(page: Path) -> int:
    words = [sys.executable, str(ROOT / "tools" / "write_glossary.py"), "--check", "--page", str(page)]
    return subprocess.run(words, capture_output=True, check=False, timeout=60).returncode


def test_it_says_what_the_docstrings_say(tmp_path: Path) -> None:
    assert check(PAGE) == 0, "run python tools/write_glossary.py"
    other = tmp_path / "page.md"
    other.write_text(PAGE.read_text().replace("| `Snapshot` | ", "| `Snapshot` | Not "))
    assert check(other) == 1
