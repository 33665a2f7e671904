"""Who vouches for a bundle: an Ed25519 signature (RFC 8032) over the exact bytes of its manifest.

The manifest names the SHA-256 of every other file, so one signature covers the bundle. It lies in a file of
its own: signing changes neither the manifest nor the hash by which store and journal know the bundle.
"""

import base64
import json
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import ValidationError

from models.public_key import key_bytes, key_text
from models.strict_model import StrictModel

SIGNATURE_FILE = "signature.json"


class SignatureError(Exception):
    """A signature file that proves nothing. The message is part of a sentence."""


class _SignatureFile(StrictModel):
    """`signature.json`: the key that signed, and the 64 bytes of the signature in base64."""

    schema_version: Literal[1] = 1
    public_key: str
    signature: str

    def content(self) -> bytes:
        """The only form of the file, so that no byte of it can differ unnoticed."""
        return (json.dumps(self.model_dump(), indent=1) + "\n").encode()


def sign(manifest: bytes, key: Ed25519PrivateKey) -> bytes:
    """The signature file for these bytes of `manifest.json`. The same key makes the same file."""
    signature = base64.b64encode(key.sign(manifest)).decode("ascii")
    return _SignatureFile(public_key=public_key_of(key), signature=signature).content()


def public_key_of(key: Ed25519PrivateKey) -> str:
    """Its public half, as text."""
    return key_text(key.public_key().public_bytes_raw())


def signer(manifest: bytes, signature_file: bytes) -> str:
    """The key that signed these bytes of `manifest.json`: what the file claims, once it is proven.

    Raises:
        SignatureError: the file is no signature, or one of other bytes or by another key.
    """
    try:
        claim = _SignatureFile.model_validate_json(signature_file)
        signature = base64.b64decode(claim.signature, validate=True)
        key = Ed25519PublicKey.from_public_bytes(key_bytes(claim.public_key))
    except ValidationError:
        raise SignatureError("it is not in the form of one") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SignatureError("its key or its signature cannot be read") from None
    plain = _SignatureFile(
        public_key=claim.public_key, signature=base64.b64encode(signature).decode("ascii")
    ).content()
    if plain != signature_file:
        raise SignatureError("it is not in the form of one")
    try:
        key.verify(signature, manifest)
    except InvalidSignature:
        raise SignatureError("it was made of another manifest, or by another key than it names") from None
    return claim.public_key
