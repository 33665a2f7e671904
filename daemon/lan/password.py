"""The owner's password, of which only a slow hash is kept."""

import hashlib
import hmac
import os
from base64 import b64decode, b64encode
from pathlib import Path

from daemon.config.private_file import read_private
from daemon.errors import InputError, StartError

COST, BLOCK, LANES = 2**14, 8, 5
"""scrypt's N, r and p: 16 MB and 0.4 s on a busy x86-64 core (OWASP Password Storage Cheat Sheet)."""
MEMORY_MAX = 64 * 2**20
SALT_BYTES, HASH_BYTES = 16, 32
LEAST_CHARS, MOST_CHARS = 10, 256
_PREFIX = "scrypt"


def hashed(password: str) -> str:
    """The line that is kept of a password.

    Raises:
        InputError: it is too short or too long.
    """
    if not LEAST_CHARS <= len(password) <= MOST_CHARS:
        raise InputError(f"A password has {LEAST_CHARS} to {MOST_CHARS} characters. Take a sentence.")
    salt = os.urandom(SALT_BYTES)
    return "$".join((_PREFIX, str(COST), str(BLOCK), str(LANES), _text(salt), _text(_scrypt(password, salt))))


def is_right(password: str, line: str) -> bool:
    """Whether a password belongs to a kept line. Takes the same time whatever is wrong with it."""
    _, _, _, _, salt, wanted = line.split("$")
    return hmac.compare_digest(_scrypt(password[: MOST_CHARS + 1], b64decode(salt)), b64decode(wanted))


def read_password_line(file: Path) -> str:
    """The kept line.

    Raises:
        StartError: the file cannot be used, or holds something else.
    """
    line = read_private(file, "[lan] password_file").strip()
    parts = line.split("$")
    if parts[:4] != [_PREFIX, str(COST), str(BLOCK), str(LANES)] or len(parts) != 6:
        raise StartError(
            f"[lan] password_file {file} holds no password of this version. "
            "Set one: sunkeep gateway --set-password"
        )
    return line


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        password.encode(errors="surrogatepass"),
        salt=salt,
        n=COST,
        r=BLOCK,
        p=LANES,
        maxmem=MEMORY_MAX,
        dklen=HASH_BYTES,
    )


def _text(data: bytes) -> str:
    return b64encode(data).decode()
