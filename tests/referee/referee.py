"""A referee that shares no line with the daemon: it reads what is on the wires and knows the rules.

Written from docs/develop/setpoint-protocol.md and the limits of the specification alone, with the standard
library alone. Run it isolated, as a process of its own::

    python -I referee.py < lines > verdicts

Every line is one JSON object with a `site` (any name) and a `kind`:

- ``site``: what was commissioned: `slaves` as [slot, phase 0..2], `key` and `network` in hex, `period_s`,
  `ttl_s`, `tolerance_s`, and `good_at_start`, `good_after_stop` (0 switches that rule off).
- ``start``, ``gone``: a controller begins to live; it was killed, and only the time to live is left.
- ``frame``: a setpoint broadcast seen on air: `at_s`, `payload` in hex (behind the ZCL header).
- ``other``: any other broadcast seen on air: `at_s`. A coordinator's stack sends two when it starts; the
  rule is about setpoint frames, the summary tells the most broadcasts of both kinds in one window.
- ``answer``: what the meter's wire carried: `at_s` and `power_w`, `voltage_v`, `current_a` per phase, or
  `power_w` null when a request was not answered. NaN and Infinity are written as Python's json writes them.
- ``clock``: time has passed: `at_s`.

All instants come from one monotonic clock. Every broken rule is one line out; the last line is a summary.

`tolerance_s` is the uncertainty of the instants: the controller counts from when it hands a frame to its
coordinator or has read an answer, the referee from when it sees them on the wire. A serial line and a busy
event loop lie between the two.
"""

import hashlib
import hmac
import json
import math
import struct
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any

Line = dict[str, Any]
Watts = dict[int, int]
"""By slot."""
Report = Callable[[str, float, str], None]
PHASE_MAX_W = 5000
STEP_MAX_W_PER_S = 1000.0
CREDIT_MAX_S = 2.0
IMBALANCE_MAX_W = 2000.0
METER_LOST_S = 2.5
AIR_FRAMES, AIR_WINDOW_S = 8, 9.0
"""Silicon Labs: at most 8 broadcasts in any 9 s."""
ROUND_S = 0.45
"""Frames of one decision follow each other within the 0.4 s in which a coordinator answers."""
SETTLED = 1.8
"""Good answers further apart than so many periods do not follow each other: a retry is within one."""
FUSE_MAX_W = 1.2 * 63.0 * 230.0
FROZEN_READS, FROZEN_S, FROZEN_ABOVE_W = 10, 5.0, 100.0
NOISE_W = 1e-6
RULES = (
    "layout",
    "tag",
    "counter",
    "ttl",
    "slots",
    "box",
    "imbalance",
    "step",
    "release",
    "airtime",
    "blind",
    "held",
    "rest",
    "silence",
    "early",
)


class BrokenRule(Exception):
    """A frame that no slave would take: the rule and why."""


def read_frame(payload: bytes, key: bytes, network: bytes) -> tuple[int, bool, int, Watts]:
    """(counter, safe release, ttl, {slot: watts}) of a frame, or Broken."""
    if len(payload) < 8 + 8:
        raise BrokenRule("layout", f"{len(payload)} bytes")
    flags, counter, ttl_s, base, n = struct.unpack_from("<BIBBB", payload)
    fits = 1 <= n <= 30 and len(payload) == 8 + 2 * n + 8 and base + n <= 256
    if not (fits and flags >> 4 == 1 and flags & 0b1100 == 0):
        raise BrokenRule("layout", f"flags {flags:#04x}, base {base}, n {n}, {len(payload)} bytes")
    body, tag = payload[:-8], payload[-8:]
    signed = network + struct.pack("<H", 0xFC57) + body
    if hmac.new(key, signed, hashlib.sha256).digest()[:8] != tag:
        raise BrokenRule("tag", payload.hex())
    watts = struct.unpack_from(f"<{n}h", payload, 8)
    if min(watts) < 0:
        raise BrokenRule("box", f"a negative setpoint: {watts}")
    return counter, bool(flags & 1), ttl_s, {base + i: w for i, w in enumerate(watts)}


def deviation_w(phases: list[int]) -> float:
    """Population standard deviation."""
    mean = sum(phases) / 3.0
    return math.sqrt(sum((p - mean) ** 2 for p in phases) / 3.0)


def in_window(sent_at_s: deque[float], at_s: float) -> int:
    """Take one more instant in; how many lie within the window that ends with it."""
    sent_at_s.append(at_s)
    while at_s - sent_at_s[0] >= AIR_WINDOW_S:
        sent_at_s.popleft()
    return len(sent_at_s)


class MeterSeen:
    """The meter as its wire shows it: when the last good sample was, and how many came in a row."""

    def __init__(self, period_s: float) -> None:
        self.period_s = period_s
        self.good_at_s = -math.inf
        self.row = 0
        self.row_since_release = 0
        self._same: list[float] | None = None
        self._same_reads, self._same_since_s = 0, 0.0

    def answer(self, line: Line) -> None:
        at_s = line["at_s"]
        if line["power_w"] is None:
            return
        if not self._good(line):
            self.row = self.row_since_release = 0
            return
        if at_s - self.good_at_s > SETTLED * self.period_s:
            self.row = self.row_since_release = 0
        self.row += 1
        self.row_since_release += 1
        self.good_at_s = at_s

    def _good(self, line: Line) -> bool:
        power_w, at_s = line["power_w"], line["at_s"]
        if power_w != self._same:
            self._same, self._same_reads, self._same_since_s = power_w, 0, at_s
        self._same_reads += 1
        frozen = self._same_reads >= FROZEN_READS and at_s - self._same_since_s >= FROZEN_S
        if frozen and any(abs(p) > FROZEN_ABOVE_W for p in power_w):
            return False
        return all(
            math.isfinite(p) and abs(p) <= FUSE_MAX_W and 180 <= u <= 260 and abs(p) <= 1.1 * u * abs(i) + 50
            for p, u, i in zip(power_w, line["voltage_v"], line["current_a"], strict=True)
        )


class SiteSeen:
    """Everything seen of one site."""

    def __init__(self, line: Line, report: Report) -> None:
        self.key, self.network = bytes.fromhex(line["key"]), bytes.fromhex(line["network"])
        self.phase: dict[int, int] = dict(line["slaves"])
        self.period_s, self.ttl_s, self.tolerance_s = line["period_s"], line["ttl_s"], line["tolerance_s"]
        self.good_at_start, self.good_after_stop = line["good_at_start"], line["good_after_stop"]
        self.meter = MeterSeen(self.period_s)
        self.counter = -1
        self.air_w: Watts = {}
        self.told_at_s: dict[int, float] = {}
        self.air_at_s = -math.inf
        self.resting = True
        self.alive = True
        self.acted = False
        self.round_slots: set[int] = set()
        self.round_at_s = -math.inf
        self.round_was_w: Watts = {}
        self.round_elapsed_s = math.inf
        self.sent: deque[float] = deque()
        self.broadcasts: deque[float] = deque()
        self.broadcasts_max = 0
        self.silence_told_s: float | None = None
        self.frames = self.answers = 0
        self.step_share_max = 0.0
        self.report = report

    def start(self, line: Line) -> None:
        """A new life of the controller: what it has to wait for is the start's."""
        self.acted, self.meter.row, self.alive = False, 0, True

    def gone(self, line: Line) -> None:
        """Killed: nobody is there who could release."""
        self.alive = False

    def answer(self, line: Line) -> None:
        self.answers += 1
        self.clock(line)
        self.meter.answer(line)

    def clock(self, line: Line) -> None:
        """Nothing may be left on air for longer than a lost meter allows."""
        at_s = line["at_s"]
        following = not self.resting and any(self._follows(at_s).values())
        age_s = at_s - self.meter.good_at_s
        late = age_s > METER_LOST_S + self.period_s + self.tolerance_s
        if self.alive and following and late and self.silence_told_s != self.meter.good_at_s:
            self.silence_told_s = self.meter.good_at_s
            self.report("silence", at_s, f"no release {age_s:.2f} s after the last good sample")

    def other(self, line: Line) -> None:
        self._broadcast(line["at_s"])

    def _broadcast(self, at_s: float) -> None:
        self.broadcasts_max = max(self.broadcasts_max, in_window(self.broadcasts, at_s))

    def frame(self, line: Line) -> None:
        at_s = line["at_s"]
        self.frames += 1
        self._airtime(at_s)
        try:
            counter, release, ttl_s, watts = read_frame(
                bytes.fromhex(line["payload"]), self.key, self.network
            )
        except BrokenRule as broken:
            self.report(broken.args[0], at_s, broken.args[1])
            return
        if not counter > self.counter:
            self.report("counter", at_s, f"{counter} after {self.counter}")
            return
        self.counter = counter
        if not 1 <= ttl_s <= self.ttl_s:
            self.report("ttl", at_s, f"{ttl_s} s")
        strangers = {slot: w for slot, w in watts.items() if w and slot not in self.phase}
        if strangers:
            self.report("slots", at_s, f"nobody has {strangers}")
        self._senses(at_s, release, watts)
        self._move(at_s, release, {slot: w for slot, w in watts.items() if slot in self.phase})

    def _airtime(self, at_s: float) -> None:
        self._broadcast(at_s)
        frames = in_window(self.sent, at_s)
        if frames > AIR_FRAMES:
            self.report("airtime", at_s, f"{frames} setpoint frames in {AIR_WINDOW_S:g} s")

    def _senses(self, at_s: float, release: bool, watts: Watts) -> None:
        """What a frame may say, given what the meter said."""
        if release:
            if any(watts.values()):
                self.report("release", at_s, f"a release that says {watts}")
            return
        age_s = at_s - self.meter.good_at_s
        follows = self._follows(at_s)
        if age_s == math.inf:
            self.report("blind", at_s, "setpoints before the first good sample")
        elif age_s > METER_LOST_S + self.period_s + self.tolerance_s:
            self.report("rest", at_s, f"setpoints {age_s:.2f} s after the last good sample")
        elif age_s > self.period_s + self.tolerance_s:
            moved = {s: w for s, w in watts.items() if w != follows.get(s, 0)}
            if moved:
                self.report("held", at_s, f"{moved} changed {age_s:.2f} s after the last good sample")
        self._early(at_s)

    def _early(self, at_s: float) -> None:
        """The first setpoints after rest: only when enough good samples in a row have come."""
        if not self.resting:
            return
        seen = self.meter.row_since_release if self.acted else self.meter.row
        least = self.good_after_stop if self.acted else self.good_at_start
        if seen < least:
            self.report("early", at_s, f"setpoints after {seen} good samples in a row, not {least}")

    def _follows(self, at_s: float) -> Watts:
        """What every slave follows: nothing once its time to live has run out."""
        living = {slot for slot, told_at_s in self.told_at_s.items() if at_s - told_at_s <= self.ttl_s}
        return {slot: w for slot, w in self.air_w.items() if slot in living}

    def _move(self, at_s: float, release: bool, watts: Watts) -> None:
        """Take a frame in and judge the action that is on air with it, also when others are to follow."""
        is_next = bool(self.round_slots & watts.keys()) or self.round_slots >= self.phase.keys()
        if is_next or not self.round_slots or at_s - self.round_at_s > ROUND_S:
            self.round_slots, self.round_at_s = set(), at_s  # the first frame of a decision
            self.round_elapsed_s = at_s - self.air_at_s
            self.round_was_w = self._follows(at_s)
        self.round_slots |= watts.keys()
        self.air_w |= dict.fromkeys(watts, 0) if release else watts
        self.told_at_s |= dict.fromkeys(watts, at_s)
        self.air_at_s = at_s
        if release and not self.resting:
            self.meter.row_since_release = 0
        self.resting = release
        self.acted |= not release
        if not release:
            self._judge(at_s, is_part=not watts.keys() >= self.phase.keys())

    def _judge(self, at_s: float, is_part: bool) -> None:
        action_w, was_w = self._totals(self._follows(at_s)), self._totals(self.round_was_w)
        if not all(0 <= total <= PHASE_MAX_W for total in action_w):
            self.report("box", at_s, f"{action_w} W per phase")
        most_w = max(IMBALANCE_MAX_W, deviation_w(was_w)) if is_part else IMBALANCE_MAX_W
        if not deviation_w(action_w) <= most_w + NOISE_W:
            self.report("imbalance", at_s, f"{action_w} W: {deviation_w(action_w):.1f} W")
        step_w = math.dist(action_w, was_w)
        credit_s = min(CREDIT_MAX_S, self.round_elapsed_s + self.tolerance_s)
        plain_s = min(CREDIT_MAX_S, self.round_elapsed_s)
        if plain_s > 0.0:
            self.step_share_max = max(self.step_share_max, step_w / (STEP_MAX_W_PER_S * plain_s))
        if not step_w <= STEP_MAX_W_PER_S * credit_s + NOISE_W:
            self.report(
                "step", at_s, f"{was_w} to {action_w}: {step_w:.0f} W in {self.round_elapsed_s:.3f} s"
            )

    def _totals(self, watts: Watts) -> list[int]:
        totals = [0, 0, 0]
        for slot, w in watts.items():
            totals[self.phase[slot]] += w
        return totals


def referee(lines: Iterable[str], write: Callable[[str], object]) -> int:
    """Judge all lines; returns how many rules were broken."""
    sites: dict[str, SiteSeen] = {}
    broken: Counter[str] = Counter()
    for text in lines:
        line = json.loads(text)
        name = line["site"]

        def report(rule: str, at_s: float, why: str, name: str = name) -> None:
            broken[rule] += 1
            write(json.dumps({"site": name, "rule": rule, "at_s": at_s, "why": why}))

        if line["kind"] == "site":
            sites[name] = SiteSeen(line, report)
        else:
            getattr(sites[name], line["kind"])(line)
    summary = {
        "summary": True,
        "sites": len(sites),
        "frames": sum(site.frames for site in sites.values()),
        "answers": sum(site.answers for site in sites.values()),
        "broadcasts_in_9_s_max": max((site.broadcasts_max for site in sites.values()), default=0),
        "step_share_max": max((site.step_share_max for site in sites.values()), default=0.0),
        "broken": dict(broken),
    }
    write(json.dumps(summary))
    return sum(broken.values())


if __name__ == "__main__":
    sys.exit(1 if referee(sys.stdin, print) else 0)
