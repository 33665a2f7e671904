"""Who is logged in, and who may try. Times are arguments."""

from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_urlsafe

IDLE_S = 14 * 86_400.0
LIFE_S = 90 * 86_400.0
"""A phone of the family is not asked every day; a lost one is forgotten after two weeks."""
LOGINS_MAX = 50
TRIES, TRY_AGAIN_S = 5, 60.0
"""Wrong passwords in a row from one address, and seconds until it may try once more."""
TRIES_OF_ALL, TRY_AGAIN_OF_ALL_S = 20, 10.0
"""The same over all addresses: a network of many guesses no faster, and the owner gets in between."""
ADDRESSES_MAX = 1000


@dataclass(slots=True)
class Login:
    """One login; `csrf` is what its forms carry."""

    began_s: float
    seen_s: float
    csrf: str = field(default_factory=lambda: token_urlsafe(16))


@dataclass(slots=True)
class Logins:
    """All logins; tokens are kept as their hash. A restart forgets them."""

    _by_hash: OrderedDict[bytes, Login] = field(default_factory=OrderedDict)

    def begin(self, at_s: float) -> str:
        """A new login; gives its token."""
        token = token_urlsafe(32)
        self._by_hash[_hash(token)] = Login(at_s, at_s)
        while len(self._by_hash) > LOGINS_MAX:
            self._by_hash.popitem(last=False)
        return token

    def find(self, token: str, at_s: float) -> Login | None:
        """The login of a token, unless it is over."""
        login = self._by_hash.get(_hash(token))
        if login is None:
            return None
        if at_s - login.seen_s > IDLE_S or at_s - login.began_s > LIFE_S:
            self.end(token)
            return None
        login.seen_s = at_s
        return login

    def end(self, token: str) -> None:
        """Log out."""
        self._by_hash.pop(_hash(token), None)


@dataclass(slots=True)
class TriesLeft:
    """Tries that are left, and when that was counted."""

    left: float
    at_s: float

    def take(self, at_s: float, most: int, again_s: float) -> bool:
        """Use one try, if there is one."""
        self.left = min(float(most), self.left + max(0.0, at_s - self.at_s) / again_s)
        self.at_s = at_s
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True


@dataclass(slots=True)
class LoginLimit:
    """Who may try a password now."""

    _of_all: TriesLeft = field(default_factory=lambda: TriesLeft(TRIES_OF_ALL, 0.0))
    _by_address: OrderedDict[str, TriesLeft] = field(default_factory=OrderedDict)

    def may_try(self, address: str, at_s: float) -> bool:
        """Count one try of an address."""
        bucket = self._by_address.pop(address, None) or TriesLeft(TRIES, at_s)
        self._by_address[address] = bucket
        while len(self._by_address) > ADDRESSES_MAX:
            self._by_address.popitem(last=False)
        return bucket.take(at_s, TRIES, TRY_AGAIN_S) and self._of_all.take(
            at_s, TRIES_OF_ALL, TRY_AGAIN_OF_ALL_S
        )

    def succeeded(self, address: str) -> None:
        """Forget the wrong passwords of an address."""
        self._by_address.pop(address, None)


def _hash(token: str) -> bytes:
    return sha256(token.encode(errors="surrogatepass")).digest()
