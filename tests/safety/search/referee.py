"""Judges what goes on air in the random lives, by the specification's sentences. Shares no code with others.

It reads the bytes of a frame by the published layout (`docs/develop/setpoint-protocol.md`) and keeps its own
account of what every slave follows, how old the samples are and how many good ones came in a row.

A frame need not name all slaves. Then what all of them follow is judged after each frame, so at every
instant between two frames, against what it was when the tick opened; and between any two instants, however
many frames came in between, the totals may have moved by 2000 W and 1000 W for each second at most. Going to
rest, by a release or at the end of the time to live, is no move.

A slave with a smallest power is switched. A move that does so may use the seconds, five at most, in which
what the slaves follow did not change before the tick, whatever piece of it comes first; it switches one slave
on at most. Between instants with such a move between them the totals may have moved by 5000 W and 1000 W for
each second.
"""

import struct
from collections import deque
from dataclasses import dataclass, field
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
    "pace",
    "lost",
    "stale",
    "start",
    "stop",
    "imbalance",
    "late imbalance",
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


def _credit_s(silent_s: float, switch_s: float) -> float:
    """Seconds that a move may use at the full rate."""
    return max(min(silent_s, 2.0), min(switch_s, 5.0))


@dataclass(frozen=True)
class LastTold:
    """What one slave was told last, and when."""

    setpoint_w: int = 0
    at_s: float = -inf

    def follows_w(self, at_s: float) -> int:
        return self.setpoint_w if at_s - self.at_s <= TTL_S else 0


@dataclass
class Referee:
    """The account of one site.

    Args:
        phases: phase of each slot.
        max_w: most that each slot can take.
        toward: +1 where a setpoint raises grid power, -1 where it lowers it.
        of_grid: whether the imbalance of the resulting grid power is judged.
        minimum_w: smallest power of every slave; 0 where they move freely.
    """

    phases: dict[int, int]
    max_w: dict[int, int]
    toward: float = 1.0
    of_grid: bool = False
    minimum_w: int = 0
    phase_max_w: float = 5000.0
    imbalance_max_w: float = 2000.0
    before_w: list[tuple[float, float, float]] = field(default_factory=list)
    told: dict[int, LastTold] = field(default_factory=dict)
    opened_with: dict[int, LastTold] = field(default_factory=dict)
    elapsed_s: float = inf
    last_at_s: float = -inf
    path_w: Watts = (0.0, 0.0, 0.0)
    still_since_s: float = -inf
    still_opened_s: float = -inf
    switched_at_s: float = -inf
    been_w: deque[tuple[float, Watts]] = field(default_factory=lambda: deque(maxlen=60))
    tilts_w: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=60))
    released_at_s: float = -inf
    counters: dict[int, int] = field(default_factory=dict)
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

    def limited(self, at_s: float, phase_max_w: float, imbalance_max_w: float) -> None:
        """The limits change; a frame that was sent before may still come."""
        self.before_w = [limits for limits in self.before_w if at_s - limits[0] <= 5.0]
        self.before_w.append((at_s, self.phase_max_w, self.imbalance_max_w))
        self.phase_max_w, self.imbalance_max_w = phase_max_w, imbalance_max_w

    def opened(self, at_s: float) -> None:
        """A tick begins; what was on its way has arrived."""
        self.opened_with, self.elapsed_s = dict(self.told), at_s - self.last_at_s
        self.still_opened_s = self.still_since_s

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

    def judge(
        self, at_s: float, payload: bytes, *, is_policy: bool, is_blocked: bool, is_late: bool = False
    ) -> None:
        """Take a frame that goes on air, `is_late` when it was sent in an earlier tick.

        Raises:
            Unsafe: it must not.
        """
        said, is_release, counter = self._read(payload)
        before_w = self._totals_w(self.told, at_s)
        was_w = {slot: self.told.get(slot, LastTold()).follows_w(at_s) for slot in said}
        is_whole = len(said) == len(self.phases)
        is_piece = not is_whole and not is_late
        still_s = at_s - max(self.still_opened_s if is_piece else self.still_since_s, self._lapsed_at_s(at_s))
        self.told |= {slot: LastTold(setpoint_w, at_s) for slot, setpoint_w in said.items()}
        now_w = self._totals_w(self.told, at_s)
        is_switching = self._tick_switches(at_s) if is_piece else self._switches(was_w, said)
        switch_s = still_s if is_switching else 0.0
        if said != was_w:
            self.still_since_s = at_s
        if is_release:
            self.released_at_s = at_s
            if any(said.values()):
                raise Unsafe("release", said)
        else:
            limits_w = self._limits_w(at_s, is_late)
            self._judge_box(before_w, now_w, limits_w[0])
            if is_whole:
                self._judge_move(before_w, now_w, _credit_s(at_s - self.last_at_s, switch_s), limits_w[1])
            elif is_piece and said != was_w:
                opened_w = self._totals_w(self.opened_with, at_s)
                self._judge_move(opened_w, now_w, _credit_s(self.elapsed_s, switch_s), limits_w[1])
            if switch_s > 2.0:
                self.switched_at_s = at_s
            self._judge_pace(before_w, now_w, at_s)
            if is_whole or is_piece:
                self._judge_meter(said, was_w)
                self.has_acted = True
            else:
                self._judge_late(before_w, now_w, at_s)
        if is_policy and is_blocked:
            raise Unsafe("blocked", at_s)
        self.tilts_w.append((at_s, deviation_w(*now_w)))
        self.counters |= dict.fromkeys(said, counter)
        if is_whole or is_piece:
            self.last_at_s = at_s
        self.frames += 1

    def _read(self, payload: bytes) -> tuple[dict[int, int], bool, int]:
        """(setpoints by slot, whether it is a release, counter) of a frame as a slave reads it."""
        flags, counter, ttl_s, base, n = HEAD.unpack_from(payload)
        if not (ttl_s == TTL_S and HEAD.size + 2 * n + TAG_BYTES == len(payload)):
            raise Unsafe("layout", ttl_s, base, n, len(payload))
        watts = dict(enumerate(struct.unpack_from(f"<{n}h", payload, HEAD.size), base))
        said = {slot: watts[slot] for slot in watts if slot in self.phases}
        if not (said and base in said and base + n - 1 in said):
            raise Unsafe("layout", base, n)
        if not all(counter > self.counters.get(slot, 0) for slot in said):
            raise Unsafe("counter", self.counters, counter)
        self._judge_slaves(watts)
        return said, bool(flags & SAFE_RELEASE), counter

    def _limits_w(self, at_s: float, is_late: bool) -> tuple[float, float]:
        """(phase, imbalance): for a late frame the widest of those since it can have been sent."""
        past_w = [limits for limits in self.before_w if is_late and at_s - limits[0] <= 5.0]
        return (
            max(self.phase_max_w, *(limits[1] for limits in past_w), 0.0),
            max(self.imbalance_max_w, *(limits[2] for limits in past_w), 0.0),
        )

    def _lapsed_at_s(self, at_s: float) -> float:
        """When the time to live of any slave last ran out, if nothing was said to it since."""
        ends = [one.at_s + TTL_S for one in self.told.values() if one.setpoint_w > 0]
        return max((end_s for end_s in ends if end_s < at_s), default=-inf)

    def _switches(self, was_w: dict[int, int], said: dict[int, int]) -> bool:
        """Whether slaves are switched, and one of them on at most."""
        if self.minimum_w <= 0:
            return False
        steps = [(said[slot] >= self.minimum_w) - (was_w.get(slot, 0) >= self.minimum_w) for slot in said]
        return any(steps) and sum(step > 0 for step in steps) <= 1

    def _tick_switches(self, at_s: float) -> bool:
        """Whether the pieces of this tick so far switch: each is judged together with those before it."""
        opened_w = {slot: self.opened_with.get(slot, LastTold()).follows_w(at_s) for slot in self.told}
        return self._switches(opened_w, {slot: one.follows_w(at_s) for slot, one in self.told.items()})

    def _judge_slaves(self, watts: dict[int, int]) -> None:
        for slot, setpoint_w in watts.items():
            if not 0 <= setpoint_w <= self.max_w.get(slot, 0):
                raise Unsafe("slave", slot, setpoint_w)

    def _totals_w(self, told: dict[int, LastTold], at_s: float) -> Watts:
        total_w = [0.0, 0.0, 0.0]
        for slot, one in told.items():
            total_w[self.phases[slot]] += one.follows_w(at_s)
        a, b, c = total_w
        return (a, b, c)

    def _judge_box(self, before_w: Watts, now_w: Watts, phase_max_w: float) -> None:
        """What a tightened limit finds above it may stay or fall."""
        for before, now in zip(before_w, now_w, strict=True):
            if not (0.0 <= now <= 5000.0 and (now <= phase_max_w or now <= before)):
                raise Unsafe("box", before_w, now_w)

    def _judge_late(self, before_w: Watts, now_w: Watts, at_s: float) -> None:
        """No further apart than the limit, or than the phases were since it was sent, 5 s ago at most."""
        if self.of_grid or at_s - self.released_at_s <= 5.0:
            return
        been_w = [tilt_w for then_s, tilt_w in self.tilts_w if at_s - then_s <= 20.0]
        if not deviation_w(*now_w) <= max(2000.0, deviation_w(*before_w), *been_w) + 1e-9:
            raise Unsafe("late imbalance", before_w, now_w)

    def _judge_move(self, before_w: Watts, now_w: Watts, credit_s: float, limit_w: float) -> None:
        (a, b, c), (x, y, z) = before_w, now_w
        moved_w = sqrt((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2)
        if not moved_w <= 1000.0 * credit_s + 1e-6:
            raise Unsafe("step", before_w, now_w, credit_s)
        g, h, i = self.grid_w
        if not self.of_grid or not (isfinite(g) and isfinite(h) and isfinite(i)):
            if not deviation_w(x, y, z) <= max(limit_w, deviation_w(a, b, c)) + 1e-9:
                raise Unsafe("imbalance", before_w, now_w)
            return
        toward = self.toward
        after_w = deviation_w(g + toward * (x - a), h + toward * (y - b), i + toward * (z - c))
        if not after_w <= max(limit_w, deviation_w(g, h, i)) + 1e-6:
            raise Unsafe("grid imbalance", self.grid_w, before_w, now_w)

    def _judge_pace(self, before_w: Watts, now_w: Watts, at_s: float) -> None:
        """Between any two instants: what frames came to, wherever time to live or a release has led since."""
        self.been_w.append((at_s, self.path_w))
        (a, b, c), (d, e, f), (x, y, z) = self.path_w, before_w, now_w
        self.path_w = (a + x - d, b + y - e, c + z - f)
        x, y, z = self.path_w
        for then_s, (a, b, c) in self.been_w:
            moved_w = sqrt((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2)
            at_once_w = 5000.0 if self.switched_at_s >= then_s else 2000.0
            if not moved_w <= at_once_w + 1000.0 * (at_s - then_s) + 1e-6:
                raise Unsafe("pace", moved_w, at_s - then_s)

    def _judge_meter(self, said: dict[int, int], was_w: dict[int, int]) -> None:
        if not self.age_s <= 2.5:
            raise Unsafe("lost", self.age_s)
        if not self.is_fresh and said != was_w:
            raise Unsafe("stale", self.age_s, was_w, said)
        if self.needed:
            raise Unsafe(self.why, self.good, self.needed)
