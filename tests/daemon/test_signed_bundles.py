"""Where keys are trusted, nothing but what they signed is installed, activated or acts."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from core.decision import State
from core.site import Site
from daemon import __main__ as command_line
from daemon.active_bundle import Active
from daemon.model_store import ModelStore
from daemon.refusals import InputError
from daemon.settings import SettingsError, parse_settings
from daemon.signing import make_signing_key, read_signing_key, sign_bundle
from models.bundle import BundleError, builtin_bundle
from models.public_key import fingerprint
from models.signature import SIGNATURE_FILE, public_key_of
from tests.daemon.configuration import CONFIGURATION, write_configuration
from tests.daemon.test_hot_swap import described, events, state, sunkeep
from tests.daemon.whole import Whole, until, whole
from tests.models.test_signature import rehash
from tests.models.toy import plain_model, write_bundle

SITE = Site(())
PERIOD_S = 0.2
KEY = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"\x08" * 32)
TRUSTED = (public_key_of(KEY),)
INSTALLED = '\n[policy]\nbundle = "installed"\n'
SIGNED_ONLY = f'{INSTALLED}trusted_keys = ["{TRUSTED[0]}"]\n'


def bundle(folder: Path, version: int = 1, key: Ed25519PrivateKey | None = None, **changes: Any) -> Path:
    where = write_bundle(folder / f"toy-{version}", plain_model(), bundle_version=version, **changes)
    (where / SIGNATURE_FILE).unlink(missing_ok=True)
    if key is not None:
        sign_bundle(where, key)
    return where


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


def replaced_by_a_thief(folder: Path) -> ModelStore:
    """A signed, active bundle whose files, hashes and record of activation were all exchanged."""
    folder.mkdir()
    store = ModelStore(folder)
    store.install(bundle(folder.parent, key=KEY, period_s=PERIOD_S), Site((), period_s=PERIOD_S))
    store.activate("toy@1", Site((), period_s=PERIOD_S))
    there = store.directory / "toy@1"
    for path in there.iterdir():
        path.chmod(0o600)
    golden = json.loads((there / "golden.json").read_bytes())
    for vector in golden["vectors"]:
        vector["action_w"] = [2.0 * watts for watts in vector["action_w"]]
    rehash(there, "golden.json", json.dumps(golden).encode())
    rehash(there, "policy.onnx", plain_model(scale=2.0).SerializeToString())
    (there / SIGNATURE_FILE).unlink()
    (item,) = store.installed()
    choice = store.active.load()
    store.active.save(choice.then(Active(reference="toy@1", sha256=item.sha256)))
    return store


def proposes(pair: Whole) -> bool | None:
    """Whether a policy answered in the newest tick; None before the first."""
    figures = pair.service.figures
    return None if figures is None or figures.decision is None else figures.decision.wished_w is not None


async def test_files_replaced_with_their_hashes_never_act(tmp_path: Path) -> None:
    store = replaced_by_a_thief(tmp_path / "site")
    assert store.load(store.active.load().active).manifest.name == "toy"  # the check of bytes passes
    async with whole(tmp_path / "site", period_s=PERIOD_S, more=SIGNED_ONLY) as pair:
        await until(lambda: state(pair) is State.PI_FALLBACK, 20.0)
        facts = await described(tmp_path / "site")
        assert (facts["policy"], facts["sha256"]) == ("", "")
        assert "not signed" in facts["problem"]
        await pair.stop()
        assert all(tick.decision.wished_w is None for tick in pair.ticks())
        assert [start.bundle_sha256 for start in pair.starts()] == [""]


@pytest.mark.slow
async def test_the_same_without_trusted_keys_are_used(tmp_path: Path) -> None:
    """What the signature is for: the other test would notice if it were not asked for."""
    replaced_by_a_thief(tmp_path / "site")
    async with whole(tmp_path / "site", period_s=PERIOD_S, more=INSTALLED) as pair:
        await until(lambda: proposes(pair), 20.0)
        await pair.stop()


@pytest.mark.slow
async def test_keys_that_are_asked_for_while_it_runs(tmp_path: Path) -> None:
    """The unsigned policy in force goes, and comes back signed. Another unsigned one never comes."""
    folder = tmp_path / "site"
    folder.mkdir()
    site = Site((), period_s=PERIOD_S)
    anything = ModelStore(folder)
    for version in (1, 2):
        anything.install(bundle(tmp_path, version, period_s=PERIOD_S), site)
    anything.activate("toy@1", site)
    file, config = folder / "site.toml", ("--config", str(folder / "site.toml"))
    async with whole(folder, period_s=PERIOD_S, more=INSTALLED) as pair:
        await until(lambda: proposes(pair), 20.0)
        file.write_text(file.read_text().replace(INSTALLED, SIGNED_ONLY))
        await until(lambda: proposes(pair) is False, 20.0)
        facts = await described(folder)
        assert (facts["policy"], facts["is_settled"]) == ("", True)
        assert "toy@1 must not be used: The bundle is not signed" in facts["problem"]
        assert pair.service.figures is not None
        assert pair.service.figures.about.policy_name == ""

        source = str(bundle(tmp_path, 1, KEY, period_s=PERIOD_S))
        assert await sunkeep("model", "install", source, *config) == 0
        assert await sunkeep("model", "activate", "toy@1", *config) == 0  # active before, and looked at again
        assert ((await described(folder))["policy"], (await described(folder))["problem"]) == ("toy 1", "")
        await until(lambda: proposes(pair), 20.0)

        assert await sunkeep("model", "activate", "toy@2", *config) == 78
        choice = anything.active.load()
        anything.active.save(choice.then(Active(reference="toy@2", sha256=anything.installed()[1].sha256)))
        await until(lambda: bool(pair.service.figures and pair.service.figures.policy_refusals == 2), 10.0)
        assert (await described(folder))["policy"] == "toy 1"
        assert proposes(pair)
        await pair.stop()
    said = events(folder)
    assert said["policy_withdrawn"] == {"policy": "toy 1", "reason": "no trusted signature"}
    assert said["policy_swap_refused"]["kept"] == "toy 1"
    assert await sunkeep("replay", str(folder / "journal")) == 0


@pytest.mark.slow
async def test_a_policy_signed_in_the_meantime_stays_when_keys_are_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    site = Site((), period_s=PERIOD_S)
    store = ModelStore(folder)
    store.install(bundle(tmp_path, 1, period_s=PERIOD_S), site)
    store.activate("toy@1", site)
    file = folder / "site.toml"
    async with whole(folder, period_s=PERIOD_S, more=INSTALLED) as pair:
        await until(lambda: proposes(pair), 20.0)
        store.install(bundle(tmp_path, 1, KEY, period_s=PERIOD_S), site)
        figures = pair.service.figures
        assert figures is not None
        before = figures.about
        file.write_text(file.read_text().replace(INSTALLED, SIGNED_ONLY))
        await until(lambda: figures.about is not before, 10.0)  # the configuration is loaded again
        await asyncio.sleep(3.0)
        assert proposes(pair)
        assert (await described(folder))["problem"] == ""
        await pair.stop()
    assert "configuration_reloaded" in events(folder)
    assert "policy_withdrawn" not in events(folder)


def test_a_signed_bundle_may_be_replaced_by_an_export(tmp_path: Path) -> None:
    destination = pytest.importorskip("training.destination")
    source = bundle(tmp_path, key=KEY)
    assert destination.next_version(source) == 2
    shutil.copy(source / SIGNATURE_FILE, source / "notes.txt")
    with pytest.raises(destination.ExportError, match=r"notes\.txt"):
        destination.next_version(source)
