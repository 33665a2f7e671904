"""Which release this is, as the Debian package left it beside the virtual environment."""

import sys
from importlib.metadata import version
from pathlib import Path

_LINE_MAX = 300


def release() -> str:
    """The version of the package in force; in a checkout, the version of the project."""
    return _line(Path(sys.prefix) / "release") or version("sunkeep")


def rolled_back() -> str:
    """What the automatic rollback of an update said, while the version before is in force; else empty."""
    return _line(Path(sys.prefix).parent / "rolled-back")


def _line(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as stream:
            text = stream.readline(_LINE_MAX).strip()
    except (OSError, ValueError):
        return ""
    return text if text.isprintable() else ""
