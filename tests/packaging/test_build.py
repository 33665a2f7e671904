"""What the Debian package is made of: locked wheels, laid out the same way every time."""

import os
import shutil
import subprocess
from collections.abc import Callable
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
Script = Callable[[str], Any]

dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")


INSIDE = (
    "usr/bin/sunkeep",
    "opt/sunkeep/installed/libexec/trial",
    "opt/sunkeep/installed/units/sunkeep.service",
    "usr/lib/systemd/system/sunkeep.service",
    "usr/lib/systemd/system/sunkeep-trial.service",
    "usr/lib/sysusers.d/sunkeep.conf",
    "usr/lib/tmpfiles.d/sunkeep.conf",
    "usr/lib/udev/rules.d/60-sunkeep.rules",
    "etc/sunkeep/sunkeep.example.toml",
    "usr/share/sunkeep/dashboards/alerts.yml",
    "usr/share/doc/sunkeep/sbom.cdx.json",
    "usr/share/man/man1/sunkeep.1.gz",
    "usr/share/bash-completion/completions/sunkeep",
)


def said(*words: str | Path) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def wheel(folder: Path, name: str, files: dict[str, str]) -> Path:
    file = folder / f"{name}-1-py3-none-any.whl"
    with ZipFile(file, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return file


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_a_lock_gives_each_suite_its_own_versions(architecture: str, script: Script) -> None:
    wheels, build = script("wheel_tree"), script("build_deb")
    found = {
        suite: {pin.name: pin for pin in wheels.pins(LOCK, build.target_of(suite, architecture))}
        for suite in build.SUITES
    }
    assert {"numpy", "onnxruntime", "pymodbus", "zigpy"} <= set(found["bookworm"])
    assert found["bookworm"]["numpy"].version < found["trixie"]["numpy"].version
    assert all(pin.hashes for pins in found.values() for pin in pins.values())


def test_a_line_without_hashes_is_refused(script: Script) -> None:
    wheels, build = script("wheel_tree"), script("build_deb")
    with pytest.raises(wheels.WheelError, match="no pin with hashes: click==8"):
        wheels.pins("click==8.3.0\n", build.target_of("bookworm", "arm64"))


def test_only_the_file_that_was_locked_counts(tmp_path: Path, script: Script) -> None:
    wheels = script("wheel_tree")
    there = wheel(tmp_path, "alpha", {"alpha.py": ""})
    pin = wheels.Pin("alpha", "1", frozenset({sha256(there.read_bytes()).hexdigest()}))
    assert wheels.missing([pin], [there]) == []
    there.write_bytes(there.read_bytes() + b"x")
    assert wheels.missing([pin], [there]) == ["alpha"]


def test_a_wheel_lands_where_an_installer_puts_it(tmp_path: Path, script: Script) -> None:
    wheels = script("wheel_tree")
    made = wheel(
        tmp_path,
        "alpha",
        {
            "alpha/__init__.py": "x = 1",
            "alpha-1.data/data/share/alpha.txt": "data",
            "alpha-1.data/platlib/beta.py": "",
            "alpha-1.data/scripts/alpha": "#!python",
        },
    )
    wheels.make_environment(tmp_path / "e", [made], "3.13")
    found = {str(p.relative_to(tmp_path / "e")) for p in (tmp_path / "e").rglob("*") if not p.is_dir()}
    site = "lib/python3.13/site-packages"
    links = {"bin/python", "bin/python3", "bin/python3.13"}
    assert found == links | {"pyvenv.cfg", f"{site}/alpha/__init__.py", f"{site}/beta.py", "share/alpha.txt"}
    assert (tmp_path / "e/bin/python").readlink() == Path("/usr/bin/python3.13")


@pytest.mark.parametrize("name", ["../../outside.py", "alpha-1.data/data/../../../outside"])
def test_a_wheel_cannot_write_elsewhere(name: str, tmp_path: Path, script: Script) -> None:
    wheels = script("wheel_tree")
    with pytest.raises(wheels.WheelError, match="leaves the environment"):
        wheels.unpack(wheel(tmp_path, "alpha", {name: ""}), tmp_path / "deep" / "e", "3.11")
    assert not list(tmp_path.rglob("outside*"))


@dpkg
def test_versions_grow_with_commits_releases_and_suites(script: Script) -> None:
    version = script("build_deb").package_version
    release = version("0.2.0", 2_000_000_000, "f" * 40, "v0.2.0 other", "12")
    assert release == "0.2.0~deb12"
    rising = [
        version("0.1.0", 1_700_000_000, "f" * 40, "", "12"),
        version("0.1.0", 1_700_000_001, "0" * 40, "", "12"),
        version("0.1.0", 1_700_000_001, "0" * 40, "", "13"),
        release,
        version("0.2.0", 1_800_000_000, "0" * 40, "", "12"),
    ]
    for older, newer in pairwise(rising):
        done = subprocess.run(["dpkg", "--compare-versions", older, "lt", newer], check=False)
        assert done.returncode == 0, (older, newer)


def test_a_template_is_filled_whole(script: Script) -> None:
    filled = script("build_deb").filled
    assert filled("a @VERSION@ b@c.d", VERSION="1") == "a 1 b@c.d"
    with pytest.raises(KeyError):
        filled("@OTHER@", VERSION="1")


@dpkg
def test_the_package_is_the_same_bytes_whatever_the_clock_and_umask(
    tmp_path: Path, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = script("build_deb")
    monkeypatch.setattr(build, "completion", lambda: "complete")
    monkeypatch.setattr(build, "manual", lambda version, date: f"{version} {date}")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    target = build.target_of("bookworm", "arm64")
    about = "Name: sunkeep\nVersion: 1\nLicense-Expression: GPL-3.0-or-later\n\n"
    own = wheel(tmp_path, "sunkeep", {"daemon/__init__.py": "", "sunkeep-1.dist-info/METADATA": about})
    packages = []
    for umask in (0o022, 0o077):
        root = tmp_path / f"root{umask}"
        old = os.umask(umask)
        try:
            root.mkdir()
            build.lay_out(root, target, "1~deb12", [], own, "2026-12-01")
            build.control(root, target, "1~deb12")
        finally:
            os.umask(old)
        build.settle(root, 1_700_000_000)
        package = tmp_path / f"{umask}.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", root, package], check=True)
        packages.append(package.read_bytes())
    assert packages[0] == packages[1]
    listed = said("dpkg-deb", "--contents", package)
    assert [name for name in INSIDE if name not in listed] == []
    assert "etc/sunkeep/sunkeep.toml" not in listed
    info = said("dpkg-deb", "--info", package)
    assert "Depends: python3 (>= 3.11), python3 (<< 3.12)" in info
    assert "@" not in info.replace("maintainers@", "")


def test_the_manual_names_every_command_and_hides_nothing_from_roff(script: Script) -> None:
    manual = script("manual")
    page = manual.manual("1", "2026-12-01")
    for words in ("sunkeep run", "sunkeep zigbee permit", "sunkeep model rollback"):
        assert f".SS {words}\n" in page
    assert "\\-\\-install\\-code" in page
    known = {".TH", ".SH", ".SS", ".B", ".TP", ".PP"}
    assert {line.split()[0] for line in page.splitlines() if line.startswith((".", "'"))} <= known
    assert manual._plain(".x \\ a-b") == "\\&.x \\e a\\-b"


def test_bash_asks_the_command_itself(script: Script) -> None:
    assert "_SUNKEEP_COMPLETE=bash_complete" in script("manual").completion()
