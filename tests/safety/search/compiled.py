"""The sources of `core` and `safety`, unchanged, compiled with mypyc into a folder of their own.

mypyc comes with mypy, and asks for a C compiler. What it makes is never shipped: it only lets a campaign
live more ticks, and is held against the interpreted sources first.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core import tick
from tests.safety.search.blocks import SearchRun

ROOT = Path(__file__).parents[3]
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


def how() -> str:
    """What kind of sources run here."""
    if not tick.__file__.endswith(".py"):
        from mypy.version import __version__

        return f"sources compiled by mypyc {__version__}"
    return f"sources interpreted by Python {sys.version_info.major}.{sys.version_info.minor}"


def live(module: str, folder: Path, run: SearchRun, options: list[str], output: int | None = None) -> None:
    """Run a campaign with the sources in a folder; ends the program when it fails."""
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-P", "-m", module, "--seed", str(run.seed), "--jobs", str(run.jobs)]
    command += ["--first-block", str(run.first), *options]
    status = subprocess.run(command, env=environment, stdout=output, check=False).returncode
    if status != 0:
        raise SystemExit(status)
