"""Bytes under a passphrase.

scrypt makes the key (RFC 7914), AES-256-GCM encrypts and authenticates (NIST SP 800-38D).
"""

import os
import struct
import zlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

PASSPHRASE_MIN = 12
"""Characters. Whoever has the file can guess for years, at some guesses a second and computer."""
COST_LOG2, BLOCK_SIZE, PARALLEL = 17, 8, 1
"""OWASP's recommendation for scrypt (2023): 128 MiB and about half a second."""
COST_LOG2_MAX, BLOCK_SIZE_MAX, PARALLEL_MAX = 20, 8, 4
"""A file must not ask for more memory than a Raspberry Pi has: 1 GiB at most."""
CONTENT_MAX = 256 * 2**20
"""Bytes that a file may unpack to; a site has a few megabytes."""
_HEAD = struct.Struct("<8sBBBB16s12s")
_MAGIC, _VERSION = b"SKBACKUP", 1


class SealError(Exception):
    """A sealed file cannot be opened; the message says why and what to do."""


def seal(content: bytes, passphrase: str) -> bytes:
    """Compressed, encrypted and authenticated, with everything but the passphrase that opening takes."""
    salt, nonce = os.urandom(16), os.urandom(12)
    cost_log2 = COST_LOG2
    head = _HEAD.pack(_MAGIC, _VERSION, cost_log2, BLOCK_SIZE, PARALLEL, salt, nonce)
    key = _key(passphrase, salt, cost_log2, BLOCK_SIZE, PARALLEL)
    return head + AESGCM(key).encrypt(nonce, zlib.compress(content), head)


def unseal(sealed: bytes, passphrase: str) -> bytes:
    """The content.

    Raises:
        SealError: another kind of file, another passphrase, or damaged.
    """
    if len(sealed) < _HEAD.size or not sealed.startswith(_MAGIC):
        raise SealError("is no backup of `sunkeep backup`. Name another file.")
    _, version, cost_log2, block_size, parallel, salt, nonce = _HEAD.unpack_from(sealed)
    known = version == _VERSION and 10 <= cost_log2 <= COST_LOG2_MAX
    if not known or not 1 <= block_size <= BLOCK_SIZE_MAX or not 1 <= parallel <= PARALLEL_MAX:
        raise SealError("was made by a newer version, or is damaged. Install a newer version.")
    key = _key(passphrase, salt, cost_log2, block_size, parallel)
    try:
        packed = AESGCM(key).decrypt(nonce, sealed[_HEAD.size :], sealed[: _HEAD.size])
    except InvalidTag:
        raise SealError("does not open with this passphrase, or is damaged. Try again.") from None
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(packed, CONTENT_MAX)
    if not unpacking.eof:
        raise SealError("holds more than a site can have. Name another file.")
    return content


def _key(passphrase: str, salt: bytes, cost_log2: int, block_size: int, parallel: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=2**cost_log2, r=block_size, p=parallel).derive(passphrase.encode())
