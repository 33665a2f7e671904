"""Frames that a slave must ignore, each made of a good one that safety has cleared.

None tells its slave more than the good one does; a slave that breaks the rule draws at most that. The one
exception says so in `worst_w`.
"""

import hmac
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from drivers.zigbee.setpoint_frame import CLUSTER, KEY_BYTES, TAG_BYTES

HEAD_BYTES = 8
_CLUSTER = CLUSTER.to_bytes(2, "little")
_VERSION, _COUNTER, _TTL, _BASE, _N = 0, slice(1, 5), 5, 6, 7
"""Where the fields of a frame are."""


@dataclass(frozen=True, slots=True)
class GoodFrame:
    """A cleared frame of one setpoint, the secrets it is signed with, and the last accepted counter."""

    payload: bytes
    key: bytes
    network_id: bytes
    last_counter: int

    @property
    def slot(self) -> int:
        """Whose setpoint it carries."""
        return self.payload[_BASE]

    @property
    def body(self) -> bytearray:
        """Without its tag, to be changed."""
        return bytearray(self.payload[:-TAG_BYTES])

    def sign(self, body: bytes) -> bytes:
        """Any bytes with the tag that belongs to them."""
        return body + tag(body, self.key, self.network_id)


@dataclass(frozen=True, slots=True)
class BadFrame:
    """One way to be wrong. `worst_w`: what a slave may draw that obeys it, None for no more than it says."""

    rule: str
    check: str
    spoil: Callable[[GoodFrame], bytes]
    worst_w: int | None = None


def tag(body: bytes, key: bytes, network_id: bytes) -> bytes:
    """The truncated HMAC that the protocol puts behind a frame."""
    return hmac.digest(key, network_id + _CLUSTER + body, "sha256")[:TAG_BYTES]


def bad_frames(slot: int, max_w: int) -> Iterator[BadFrame]:
    """Every wrong frame that is sent to a slave with this slot and rating."""
    yield BadFrame("F1", "no setpoints at all (n = 0)", lambda good: _with(good, {_N: 0}, keep=HEAD_BYTES))
    yield BadFrame("F1", "n says two, one is there", lambda good: _with(good, {_N: 2}))
    yield BadFrame("F1", "n says one, two are there", lambda good: good.sign(bytes(good.body) + bytes(2)))
    yield BadFrame("F1", "one byte short", lambda good: good.payload[:-1])
    yield BadFrame("F1", "one byte too many", lambda good: good.payload + b"\0")
    yield BadFrame("F1", "empty", lambda good: b"")
    yield BadFrame("F2", "version 0", lambda good: _with(good, {_VERSION: good.payload[0] & 0x0F}))
    yield BadFrame("F2", "version 2", lambda good: _with(good, {_VERSION: 0x20 | good.payload[0] & 0x0F}))
    for bit in (2, 3):
        yield BadFrame("F3", f"reserved bit {bit} set", _with_flag(1 << bit))
    yield BadFrame("F4", "first byte of the tag wrong", lambda good: _flipped(good.payload, -TAG_BYTES))
    yield BadFrame("F4", "last byte of the tag wrong", forged)
    yield BadFrame("F4", "a lower setpoint under the tag of another", _lower)
    yield BadFrame("F4", "the tag of another site key", _with_other_key)
    yield BadFrame("F4", "the tag of another network", _with_other_network)
    yield BadFrame("F5", "the last accepted counter again", lambda good: _replay(good, 0))
    yield BadFrame("F5", "the counter before it", lambda good: _replay(good, 1))
    for ttl_s in (0, 61, 255):
        yield BadFrame("F6", f"time to live {ttl_s}", _with_ttl(ttl_s))
    if slot < 255:
        yield BadFrame("F7", "for the slots above", lambda good: _resting_at(good, good.slot + 1))
    if slot > 0:
        yield BadFrame("F7", "for the slot below", lambda good: _resting_at(good, good.slot - 1))
    yield BadFrame("F8", "a setpoint of -1 W", _negative, worst_w=max_w)


def forged(good: GoodFrame) -> bytes:
    """A frame whose tag is wrong in its last byte."""
    return _flipped(good.payload, -1)


def _with(good: GoodFrame, changes: dict[int, int], keep: int | None = None) -> bytes:
    """Some bytes changed, perhaps cut, and signed again."""
    body = good.body[:keep]
    for at, value in changes.items():
        body[at] = value
    return good.sign(bytes(body))


def _with_flag(flag: int) -> Callable[[GoodFrame], bytes]:
    return lambda good: _with(good, {_VERSION: good.payload[0] | flag})


def _with_ttl(ttl_s: int) -> Callable[[GoodFrame], bytes]:
    return lambda good: _with(good, {_TTL: ttl_s})


def _flipped(payload: bytes, at: int) -> bytes:
    changed = bytearray(payload)
    changed[at] ^= 0x01
    return bytes(changed)


def _lower(good: GoodFrame) -> bytes:
    changed = bytearray(good.payload)
    (watts,) = struct.unpack_from("<h", changed, HEAD_BYTES)
    struct.pack_into("<h", changed, HEAD_BYTES, watts - 1)
    return bytes(changed)


def _with_other_key(good: GoodFrame) -> bytes:
    other = bytes(KEY_BYTES) if any(good.key) else bytes([0xFF] * KEY_BYTES)
    body = bytes(good.body)
    return body + tag(body, other, good.network_id)


def _with_other_network(good: GoodFrame) -> bytes:
    body = bytes(good.body)
    return body + tag(body, good.key, bytes(byte ^ 0xFF for byte in good.network_id))


def _replay(good: GoodFrame, back: int) -> bytes:
    body = good.body
    body[_COUNTER] = max(0, good.last_counter - back).to_bytes(4, "little")
    return good.sign(bytes(body))


def _resting_at(good: GoodFrame, slot: int) -> bytes:
    """0 W for a neighbour: were it to hear this, it would rest."""
    body = good.body
    body[_BASE] = slot
    body[HEAD_BYTES : HEAD_BYTES + 2] = bytes(2)
    return good.sign(bytes(body))


def _negative(good: GoodFrame) -> bytes:
    body = good.body
    struct.pack_into("<h", body, HEAD_BYTES, -1)
    return good.sign(bytes(body))
