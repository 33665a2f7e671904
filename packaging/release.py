"""Sign the packages of a release, and check such a signature.

    python packaging/release.py sign DIR --key KEY         writes DIR/release.json and DIR/release.json.sig
    python packaging/release.py verify DIR --trusted ed25519:...

The manifest names every package with its SHA-256 and size; the signature is Ed25519 over its exact bytes. The
key comes from `sunkeep model keygen --out KEY`; use another one than for policies.
"""

import argparse
import json
import sys
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from daemon.bundles.signing import read_signing_key
from daemon.errors import InputError
from models.public_key import key_bytes

MANIFEST, SIGNATURE = "release.json", "release.json.sig"


class ReleaseError(Exception):
    """A release is not what it should be; the message says why."""


def manifest(folder: Path) -> bytes:
    """Every package of a folder, with hash and size.

    Raises:
        ReleaseError: there is none.
    """
    packages = sorted(folder.glob("*.deb"))
    if not packages:
        raise ReleaseError(f"{folder} holds no package. Build one: make deb")
    files = {
        file.name: {"sha256": sha256(file.read_bytes()).hexdigest(), "bytes": file.stat().st_size}
        for file in packages
    }
    return (json.dumps({"schema_version": 1, "files": files}, indent=1, sort_keys=True) + "\n").encode()


def sign(folder: Path, key_file: Path) -> None:
    """Write manifest and signature."""
    content = manifest(folder)
    signature = read_signing_key(key_file).sign(content)
    (folder / MANIFEST).write_bytes(content)
    (folder / SIGNATURE).write_bytes(b64encode(signature) + b"\n")


def verify(folder: Path, trusted: str) -> list[str]:
    """The names of the packages that are there, all of them as they were signed.

    Raises:
        ReleaseError: signature, hash or size does not fit.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
        signature = b64decode((folder / SIGNATURE).read_bytes(), validate=False)
        Ed25519PublicKey.from_public_bytes(key_bytes(trusted)).verify(signature, content)
    except OSError as error:
        raise ReleaseError(f"{error.filename} cannot be read: {error.strerror}") from None
    except (InvalidSignature, ValueError):
        raise ReleaseError(f"{folder / MANIFEST} was not signed by this key") from None
    listed = json.loads(content)["files"]
    there = sorted(file for file in folder.glob("*.deb"))
    for file in there:
        known = listed.get(file.name)
        if known is None or known["sha256"] != sha256(file.read_bytes()).hexdigest():
            raise ReleaseError(f"{file.name} is not the file that was signed")
    if not there:
        raise ReleaseError(f"{folder} holds no package")
    return [file.name for file in there]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Sign or verify the packages of a release.")
    parser.add_argument("verb", choices=("sign", "verify"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--key", type=Path, help="to sign")
    parser.add_argument("--trusted", help="to verify")
    asked = parser.parse_args()
    try:
        if asked.verb == "sign":
            if asked.key is None:
                parser.error("sign needs --key")
            sign(asked.folder, asked.key)
            sys.stdout.write(f"Signed {asked.folder / MANIFEST}.\n")
        else:
            if asked.trusted is None:
                parser.error("verify needs --trusted")
            for name in verify(asked.folder, asked.trusted):
                sys.stdout.write(f"OK  {name}\n")
    except (ReleaseError, InputError) as error:
        sys.stderr.write(f"{error.message if isinstance(error, InputError) else error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
