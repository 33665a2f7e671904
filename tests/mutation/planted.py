"""Planted faults: each row of `planted.toml` puts one fault into the learners, and its test must fail.

    python -m tests.mutation.planted [--jobs 1]

The small faults of `tests.mutation` take hours of torch; these are those that an audit found unseen. A row
whose test passes with the fault in place fails the run.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
ROWS = Path(__file__).with_name("planted.toml")
LOADER = """
import ast, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.mutation.__main__ import Changed
sys.meta_path.insert(0, Changed({module!r}, Path({path!r}), ast.parse(Path({changed!r}).read_text())))
import pytest
sys.exit(pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider", {test!r}]))
"""


@dataclass(frozen=True)
class PlantedFault:
    """Text of a source, what it becomes, and the test that sees it."""

    name: str
    source: str
    before: str
    after: str
    test: str

    def changed(self) -> str:
        """The source with the fault. Raises ValueError unless its text stands there exactly once."""
        text = (ROOT / self.source).read_text()
        if text.count(self.before) != 1:
            raise ValueError(
                f"{self.name}: {self.source} has its text {text.count(self.before)} times, not once"
            )
        return text.replace(self.before, self.after)


def faults() -> list[PlantedFault]:
    """All rows."""
    return [PlantedFault(**row) for row in tomllib.loads(ROWS.read_text())["fault"]]


def is_seen(fault: PlantedFault, folder: Path) -> bool:
    """Whether the test fails once the fault is in place; a test that cannot run at all is an error."""
    changed = folder / f"{abs(hash(fault.name))}.py"
    compile(fault.changed(), fault.source, "exec")  # what is no Python would fail every test
    changed.write_text(fault.changed())
    path = ROOT / fault.source
    module = fault.source[:-3].replace("/", ".")
    code = LOADER.format(root=str(ROOT), module=module, path=str(path), changed=str(changed), test=fault.test)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{fault.name}: its test did not run:\n{done.stdout}{done.stderr}")
    return done.returncode == 1


def main() -> int:
    """Run; the exit status is 1 when a fault is not seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1)
    jobs, rows = parser.parse_args().jobs, faults()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(jobs) as pool:
        seen = list(pool.map(lambda fault: is_seen(fault, Path(folder)), rows))
    table = Table("fault", "source", "seen")
    for fault, was_seen in zip(rows, seen, strict=True):
        table.add_row(fault.name, fault.source, "yes" if was_seen else "NO")
    Console(width=110).print(table)
    return 0 if all(seen) else 1


if __name__ == "__main__":
    sys.exit(main())
