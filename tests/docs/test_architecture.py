"""`ARCHITECTURE.md` names what exists, and its drawings are those of the import contracts."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "ARCHITECTURE.md"
SCRIPT = ROOT / "tools" / "draw_layers.py"
NAMED = re.compile(r"`([\w./-]+\.py)` \(((?:`\w+`(?:, )?)+)\)")
"""A file and, in brackets, what is defined in it."""


def checked(page: Path) -> int:
    words = [sys.executable, str(SCRIPT), "--check", "--page", str(page)]
    return subprocess.run(words, capture_output=True, check=False, timeout=60).returncode


def test_the_drawings_are_those_of_the_contracts(tmp_path: Path) -> None:
    assert checked(PAGE) == 0, "run python tools/draw_layers.py"
    other = tmp_path / "page.md"
    other.write_text(PAGE.read_text().replace("│ core ", "│ heart"))
    assert checked(other) == 1


def test_every_layer_is_drawn_and_has_a_sentence() -> None:
    text = PAGE.read_text()
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layered = [contract for contract in contracts if contract["type"] == "layers"]
    assert layered
    for contract in layered:
        for container in contract.get("containers", [""]):
            for name in re.findall(r"\w+", " ".join(contract["layers"])):
                place = f"{container}/{name}" if container else name
                assert re.search(rf"^\| `{place}` \| \S", text, re.MULTILINE), place


def paths() -> list[str]:
    """Everything in backticks, and in the text drawings, that looks like a path of the repository."""
    text = PAGE.read_text()
    quoted = re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?)`", text)
    return sorted({*quoted, *re.findall(r"(?<=\s)([a-z]+/[\w/]+\.py)(?=\s)", text)})


def test_every_path_exists() -> None:
    found = paths()
    assert len(found) > 60
    packages = {"core", "safety", "models", "drivers", "plant", "daemon", "training"}
    for path in found:
        top = path.split("/")[0]
        if top in packages and "." not in path and not path.endswith("/"):  # of a drawing's table
            assert (ROOT / path).is_dir() or (ROOT / f"{path}.py").is_file(), path
        else:
            assert (ROOT / path).exists(), path


@pytest.mark.parametrize(("file", "names"), sorted(set(NAMED.findall(PAGE.read_text()))))
def test_what_is_named_stands_in_its_file(file: str, names: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        defined |= {target.id for target in targets if isinstance(target, ast.Name)}
    assert set(re.findall(r"\w+", names)) <= defined
