"""The rules of the house hold, and breaking one is noticed."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("core", "safety", "models", "drivers", "plant", "daemon", "training")
MAX_LINES = 400
LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-dev.lock")
TEXT = (
    ".py",
    ".toml",
    ".lock",
    ".md",
    ".service",
    ".path",
    ".sysusers",
    ".json",
    ".yml",
    ".yaml",
    ".html",
    "",
)


def house_files() -> list[Path]:
    """Everything tracked by git, or, outside of a checkout, everything that is not a cache."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    return [
        path for path in ROOT.rglob("*") if path.is_file() and not any(p.startswith(".") for p in path.parts)
    ]


FILES = house_files()
SOURCES = [path for path in FILES if path.suffix == ".py"]


def contracts(root: Path) -> subprocess.CompletedProcess[str]:
    program = (
        "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    )
    return subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            f"import sys; sys.path.insert(0, {str(root)!r}); {program}",
            "--no-cache",
        ],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_import_contracts_hold() -> None:
    done = contracts(ROOT)
    assert done.returncode == 0, done.stdout


PLANTED = [
    ("core/site.py", "import random", "core and safety know no clock"),
    ("core/site.py", "import numpy", "core and safety know no clock"),
    ("core/tick.py", "import daemon", "floors"),
    ("safety/gate.py", "import time", "core and safety know no clock"),
    ("safety/gate.py", "import drivers.zigbee.setpoint_frame", "floors"),
    ("models/features.py", "import torch", "torch stays off the Pi"),
    ("drivers/zigbee/setpoint_frame.py", "import plant", "floors"),
    ("daemon/config/settings.py", "import training", "floors"),
    ("daemon/journal/writer.py", "import daemon.service.service", "the daemon's packages"),
    ("daemon/monitoring/status.py", "import daemon.runtime.loop", "the daemon's packages"),
    ("daemon/policy/policy_swap.py", "import daemon.service.service", "the daemon's packages"),
    ("training/data/days.py", "import training.learners.loop", "training's packages"),
    ("training/dynamics/model.py", "import training.replay.network", "training's packages"),
    ("drivers/meters/modbus.py", "import drivers.zigbee.radio", "drivers"),
    ("plant/radio/medium.py", "import plant.site.live", "the simulated site"),
]
FILES_IN_A_FOLDER = range(2, 18)  # with `__init__.py`; tests may be alone in theirs


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages and the contracts, to be damaged."""
    root = tmp_path_factory.mktemp("house")
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, root / package, ignore=lambda _, names: [n for n in names if n == "__pycache__"]
        )
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def test_planted_violations_are_caught(copy: Path) -> None:
    """All at once: the report names every violation by itself."""
    assert contracts(copy).returncode == 0
    for file, line, _ in PLANTED:
        damaged = copy / file
        damaged.write_text(damaged.read_text() + f"\n{line}\n")
    done = contracts(copy)
    assert done.returncode == 1
    for file, line, contract in PLANTED:
        importer, imported = file.removesuffix(".py").replace("/", "."), line.split()[1]
        assert f"{importer} -> {imported}" in done.stdout, done.stdout
        assert re.search(rf"^{re.escape(contract)}.* BROKEN$", done.stdout, re.MULTILINE), done.stdout


def test_a_folder_holds_what_one_can_look_over() -> None:
    folders = Counter(path.parent for path in SOURCES if path.is_relative_to(ROOT))
    for folder, number in folders.items():
        name = folder.relative_to(ROOT).as_posix()
        if name.startswith(PACKAGES):
            assert number in FILES_IN_A_FOLDER, f"{name}: {number} Python files"
        elif name.startswith("tests"):
            assert number < FILES_IN_A_FOLDER.stop + 6, f"{name}: {number} Python files"


def test_no_class_is_named_twice() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_stranger_owns_our_names() -> None:
    owners = packages_distributions()
    for package in (*PACKAGES, "tests", "benchmarks"):
        assert set(owners.get(package, ["sunkeep"])) == {"sunkeep"}, package


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_hold_hashes_for_both_machines_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"^-", text, re.MULTILINE)
    pins = re.findall(
        r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL
    )
    assert len(pins) > 5
    for name, version, rest in pins:
        assert "--hash=sha256:" in rest, f"{name}=={version}"
        assert not name.startswith(("torch", "nvidia", "triton")), name


def test_locks_fit_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = {
        name.lower()
        for name in re.findall(
            r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==", (ROOT / LOCKS[0]).read_text(), re.MULTILINE
        )
    }
    for requirement in project["dependencies"]:
        assert re.split(r"[\[<>=!~ ]", requirement)[0].lower() in locked
    both = re.findall(
        r"^numpy==\S+ ; python_full_version (\S+) '3\.12'", (ROOT / LOCKS[0]).read_text(), re.MULTILINE
    )
    assert sorted(both) == ["<", ">="]


INDEX_ADDRESSES = re.compile(
    r"(pypi\.org/simple|files\.pythonhosted|download\.pytorch|piwheels|index-url|find-links)"
)
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:home|work|root|Users|mnt)/\w")
OWN_WORDS = ("tests/test_house.py", "Makefile")


def test_no_index_address_and_no_path_of_a_machine() -> None:
    found = []
    for path in FILES:
        name = str(path.relative_to(ROOT))
        if name in OWN_WORDS or path.suffix not in TEXT or path.stat().st_size > 2_000_000:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if INDEX_ADDRESSES.search(line) or MACHINE_PATHS.search(line):
                found.append(f"{name}:{number}: {line.strip()[:100]}")
    assert not found, "\n".join(found)


def test_no_file_grows_out_of_sight() -> None:
    long = {str(path): count for path in SOURCES if (count := path.read_text().count("\n")) >= MAX_LINES}
    assert not long


FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"}


def test_nothing_executes_on_load() -> None:
    found = []
    for path in SOURCES:
        if path.parts[len(ROOT.parts)] not in PACKAGES:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name.split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module.split(".")[0]]
            elif (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in FORBIDDEN_CALLS
            ):
                found.append(f"{path}:{node.lineno}: {node.func.id}")
            found += [f"{path}: {name}" for name in names if name in FORBIDDEN_MODULES]
    assert not found


def test_clearance_is_made_by_the_gate_alone() -> None:
    """Only `safety.gate` may construct the pass to the radio."""
    makers = set()
    for path in SOURCES:
        package = path.parts[len(ROOT.parts)]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
                called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                if called == "AuthorizedFrame" and package in PACKAGES:
                    makers.add(str(path.relative_to(ROOT)))
    assert makers == {"safety/gate.py"}
