"""A signature vouches for every byte of a bundle, and nothing else passes for one."""

import base64
import hashlib
import json
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from daemon.bundles.signing import sign_bundle
from models.bundle import (
    BundleError,
    builtin_bundle,
    bundle_of,
    digest_line,
    is_trusted,
    load_bundle,
    read_files,
)
from models.manifest import DIGEST_FILE
from models.public_key import PUBLIC_KEY_BYTES, fingerprint, key_bytes, key_text
from models.signature import SIGNATURE_FILE, SignatureError, public_key_of, sign, signer
from tests.support.toy_bundles import plain_model, write_bundle

KEY = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"\x08" * 32)
TRUSTED = (public_key_of(KEY),)
MANIFEST = (builtin_bundle() / "manifest.json").read_bytes()
SIGNATURE = sign(MANIFEST, KEY)


def refused(directory: Path, *words: str) -> None:
    with pytest.raises(BundleError) as caught:
        load_bundle(directory, trusted_keys=TRUSTED)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def rehash(directory: Path, name: str, content: bytes) -> None:
    """Exchange a file, and its hash in the manifest with it: what a check of bytes cannot see."""
    (directory / name).write_bytes(content)
    manifest = json.loads((directory / "manifest.json").read_bytes())
    manifest["files"][name] = hashlib.sha256(content).hexdigest()
    (directory / "manifest.json").write_text(json.dumps(manifest))
    (directory / DIGEST_FILE).write_bytes(digest_line((directory / "manifest.json").read_bytes()))


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    directory = Path(shutil.copytree(builtin_bundle(), tmp_path / "bundle"))
    sign_bundle(directory, KEY)
    return directory


def test_a_published_signature_holds() -> None:
    """RFC 8032, 7.1, test 3."""
    public = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
    key = Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
    )
    content = sign(bytes.fromhex("af82"), key)
    assert base64.b64decode(json.loads(content)["signature"]).hex() == (
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )
    assert signer(bytes.fromhex("af82"), content) == key_text(public)


def test_signing_changes_nothing_but_the_signature(signed: Path) -> None:
    bundle = load_bundle(signed, trusted_keys=TRUSTED)
    assert bundle.signed_by == TRUSTED[0]
    assert bundle.sha256 == load_bundle(builtin_bundle()).sha256
    before = read_files(signed)
    assert {name for name in before if name != SIGNATURE_FILE} == set(read_files(builtin_bundle()))
    assert sign_bundle(signed, KEY).signed_by == TRUSTED[0]
    assert read_files(signed) == before
    assert [path.name for path in signed.parent.iterdir()] == ["bundle"]


def test_without_trusted_keys_signed_or_not_is_accepted_and_a_false_signature_is_not(signed: Path) -> None:
    assert load_bundle(signed).signed_by == TRUSTED[0]
    (signed / SIGNATURE_FILE).write_bytes(sign(b"another manifest", KEY))
    with pytest.raises(BundleError, match="is no signature of this bundle"):
        load_bundle(signed)
    (signed / SIGNATURE_FILE).unlink()
    assert load_bundle(signed).signed_by == ""


def test_an_unsigned_bundle_is_refused_and_one_that_ships_is_not(tmp_path: Path) -> None:
    copied = Path(shutil.copytree(builtin_bundle(), tmp_path / "bundle"))
    refused(copied, "not signed", "trusted_keys", "sunkeep model sign")
    assert load_bundle(builtin_bundle(), trusted_keys=TRUSTED).signed_by == ""
    with pytest.raises(BundleError, match="not signed"):  # as files to be installed it is like any other
        bundle_of(builtin_bundle(), read_files(builtin_bundle()), trusted_keys=TRUSTED)


def test_another_key_is_refused_and_named(signed: Path) -> None:
    bundle = sign_bundle(signed, OTHER)
    refused(signed, "signed by the key", fingerprint(public_key_of(OTHER)), "does not name")
    assert load_bundle(signed, trusted_keys=(*TRUSTED, public_key_of(OTHER))).signed_by == bundle.signed_by
    assert is_trusted(bundle, ())
    assert is_trusted(bundle, (public_key_of(OTHER),))
    assert not is_trusted(bundle, TRUSTED)


def test_another_key_that_claims_to_be_the_trusted_one_is_refused(signed: Path) -> None:
    claim = json.loads(sign((signed / "manifest.json").read_bytes(), OTHER))
    claim["public_key"] = TRUSTED[0]
    (signed / SIGNATURE_FILE).write_text(json.dumps(claim, indent=1) + "\n")
    refused(signed, "by another key than it names")


@pytest.mark.parametrize("name", ["golden.json", "normalization_params.json", "policy.onnx"])
def test_a_file_exchanged_with_its_hash_is_refused(signed: Path, name: str) -> None:
    content = (signed / name).read_bytes()
    # a key that ONNX's parser skips, a space that JSON's skips: what is left still is a bundle
    rehash(signed, name, content + (b"\x3a\x01x" if name == "policy.onnx" else b" "))
    refused(signed, SIGNATURE_FILE, "another manifest")
    (signed / SIGNATURE_FILE).unlink()
    refused(signed, "not signed")
    if name != "policy.onnx":
        load_bundle(signed)  # the check of bytes alone does not see it


def test_a_file_exchanged_without_its_hash_is_refused(signed: Path) -> None:
    (signed / "policy.onnx").write_bytes((signed / "policy.onnx").read_bytes() + b"\0")
    refused(signed, "policy.onnx", "SHA-256")


def test_the_signature_of_another_bundle_is_refused(signed: Path, tmp_path: Path) -> None:
    other = write_bundle(tmp_path / "toy", plain_model())
    sign_bundle(other, KEY)
    shutil.copy(signed / SIGNATURE_FILE, other)
    refused(other, SIGNATURE_FILE, "another manifest")


def test_nothing_of_a_stranger_is_run(signed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.bundle.Session", lambda *_: pytest.fail("a session was made"))
    monkeypatch.setattr("models.bundle._parse", lambda *_: pytest.fail("the manifest was read"))
    sign_bundle_bytes = sign((signed / "manifest.json").read_bytes(), OTHER)
    (signed / SIGNATURE_FILE).write_bytes(sign_bundle_bytes)
    refused(signed, "signed by the key")


@pytest.mark.parametrize("length", [0, 1, 40, len(SIGNATURE) - 1])
def test_a_cut_signature_is_refused(length: int) -> None:
    with pytest.raises(SignatureError):
        signer(MANIFEST, SIGNATURE[:length])


@given(st.binary(max_size=300))
def test_garbage_is_refused(content: bytes) -> None:
    with pytest.raises(SignatureError):
        signer(MANIFEST, content)


@pytest.mark.parametrize(
    "changes",
    [
        {"schema_version": 2},
        {"signature": ""},
        {"signature": "é"},
        {"signature": base64.b64encode(bytes(63)).decode()},
        {"signature": base64.b64encode(bytes(64)).decode()},
        {"public_key": ""},
        {"public_key": 1},
        {"public_key": key_text(bytes(32))},
        {"more": 1},
    ],
)
def test_a_signature_of_another_form_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(SignatureError):
        signer(MANIFEST, (json.dumps(json.loads(SIGNATURE) | changes, indent=1) + "\n").encode())


@given(st.integers(0, len(MANIFEST) - 1), st.integers(1, 255))
def test_any_changed_byte_of_the_manifest_is_refused(place: int, change: int) -> None:
    changed = bytearray(MANIFEST)
    changed[place] ^= change
    with pytest.raises(SignatureError):
        signer(bytes(changed), SIGNATURE)


def test_any_changed_byte_of_the_signature_is_refused() -> None:
    """Every byte, every single bit; base64 and JSON have room for more than one text of the same value."""
    assert signer(MANIFEST, SIGNATURE) == TRUSTED[0]
    for place in range(len(SIGNATURE)):
        for bit in range(8):
            changed = bytearray(SIGNATURE)
            changed[place] ^= 1 << bit
            with pytest.raises(SignatureError):
                signer(MANIFEST, bytes(changed))


@given(st.integers(0, len(SIGNATURE) - 1), st.integers(1, 255))
def test_any_other_byte_in_the_signature_is_refused(place: int, change: int) -> None:
    changed = bytearray(SIGNATURE)
    changed[place] ^= change
    with pytest.raises(SignatureError):
        signer(MANIFEST, bytes(changed))


def test_a_placeholder_is_no_key() -> None:
    """Under 32 zeros, a point of order 4, one and the same signature fits every fourth message."""
    everybodys = Ed25519PublicKey.from_public_bytes(bytes(32))
    fits = 0
    for number in range(64):
        with suppress(InvalidSignature):
            everybodys.verify(b"\x01" + bytes(63), b"%d" % number)
            fits += 1
    assert fits > 4
    for raw in (bytes(32), b"\xff" * 32):
        with pytest.raises(ValueError, match="public key"):
            key_bytes(key_text(raw))


@given(st.binary(min_size=PUBLIC_KEY_BYTES, max_size=PUBLIC_KEY_BYTES).filter(lambda raw: len(set(raw)) > 1))
def test_a_key_has_one_text(raw: bytes) -> None:
    text = key_text(raw)
    assert key_bytes(text) == raw
    last = text[-2]
    for other in (text[:-1], text + "=", text + "\n", " " + text, text[8:], text.upper(), text[:-2] + "é="):
        with pytest.raises(ValueError, match="public key"):
            key_bytes(other)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    twin = alphabet[alphabet.index(last) ^ 1]  # the same 32 bytes to a decoder that does not look closely
    with pytest.raises(ValueError, match="public key"):
        key_bytes(text[:-2] + twin + "=")
