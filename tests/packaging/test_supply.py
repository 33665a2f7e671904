"""Bill of materials, licences, signed manifest, and the files for forges and containers."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from daemon.bundles.signing import make_signing_key

yaml: Any = pytest.importorskip("yaml", reason="comes with what the documentation site needs")

ROOT = Path(__file__).parents[2]
Script = Callable[[str], Any]


def metadata(**fields: str | list[str]) -> Message:
    message = Message()
    for name, value in fields.items():
        for one in [value] if isinstance(value, str) else value:
            message[name.replace("_", "-")] = one
    return message


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License_Expression": "MIT OR Apache-2.0", "License": "other"}, ("MIT OR Apache-2.0", True)),
        ({"Classifier": ["License :: OSI Approved :: BSD License", "Topic :: X"]}, ("BSD License", False)),
        ({"License": "MIT\nand its whole text"}, ("MIT", False)),
        ({}, ("not stated", False)),
    ],
)
def test_a_licence_is_what_the_metadata_says(
    fields: dict[str, str | list[str]], licence: tuple[str, bool], script: Script
) -> None:
    assert script("sbom").licence_of(metadata(**fields)) == licence


def test_a_bill_names_every_wheel_and_is_the_same_twice(tmp_path: Path, script: Script) -> None:
    for name in ("Beta_lib", "alpha"):
        with ZipFile(tmp_path / f"{name}-1.whl", "w") as archive:
            archive.writestr(
                f"{name}-1.dist-info/METADATA", f"Name: {name}\nVersion: 1\nLicense-Expression: MIT\n\n"
            )
    bill = script("sbom").bill
    wheels = sorted(tmp_path.glob("*.whl"))
    text = bill(wheels, "0.1.0~deb12", "2026-12-01T00:00:00Z")
    assert text == bill(reversed(wheels), "0.1.0~deb12", "2026-12-01T00:00:00Z")
    document = json.loads(text)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert [part["purl"] for part in document["components"]] == ["pkg:pypi/alpha@1", "pkg:pypi/beta-lib@1"]
    assert all(len(part["hashes"][0]["content"]) == 64 for part in document["components"])


def test_the_page_of_licences_is_current() -> None:
    words = [sys.executable, str(ROOT / "tools" / "write_licences.py"), "--check"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr + "run python tools/write_licences.py"


def test_no_licence_of_the_package_forbids_what_the_gpl_allows() -> None:
    page = (ROOT / "docs" / "develop" / "licences.md").read_text()
    table = page.split("### In the package")[1].split("###")[0]
    rows = re.findall(r"^\| (\S+) \| (.+) \|$", table, re.MULTILINE)
    assert len(rows) > 30
    free = re.compile(r"MIT|BSD|Apache|PSF|Python Software|GPL|GNU|MPL|ISC|Mozilla", re.IGNORECASE)
    assert [row for row in rows[1:] if not free.search(row[1])] == []


def test_a_signed_release_notices_any_change(tmp_path: Path, script: Script) -> None:
    release = script("release")
    public, _ = make_signing_key(tmp_path / "release.key")
    other, _ = make_signing_key(tmp_path / "other.key")
    folder = tmp_path / "deb"
    folder.mkdir()
    (folder / "a.deb").write_bytes(b"one")
    release.sign(folder, tmp_path / "release.key")
    assert release.verify(folder, public) == ["a.deb"]
    with pytest.raises(release.ReleaseError, match="was not signed by this key"):
        release.verify(folder, other)
    (folder / "b.deb").write_bytes(b"two")
    with pytest.raises(release.ReleaseError, match=r"b\.deb is not the file that was signed"):
        release.verify(folder, public)
    (folder / "b.deb").unlink()
    (folder / "a.deb").write_bytes(b"other")
    with pytest.raises(release.ReleaseError, match=r"a\.deb is not the file that was signed"):
        release.verify(folder, public)
    (folder / "release.json").write_text('{"files": {}}')
    with pytest.raises(release.ReleaseError, match="was not signed by this key"):
        release.verify(folder, public)


def test_the_forge_calls_targets_that_exist() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = []
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            called += re.findall(r"make ([\w-]+)", step.get("run", ""))
    assert set(called) >= {"setup-sweep", "test", "check", "deb"}
    assert set(called) <= targets
    pythons = workflow["jobs"]["everything"]["strategy"]["matrix"]["python"]
    assert pythons == ["3.11", "3.13"]


def test_the_add_on_and_the_container_have_their_form() -> None:
    folder = ROOT / "packaging" / "home-assistant"
    about = yaml.safe_load((folder / "config.yaml").read_text())
    assert {"name", "version", "slug", "description", "arch"} <= set(about)
    assert re.fullmatch(r"[-_.A-Za-z0-9]+", about["slug"])
    project = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert project is not None
    assert about["version"] == project[1]
    assert subprocess.run(["sh", "-n", folder / "run.sh"], check=False).returncode == 0
    for file in (folder / "Dockerfile", ROOT / "packaging" / "container" / "Containerfile"):
        joined = re.sub(r"\\\n", " ", file.read_text())
        words = [line.split()[0] for line in joined.splitlines() if line and not line.startswith("#")]
        assert words[0] == "FROM"
        known = {"FROM", "ARG", "COPY", "RUN", "ENV", "USER", "VOLUME", "STOPSIGNAL", "ENTRYPOINT", "CMD"}
        assert set(words) <= known
