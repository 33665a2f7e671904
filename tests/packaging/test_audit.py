"""Known weaknesses of locked dependencies: found by list and by range, and never counted as good unseen."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

Script = Callable[[str], Any]
RANGE = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.2"}, {"introduced": "2.0rc1"}]}]
LAST = [{"type": "ECOSYSTEM", "events": [{"introduced": "1.0"}, {"last_affected": "1.4"}]}]
PINS = [("alpha", "1.1"), ("beta-lib", "3.0")]


def record(name: str, **affected: Any) -> dict[str, Any]:
    package = {"ecosystem": "PyPI", "name": name}
    return {"id": "PYSEC-1", "summary": "bad", "affected": [{"package": package, **affected}]}


@pytest.mark.parametrize(("version", "ranges", "affected"), [
    ("0.1", RANGE, True),
    ("1.1", RANGE, True),
    ("1.2", RANGE, False),
    ("1.10", RANGE, False),
    ("2.0", RANGE, True),
    ("0.9", LAST, False),
    ("1.4", LAST, True),
    ("1.4.1", LAST, False),
])  # fmt: skip
def test_a_range_ends_where_it_says(version: str, ranges: Any, affected: bool, script: Script) -> None:
    assert script("audit").is_affected(version, {"ranges": ranges}) is affected


def test_names_are_compared_in_their_one_spelling_and_other_worlds_do_not_count(script: Script) -> None:
    audit = script("audit")
    records = [
        record("Beta_Lib", versions=["3.0"]),
        record("alpha", specifiers=["<1.0", ">=2"]),
        record("alpha", specifiers=["<1.2,>=1.1"]) | {"withdrawn": "2026-01-01T00:00:00Z"},
        {"id": "X", "affected": [{"package": {"ecosystem": "npm", "name": "alpha"}, "versions": ["1.1"]}]},
    ]
    assert [(one.name, one.version, one.identity) for one in audit.known(PINS, records)] == [
        ("beta-lib", "3.0", "PYSEC-1")
    ]


def test_every_form_of_the_file_is_read(tmp_path: Path, script: Script) -> None:
    audit = script("audit")
    plain, packed, older = tmp_path / "a.json", tmp_path / "all.zip", tmp_path / "insecure_full.json"
    plain.write_text(json.dumps([record("alpha", versions=["1.1"])]))
    with ZipFile(packed, "w") as archive:
        archive.writestr("PYSEC-1.json", json.dumps(record("alpha", versions=["1.1"])))
    older.write_text(json.dumps({"$meta": [{}], "alpha": [{"cve": "PYSEC-1", "specs": ["<1.2"]}]}))
    for file in (plain, packed, older):
        assert [one.identity for one in audit.known(PINS, audit.advisories(file))] == ["PYSEC-1"], file.name
    for text in ("[]", "{}", "[1]", "no JSON"):
        plain.write_text(text)
        with pytest.raises(audit.AuditError, match="holds no advisories"):
            audit.advisories(plain)


def test_what_was_not_looked_up_is_not_good(script: Script) -> None:
    audit = script("audit")
    alpha = {"name": "alpha", "version": "1.1", "vulns": [{"id": "PYSEC-1", "description": "bad"}]}
    beta = {"name": "beta-lib", "version": "3.0", "vulns": []}
    skipped = {"name": "beta-lib", "skip_reason": "Dependency not found on PyPI"}
    found = audit.asked(PINS, json.dumps({"dependencies": [alpha, beta]}))
    assert [one.identity for one in found] == ["PYSEC-1"]
    with pytest.raises(audit.AuditError, match=r"1 of 2 were not looked up \(beta-lib"):
        audit.asked(PINS, json.dumps({"dependencies": [alpha, skipped]}))
    with pytest.raises(audit.AuditError, match="said nothing that can be read"):
        audit.asked(PINS, "")


def test_every_pin_of_the_locks_is_looked_up(script: Script) -> None:
    audit = script("audit")
    pins = audit.locked((audit.ROOT / name).read_text() for name in audit.LOCKS)
    assert {"numpy", "onnxruntime", "zigpy"} <= {name for name, _ in pins}
