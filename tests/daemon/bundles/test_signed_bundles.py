"""Where keys are trusted, nothing but what they signed is installed, activated or acts."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from daemon import __main__ as command_line
from daemon.bundles.signing import make_signing_key, read_signing_key
from daemon.bundles.store import ModelStore
from daemon.config.settings import SettingsError, parse_settings
from daemon.errors import InputError
from models.bundle import BundleError, builtin_bundle
from models.public_key import fingerprint
from models.signature import SIGNATURE_FILE, public_key_of
from tests.support.configuration import CONFIGURATION, write_configuration
from tests.support.signed_bundles import INSTALLED, KEY, OTHER, SIGNED_ONLY, SITE, TRUSTED, bundle


def refused(what: Any, *words: str) -> None:
    with pytest.raises(BundleError) as caught:
        what()
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.fixture
def stores(tmp_path: Path) -> tuple[ModelStore, ModelStore]:
    """The same folder, of a site that asks for no signature, and of one that does."""
    (tmp_path / "state").mkdir()
    return ModelStore(tmp_path / "state"), ModelStore(tmp_path / "state", TRUSTED)


def test_only_what_is_signed_is_installed(stores: tuple[ModelStore, ModelStore], tmp_path: Path) -> None:
    _, store = stores
    refused(lambda: store.install(bundle(tmp_path), SITE), "not signed", "sunkeep model sign")
    refused(lambda: store.install(bundle(tmp_path, key=OTHER), SITE), fingerprint(public_key_of(OTHER)))
    refused(lambda: store.install(builtin_bundle(), SITE), "not signed")
    assert store.installed() == []
    item, is_new = store.install(bundle(tmp_path, key=KEY), SITE)
    assert (item.reference, item.signed_by, is_new) == ("toy@1", TRUSTED[0], True)
    assert store.activate("toy@1", SITE)[0].reference == "toy@1"
    assert store.load(store.active.load().active).signed_by == TRUSTED[0]
    assert store.activate("builtin", SITE)[0].reference == "builtin"  # comes with the software


def test_an_earlier_unsigned_bundle_is_not_activated_and_no_way_back(
    stores: tuple[ModelStore, ModelStore], tmp_path: Path
) -> None:
    anything, store = stores
    anything.install(bundle(tmp_path, 1), SITE)
    anything.activate("toy@1", SITE)
    store.install(bundle(tmp_path, 2, KEY), SITE)
    refused(lambda: store.load(store.active.load().active), "toy@1 must not be used", "not signed")
    store.activate("toy@2", SITE)
    refused(lambda: store.activate("toy@1", SITE), "toy@1 must not be used", "not signed")
    refused(lambda: store.rollback(SITE), "toy@1 must not be used", "not signed", "builtin")
    assert store.active.load().active.reference == "toy@2"


def test_a_signature_can_be_brought_later_and_exchanged(
    stores: tuple[ModelStore, ModelStore], tmp_path: Path
) -> None:
    anything, store = stores
    before, _ = anything.install(bundle(tmp_path), SITE)
    anything.activate("toy@1", SITE)
    stamp = store.active.stamp()
    for key in (OTHER, KEY):
        item, is_new = anything.install(bundle(tmp_path, key=key), SITE)
        assert (item.signed_by, item.sha256, is_new) == (public_key_of(key), before.sha256, False)
    assert store.activate("toy@1", SITE)[1] is False
    assert store.active.stamp() != stamp  # so that a daemon that refused it looks again
    anything.install(bundle(tmp_path), SITE)  # without one takes none away
    assert [item.signed_by for item in store.installed()] == [TRUSTED[0]]
    assert sorted(path.name for path in store.directory.iterdir()) == ["active.a", "active.b", "toy@1"]


def test_a_damaged_signature_in_the_store_is_told_and_mended(
    stores: tuple[ModelStore, ModelStore], tmp_path: Path
) -> None:
    anything, store = stores
    source = bundle(tmp_path, key=KEY)
    store.install(source, SITE)
    signature = store.directory / "toy@1" / SIGNATURE_FILE
    signature.chmod(0o600)
    signature.write_bytes(b"{}")
    (item,) = store.installed()
    assert SIGNATURE_FILE in item.problem
    for one in stores:
        refused(lambda one=one: one.activate("toy@1", SITE), SIGNATURE_FILE)
    assert anything.install(source, SITE)[0].signed_by == TRUSTED[0]


def test_settings_take_public_keys_only(tmp_path: Path) -> None:
    def trusted(value: str) -> tuple[str, ...]:
        text = f"{CONFIGURATION}\n[policy]\ntrusted_keys = {value}\n"
        return parse_settings(text, tmp_path / "sunkeep.toml").policy.trusted_keys

    assert trusted("[]") == ()
    assert trusted(json.dumps(TRUSTED * 2)) == TRUSTED * 2
    key = TRUSTED[0]
    wrong = [key[:-1], key.removeprefix("ed25519:"), key + " ", "ed25519:" + "A" * 43 + "=", "", 1, "é"]
    for value in (*([one] for one in wrong), key):
        with pytest.raises(SettingsError) as caught:
            trusted(json.dumps(value))
        (problem,) = caught.value.problems
        assert problem.key.startswith("policy.trusted_keys")
        assert problem.line == len(CONFIGURATION.splitlines()) + 3
    with pytest.raises(SettingsError, match=r"is not a public key.*sunkeep model keygen"):
        trusted('["ed25519:mine"]')


def test_keys_are_made_once_and_kept_private(tmp_path: Path) -> None:
    file = tmp_path / "policy.key"
    public_key, public_file = make_signing_key(file)
    assert (file.stat().st_mode & 0o777, public_file.read_text()) == (0o600, f"{public_key}\n")
    assert public_key_of(read_signing_key(file)) == public_key
    content = file.read_bytes()
    for there, gone in ((file, public_file), (public_file, file)):
        with pytest.raises(InputError, match="exists and is not overwritten"):
            make_signing_key(file)
        gone.unlink()
        with pytest.raises(InputError, match=f"{there} exists"):
            make_signing_key(file)
        assert not gone.exists()
        file.write_bytes(content)
        file.chmod(0o600)
        public_file.write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        make_signing_key(tmp_path / "absent" / "policy.key")


def test_what_is_no_private_key_is_told_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "policy.key"
    with pytest.raises(InputError, match=r"cannot be read .*keygen"):
        read_signing_key(file)
    make_signing_key(file)
    file.chmod(0o640)
    with pytest.raises(InputError, match="chmod 600"):
        read_signing_key(file)
    file.chmod(0o600)
    for content in (b"", b"x", (tmp_path / "policy.key.pub").read_bytes(), b"\xff" * 5000):
        file.write_bytes(content)
        with pytest.raises(InputError, match="holds no private Ed25519 key"):
            read_signing_key(file)
    locked = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))
    file.write_bytes(locked)
    with pytest.raises(InputError, match="passphrase"):
        read_signing_key(file)


def test_the_commands_sign_verify_and_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> tuple[int, Any]:
        code = command_line.main(["model", *arguments, "--json"])
        out = capsys.readouterr().out
        return code, json.loads(out) if out else None

    key = tmp_path / "policy.key"
    code, made = run("keygen", "--out", str(key))
    assert (code, made["fingerprint"]) == (0, fingerprint(made["public_key"]))
    assert run("keygen", "--out", str(key))[0] == 2
    text = f'{CONFIGURATION}{INSTALLED}trusted_keys = ["{made["public_key"]}"]\n'
    config = ("--config", str(write_configuration(tmp_path, text)))
    (tmp_path / "state").mkdir()
    source = bundle(tmp_path)
    assert run("verify", str(source))[1]["signed_by"] == ""
    assert run("verify", str(source), *config)[0] == run("install", str(source), *config)[0] == 78
    assert run("verify", *config)[0] == 0

    code, told = run("sign", str(source), "--key", str(key))
    assert (code, told["signed_by"]) == (0, made["public_key"])
    assert run("verify", str(source), *config)[1]["fingerprint"] == made["fingerprint"]
    assert run("install", str(source), *config)[1]["signed_by"] == made["public_key"]
    ModelStore(tmp_path / "state").install(bundle(tmp_path, 2), SITE)
    rows = run("list", *config)[1]["bundles"]
    assert [(row["reference"], row["fingerprint"], row["is_trusted"]) for row in rows] == [
        ("toy@1", made["fingerprint"], True),
        ("toy@2", "", False),
    ]
    assert run("activate", "toy@2", *config)[0] == 78
    assert run("activate", "toy@1", *config)[0] == 0
    command_line.main(["model", "list", *config])
    shown = capsys.readouterr().out.splitlines()
    assert f"signed by {made['fingerprint']}" in shown[0]
    assert "not signed, not trusted" in shown[1]

    (source / "golden.json").write_bytes(b"{}")
    assert run("sign", str(source), "--key", str(key))[0] == 78  # nobody vouches for what does not verify


def test_check_asks_for_the_signature(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_configuration(tmp_path, CONFIGURATION + SIGNED_ONLY)
    (tmp_path / "state").mkdir()
    store = ModelStore(tmp_path / "state")
    store.install(bundle(tmp_path), SITE)
    store.activate("toy@1", SITE)

    def item() -> dict[str, Any]:
        command_line.main(["check", "--json", "--config", str(config)])
        items = json.loads(capsys.readouterr().out)["items"]
        found: dict[str, Any] = next(item for item in items if item["name"] == "policy bundle")
        return found

    assert item()["ok"] is False
    assert "not signed" in item()["detail"]
    store.install(bundle(tmp_path, key=KEY), SITE)
    assert item()["detail"] == f"toy 1, golden vectors hold, signed by {fingerprint(TRUSTED[0])}"


def test_a_signed_bundle_may_be_replaced_by_an_export(tmp_path: Path) -> None:
    destination = pytest.importorskip("training.artifacts.destination")
    source = bundle(tmp_path, key=KEY)
    assert destination.next_version(source) == 2
    shutil.copy(source / SIGNATURE_FILE, source / "notes.txt")
    with pytest.raises(destination.ExportError, match=r"notes\.txt"):
        destination.next_version(source)
