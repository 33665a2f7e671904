"""Every cause has a row in the table, words for the owner, and somebody who raises it."""

import ast
from collections.abc import Iterator
from pathlib import Path

from core.causes import Cause
from daemon.words.causes import CAUSES
from safety.faults import FAULTS

ROOT = Path(__file__).parents[2]
TABLES = ("core/causes.py", "safety/faults.py", "daemon/monitoring/messages.py", "daemon/words/causes.py")
"""Files that say something of every cause and raise none."""


def raised(tree: ast.AST) -> Iterator[str]:
    """Members of `Cause` that are used as values; one that is only compared with raises nothing."""
    if isinstance(tree, ast.Compare):
        return
    if isinstance(tree, ast.Attribute) and isinstance(tree.value, ast.Name) and tree.value.id == "Cause":
        yield tree.attr
    for child in ast.iter_child_nodes(tree):
        yield from raised(child)


def test_every_cause_has_its_row_and_its_words_and_no_other_is_there() -> None:
    assert set(FAULTS) == set(Cause) == set(CAUSES)


def test_every_cause_is_raised_by_somebody() -> None:
    found: set[str] = set()
    for folder in ("core", "safety", "drivers", "daemon"):
        for file in (ROOT / folder).rglob("*.py"):
            if file.relative_to(ROOT).as_posix() not in TABLES:
                found |= {*raised(ast.parse(file.read_text()))}
    assert found == set(Cause.__members__)


def test_a_cause_that_is_only_asked_for_counts_as_raised_by_nobody() -> None:
    assert {*raised(ast.parse("x = Cause.ROLLBACK in causes"))} == set()
    assert {*raised(ast.parse("return (Cause.ROLLBACK,)"))} == {"ROLLBACK"}


def test_a_name_that_no_row_knows_stops_the_site() -> None:
    assert "no such alarm" not in FAULTS
    assert all(isinstance(name, Cause) for name in FAULTS)
