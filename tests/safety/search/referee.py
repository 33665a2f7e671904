"""Judges what goes on air in the random lives, by the specification's sentences. Shares no code with others.

It reads the bytes of a frame by the published layout (`docs/develop/setpoint-protocol.md`) and keeps its own
account of what is on air, how old the samples are and how many good ones came in a row.
"""

import struct
from dataclasses import dataclass
from math import hypot, inf, isfinite, sqrt

TTL_S = 15.0
HEAD = struct.Struct("<BIBBB")
TAG_BYTES = 8
SAFE_RELEASE = 0x01

Watts = tuple[float, float, float]

RULES = (
    "layout",
    "counter",
    "slave",
    "box",
    "release",
    "step",
    "lost",
    "stale",
    "start",
    "stop",
    "imbalance",
    "grid imbalance",
    "blocked",
)
"""What a frame can break; each is shown to speak on a planted one."""


class Unsafe(AssertionError):
    """A frame that must not be on air: the rule, and what was seen."""

    def __init__(self, rule: str, *seen: object) -> None:
        super().__init__(rule, *seen)
        self.rule = rule


def deviation_w(a: float, b: float, c: float) -> float:
    """Population standard deviation."""
    mean = (a + b + c) / 3.0
    return hypot(a - mean, b - mean, c - mean) / sqrt(3.0)


@dataclass
class Referee:
    """The account of one site.

    Args:
        phases: phase of each slot, from slot 0.
        max_w: most that each slot can take.
        toward: +1 where a setpoint raises grid power, -1 where it lowers it.
        of_grid: whether the imbalance of the resulting grid power is judged.
    """

    phases: list[int]
    max_w: list[int]
    toward: float = 1.0
    of_grid: bool = False
    last_w: Watts = (0.0, 0.0, 0.0)
    last_at_s: float = -inf
    counter: int = 0
    frames: int = 0
    good: int = 30
    needed: int = 0
    why: str = "start"
    has_acted: bool = False
    grid_w: Watts = (0.0, 0.0, 0.0)
    age_s: float = inf
    is_fresh: bool = False

    def restarted(self) -> None:
        """A process begins: ten good samples before anything but rest."""
        self.good, self.needed, self.why, self.has_acted = 0, 10, "start", False

    def sampled(self, grid_w: Watts, age_s: float) -> None:
        """What the controller knows of the meter in this tick."""
        self.grid_w, self.age_s = grid_w, age_s
        a, b, c = grid_w
        self.is_fresh = age_s < 1.0 and isfinite(a) and isfinite(b) and isfinite(c)
        self.good = self.good + 1 if self.is_fresh else 0
        if self.has_acted and not age_s <= 2.5:
            self.needed, self.why = 30, "stop"
        if self.good >= self.needed:
            self.needed = 0

    def judge(self, at_s: float, payload: bytes, *, is_policy: bool, is_blocked: bool) -> None:
        """Take a frame that goes on air.

        Raises:
            Unsafe: it must not.
        """
        flags, counter, ttl_s, base, n = HEAD.unpack_from(payload)
        if not (ttl_s == TTL_S and base + n <= len(self.phases)):
            raise Unsafe("layout", ttl_s, base, n)
        if not HEAD.size + 2 * n + TAG_BYTES == len(payload):
            raise Unsafe("layout", n, len(payload))
        if not counter > self.counter:
            raise Unsafe("counter", self.counter, counter)
        now_w = self._total(struct.unpack_from(f"<{n}h", payload, HEAD.size), base)
        silent_s = at_s - self.last_at_s
        before_w = self.last_w if silent_s <= TTL_S else (0.0, 0.0, 0.0)
        if flags & SAFE_RELEASE:
            if now_w != (0.0, 0.0, 0.0):
                raise Unsafe("release", now_w)
        else:
            self._judge_move(before_w, now_w, silent_s)
            self._judge_meter(before_w, now_w)
            self.has_acted = True
        if is_policy and is_blocked:
            raise Unsafe("blocked", at_s)
        self.last_w, self.last_at_s, self.counter = now_w, at_s, counter
        self.frames += 1

    def _total(self, watts: tuple[int, ...], base: int) -> Watts:
        total_w = [0.0, 0.0, 0.0]
        for slot, setpoint_w in enumerate(watts, base):
            if not 0 <= setpoint_w <= self.max_w[slot]:
                raise Unsafe("slave", slot, setpoint_w)
            total_w[self.phases[slot]] += setpoint_w
        a, b, c = total_w
        if not (0.0 <= a <= 5000.0 and 0.0 <= b <= 5000.0 and 0.0 <= c <= 5000.0):
            raise Unsafe("box", total_w)
        return (a, b, c)

    def _judge_move(self, before_w: Watts, now_w: Watts, silent_s: float) -> None:
        (a, b, c), (x, y, z) = before_w, now_w
        moved_w = sqrt((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2)
        if not moved_w <= 1000.0 * min(silent_s, 2.0) + 1e-9:
            raise Unsafe("step", before_w, now_w, silent_s)
        g, h, i = self.grid_w
        if not self.of_grid or not (isfinite(g) and isfinite(h) and isfinite(i)):
            if not deviation_w(x, y, z) <= max(2000.0, deviation_w(a, b, c)) + 1e-9:
                raise Unsafe("imbalance", before_w, now_w)
            return
        toward = self.toward
        after_w = deviation_w(g + toward * (x - a), h + toward * (y - b), i + toward * (z - c))
        if not after_w <= max(2000.0, deviation_w(g, h, i)) + 1e-6:
            raise Unsafe("grid imbalance", self.grid_w, before_w, now_w)

    def _judge_meter(self, before_w: Watts, now_w: Watts) -> None:
        if not self.age_s <= 2.5:
            raise Unsafe("lost", self.age_s)
        if not self.is_fresh and now_w != before_w:
            raise Unsafe("stale", self.age_s, before_w, now_w)
        if self.needed:
            raise Unsafe(self.why, self.good, self.needed)
