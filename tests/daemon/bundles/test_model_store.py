"""Bundles are installed whole or not at all, and always one is active: the old one or the new one."""

import json
import os
import shutil
import tempfile
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.roles import Role
from core.site import Site
from daemon import __main__ as command_line
from daemon.bundles.active import BEFORE_MAX, Active, ActiveBundle, ActiveFile
from daemon.bundles.store import ModelStore
from daemon.config.settings import load_settings
from daemon.system.state_file import COPIES
from models.bundle import BundleError, builtin_bundle
from tests.campaigns.power_cuts import torn
from tests.campaigns.store_kills import campaign
from tests.support.configuration import CONFIGURATION, write_configuration
from tests.support.toy_bundles import plain_model, write_bundle

SITE = Site(())


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    (tmp_path / "state").mkdir()
    return ModelStore(tmp_path / "state")


def bundle(folder: Path, version: int = 1, **changes: Any) -> Path:
    where = folder / f"{changes.get('name', 'toy')}-{version}"
    return write_bundle(where, plain_model(), bundle_version=version, **changes)


def refused(what: Any, *words: str) -> None:
    with pytest.raises(BundleError) as caught:
        what()
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def names(store: ModelStore) -> list[str]:
    return [item.reference for item in store.installed()]


def test_a_bundle_is_installed_activated_and_rolled_back(store: ModelStore, tmp_path: Path) -> None:
    assert names(store) == []
    refused(store.active.load, "no bundle is active", "sunkeep model activate")
    for version in (1, 2, 10):
        item, is_new = store.install(bundle(tmp_path, version), SITE)
        assert (item.reference, is_new) == (f"toy@{version}", True)
        shutil.rmtree(tmp_path / f"toy-{version}")  # the copy stands by itself
    assert names(store) == ["toy@1", "toy@2", "toy@10"]
    refused(lambda: store.rollback(SITE), "no bundle is active")
    for wanted in ("toy@1", "toy@2", "toy@10", "builtin"):
        assert store.activate(wanted, SITE)[0].reference == wanted
    assert store.activate("builtin", SITE) == (Active(reference="builtin"), False)
    assert store.load(store.active.load().active).directory == builtin_bundle()
    for wanted in ("toy@10", "toy@2", "toy@1"):
        assert store.rollback(SITE).reference == wanted
    refused(lambda: store.rollback(SITE), "Before toy@1 nothing was active")
    assert store.load(store.active.load().active).manifest.bundle_version == 1


def test_the_same_bundle_again_changes_nothing(store: ModelStore, tmp_path: Path) -> None:
    source = bundle(tmp_path)
    store.install(source, SITE)
    inode = (store.directory / "toy@1").stat().st_ino
    item, is_new = store.install(source, SITE)
    assert (item.reference, is_new) == ("toy@1", False)
    assert (store.directory / "toy@1").stat().st_ino == inode


def test_the_folder_that_it_came_from_names_it(store: ModelStore, tmp_path: Path) -> None:
    source = bundle(tmp_path)
    refused(lambda: store.activate(str(source), SITE), "is not installed", f"install {source}")
    store.install(source, SITE)
    assert store.activate(str(source), SITE)[0].reference == "toy@1"
    assert store.activate(str(store.directory / "toy@1"), SITE) == (store.active.load().active, False)


def test_what_is_wrong_is_refused_and_leaves_nothing(store: ModelStore, tmp_path: Path) -> None:
    store.install(bundle(tmp_path, 3), SITE)
    broken = bundle(tmp_path, 4)
    (broken / "policy.onnx").write_bytes(b"x")
    refused(lambda: store.install(broken, SITE), "policy.onnx", "SHA-256")
    refused(lambda: store.install(bundle(tmp_path, 2), SITE), "toy@3 is installed", "2 is not larger")
    refused(
        lambda: store.install(bundle(tmp_path, 3, created_at_utc="2026-06-02T00:00:00Z"), SITE), "Another"
    )
    refused(lambda: store.install(bundle(tmp_path, 5), Site((), role=Role.GENERATE)), "generate")
    refused(lambda: store.install(bundle(tmp_path, 5), Site((), period_s=2.0)), "period_s")
    refused(lambda: store.install(bundle(tmp_path, 5, name="../up").resolve(), SITE), "cannot name a folder")
    refused(lambda: store.install(tmp_path / "absent", SITE), "No such file")
    assert names(store) == ["toy@3"]
    assert [path.name for path in store.directory.iterdir()] == ["toy@3"]
    store.install(bundle(tmp_path, 1, name="other"), SITE)  # a name has its own versions
    assert names(store) == ["other@1", "toy@3"]


@pytest.mark.parametrize("wanted", ["toy", "toy@2", "toy@01", "toy@", "../toy@1", "", "Builtin", "a b@1"])
def test_only_what_is_there_is_activated(store: ModelStore, tmp_path: Path, wanted: str) -> None:
    store.install(bundle(tmp_path), SITE)
    refused(lambda: store.activate(wanted, SITE), "toy@1")
    refused(store.active.load, "no bundle is active")


def test_a_bundle_damaged_in_the_store_is_not_used(store: ModelStore, tmp_path: Path) -> None:
    for version in (1, 2):
        store.install(bundle(tmp_path, version), SITE)
        store.activate(f"toy@{version}", SITE)
    (store.directory / "toy@1" / "golden.json").chmod(0o600)
    (store.directory / "toy@1" / "golden.json").write_bytes(b"{}")
    refused(lambda: store.activate("toy@1", SITE), "toy@1", "golden.json")
    refused(lambda: store.rollback(SITE), "toy@1", "golden.json")
    refused(lambda: store.install(tmp_path / "toy-1", SITE), "toy@1 is installed already, but damaged")
    assert store.active.load().active.reference == "toy@2"
    (store.directory / "toy@1" / "manifest.json").unlink()
    assert [bool(item.problem) for item in store.installed()] == [True, False]


def test_an_exchanged_folder_is_not_taken_for_the_activated_one(store: ModelStore, tmp_path: Path) -> None:
    store.install(bundle(tmp_path), SITE)
    store.activate("toy@1", SITE)
    shutil.rmtree(store.directory / "toy@1")
    shutil.copytree(bundle(tmp_path, 1, training_commit="f" * 40), store.directory / "toy@1")
    refused(lambda: store.load(store.active.load().active), "toy@1 is not the bundle that was activated")


def test_a_full_disk_leaves_what_was(store: ModelStore, tmp_path: Path) -> None:
    store.install(bundle(tmp_path, 1), SITE)
    store.activate("toy@1", SITE)
    full = OSError(28, "No space left on device")
    with patch.object(os, "fsync", side_effect=full):
        refused(lambda: store.install(bundle(tmp_path, 2), SITE), "No space left", "Make room")
        refused(lambda: store.activate("clone", SITE), "No space left")
    assert sorted(path.name for path in store.directory.iterdir()) == ["active.a", "active.b", "toy@1"]
    assert store.active.load().active.reference in ("toy@1", "clone")


def test_another_user_writes_nothing(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    refused(lambda: store.install(bundle(tmp_path), SITE), "belongs to another user", "sudo -u sunkeep")
    assert not store.directory.exists()


def test_without_a_state_directory_it_says_how_to_make_one(tmp_path: Path) -> None:
    nowhere = ModelStore(tmp_path / "absent")
    assert nowhere.installed() == []
    refused(lambda: nowhere.install(bundle(tmp_path), SITE), "is not there", "sunkeep zigbee key")


steps = st.lists(
    st.one_of(st.integers(1, 5).map(lambda version: f"toy@{version}"), st.just("back")), max_size=30
)


@given(steps, st.integers(0, 2**32))
def test_whatever_is_cut_the_old_or_the_new_one_is_active(moves: list[str], seed: int) -> None:
    """Against a plain list; after each move the copy that was being written is torn in any way."""
    rng = Random(seed)
    with tempfile.TemporaryDirectory() as folder, patch.object(os, "fsync", lambda _descriptor: None):
        copies = [Path(folder) / f"active{suffix}" for suffix in COPIES]
        stack: list[str] = []
        for move in moves:
            file = ActiveFile(Path(folder))
            choice = file.load() if stack else None
            if move == "back":
                target = None if choice is None else choice.back()
                assert (target is None) == (len(stack) < 2)
                stack = stack[:-1] if target else stack
            else:
                active = Active(reference=move, sha256="0" * 64)
                target = ActiveBundle(active=active) if choice is None else choice.then(active)
                stack = [*stack, move][-BEFORE_MAX - 1 :]
            if target is None:
                continue
            before = [copy.read_bytes() if copy.exists() else b"" for copy in copies]
            file.save(target)
            after = [copy.read_bytes() if copy.exists() else b"" for copy in copies]
            if choice is not None:
                for copy, old, new in zip(copies, before, after, strict=True):
                    left = torn(old, new, rng) if old != new else new
                    copy.unlink(missing_ok=True)
                    if left is not None and (left or old):
                        copy.write_bytes(left)
                assert ActiveFile(Path(folder)).load() in (choice, target)
            for copy, new in zip(copies, after, strict=True):
                copy.unlink(missing_ok=True)
                if new:
                    copy.write_bytes(new)
            now = ActiveFile(Path(folder)).load()
            assert [item.reference for item in (*now.before, now.active)] == stack


@given(st.binary(max_size=200))
def test_a_record_of_something_else_is_none(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for suffix in COPIES:
            (Path(folder) / f"active{suffix}").write_bytes(data)
        refused(ActiveFile(Path(folder)).load, "damaged")


def test_a_record_that_points_out_of_the_store_is_refused(store: ModelStore) -> None:
    store.directory.mkdir()
    for reference in ("../toy@1", "/toy@1", "toy", "toy@1\n"):
        store.active._file.save({"active": {"reference": reference, "sha256": ""}, "before": []})
        refused(store.active.load, "another version")


def test_kills_leave_a_valid_store(tmp_path: Path) -> None:
    found = campaign(tmp_path, 25, 1)
    assert found.kills == 25
    assert found.done > 0  # how much, and what is hit, is the machine's speed
    assert (found.broken, found.strange) == (0, 0)


def test_the_commands_say_what_they_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_configuration(tmp_path, CONFIGURATION + '\n[policy]\nbundle = "installed"\n')
    assert load_settings(config).policy.bundle == "installed"
    (tmp_path / "state").mkdir()

    def run(*arguments: str) -> tuple[int, Any]:
        code = command_line.main(["model", *arguments, "--config", str(config), "--json"])
        out = capsys.readouterr().out
        return code, json.loads(out) if out else None

    code, told = run("install", str(bundle(tmp_path)))
    assert (code, told["reference"], told["is_new"]) == (0, "toy@1", True)
    assert run("install", str(bundle(tmp_path, 1, training_commit="f" * 40)))[0] == 78
    assert run("rollback")[0] == 78
    code, told = run("list")
    assert (code, told["active"], told["daemon"]) == (0, "", None)
    assert "no bundle is active" in told["problem"]
    code, told = run("activate", "toy@1")
    assert (code, told["active"], told["is_new"], told["daemon"]) == (0, "toy@1", True, None)
    code, told = run("list")
    assert (told["active"], told["problem"]) == ("toy@1", "")
    assert [(row["reference"], row["role"], row["problem"]) for row in told["bundles"]] == [
        ("toy@1", "absorb", "")
    ]
    assert command_line.main(["model", "list", "--config", str(config)]) == 0
    shown = capsys.readouterr().out
    assert "active" in shown.splitlines()[0]
    assert "No daemon answers" in shown


def test_check_looks_at_the_active_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_configuration(tmp_path, CONFIGURATION + '\n[policy]\nbundle = "installed"\n')
    (tmp_path / "state").mkdir()

    def item() -> dict[str, Any]:
        command_line.main(["check", "--json", "--config", str(config)])
        items = json.loads(capsys.readouterr().out)["items"]
        found: dict[str, Any] = next(item for item in items if item["name"] == "policy bundle")
        return found

    assert item()["ok"] is False
    store = ModelStore(tmp_path / "state")
    store.install(bundle(tmp_path, 7), SITE)
    store.activate("toy@7", SITE)
    good = item()
    assert (good["ok"], good["detail"]) == (True, "toy 7, golden vectors hold")


def test_a_store_that_may_not_be_entered_is_told_in_a_sentence(store: ModelStore) -> None:
    with patch.object(Path, "exists", side_effect=PermissionError(13, "Permission denied")):
        refused(store.active.load, "cannot be read", "Permission denied", "sudo -u sunkeep")
