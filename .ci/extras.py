"""Print the requirements of extras of pyproject.toml, one per line, without torch (installed by itself)."""

import sys
import tomllib
from pathlib import Path

EDITABLE = "editables>=0.5"  # what hatchling asks for when it installs a source tree in place


def main() -> None:
    """`build-system` stands for what building takes."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))
    for name in sys.argv[1:]:
        if name == "build-system":
            wanted = [*project["build-system"]["requires"], EDITABLE]
        else:
            wanted = project["project"]["optional-dependencies"][name]
        for requirement in wanted:
            if not requirement.startswith("torch"):
                sys.stdout.write(requirement + "\n")


if __name__ == "__main__":
    main()
