"""Mutation run: every small fault in `core` and `safety` must be seen by their tests.

    python -m tests.mutation [core/slew.py ...] [--jobs 2] [--list]

Each mutant lives in a forked child that loads the changed module in place of the file and runs the module's
tests until one fails: first the tests that saw the most mutants so far, then the quickest. Survivors that are
not in `equivalent.toml`, with a reason, fail the run.
"""

import argparse
import ast
import importlib.abc
import importlib.machinery
import importlib.util
import os
import resource
import sys
import tempfile
import time
import tomllib
import types
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis
import hypothesis.stateful
import numpy
import pytest
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.mutation.mutants import Mutant, mutants
from tests.safety.search.blocks import tell

ROOT = Path(__file__).parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
CPU_S, CPU_SHARE = 10, 5
"""Time of the processor that a mutant gets: 10 s and five times what the unchanged source took."""
EXAMPLES = 40
TESTS = {
    "core/airtime.py": ("airtime", "tick"),
    "core/allocation.py": ("allocation", "tick"),
    "core/arrays.py": ("vocabulary", "tick", "state_estimate"),
    "core/authorization.py": ("vocabulary",),
    "core/causes.py": ("vocabulary", "tick"),
    "core/estimation/actuator_model.py": ("actuator_model", "state_estimate"),
    "core/estimation/following.py": ("following",),
    "core/estimation/learned_response.py": ("learning",),
    "core/estimation/learning.py": ("learning",),
    "core/estimation/likelihood.py": ("learning",),
    "core/estimation/response_bank.py": ("learning",),
    "core/estimation/response_grid.py": ("learning",),
    "core/estimation/swinging.py": ("swinging",),
    "core/limits.py": ("vocabulary", "slew"),
    "core/scheduling/candidates.py": ("schedule",),
    "core/scheduling/orders.py": ("orders", "schedule"),
    "core/scheduling/schedule.py": ("schedule",),
    "core/scheduling/staged.py": ("schedule",),
    "core/metering.py": ("metering",),
    "core/modes.py": ("modes",),
    "core/roles.py": ("vocabulary", "state_estimate"),
    "core/estimation/state_estimate.py": ("state_estimate",),
    "core/site.py": ("vocabulary", "airtime", "slew"),
    "core/slew.py": ("slew",),
    "core/snapshot.py": ("vocabulary", "tick", "state_estimate"),
    "core/estimation/reversal.py": ("reversal",),
    "core/tick.py": ("tick",),
    "core/parts.py": ("tick",),
    "core/decision.py": ("vocabulary", "tick"),
    "safety/anomaly.py": ("anomaly",),
    "safety/faults.py": ("docs", "supervisor", "timers", "orders"),
    "safety/evidence.py": ("evidence",),
    "safety/gain_rule.py": ("gain_rule",),
    "safety/gate.py": ("gate", "partial", "authorization"),
    "safety/partial.py": ("partial",),
    "safety/policy_comparison.py": ("policy_comparison",),
    "safety/pi.py": ("fallbacks",),
    "safety/predictive.py": ("fallbacks",),
    "safety/wiring_monitor.py": ("wiring_monitor",),
    "safety/switching.py": ("switching", "partial"),
    "safety/supervisor.py": ("supervisor", "orders", "wiring_stops"),
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


def files_for(source: str) -> list[str]:
    """Test files of a source, its own floor's first."""
    floor = source.split("/", 1)[0]
    wanted = [(floor, name) for name in TESTS[source]]
    if source in SHARED:
        wanted += [("safety", name) for name in ("gate", "fallbacks", "supervisor")]
    return [_file(folder, name) for folder, name in wanted]


def _file(floor: str, name: str) -> str:
    (found,) = (ROOT / "tests" / floor).rglob(f"test_{name}.py")
    return str(found.relative_to(ROOT))


@dataclass
class Order:
    """Which tests go first. A plugin of pytest in the child, which tells the parent in a file."""

    told: Path
    took_s: dict[str, float] = field(default_factory=dict)
    saw: Counter[str] = field(default_factory=Counter)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: (-self.saw[item.nodeid], self.took_s.get(item.nodeid, 0.0)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        with self.told.open("a") as file:
            file.write(f"{os.getpid()} {report.duration} {int(report.failed)} {report.nodeid}\n")

    def learn(self) -> None:
        """Take in what the children told since the last time."""
        for line in self.told.read_text().splitlines() if self.told.exists() else []:
            _, took_s, failed, name = line.split(" ", 3)
            self.took_s[name] = max(self.took_s.get(name, 0.0), float(took_s))
            self.saw[name] += int(failed)
        self.told.write_text("")


def start(source: str, tree: ast.Module, order: Order, cpu_s: int) -> int:
    """Fork a child that tests a source with this content; it exits with 0 when every test passes."""
    child = os.fork()
    if child:
        return child
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))  # an endless loop is seen as well
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
        code = pytest.main([*options, *files_for(source)], plugins=[order])
    finally:
        os._exit(0 if code == 0 else 1)


def unchanged(source: str, tree: ast.Module, order: Order) -> int:
    """Test the source as it is, twice: in the file's order, then the quickest first. Seconds that it took.

    Raises:
        SystemExit: a test fails, so that no mutant can be judged.
    """
    for _ in range(2):
        _, status, used = os.wait4(start(source, tree, order, 3600), 0)
        if status != 0:
            raise SystemExit(f"{source}: its tests fail as it is")
        order.learn()
    return int(used.ru_utime + used.ru_stime)


def survivors(source: str, jobs: int, console: Console) -> tuple[int, list[Mutant]]:
    """How many mutants a source has, and those that its tests do not see."""
    text = (ROOT / source).read_text()
    with tempfile.TemporaryDirectory() as folder:
        order = Order(Path(folder) / "told")
        cpu_s = CPU_S + CPU_SHARE * unchanged(source, ast.parse(text), order)
        waiting = list(mutants(text))
        running, alive = dict[int, Mutant](), list[Mutant]()
        for _ in track(range(len(waiting)), source, console=console, transient=True):
            while waiting and len(running) < jobs:
                order.learn()
                mutant = waiting.pop()
                running[start(source, mutant.tree, order, cpu_s)] = mutant
            child, status = os.wait()
            mutant = running.pop(child)
            if status == 0:
                alive.append(mutant)
    return len(list(mutants(text))), alive


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
    parser.add_argument("--summary", type=Path, help="add the results to this file")
    args = parser.parse_args()
    os.chdir(ROOT)
    if args.list:
        for source in args.sources:
            print(f"{source}: {sum(1 for _ in mutants((ROOT / source).read_text()))} mutants")
        return 0
    rows = tomllib.loads(EQUIVALENT.read_text()).get("mutant", [])
    table = Table("source", "mutants", "seen", "equivalent", "unseen", "s", title=versions())
    sums, bar = Counter[str](), Console(stderr=True)
    for source in args.sources:
        started_s = time.monotonic()
        total, alive = survivors(source, args.jobs, bar)
        strangers = [mutant for mutant in alive if not has_reason(source, mutant, rows)]
        row = {"mutants": total, "seen": total - len(alive), "equivalent": len(alive) - len(strangers)}
        row |= {"unseen": len(strangers), "s": round(time.monotonic() - started_s)}
        table.add_row(source, *map(str, row.values()))
        sums.update(row)
        for mutant in strangers:
            tell(
                f"{source}: unseen in {mutant.where}\n    - {mutant.before}\n    + {mutant.after}",
                args.summary,
            )
    table.add_section()
    table.add_row("all", *(str(sums[name]) for name in ("mutants", "seen", "equivalent", "unseen", "s")))
    Console(width=100).print(table)
    tell(
        f"mutation: {sums['mutants']:,} mutants, {sums['seen']:,} seen, {sums['equivalent']} equivalent, "
        f"{sums['unseen']} unseen; {len(args.sources)} sources, {sums['s']:,} s with {args.jobs} processes",
        args.summary,
    )
    return 1 if sums["unseen"] else 0


def versions() -> str:
    """Of the tools that decide what is seen."""
    return f"pytest {pytest.__version__}, hypothesis {hypothesis.__version__}, numpy {numpy.__version__}"


if __name__ == "__main__":
    sys.exit(main())
