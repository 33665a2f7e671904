"""Pages are wrapped, so that a change of one sentence is a change of one line or two."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WIDTH = 120
NOT_YET = {"faults.md"}
FOUND = sorted([*ROOT.glob("*.md"), ROOT / "firmware" / "README.md", *(ROOT / "docs").rglob("*.md")])
PAGES = [page for page in FOUND if page.name not in NOT_YET]


def prose(text: str) -> list[str]:
    """Lines outside of code blocks that are no rows of a table."""
    outside = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [line for line in outside.splitlines() if not line.lstrip().startswith("|")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_line_is_long(page: Path) -> None:
    assert not [line for line in prose(page.read_text()) if len(line) > WIDTH]


def test_code_and_tables_may_be_wide() -> None:
    long = "x" * (WIDTH + 1)
    assert prose(f"{long}\n```text\n{long}\n```\n| {long} |\nshort\n") == [long, "", "short"]
