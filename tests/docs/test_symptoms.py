"""Every symptom of the troubleshooting page is one that the product shows, and that a test makes happen."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operate" / "troubleshooting.md"
TABLE: dict[str, str] = tomllib.loads((Path(__file__).parent / "symptoms.toml").read_text())
ROW = re.compile(r"^\| (?!what one sees|---)(.+?) \|", re.MULTILINE)


def texts() -> str:
    """All texts of the program, and what the package's scripts say."""
    found = []
    for package in ("core", "safety", "drivers", "daemon", "packaging"):
        for file in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(file.read_text())
            found += [
                n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
            ]
    scripts = [file.read_text() for file in (ROOT / "packaging" / "deb").iterdir() if file.suffix != ".py"]
    return "\n".join([*found, *scripts])


SAID = texts()


def test_every_row_is_made_to_happen() -> None:
    rows = ROW.findall(PAGE.read_text())
    assert len(rows) >= 20
    assert set(rows) == set(TABLE)


@pytest.mark.parametrize("symptom", TABLE)
def test_the_product_says_it_so_and_the_test_exists(symptom: str) -> None:
    for quoted in re.findall(r"`([^`]+)`", symptom):
        assert quoted in SAID, quoted
    file, _, name = TABLE[symptom].partition("::")
    tree = ast.parse((ROOT / file).read_text())
    assert name in {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
