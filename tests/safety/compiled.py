"""The sources of `core` and `safety`, unchanged, compiled with mypyc into a folder of their own.

mypyc comes with mypy, and asks for a C compiler. What it makes is never shipped: it only lets a campaign
live more ticks, and is held against the interpreted sources first.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("core", "safety")
INTERPRETED = ("core/parts.py",)
"""Generic data classes with slots: what mypyc makes of these cannot be imported."""


class NotCompiledError(Exception):
    """Why there are no compiled sources here."""


@contextmanager
def sources() -> Iterator[Path]:
    """A folder to be put before the tree on the path of a new interpreter.

    Raises:
        NotCompiledError: no compiler, or one that does not take these sources.
    """
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        raise NotCompiledError("there is no C compiler")
    with tempfile.TemporaryDirectory(prefix="compiled-") as name:
        folder = Path(name)
        for package in PACKAGES:
            shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
        every = (path.relative_to(folder) for package in PACKAGES for path in folder.glob(f"{package}/*.py"))
        files = sorted(str(path) for path in every if str(path) not in INTERPRETED)
        made = subprocess.run(
            [sys.executable, "-m", "mypyc", *files], cwd=folder, capture_output=True, text=True, check=False
        )
        if made.returncode != 0:
            last = "".join((made.stdout + made.stderr).splitlines(keepends=True)[-5:])
            raise NotCompiledError(f"mypyc does not take the sources:\n{last}")
        yield folder
