"""Keys and signatures of bundles as files. Private keys belong where bundles are made, not on a site."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from daemon.errors import InputError
from daemon.system.state_file import sync_directory
from models.bundle import Bundle, bundle_of, read_files
from models.manifest import MANIFEST_FILE
from models.signature import SIGNATURE_FILE, public_key_of, sign

INCOMING = ".incoming-"
"""Begins the name of what is still being written, beside the bundle it is for."""
_KEY_MAX_BYTES = 4096
_PKCS8 = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def make_signing_key(file: Path) -> tuple[str, Path]:
    """Write a new private key (PKCS #8 PEM), readable by its owner alone, and its public half beside it.

    Returns:
        The public key as text, and the file that holds it.

    Raises:
        InputError: there is one of them already, or they cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    public_file = file.with_name(file.name + ".pub")
    public_key = public_key_of(key)
    _create(public_file, f"{public_key}\n".encode(), 0o644)
    try:
        _create(file, key.private_bytes(*_PKCS8), 0o600)
    except InputError:
        public_file.unlink()
        raise
    return public_key, public_file


def read_signing_key(file: Path) -> Ed25519PrivateKey:
    """A private key as `make_signing_key` or ``openssl genpkey -algorithm ed25519`` writes it.

    Raises:
        InputError: it cannot be read, is open to others, or holds something else.
    """
    try:
        with file.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            content = stream.read(_KEY_MAX_BYTES)
    except OSError as error:
        raise InputError(
            f"{file} cannot be read ({error.strerror}). Make a key with: sunkeep model keygen --out {file}"
        ) from None
    if mode & 0o077:
        raise InputError(f"{file} can be read by others. Run: chmod 600 {file}")
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError:
        raise InputError(
            f"{file} is locked with a passphrase. Unlock a copy with: openssl pkey -in {file} -out COPY"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{file} holds no private Ed25519 key. Give the file of: sunkeep model keygen --out")
    return key


def sign_bundle(directory: Path, key: Ed25519PrivateKey) -> Bundle:
    """Verify a bundle and sign the very bytes that were verified; a signature that is there is replaced.

    Returns:
        The bundle as it is signed now.

    Raises:
        BundleError: it must not be used, so nobody should vouch for it.
        OSError: its folder cannot be written.
    """
    contents = read_files(directory)
    contents.pop(SIGNATURE_FILE, None)
    bundle = bundle_of(directory, contents)
    write_signature(directory, sign(contents[MANIFEST_FILE], key))
    return replace(bundle, signed_by=public_key_of(key))


def write_signature(directory: Path, content: bytes) -> None:
    """Put a signature into a bundle in one step: a reader finds the one before, or this one, whole.

    Raises:
        OSError: what was there is as it was.
    """
    with tempfile.TemporaryDirectory(prefix=INCOMING, dir=directory.resolve().parent) as beside:
        file = Path(beside) / SIGNATURE_FILE
        _write(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), content)
        file.replace(directory / SIGNATURE_FILE)
    sync_directory(directory)


def _create(file: Path, content: bytes, mode: int) -> None:
    try:
        _write(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), content)
    except FileExistsError:
        raise InputError(f"{file} exists and is not overwritten. Choose another name.") from None
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}.") from None


def _write(descriptor: int, content: bytes) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
