"""A sum has the same last bit under every Python."""

import ast
from pathlib import Path

import pytest

from core.arrays import sum_in_order

ROOT = Path(__file__).parents[2]
WHOLE = {
    "core/allocation.py": 3,
    "core/estimation/response_bank.py": 1,
    "models/inference.py": 1,
    "safety/anomaly.py": 1,
    "safety/switching.py": 2,
}
"""Uses of the built-in `sum`: of whole numbers, and of what is compared with a wide bound only."""


def test_floats_are_added_as_they_come() -> None:
    assert sum_in_order([0.1] * 10) == 0.9999999999999999  # 1.0 by the built-in of 3.12 and later
    assert sum_in_order([1e100, 1.0, -1e100]) == 0.0
    assert sum_in_order(iter(())) == 0


@pytest.mark.parametrize("package", ["core", "safety", "models"])
def test_what_decides_adds_floats_in_order(package: str) -> None:
    found = {}
    for file in sorted((ROOT / package).rglob("*.py")):
        calls = [one for one in ast.walk(ast.parse(file.read_text())) if isinstance(one, ast.Call)]
        count = sum(isinstance(one.func, ast.Name) and one.func.id == "sum" for one in calls)
        if count:
            found[str(file.relative_to(ROOT))] = count
    assert found == {name: count for name, count in WHOLE.items() if name.startswith(package)}
