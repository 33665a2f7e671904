"""Build the Debian package from the commit that is checked out, byte for byte the same every time.

    python packaging/build_deb.py [--suite bookworm|trixie] [--arch amd64|arm64] [--out build/deb]

By default for the suite and the processor of this machine. Another processor needs nothing: no code of the
target runs here. `--version` replaces the version, for trying an update out.
"""

import argparse
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from manual import completion, manual
from sbom import bill
from wheel_tree import Target, WheelError, make_environment, pins, unpack, wheels_for

ROOT = Path(__file__).resolve().parents[1]
DEB = ROOT / "packaging" / "deb"
SUITES = {"bookworm": ("12", "3.11"), "trixie": ("13", "3.13")}
"""Debian's number and Python of each suite."""
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
XZ = ("-Zxz", "-z3", "--threads-max=1")
"""Much quicker than the usual level, a tenth larger; one thread, as xz cuts its blocks by their number."""
CONFFILE = "/etc/sunkeep/sunkeep.example.toml"
BASE = "opt/sunkeep/installed"


def target_of(suite: str, architecture: str) -> Target:
    """The target by its Debian names."""
    number, python = SUITES[suite]
    return Target(suite, number, python, architecture, MACHINES[architecture])


def package_version(project: str, committed_at_s: int, commit: str, tags: str, debian: str) -> str:
    """Larger for every later commit; of a tagged release, its number alone.

    The suite's part lets a system that moves to the next Debian take the package that was built for that.
    """
    if f"v{project}" in tags.split():
        return f"{project}~deb{debian}"
    moment = time.strftime("%Y%m%d%H%M%S", time.gmtime(committed_at_s))
    return f"{project}+{moment}.g{commit[:7]}~deb{debian}"


def next_minor(python: str) -> str:
    """3.11 -> 3.12: wheels with compiled parts fit one minor version."""
    major, minor = python.split(".")
    return f"{major}.{int(minor) + 1}"


def filled(text: str, **values: str) -> str:
    """A template with every @NAME@ filled in.

    Raises:
        KeyError: a name is left without a value.
    """
    return re.sub(r"@([A-Z_]+)@", lambda found: values[found[1]], text)


def git(*words: str) -> str:
    """What git says."""
    return subprocess.run(
        ["git", *words], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


def lay_out(root: Path, target: Target, version: str, wheels: list[Path], own_wheel: Path, date: str) -> None:
    """The whole tree as it will lie on the target."""
    environment = root / BASE
    make_environment(environment, wheels, target.python)
    unpack(own_wheel, environment, target.python)
    shutil.rmtree(environment / "share", ignore_errors=True)
    put(environment / "release", f"{version}\n")
    put(environment / "libexec" / "trial", (DEB / "trial.py").read_text())
    systemd = ROOT / "systemd"
    put(environment / "units" / "sunkeep.service", (systemd / "sunkeep.service").read_text())
    units = root / "usr/lib/systemd/system"
    for unit in sorted([*systemd.glob("*.service"), *systemd.glob("*.path")]):
        put(units / unit.name, unit.read_text())
    wants = units / "multi-user.target.wants"
    wants.mkdir()
    (wants / "sunkeep-trial.service").symlink_to("../sunkeep-trial.service")
    put(root / "usr/lib/sysusers.d/sunkeep.conf", (systemd / "sunkeep.sysusers").read_text())
    put(root / "usr/lib/tmpfiles.d/sunkeep.conf", (systemd / "sunkeep.tmpfiles").read_text())
    put(root / "usr/lib/udev/rules.d/60-sunkeep.rules", (systemd / "60-sunkeep.rules").read_text())
    put(root / "usr/bin/sunkeep", (DEB / "sunkeep").read_text(), 0o755)
    put(root / CONFFILE[1:], (ROOT / "docs" / "sunkeep.example.toml").read_text())
    for file in sorted((ROOT / "dashboards").iterdir()):
        if file.name != "alerts_test.yml":
            put(root / "usr/share/sunkeep/dashboards" / file.name, file.read_text())
    documents(root / "usr/share/doc/sunkeep")
    put(
        root / "usr/share/doc/sunkeep/sbom.cdx.json", bill([*wheels, own_wheel], version, f"{date}T00:00:00Z")
    )
    put(root / "usr/share/bash-completion/completions/sunkeep", completion())
    page = root / "usr/share/man/man1/sunkeep.1.gz"
    page.parent.mkdir(parents=True)
    page.write_bytes(gzip.compress(manual(version, date).encode(), mtime=0))


def documents(folder: Path) -> None:
    """Licence, changes, and the pages for operators."""
    put(folder / "copyright", (DEB / "copyright").read_text())
    (folder / "changelog.gz").write_bytes(gzip.compress((ROOT / "CHANGELOG.md").read_bytes(), mtime=0))
    for page in sorted((ROOT / "docs" / "operate").glob("*.md")):
        put(folder / "operate" / page.name, page.read_text())


def put(file: Path, text: str, mode: int = 0o644) -> None:
    """Write a file, and the folders above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)


def control(root: Path, target: Target, version: str) -> None:
    """What dpkg reads: the control file, the scripts, and what is a configuration file."""
    folder = root / "DEBIAN"
    folder.mkdir()
    size_kib = sum(file.lstat().st_size for file in root.rglob("*") if file.is_file()) // 1024
    values = {"VERSION": version, "ARCHITECTURE": target.architecture, "PYTHON": target.python}
    values |= {"PYTHON_NEXT": next_minor(target.python), "SIZE_KIB": str(size_kib)}
    put(folder / "control", filled((DEB / "control.in").read_text(), **values))
    put(folder / "conffiles", CONFFILE + "\n")
    for name in SCRIPTS:
        put(folder / name, filled((DEB / name).read_text(), **values), 0o755)


def settle(root: Path, at_s: int) -> None:
    """The same modes and times for everything, whatever the umask and the clock of this machine."""
    for path in sorted(root.rglob("*"), reverse=True):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
        os.utime(path, (at_s, at_s), follow_symlinks=False)
    root.chmod(0o755)
    os.utime(root, (at_s, at_s))


def build(target: Target, version: str, out: Path, at_s: int, compression: Sequence[str]) -> Path:
    """The package as a file in `out`."""
    os.environ["SOURCE_DATE_EPOCH"] = str(at_s)
    wanted = pins((ROOT / "requirements.lock").read_text(), target)
    wheels = wheels_for(wanted, target, ROOT / "build" / "wheels" / f"{target.suite}-{target.architecture}")
    with tempfile.TemporaryDirectory(prefix="sunkeep-deb-") as folder:
        own, root = Path(folder) / "own", Path(folder) / "root"
        command = [
            sys.executable,
            "-m",
            "pip",
            "--quiet",
            "--disable-pip-version-check",
            "wheel",
            "--no-deps",
        ]
        command += ["--no-build-isolation", "--wheel-dir", str(own), str(ROOT)]
        subprocess.run(command, check=True)
        (own_wheel,) = own.glob("*.whl")
        root.mkdir()
        lay_out(root, target, version, wheels, own_wheel, time.strftime("%Y-%m-%d", time.gmtime(at_s)))
        control(root, target, version)
        settle(root, at_s)
        out.mkdir(parents=True, exist_ok=True)
        package = out / f"sunkeep_{version}_{target.architecture}.deb"
        pack = [
            "dpkg-deb",
            "--root-owner-group",
            *compression,
            "--build",
            str(root),
            str(package),
        ]
        subprocess.run(pack, check=True, stdout=subprocess.DEVNULL)
    return package


def arguments() -> argparse.Namespace:
    """The command line."""
    own = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=False
    ).stdout.strip()
    release = Path("/etc/os-release").read_text() if Path("/etc/os-release").exists() else ""
    suite = next((name for name in SUITES if f"VERSION_CODENAME={name}" in release), "bookworm")
    parser = argparse.ArgumentParser(description="Build the Debian package.")
    parser.add_argument("--suite", choices=SUITES, default=suite)
    parser.add_argument("--arch", choices=MACHINES, default=own if own in MACHINES else "arm64")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "deb")
    parser.add_argument("--version", help="instead of the commit's")
    parser.add_argument("--uncompressed", action="store_true", help="quicker, for trying it out")
    return parser.parse_args()


def main() -> int:
    """Build one package and say where it is."""
    asked = arguments()
    if shutil.which("dpkg-deb") is None:
        sys.stderr.write("dpkg-deb is missing. On Debian: apt install dpkg\n")
        return 1
    if git("status", "--porcelain"):
        sys.stderr.write(
            "The package is of a commit, and there are changes beside it: commit or stash them first.\n"
        )
        return 1
    target = target_of(asked.suite, asked.arch)
    at_s = int(git("log", "-1", "--format=%ct"))
    project = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert project is not None
    version = asked.version or package_version(
        project[1], at_s, git("rev-parse", "HEAD"), git("tag", "--points-at", "HEAD"), target.debian
    )
    try:
        package = build(target, version, asked.out, at_s, ("-Znone",) if asked.uncompressed else XZ)
    except WheelError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{package}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
