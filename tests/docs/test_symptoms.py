"""Every symptom of the troubleshooting page is one that the product shows, and that a test makes happen."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operate" / "troubleshooting.md"
TABLE: dict[str, str | list[str]] = tomllib.loads((Path(__file__).parent / "symptoms.toml").read_text())
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


def source(place: str) -> str:
    """The test as it is written, with what it is parametrized by."""
    file, _, name = place.partition("::")
    text = (ROOT / file).read_text()
    (test,) = [
        one
        for one in ast.walk(ast.parse(text))
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name == name
    ]
    begin = min([test.lineno, *(one.lineno for one in test.decorator_list)])
    return "\n".join(text.splitlines()[begin - 1 : test.end_lineno])


@pytest.mark.parametrize("symptom", TABLE)
def test_the_product_says_it_so_and_the_test_sees_the_very_words(symptom: str) -> None:
    places = TABLE[symptom]
    written = "\n".join(map(source, [places] if isinstance(places, str) else places))
    for quoted in re.findall(r"`([^`]+)`", symptom):
        assert quoted in SAID, quoted
        assert quoted.lower() in written.replace("\\", "").lower(), quoted
