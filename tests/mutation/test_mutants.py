"""The mutation runner sees what it should and leaves alone what it must."""

import ast

import pytest

from tests.mutation.__main__ import ROOT, TESTS, files_for
from tests.mutation.mutants import Mutant, mutants


def changed(source: str) -> set[str]:
    return {ast.unparse(mutant.tree) for mutant in mutants(source)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a < b", {"x = a <= b", "x = a >= b"}),
        ("x = a is not b", {"x = a is b"}),
        ("x = a + b", {"x = a - b"}),
        ("x = a and b", {"x = a or b"}),
        ("x = not a", {"x = not not a"}),
        ("x = -a", {"x = +a"}),
        ("x = b if a else c", {"x = b if True else c", "x = b if False else c"}),
        ("x = min(a, b)", {"x = max(a, b)"}),
        ("x = [a for a in b if c]", {"x = [a for a in b]", "x = [a for a in b if not c]"}),
        ("x = 0", {"x = 1"}),
        ("x = 1", {"x = 2", "x = 0"}),
        ("x = 5", {"x = 6", "x = 4"}),
        ("x = 5.0", {"x = 6.0", "x = 2.5"}),
        ("x = True", {"x = False"}),
        ("x = None", {"x = ..."}),
        ("x = 'a'", {"x = 'a_'"}),
        ("x = b'a'", {"x = b'a_'"}),
        ("x += 1", {"x -= 1", "x += 2", "x += 0"}),
        ("f(a)", {"None"}),
        ("if a:\n    pass", {"if True:\n    pass", "if False:\n    pass"}),
        ("while a:\n    pass", {"while True:\n    pass", "while False:\n    pass"}),
        ("def f():\n    return a", {"def f():\n    return None"}),
        ("def f():\n    return None", {"def f():\n    return ..."}),
        ("def f():\n    return", set()),
        ("def f(a=1, *, b=2):\n    pass", {
            "def f(a=2, *, b=2):\n    pass", "def f(a=0, *, b=2):\n    pass",
            "def f(a=1, *, b=3):\n    pass", "def f(a=1, *, b=1):\n    pass",
        }),
        ("'a text'", set()),
        ("import a", set()),
        ("@decorated(1)\nclass A(Protocol):\n    x: int = 1", set()),
        ("def f(a: 'A') -> 'B':\n    '''Text.'''", set()),
    ],
)  # fmt: skip
def test_faults(source: str, expected: set[str]) -> None:
    assert changed(source) == expected


def test_a_fault_names_its_place_and_is_made_alone() -> None:
    source = "class A:\n    def f(self):\n        if a < b:\n            x = 1\n"
    found = list(mutants(source))
    assert found[0].key == ("A.f", "if a < b:", "if True:")
    assert {mutant.where for mutant in found} == {"A.f"}
    for mutant in found:
        assert isinstance(mutant, Mutant)
        kept = set(source.splitlines()) & set(ast.unparse(mutant.tree).splitlines())
        assert len(kept) == 3


def test_every_source_of_core_and_safety_is_run_with_tests_that_are_there() -> None:
    """A file that was moved would else be left out without a word."""
    found = {
        str(file.relative_to(ROOT))
        for floor in ("core", "safety")
        for file in (ROOT / floor).rglob("*.py")
        if file.name != "__init__.py"
    }
    assert set(TESTS) == found
    assert all((ROOT / test).is_file() for source in TESTS for test in files_for(source))
