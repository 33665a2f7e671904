"""A virtual environment from the locked wheels, for another Python and processor than those that run this.

Nothing of the target is executed: wheels are archives, and an environment is a link to an interpreter, one
file that says so, and the wheels' files.
"""

import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

from packaging.markers import Marker

GLIBC_OLDEST, GLIBC_NEWEST = 17, 36
"""Minor versions of glibc 2 whose wheels fit: manylinux begins at 2.17, Debian 12 has 2.36."""
_PIN = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?==(?P<version>\S+)(?:\s*;\s*(?P<marker>.*?))?(?P<hashes>(?:\s+--hash=\S+)+)$"
)


@dataclass(frozen=True, slots=True)
class Target:
    """A system that a package is for: its Python, and its processor as Debian and as Linux call it."""

    suite: str
    debian: str
    python: str
    architecture: str
    machine: str

    def environment(self) -> dict[str, str]:
        """What markers of requirements are judged by (PEP 508)."""
        return {
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "sys_platform": "linux",
            "platform_system": "Linux",
            "os_name": "posix",
            "platform_machine": self.machine,
            "extra": "",
        }


@dataclass(frozen=True, slots=True)
class Pin:
    """One locked distribution: its version, and the SHA-256 of every file that may stand for it."""

    name: str
    version: str
    hashes: frozenset[str]

    def line(self) -> str:
        """As pip reads it."""
        return " ".join(
            [f"{self.name}=={self.version}", *(f"--hash=sha256:{one}" for one in sorted(self.hashes))]
        )


class WheelError(Exception):
    """A lock or a wheel is not what it should be; the message says which and what to do."""


def pins(lock: str, target: Target) -> list[Pin]:
    """What the lock asks for on a target.

    Raises:
        WheelError: a line is no pin with hashes.
    """
    found = []
    for line in lock.replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _PIN.match(line.strip())
        if match is None:
            raise WheelError(f"no pin with hashes: {line.strip()[:80]}. Run make lock.")
        if match["marker"] and not Marker(match["marker"]).evaluate(target.environment()):
            continue
        hashes = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", match["hashes"]))
        found.append(Pin(match["name"], match["version"], hashes))
    return found


def wheels_for(wanted: Sequence[Pin], target: Target, folder: Path) -> list[Path]:
    """One wheel per pin, from the folder where they are there already, else downloaded with pip.

    Raises:
        WheelError: something is missing, or is not the file that was locked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if missing(wanted, folder.glob("*.whl")):
        _download(wanted, target, folder)
    lacking = missing(wanted, folder.glob("*.whl"))
    if lacking:
        raise WheelError(f"no locked wheel for {target.suite} {target.architecture}: {', '.join(lacking)}")
    allowed = frozenset().union(*(pin.hashes for pin in wanted))
    return sorted(file for file in folder.glob("*.whl") if digest(file) in allowed)


def missing(wanted: Iterable[Pin], files: Iterable[Path]) -> list[str]:
    """Names of the pins that none of the files stands for, by its content."""
    there = {digest(file) for file in files}
    return [pin.name for pin in wanted if not pin.hashes & there]


def digest(file: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    return sha256(file.read_bytes()).hexdigest()


def _download(wanted: Sequence[Pin], target: Target, folder: Path) -> None:
    """Markers are judged before: pip judges them by the Python that runs it."""
    requirements = folder / "requirements.txt"
    requirements.write_text("".join(f"{pin.line()}\n" for pin in wanted))
    abi = f"cp{target.python.replace('.', '')}"
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download", "--no-deps"]
    command += [
        "--require-hashes",
        "--only-binary=:all:",
        "--implementation=cp",
        f"--python-version={target.python}",
    ]
    command += [f"--abi={one}" for one in (abi, "abi3", "none")]
    command += [
        f"--platform=manylinux_2_{minor}_{target.machine}" for minor in range(GLIBC_OLDEST, GLIBC_NEWEST + 1)
    ]
    command += [f"--platform=manylinux2014_{target.machine}", "--platform=any"]
    command += ["--dest", str(folder), "--requirement", str(requirements)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise WheelError(f"pip could not get the wheels: {done.stderr.strip().splitlines()[-1:]}")


def unpack(wheel: Path, environment: Path, python: str) -> None:
    """Put a wheel's files where an installer puts them (PEP 427), without its console scripts.

    Raises:
        WheelError: a file would lie outside of the environment.
    """
    site = PurePosixPath(f"lib/python{python}/site-packages")
    schemes = {"purelib": site, "platlib": site, "data": PurePosixPath(), "scripts": PurePosixPath("bin")}
    with ZipFile(wheel) as archive:
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            place = _place(PurePosixPath(entry.filename), site, schemes)
            if place is None:
                continue
            if place.is_absolute() or ".." in place.parts:
                raise WheelError(f"{wheel.name} holds {entry.filename}, which leaves the environment")
            file = environment / place
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(archive.read(entry))


def _place(
    name: PurePosixPath, site: PurePosixPath, schemes: dict[str, PurePosixPath]
) -> PurePosixPath | None:
    """Where in the environment; None for what is left out."""
    if not name.parts[0].endswith(".data"):
        return site / name
    scheme, rest = name.parts[1], name.parts[2:]
    if scheme in ("scripts", "headers"):  # nobody calls them: the one command is the package's own
        return None
    return schemes[scheme].joinpath(*rest)


def make_environment(environment: Path, wheels: Iterable[Path], python: str) -> None:
    """An environment that runs on /usr/bin/pythonX.Y of the target."""
    (environment / "bin").mkdir(parents=True)
    for name in ("python", "python3", f"python{python}"):
        (environment / "bin" / name).symlink_to(f"/usr/bin/python{python}")
    (environment / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {python}\n"
    )
    for wheel in wheels:
        unpack(wheel, environment, python)
