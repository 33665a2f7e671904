"""Public keys of those who sign bundles, as text: ``ed25519:`` and the 32 bytes of RFC 8032 in base64."""

import base64
from hashlib import sha256

PREFIX = "ed25519:"
PUBLIC_KEY_BYTES = 32
_FINGERPRINT_DIGITS = 16


def key_text(raw: bytes) -> str:
    """A public key as it is written in a configuration and in a signature."""
    return PREFIX + base64.b64encode(raw).decode("ascii")


def key_bytes(text: str) -> bytes:
    """The 32 bytes of a public key. One key has one text, so that texts can be compared.

    Raises:
        ValueError: it is not such a text. Equal bytes throughout are a placeholder; 32 zeros are a point of
            small order, for which anybody can make signatures.
    """
    try:
        raw = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except ValueError:
        raw = b""
    if len(raw) == PUBLIC_KEY_BYTES and len(set(raw)) > 1 and key_text(raw) == text:
        return raw
    raise ValueError("not a public key")


def fingerprint(text: str) -> str:
    """Short and for people: the first 16 digits of the SHA-256 of the key's bytes."""
    return sha256(key_bytes(text)).hexdigest()[:_FINGERPRINT_DIGITS]
