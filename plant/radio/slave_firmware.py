"""The firmware of a slave: what it makes of the frames it hears. From docs/develop/setpoint-protocol.md
alone."""

import hmac
import math
import struct
from collections import Counter
from dataclasses import dataclass
from enum import Enum, IntEnum
from hashlib import sha256

CLUSTER = 0xFC57
MANUFACTURER = 0xFFF1
SET_POINTS = 0x00
VERSION = 1
SAFE_RELEASE, REPORT, RESERVED = 0x01, 0x02, 0x0C
HEAD = struct.Struct("<BIBBB")
"""Version and flags, counter, time to live, base, number of setpoints."""
TAG_BYTES = 8
POINTS_MAX = 30
SLOTS = 256
TTL_MAX_S = 60
FOLLOW_W_PER_S = 1000.0
REST_W_PER_S = 2500.0
REPORT_TAG_PREFIX = 0x52
INT16_MAX = 0x7FFF
NOT_MEASURED = -0x8000

_UINT8, _UINT32, _INT16, _ENUM8, _OCTETS = 0x20, 0x23, 0x29, 0x30, 0x41
_REPORT = struct.Struct("<HBB HBI HBh HBh HBB HBB")
_SIGNED = struct.Struct("<BBIhhB")


class Ignored(Enum):
    """Why a frame was not applied."""

    LENGTH = "length"
    VERSION = "version"
    RESERVED = "reserved"
    TAG = "tag"
    COUNTER = "counter"
    TIME_TO_LIVE = "time_to_live"
    SLOT = "slot"
    SETPOINT = "setpoint"


class Status(IntEnum):
    """What the slave is doing, as it reports it."""

    FOLLOWING = 0
    RESTING_TIME_TO_LIVE = 1
    RESTING_RELEASED = 2
    RESTING_SINCE_START = 3


@dataclass(slots=True)
class Faults:
    """What is wrong with a slave.

    `scale` multiplies the power, `stuck_w` replaces it, and its firmware knows nothing of either; `misread`
    multiplies what it reads in a frame, and so what it applies and reports. `watchdog` off never rests by
    itself; `ttl_share`: its clock is wrong, and the time to live over after this share of it.
    """

    scale: float = 1.0
    misread: float = 1.0
    ttl_share: float = 1.0
    watchdog: bool = True
    stuck_w: float | None = None


@dataclass(frozen=True, slots=True)
class Ramp:
    """Where the reference is heading: from `start_w` at `start_at_s` toward `target_w`."""

    start_w: float = 0.0
    start_at_s: float = 0.0
    target_w: float = 0.0
    slew_w_per_s: float = FOLLOW_W_PER_S

    def at(self, at_s: float) -> float:
        """The reference at a later instant."""
        reach_w = self.slew_w_per_s * max(0.0, at_s - self.start_at_s)
        gap_w = self.target_w - self.start_w
        return (
            self.target_w if abs(gap_w) <= reach_w else self.start_w + (reach_w if gap_w > 0.0 else -reach_w)
        )


class Firmware:
    """Firmware of one slave.

    It knows no clock: every instant is an argument, monotonic seconds that never go back.

    Args:
        slot: its place in the frames, 0..255.
        key: the site key, 32 bytes.
        max_w: its rating, a magnitude in W.
        counter: the last accepted counter, as remembered through a loss of power; None if there is none.

    Attributes:
        faults: what is wrong with it.
        ignored: how many frames were not applied, by reason.
        accepted: how many were.
    """

    def __init__(
        self, slot: int, key: bytes, max_w: int, *, counter: int | None = None, faults: Faults | None = None
    ) -> None:
        if not (0 <= slot <= 0xFF and len(key) == 32 and 0 <= max_w <= INT16_MAX):
            raise ValueError("slot must be 0..255, key 32 bytes, max_w 0..32767")
        self.slot, self.max_w, self.counter = slot, max_w, counter
        self.faults = faults or Faults()
        self.ignored: Counter[Ignored] = Counter()
        self.accepted = 0
        self._key = key
        self.restart()

    def restart(self) -> None:
        """Lose power: start again at 0 W. The counter is remembered."""
        self._course = Ramp()
        self._deadline_s: float | None = None
        self._resting = Status.RESTING_SINCE_START
        self._asked = False
        self._reported = (0, Status.RESTING_SINCE_START)

    def hear(self, payload: bytes, extended_pan_id: bytes, at_s: float) -> Ignored | None:
        """Take a frame: what follows the ZCL header of command 0x00.

        Args:
            payload: version up to and including the tag.
            extended_pan_id: of the slave's network, 8 bytes as they travel.
            at_s: monotonic instant.

        Returns:
            None if the frame was applied, else why it was not.
        """
        reason = self._check(payload, extended_pan_id)
        if reason is not None:
            self.ignored[reason] += 1
            return reason
        flags, counter, time_to_live_s, base, _ = HEAD.unpack_from(payload)
        setpoint_w = _setpoint(payload, self.slot - base)
        self.accepted += 1
        self._apply(bool(flags & SAFE_RELEASE), setpoint_w, time_to_live_s, at_s)
        self.counter = counter
        self._asked |= bool(flags & REPORT)
        return None

    def _check(self, payload: bytes, extended_pan_id: bytes) -> Ignored | None:
        """The first rule that the frame breaks. Each is written as what must hold."""
        if not HEAD.size <= len(payload):
            return Ignored.LENGTH
        flags, counter, time_to_live_s, base, points = HEAD.unpack_from(payload)
        rules = (
            (
                Ignored.LENGTH,
                1 <= points <= POINTS_MAX and len(payload) == HEAD.size + 2 * points + TAG_BYTES,
            ),
            (Ignored.VERSION, flags >> 4 == VERSION),
            (Ignored.RESERVED, flags & RESERVED == 0),
            (Ignored.TAG, self._authentic(payload, extended_pan_id)),
            (Ignored.COUNTER, self.counter is None or counter > self.counter),
            (Ignored.TIME_TO_LIVE, 1 <= time_to_live_s <= TTL_MAX_S),
            (Ignored.SLOT, base <= self.slot < base + points <= SLOTS),
        )
        for reason, holds in rules:
            if not holds:
                return reason
        return None if _setpoint(payload, self.slot - base) >= 0 else Ignored.SETPOINT

    def _authentic(self, payload: bytes, extended_pan_id: bytes) -> bool:
        body, tag = payload[:-TAG_BYTES], payload[-TAG_BYTES:]
        return hmac.compare_digest(tag, self._tag(extended_pan_id, body))

    def _tag(self, extended_pan_id: bytes, body: bytes) -> bytes:
        signed = extended_pan_id + CLUSTER.to_bytes(2, "little") + body
        return hmac.digest(self._key, signed, sha256)[:TAG_BYTES]

    def _apply(self, release: bool, setpoint_w: int, time_to_live_s: int, at_s: float) -> None:
        now_w = self.reference_w(at_s)
        if release:
            self._course = Ramp(now_w, at_s, 0.0, REST_W_PER_S)
            self._resting, self._deadline_s = Status.RESTING_RELEASED, None
        else:
            read_w = int(setpoint_w * self.faults.misread)
            self._course = Ramp(now_w, at_s, float(min(read_w, self.max_w)), FOLLOW_W_PER_S)
            self._resting = Status.FOLLOWING
            self._deadline_s = at_s + self.faults.ttl_share * min(time_to_live_s, TTL_MAX_S)

    @property
    def deadline_s(self) -> float | None:
        """When the time to live runs out if nothing more is heard; None while it rests."""
        return self._deadline_s if self.faults.watchdog else None

    def status(self, at_s: float) -> Status:
        """What it is doing."""
        expired = self.deadline_s is not None and not at_s < self.deadline_s
        return Status.RESTING_TIME_TO_LIVE if expired else self._resting

    def reference_w(self, at_s: float) -> float:
        """The ramped setpoint that a sound slave follows, W."""
        deadline_s = self.deadline_s
        if deadline_s is None or at_s < deadline_s:
            return self._course.at(at_s)
        return Ramp(self._course.at(deadline_s), deadline_s, 0.0, REST_W_PER_S).at(at_s)

    def setpoint_w(self, at_s: float) -> float:
        """What the power electronics are told now, W, with this slave's faults."""
        if self.faults.stuck_w is not None:
            return self.faults.stuck_w
        return self.reference_w(at_s) * self.faults.scale

    def target_w(self, at_s: float) -> int:
        """The setpoint being applied, before the ramp; 0 while resting."""
        return int(self._course.target_w) if self.status(at_s) is Status.FOLLOWING else 0

    def wants_report(self, at_s: float) -> bool:
        """Whether it was asked, or its setpoint or state differ from what was last reported."""
        return self._asked or (self.target_w(at_s), self.status(at_s)) != self._reported

    def report(self, at_s: float, measured_w: float | None, extended_pan_id: bytes) -> bytes:
        """The attributes of a report, as they follow the ZCL header, and take note that it was made.

        Args:
            at_s: monotonic instant.
            measured_w: measured power, a magnitude, bounded to what the field holds; None if there is none.
            extended_pan_id: as for `hear`.
        """
        target_w, status = self.target_w(at_s), self.status(at_s)
        power_w = _field(measured_w)
        counter = self.counter or 0
        signed = _SIGNED.pack(REPORT_TAG_PREFIX, self.slot, counter, target_w, power_w, status)
        attributes = (
            (0, _UINT8, self.slot),
            (1, _UINT32, counter),
            (2, _INT16, target_w),
            (3, _INT16, power_w),
            (4, _ENUM8, status),
            (5, _OCTETS, TAG_BYTES),
        )
        self._asked, self._reported = False, (target_w, status)
        fields = [field for attribute in attributes for field in attribute]
        return _REPORT.pack(*fields) + self._tag(extended_pan_id, signed)


def _field(measured_w: float | None) -> int:
    """A measured power as its field holds it."""
    if measured_w is None or not math.isfinite(measured_w):
        return NOT_MEASURED
    return round(min(max(measured_w, 0.0), INT16_MAX))


def _setpoint(payload: bytes, index: int) -> int:
    return int.from_bytes(payload[HEAD.size + 2 * index :][:2], "little", signed=True)
