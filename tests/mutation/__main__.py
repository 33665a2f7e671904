"""Mutation run: every small fault in `core` and `safety` must be seen by their tests.

    python -m tests.mutation [core/slew.py ...] [--jobs 2] [--list]

Each mutant lives in a forked child that loads the changed module in place of the file and runs the module's
tests until one fails. Survivors that are not in `equivalent.toml`, with a reason, fail the run.
"""

import argparse
import ast
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import time
import tomllib
import types
from collections.abc import Sequence
from pathlib import Path

import hypothesis
import hypothesis.stateful
import numpy
import pytest

from tests.mutation.mutants import Mutant, mutants

ROOT = Path(__file__).parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
TIMEOUT_S = 60
EXAMPLES = 40
SAFETY = "tests/safety/test_"
CORE = "tests/core/test_"
TESTS = {
    "core/airtime.py": ("airtime", "tick"),
    "core/allocation.py": ("allocation", "tick"),
    "core/arrays.py": ("vocabulary", "tick", "sight"),
    "core/limits.py": ("vocabulary", "slew"),
    "core/metering.py": ("metering",),
    "core/modes.py": ("modes",),
    "core/roles.py": ("vocabulary", "sight"),
    "core/sight.py": ("sight",),
    "core/site.py": ("vocabulary", "airtime", "slew"),
    "core/slew.py": ("slew",),
    "core/snapshot.py": ("vocabulary", "tick", "sight"),
    "core/tick.py": ("tick",),
    "core/parts.py": ("tick",),
    "core/decision.py": ("vocabulary", "tick"),
    "safety/anomaly.py": ("anomaly",),
    "safety/causes.py": ("docs", "supervisor", "timers"),
    "safety/gate.py": ("gate", "clearance"),
    "safety/pi.py": ("fallbacks",),
    "safety/predictive.py": ("fallbacks",),
    "safety/sensor.py": ("sensor",),
    "safety/supervisor.py": ("supervisor",),
    "safety/timers.py": ("timers", "supervisor"),
}
"""Test modules of each source, the likeliest to fail first."""
SHARED = ("core/limits.py", "core/arrays.py", "core/roles.py", "core/snapshot.py")


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module from a changed tree."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self.name, self.path, self.tree = name, path, tree

    def find_spec(
        self, name: str, _path: Sequence[str] | None, _target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self.name:
            return None
        return importlib.util.spec_from_loader(name, self, origin=str(self.path))

    def exec_module(self, module: types.ModuleType) -> None:
        exec(compile(self.tree, str(self.path), "exec"), module.__dict__)


def tests_of(source: str) -> list[str]:
    """Test files of a source, its own floor's first."""
    folder = CORE if source.startswith("core/") else SAFETY
    found = [f"{folder}{name}.py" for name in TESTS[source]]
    if source in SHARED:
        found += [f"{SAFETY}gate.py", f"{SAFETY}fallbacks.py", f"{SAFETY}supervisor.py"]
    return found


def start(source: str, tree: ast.Module) -> int:
    """Fork a child that tests a source with this content; it exits with 0 when every test passes."""
    child = os.fork()
    if child:
        return child
    signal.alarm(TIMEOUT_S)  # an endless loop is seen as well
    os.setsid()
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    # few examples: what only one in hundreds would see is not tested well anyway
    hypothesis.settings.register_profile("mutation", max_examples=EXAMPLES, derandomize=True, deadline=None)
    sys.meta_path.insert(0, Changed(source[:-3].replace("/", "."), ROOT / source, tree))
    code = 1
    try:
        options = ["-x", "-q", "-p", "no:cacheprovider", "--assert=plain", "--hypothesis-profile=mutation"]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
        code = pytest.main([*options, *tests_of(source)])
    finally:
        os._exit(0 if code == 0 else 1)


def survivors(source: str, jobs: int) -> tuple[int, list[Mutant]]:
    """How many mutants a source has, and those that its tests do not see."""
    text = (ROOT / source).read_text()
    _, status = os.waitpid(start(source, ast.parse(text)), 0)
    if status != 0:
        raise SystemExit(f"{source}: its tests fail as it is")
    waiting = list(mutants(text))
    total, running, alive = len(waiting), dict[int, Mutant](), list[Mutant]()
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            running[start(source, mutant.tree)] = mutant
        child, status = os.wait()
        mutant = running.pop(child)
        if status == 0:
            alive.append(mutant)
    return total, alive


def has_reason(source: str, mutant: Mutant, rows: list[dict[str, str]]) -> bool:
    """Whether the list of equivalent mutants has this one.

    A row names source, place and the changed line; or, in `change`, a text that was replaced by another
    ("old -> new") in one place anywhere in the source.
    """
    for row in rows:
        if row["source"] != source:
            continue
        if "change" in row:
            old, new = row["change"].split(" -> ")
            parts = mutant.before.split(old)
            changed = (old.join(parts[:n]) + new + old.join(parts[n:]) for n in range(1, len(parts)))
            if mutant.after in changed:
                return True
        elif (row["where"], row["before"], row["after"]) == mutant.key:
            return True
    return False


def main() -> int:
    """Run; the exit status is 1 when a survivor has no reason."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="*", default=sorted(TESTS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--list", action="store_true", help="only count the mutants")
    args = parser.parse_args()
    os.chdir(ROOT)
    print(f"pytest {pytest.__version__}, hypothesis {hypothesis.__version__}, numpy {numpy.__version__}")
    rows = tomllib.loads(EQUIVALENT.read_text()).get("mutant", [])
    unseen, counted, excused = 0, 0, 0
    for source in args.sources:
        if args.list:
            print(f"{source}: {sum(1 for _ in mutants((ROOT / source).read_text()))} mutants")
            continue
        started_s = time.monotonic()
        total, alive = survivors(source, args.jobs)
        strangers = [mutant for mutant in alive if not has_reason(source, mutant, rows)]
        counted, excused, unseen = (
            counted + total,
            excused + len(alive) - len(strangers),
            unseen + len(strangers),
        )
        took_s = time.monotonic() - started_s
        told = f"{len(alive)} survive, {len(strangers)} without a reason"
        print(f"{source}: {total} mutants, {told}, {took_s:.0f} s")
        for mutant in strangers:
            print(f"  {mutant.where}\n    - {mutant.before}\n    + {mutant.after}"[:2000], flush=True)
    if counted:
        score = 1.0 - unseen / (counted - excused)
        print(f"{counted} mutants, {excused} equivalent, {unseen} unseen: {score:.2%} of the others are seen")
    return 1 if unseen else 0


if __name__ == "__main__":
    sys.exit(main())
