"""Draw the packages from the import contracts in `pyproject.toml`, and write the drawings into a page.

    python tools/draw_layers.py [--check]

Every contract of type `layers` becomes one section of `ARCHITECTURE.md`: a drawing (upper layers may import
lower ones, neighbours do not know each other) and a table that takes each sentence from a docstring.
"""

import ast
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marked_section import ROOT, MarkedSection

SECTION = MarkedSection("layers", "draw_layers.py", ROOT / "ARCHITECTURE.md")
INNER_WIDTH = 62
"""Characters between the outer lines; the drawing fits a page of 70 characters."""


@dataclass(frozen=True, slots=True)
class LayerContract:
    """One contract: a title and its layers from top to bottom, each a row of packages."""

    title: str
    container: str
    rows: tuple[tuple[str, ...], ...]

    def qualified(self, name: str) -> str:
        """The package's name with the package that contains it."""
        return f"{self.container}.{name}" if self.container else name


def contracts(project: dict[str, Any]) -> list[LayerContract]:
    """Every contract of type `layers`, in the order of the file; one for each container.

    Args:
        project: the parsed `pyproject.toml`.
    """
    found = []
    for contract in project["tool"]["importlinter"]["contracts"]:
        if contract["type"] != "layers":
            continue
        rows = tuple(_packages(layer) for layer in contract["layers"])
        found += [
            LayerContract(contract["name"], container, rows) for container in contract.get("containers", [""])
        ]
    return found


def _packages(layer: str) -> tuple[str, ...]:
    """The packages of one layer: `a | b`, `a : b`, and `(a)` for one that may be missing."""
    return tuple(part.strip().strip("()") for part in layer.replace(":", "|").split("|"))


def drawing(contract: LayerContract) -> str:
    """Boxes on top of each other, as text."""
    widths = [_widths(row) for row in contract.rows]
    lines = [_rule(None, widths[0])]
    for number, (row, cells) in enumerate(zip(contract.rows, widths, strict=True)):
        names = (f" {name}".ljust(width) for name, width in zip(row, cells, strict=True))
        lines.append("│" + "│".join(names) + "│")
        lines.append(_rule(cells, widths[number + 1] if number + 1 < len(widths) else None))
    return "\n".join(lines) + "\n"


def _widths(row: tuple[str, ...]) -> list[int]:
    """Equal cells that fill the width together with the lines between them."""
    space = INNER_WIDTH - (len(row) - 1)
    share, rest = divmod(space, len(row))
    return [share + (1 if number < rest else 0) for number in range(len(row))]


def _rule(above: list[int] | None, below: list[int] | None) -> str:
    """The line between two layers; None is outside of the drawing."""
    up, down = _joints(above), _joints(below)
    corners = {(False, True): ("┌", "┐"), (True, True): ("├", "┤"), (True, False): ("└", "┘")}
    left, right = corners[above is not None, below is not None]
    shapes = {(False, False): "─", (True, False): "┴", (False, True): "┬", (True, True): "┼"}
    return left + "".join(shapes[at in up, at in down] for at in range(INNER_WIDTH)) + right


def _joints(cells: list[int] | None) -> set[int]:
    """Where lines stand between cells."""
    joints, at = set(), -1
    for width in (cells or [])[:-1]:
        at += width + 1
        joints.add(at)
    return joints


def sentence(name: str) -> str:
    """The first paragraph of a package's or module's docstring, on one line."""
    place = ROOT / Path(*name.split("."))
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text())) or ""
    return " ".join(text.split("\n\n")[0].split())


def section() -> str:
    """What stands between the two marks of the page."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    parts = []
    for contract in contracts(project):
        title = contract.title[0].upper() + contract.title[1:]
        names = [contract.qualified(name) for row in contract.rows for name in row]
        rows = [f"| `{name.replace('.', '/')}` | {sentence(name)} |" for name in names]
        table = "\n".join(["| where | what it holds |", "|---|---|", *rows])
        parts.append(f"### {title}\n\n```text\n{drawing(contract)}```\n\n{table}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(SECTION.run(section, __doc__ or ""))
