"""HTTP digest authentication by SHA-256, as a small device does it (RFC 7616, qop "auth")."""

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random

NONCES_MAX = 8
_FIELD = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


@dataclass(slots=True)
class DigestAuthentication:
    """Checks one user's requests. Every nonce counts its uses, so that none can be played back."""

    user: str
    realm: str
    password: str
    rng: Random
    _uses: "OrderedDict[str, int]" = field(default_factory=OrderedDict)

    def challenge(self) -> str:
        """The header `WWW-Authenticate` of a refusal."""
        nonce = f"{self.rng.getrandbits(64):016x}"
        self._uses[nonce] = 0
        while len(self._uses) > NONCES_MAX:
            self._uses.popitem(last=False)
        return f'Digest qop="auth", realm="{self.realm}", nonce="{nonce}", algorithm=SHA-256'

    def accepts(self, method: str, headers: Mapping[str, str]) -> bool:
        """Whether a request proves that it knows the password, and was not seen before."""
        kind, _, text = headers.get("Authorization", "").partition(" ")
        said = {name: quoted or plain for name, quoted, plain in _FIELD.findall(text)}
        used = self._uses.get(said.get("nonce", ""))
        if kind.lower() != "digest" or used is None or said.get("username") != self.user:
            return False
        try:
            uses = int(said["nc"], 16)
            ha1 = _hash(f"{self.user}:{self.realm}:{self.password}")
            ha2 = _hash(f"{method}:{said['uri']}")
            wanted = _hash(f"{ha1}:{said['nonce']}:{said['nc']}:{said['cnonce']}:{said['qop']}:{ha2}")
        except (KeyError, ValueError):
            return False
        if uses <= used or said.get("response") != wanted:
            return False
        self._uses[said["nonce"]] = uses
        return True


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()
