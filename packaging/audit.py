"""Look the locked dependencies up among known weaknesses.

    python packaging/audit.py                      asks the services of PyPI, by pip-audit
    python packaging/audit.py --advisories FILE    asks nobody: the advisories are in a file

The file is JSON: a list of OSV records (https://ossf.github.io/osv-schema), a ZIP of such records as osv.dev
gives it away (PyPI/all.zip), or the lists of the package safety-db. Exits 1 when something is known against a
locked version, and 2 when not everything could be looked up: what nobody has looked at is not safe.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-dev.lock", "requirements-sweep.lock")
EX_KNOWN, EX_INCOMPLETE = 1, 2


class AuditError(Exception):
    """It could not be looked up; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Weakness:
    """Something that is known against a version of a distribution."""

    name: str
    version: str
    identity: str
    summary: str


def canonical(name: str) -> str:
    """The one spelling of a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(texts: Iterable[str]) -> list[tuple[str, str]]:
    """Name and version of every pin of the locks, whatever system it is for."""
    pin = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)
    return sorted({(canonical(name), version) for text in texts for name, version in pin.findall(text)})


def advisories(file: Path) -> list[dict[str, Any]]:
    """Records of the file, all in the shape of OSV.

    Raises:
        AuditError: the file holds none.
    """
    try:
        if is_zipfile(file):
            with ZipFile(file) as archive:
                found = [json.loads(archive.read(name)) for name in archive.namelist()]
        else:
            found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AuditError(f"{file} holds no advisories ({error}).") from None
    if isinstance(found, dict):
        found = [
            _from_specifiers(name, one) for name, many in found.items() for one in many if name[0] != "$"
        ]
    if not found or not all(isinstance(one, dict) and "affected" in one for one in found):
        raise AuditError(f"{file} holds no advisories: none, or in another form than OSV's.")
    return found


def _from_specifiers(name: str, one: Mapping[str, Any]) -> dict[str, Any]:
    """A record of safety-db: versions as pip writes them."""
    affected = {"package": {"ecosystem": "PyPI", "name": name}, "specifiers": one["specs"]}
    identity = one.get("cve") or one.get("id", "?")
    return {"id": identity, "summary": one.get("advisory", ""), "affected": [affected]}


def known(pins: Iterable[tuple[str, str]], records: Iterable[Mapping[str, Any]]) -> list[Weakness]:
    """What the records hold against the pins."""
    versions: dict[str, list[str]] = {}
    for name, version in pins:
        versions.setdefault(name, []).append(version)
    found = set()
    for record in records:
        if record.get("withdrawn"):
            continue
        for affected in record["affected"]:
            package = affected.get("package", {})
            if package.get("ecosystem") != "PyPI":
                continue
            name = canonical(str(package.get("name", "")))
            for version in versions.get(name, ()):
                if is_affected(version, affected):
                    summary = str(record.get("summary") or record.get("details") or "")[:120]
                    found.add(Weakness(name, version, str(record["id"]), summary))
    return sorted(found, key=lambda one: (one.name, one.identity))


def is_affected(version: str, affected: Mapping[str, Any]) -> bool:
    """Whether an `affected` of OSV holds a version: by its list, or by its ranges."""
    if version in affected.get("versions", ()):
        return True
    at = Version(version)
    if any(SpecifierSet(one).contains(at, prereleases=True) for one in affected.get("specifiers", ())):
        return True
    ranges = [one for one in affected.get("ranges", ()) if one.get("type") == "ECOSYSTEM"]
    return any(_in_range(at, one.get("events", ())) for one in ranges)


def _in_range(at: Version, events: Iterable[Mapping[str, str]]) -> bool:
    """Events in the order of their versions; the last one at or before the version counts."""
    inside = False
    for kind, text in sorted((next(iter(one.items())) for one in events), key=lambda one: _version(one[1])):
        if kind == "introduced" and at >= _version(text):
            inside = True
        elif (kind == "fixed" and at >= _version(text)) or (kind == "last_affected" and at > _version(text)):
            inside = False
    return inside


def _version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:  # older than every rule: to be on the safe side, the very first
        return Version("0.dev0")


def asked(pins: list[tuple[str, str]], answer: str) -> list[Weakness]:
    """What pip-audit has found.

    Raises:
        AuditError: it has left something out, which it counts as good.
    """
    try:
        said = json.loads(answer)["dependencies"]
        told = {(canonical(one["name"]), one["version"]): one["vulns"] for one in said if "vulns" in one}
    except (ValueError, KeyError, TypeError):
        raise AuditError(f"pip-audit said nothing that can be read: {answer[-200:]!r}") from None
    missing = [name for name, version in pins if (name, version) not in told]
    if missing:
        raise AuditError(
            f"{len(missing)} of {len(pins)} were not looked up ({', '.join(missing[:3])} ...): the service "
            "is not reached from here. Bring a file of advisories: --advisories FILE"
        )
    return [
        Weakness(*pin, one["id"], str(one.get("description", ""))[:120]) for pin in pins for one in told[pin]
    ]


def ask(files: Iterable[Path]) -> str:
    """What pip-audit answers about the locks, as JSON.

    Raises:
        AuditError: it is not installed.
    """
    command = shutil.which("pip-audit")
    if command is None:
        raise AuditError("pip-audit is not installed. Install it, or give --advisories FILE.")
    words = [command, "--disable-pip", "--no-deps", "--format=json", "--progress-spinner=off"]
    words += [word for file in files for word in ("--requirement", str(file))]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def main() -> int:
    """Look everything up and say what is known."""
    parser = argparse.ArgumentParser(description="Look the locked dependencies up among known weaknesses.")
    parser.add_argument("--advisories", type=Path, help="JSON or ZIP; then nobody is asked")
    file = parser.parse_args().advisories
    locks = [ROOT / name for name in LOCKS]
    pins = locked(lock.read_text() for lock in locks)
    try:
        if file is None:
            found, source = asked(pins, ask(locks)), "pip-audit"
        else:
            records = advisories(file)
            found, source = known(pins, records), f"{len(records)} advisories in {file}"
    except AuditError as error:
        sys.stderr.write(f"{error}\n")
        return EX_INCOMPLETE
    for one in found:
        sys.stdout.write(f"{one.name} {one.version}: {one.identity} {one.summary}\n")
    sys.stdout.write(f"{len(pins)} locked versions, {len(found)} weaknesses known ({source}).\n")
    return EX_KNOWN if found else 0


if __name__ == "__main__":
    sys.exit(main())
