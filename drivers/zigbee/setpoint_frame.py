"""The setpoint frame and the slaves' report, byte for byte as `docs/develop/setpoint-protocol.md` publishes
them.

Pure: no clock, no wire. A payload is everything behind the ZCL header, from "version and flags" to the
tag; `wrap` puts the header in front.
"""

import hmac
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from drivers.errors import DriverError

PROFILE = 0x0104
CLUSTER = 0xFC57
MANUFACTURER = 0xFFF1
ENDPOINT = 1

VERSION = 1
SLOTS_PER_FRAME = 30
SLOTS = 256
"""Slots are one byte."""
TTL_MAX_S = 60
SETPOINT_MAX_W = 0x7FFF
COUNTER_MAX = 0xFFFF_FFFF
KEY_BYTES = 32
NETWORK_ID_BYTES = 8
TAG_BYTES = 8
PAYLOAD_MAX_BYTES = 8 + 2 * SLOTS_PER_FRAME + TAG_BYTES

_ZCL = struct.Struct("<BHBB")
_COMMAND_CONTROL = 0x15
"""ZCL frame control: cluster command, manufacturer-specific, client to server, no default response."""
_COMMAND_SETPOINTS = 0x00
_REPORT_CONTROL = 0x0C
"""Global command, manufacturer-specific, server to client."""
_DEFAULT_RESPONSE_BIT = 0x10
_REPORT_ATTRIBUTES = 0x0A

_HEAD = struct.Struct("<BIBBB")
_SAFE_RELEASE = 0x01
_REPORT = 0x02
_RESERVED = 0x0C
_CLUSTER_BYTES = CLUSTER.to_bytes(2, "little")

_REPORT_MARK = 0x52
_REPORT_TYPES = {
    0x0000: (0x20, "<B"),
    0x0001: (0x23, "<I"),
    0x0002: (0x29, "<h"),
    0x0003: (0x29, "<h"),
    0x0004: (0x30, "<B"),
}
_REPORT_TAG = 0x0005
_OCTET_STRING = 0x41
_NOT_MEASURED = -0x8000
"""ZCL's own non-value of an int16 (Zigbee Cluster Library, table of data types)."""


class FrameError(DriverError):
    """These bytes are not a frame or report that the protocol allows. The message says what is wrong."""


@dataclass(frozen=True, slots=True)
class SetpointFrame:
    """One decoded broadcast. `setpoints_w[i]` belongs to slot `base + i`."""

    counter: int
    ttl_s: int
    base: int
    setpoints_w: tuple[int, ...]
    safe_release: bool
    report: bool


class ReportedState(IntEnum):
    """Attribute 0x0004 of a report."""

    FOLLOWING = 0
    RESTING_SILENCE = 1
    RESTING_RELEASED = 2
    RESTING_START = 3


@dataclass(frozen=True, slots=True)
class SlaveReport:
    """What one slave said, its tag verified. `power_w` is None when the slave does not measure."""

    slot: int
    counter: int
    applied_w: int
    power_w: int | None
    state: ReportedState


def frames_needed(slots: Iterable[int]) -> int:
    """How many frames, and so counters, `encode` makes of these slots. Raises FrameError."""
    return len(stretches(sorted(slots)))


def stretches(slots: list[int]) -> list[tuple[int, int]]:
    """Cover sorted slots with as few frames (base, n) as possible, n <= 30. Raises FrameError."""
    if not slots:
        raise FrameError("a frame needs at least one setpoint")
    if not (slots[0] >= 0 and slots[-1] < SLOTS):
        raise FrameError(f"a slot is not in 0..{SLOTS - 1}: {slots}")
    covered: list[tuple[int, int]] = []
    for slot in slots:
        if covered and slot - covered[-1][0] < SLOTS_PER_FRAME:
            base = covered[-1][0]
            covered[-1] = (base, slot - base + 1)
        else:
            covered.append((slot, 1))
    return covered


def encode(
    setpoints_w: Mapping[int, int],
    *,
    counter: int,
    ttl_s: int,
    key: bytes,
    network_id: bytes,
    safe_release: bool = False,
    report: bool = False,
) -> list[bytes]:
    """Encode setpoints by slot, one payload for each stretch of at most 30 slots.

    The payloads carry `counter`, `counter` + 1, ...; a slot in a gap between two slaves is told 0 W.

    Args:
        setpoints_w: slot (0..255) to whole watts (0..32767).
        ttl_s: time to live, 1..60 s.
        key: site key, 32 bytes.
        network_id: extended PAN id as it goes over the air (8 bytes, least significant first).

    Raises:
        FrameError: a value that the protocol does not allow. Nothing is clipped here.
    """
    _check_secrets(key, network_id)
    covered = stretches(sorted(setpoints_w))
    if not 1 <= ttl_s <= TTL_MAX_S:
        raise FrameError(f"time to live {ttl_s} s is not in 1..{TTL_MAX_S} s")
    if not 0 <= counter <= COUNTER_MAX - len(covered) + 1:
        raise FrameError(f"counter {counter} does not fit 32 bits")
    flags = VERSION << 4 | safe_release * _SAFE_RELEASE | report * _REPORT
    payloads = []
    for number, (base, n) in enumerate(covered):
        watts = [setpoints_w.get(base + i, 0) for i in range(n)]
        if not all(0 <= w <= SETPOINT_MAX_W for w in watts):
            raise FrameError(f"a setpoint is not in 0..{SETPOINT_MAX_W} W: {watts}")
        body = _HEAD.pack(flags, counter + number, ttl_s, base, n) + struct.pack(f"<{n}h", *watts)
        payloads.append(body + _tag(key, network_id, body))
    return payloads


def decode(payload: bytes, key: bytes, network_id: bytes) -> SetpointFrame:
    """Decode and verify one payload; the inverse of `encode`.

    Whether the counter is newer than the last accepted one is the receiver's to say.

    Raises:
        FrameError: anything that the published protocol does not allow.
    """
    _check_secrets(key, network_id)
    if not _HEAD.size <= len(payload) <= PAYLOAD_MAX_BYTES:
        raise FrameError(f"length {len(payload)} is not that of a frame")
    first, counter, ttl_s, base, n = _HEAD.unpack_from(payload)
    if first >> 4 != VERSION:
        raise FrameError(f"version {first >> 4} is not {VERSION}")
    if first & _RESERVED:
        raise FrameError("a reserved bit is set")
    if not 1 <= n <= SLOTS_PER_FRAME:
        raise FrameError(f"{n} setpoints is not in 1..{SLOTS_PER_FRAME}")
    if len(payload) != _HEAD.size + 2 * n + TAG_BYTES:
        raise FrameError(f"length {len(payload)} does not fit {n} setpoints")
    body, tag = payload[:-TAG_BYTES], payload[-TAG_BYTES:]
    if not hmac.compare_digest(tag, _tag(key, network_id, body)):
        raise FrameError("the tag is wrong")
    if not 1 <= ttl_s <= TTL_MAX_S:
        raise FrameError(f"time to live {ttl_s} s is not in 1..{TTL_MAX_S} s")
    if base + n > SLOTS:
        raise FrameError(f"slots {base}..{base + n - 1} do not all exist")
    watts = struct.unpack_from(f"<{n}h", body, _HEAD.size)
    if not all(w >= 0 for w in watts):
        raise FrameError("a setpoint is negative")
    return SetpointFrame(counter, ttl_s, base, watts, bool(first & _SAFE_RELEASE), bool(first & _REPORT))


def decode_report(attributes: bytes, key: bytes, network_id: bytes) -> SlaveReport:
    """Decode and verify the attributes of one report: the bytes behind the ZCL header.

    The order of the attributes does not matter; each must be there exactly once, with its type.

    Raises:
        FrameError: anything that the published protocol does not allow.
    """
    _check_secrets(key, network_id)
    values, tag = _split_report(attributes)
    slot, counter, applied_w, power_w, state = (values[attribute] for attribute in _REPORT_TYPES)
    body = struct.pack("<BBIhhB", _REPORT_MARK, slot, counter, applied_w, power_w, state)
    if not hmac.compare_digest(tag, _tag(key, network_id, body)):
        raise FrameError("the tag is wrong")
    if applied_w < 0 or (power_w < 0 and power_w != _NOT_MEASURED):
        raise FrameError("a power is negative")
    if state > max(ReportedState):
        raise FrameError(f"state {state} is unknown")
    return SlaveReport(
        slot, counter, applied_w, None if power_w == _NOT_MEASURED else power_w, ReportedState(state)
    )


def wrap(payload: bytes, transaction: int) -> bytes:
    """The ZCL header of a setpoint frame and the payload behind it."""
    return _ZCL.pack(_COMMAND_CONTROL, MANUFACTURER, transaction, _COMMAND_SETPOINTS) + payload


def unwrap_report(zcl: bytes) -> bytes:
    """The attributes behind the ZCL header of a report. Whether a response is asked for does not matter.

    Raises:
        FrameError: not a report of the setpoint cluster.
    """
    if len(zcl) < _ZCL.size:
        raise FrameError("shorter than a ZCL header")
    control, manufacturer, _, command = _ZCL.unpack_from(zcl)
    found = (control & ~_DEFAULT_RESPONSE_BIT, manufacturer, command)
    if found != (_REPORT_CONTROL, MANUFACTURER, _REPORT_ATTRIBUTES):
        raise FrameError("not a report")
    return zcl[_ZCL.size :]


def _split_report(attributes: bytes) -> tuple[dict[int, int], bytes]:
    values: dict[int, int] = {}
    tag = b""
    rest = attributes
    while rest:
        if len(rest) < 3:
            raise FrameError("an attribute is cut short")
        attribute, kind = struct.unpack_from("<HB", rest)
        rest = rest[3:]
        if attribute in values or (attribute == _REPORT_TAG and tag):
            raise FrameError(f"attribute 0x{attribute:04x} comes twice")
        if attribute == _REPORT_TAG and kind == _OCTET_STRING:
            if rest[:1] != bytes([TAG_BYTES]) or len(rest) < 1 + TAG_BYTES:
                raise FrameError("the tag has the wrong length")
            tag, rest = rest[1 : 1 + TAG_BYTES], rest[1 + TAG_BYTES :]
            continue
        expected, layout = _REPORT_TYPES.get(attribute, (None, ""))
        if kind != expected:
            raise FrameError(f"attribute 0x{attribute:04x} of type 0x{kind:02x} does not belong here")
        size = struct.calcsize(layout)
        if len(rest) < size:
            raise FrameError(f"attribute 0x{attribute:04x} is cut short")
        (values[attribute],) = struct.unpack_from(layout, rest)
        rest = rest[size:]
    if len(values) != len(_REPORT_TYPES) or not tag:
        raise FrameError("an attribute is missing")
    return values, tag


def _tag(key: bytes, network_id: bytes, body: bytes) -> bytes:
    return hmac.digest(key, network_id + _CLUSTER_BYTES + body, "sha256")[:TAG_BYTES]


def _check_secrets(key: bytes, network_id: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise FrameError(f"the site key has {len(key)} bytes, not {KEY_BYTES}")
    if len(network_id) != NETWORK_ID_BYTES:
        raise FrameError(f"the extended PAN id has {len(network_id)} bytes, not {NETWORK_ID_BYTES}")
