"""The shipped decision, gate, supervisor and frame codec in a house where everything goes wrong.

`House` is the smallest shell around `decide()`: it encodes, has the frame cleared, and keeps what is on air.
Every frame that was cleared is decoded and judged by `Referee`, which shares no code with safety and knows
the rules from the specification's sentences alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf, nan
from typing import Any

import numpy as np

from core.allocation import totals_w
from core.decision import Authority, Decision, Send, Source, State
from core.limits import ImbalanceOf, Limits
from core.parts import Memory, Parts, cold_start
from core.roles import Role
from core.sight import Sight
from core.site import ZERO, Phases, Site, Slave
from core.snapshot import Air, SlaveState, Snapshot
from core.tick import decide
from drivers.frame import decode, encode
from safety.anomaly import ZScoreDetector
from safety.gate import SafetyGate
from safety.pi import PiFallback
from safety.predictive import PredictiveFallback
from safety.supervisor import ModeSupervisor
from safety.timers import restore, save

KEY, NETWORK = bytes(range(32)), bytes(8)
TTL_S = 15.0
WILD_W = (nan, inf, -inf, 0.0, -0.0, 5e-324, -5e-324, 2.0**53, -(2.0**53), 1.7e308, -1.7e308, 5000.0, -1.0)
"""What a broken policy may say."""


class Told:
    """An observer that sees nothing and a policy that says what it is told."""

    cold = None
    wished_w: Phases | None = None

    def observe(self, _snapshot: Snapshot, _sight: Sight, _memory: None) -> tuple[Sequence[float], None]:
        return (0.0,), None

    def propose(self, _observation: Sequence[float], _memory: None) -> tuple[Phases | None, None]:
        return self.wished_w, None


@dataclass
class Referee:
    """Judges decoded frames. Standard numpy, own words."""

    site: Site
    phases: list[int]
    last_w: np.ndarray[Any, Any] = field(default_factory=lambda: np.zeros(3))
    last_at_s: float = -inf
    frames: int = 0

    def judge(
        self,
        at_s: float,
        watts: Sequence[int],
        safe: bool,
        grid_w: Phases,
        age_s: float,
        rl: bool,
        blocked: bool,
    ) -> None:
        """Fail unless this frame may be on air."""
        silent_s = at_s - self.last_at_s
        before_w = self.last_w if silent_s <= TTL_S else np.zeros(3)
        now_w = np.zeros(3)
        np.add.at(now_w, self.phases, watts)
        assert np.all((now_w >= 0) & (now_w <= 5000)), now_w
        if safe:
            assert not now_w.any()
        else:
            assert np.linalg.norm(now_w - before_w) <= 1000 * min(silent_s, 2.0) + 1e-9, (
                before_w,
                now_w,
                silent_s,
            )
            assert age_s <= 2.5, "acts on a meter that is lost"
            if not age_s < 1.0:
                assert np.array_equal(now_w, before_w), "moves without a sample"
            if self.site.limits.imbalance_of is ImbalanceOf.ACTION:
                assert np.std(now_w) <= 2000 + 1e-9, now_w
            elif np.all(np.isfinite(grid_w)):
                toward = 1 if self.site.role is Role.ABSORB else -1
                after_w = np.array(grid_w) + toward * (now_w - before_w)
                assert np.std(after_w) <= max(2000.0, float(np.std(grid_w))) + 1e-6
        assert not (rl and blocked), "the policy acts while it is blocked"
        self.last_w, self.last_at_s = now_w, at_s
        self.frames += 1


class House:
    """One site, tick by tick."""

    def __init__(
        self, *, of_grid: bool = False, role: Role = Role.ABSORB, predictive: bool = False, minimum_w: int = 0
    ) -> None:
        limits = Limits(imbalance_of=ImbalanceOf.GRID if of_grid else ImbalanceOf.ACTION)
        slaves = tuple(Slave(slot, str(slot), slot % 3, 1500 + 250 * slot, minimum_w) for slot in range(7))
        self.site = Site(slaves=slaves, role=role, limits=limits)
        self.told = Told()
        law: Any = PredictiveFallback if predictive else PiFallback
        detector = ZScoreDetector(("x",), (0.0,), (1.0,))
        self.parts: Parts[Any, Any, Any, Any, Any] = Parts(
            self.site, self.told, self.told, law(self.site), detector, ModeSupervisor(), SafetyGate(self.site)
        )
        self.memory: Memory[Any, Any, Any, Any, Any] = replace(
            cold_start(self.parts), watch=ModeSupervisor().warm
        )
        self.referee = Referee(self.site, [slave.phase for slave in slaves])
        self.at_s, self.boot, self.boot_s = 1000.0, 1, 0.0
        self.sample_at_s, self.grid_w = 1000.0, ZERO
        self.air, self.sent_at_s = Air(), -inf
        self.available = [True] * len(slaves)
        self.counter = 0
        self.blocked_until_s = -inf
        self.ticks = 0
        self.acted: dict[State, int] = dict.fromkeys(State, 0)

    def tick(
        self,
        wished_w: Phases | None,
        grid_w: Phases | None,
        authority: Authority = Authority.POLICY,
        alarms: tuple[str, ...] = (),
        step_s: float = 1.0,
        latency_s: float = 0.001,
        is_heard: bool = True,
        acknowledged: tuple[str, ...] = (),
    ) -> Decision:
        """One tick; `grid_w` None is a missed sample, `is_heard` False a frame that the radio refuses."""
        self.at_s += step_s
        self.boot_s += step_s
        if grid_w is not None:
            self.sample_at_s, self.grid_w = self.at_s - 0.05, grid_w
        age_s = self.at_s - self.sample_at_s
        silent_s = self.at_s - self.sent_at_s
        on_air = replace(self.air, age_s=silent_s) if silent_s <= TTL_S else Air(age_s=silent_s)
        seen = Snapshot(
            tick=self.ticks,
            at_s=self.boot_s,
            grid_power_w=self.grid_w,
            meter_age_s=age_s,
            slaves=tuple(SlaveState(available=there) for there in self.available),
            on_air=on_air,
            alarms=alarms,
            acknowledged=acknowledged,
            policy_latency_s=latency_s,
        )
        self.told.wished_w = wished_w
        decision, self.memory = decide(seen, authority, self.memory, self.parts)
        self.ticks += 1
        self.acted[decision.verdict.state] += 1
        if decision.send is not Send.NOTHING:
            self._send(decision, seen, age_s, is_heard)
        for name, left_s in self.memory.watch.standing.left_s:  # what has begun must be lived through
            least_s = {"violation": 3600.0, "anomaly": 86400.0, "state_lost": 3600.0}[name]
            if left_s == least_s:
                self.blocked_until_s = max(self.blocked_until_s, self.at_s + least_s)
        return decision

    def restart(self, *, is_reboot: bool = False, is_lost: bool = False, off_s: float = 1.0) -> None:
        """Kill the process, and start it again from what it had saved."""
        watch = self.memory.watch
        record = save(watch.standing, boot_id=str(self.boot), unix_s=1e9 + self.at_s, synced=True)
        self.at_s += off_s
        self.boot_s = off_s if is_reboot else self.boot_s + off_s
        self.boot += is_reboot
        standing = restore(
            None if is_lost else record,
            boot_id=str(self.boot),
            boottime_s=self.boot_s,
            unix_s=1e9 + self.at_s,
            synced=True,
        )
        if is_lost:
            self.blocked_until_s = self.at_s + 3600.0
        self.parts = replace(self.parts, supervisor=ModeSupervisor(standing))
        self.memory = cold_start(self.parts)
        self.air, self.sent_at_s = self.air if self.at_s - self.sent_at_s <= TTL_S else Air(), self.sent_at_s

    def skip(self, seconds: float) -> None:
        """Nothing runs for a while (suspension)."""
        self.at_s += seconds
        self.boot_s += seconds

    def _send(self, decision: Decision, seen: Snapshot, age_s: float, is_heard: bool) -> None:
        self.counter += 1
        payloads = encode(
            {slave.slot: w for slave, w in zip(self.site.slaves, decision.setpoints_w, strict=True)},
            counter=self.counter,
            ttl_s=int(TTL_S),
            key=KEY,
            network_id=NETWORK,
            safe_release=decision.verdict.source is Source.REST,
        )
        gate = self.parts.gate
        assert isinstance(gate, SafetyGate)
        cleared = gate.clear_all(payloads, lambda payload: decode(payload, KEY, NETWORK), decision, seen)
        assert cleared is not None, decision  # what was decided is always allowed: control never jams
        if not is_heard:
            return
        for frame in cleared:
            told = decode(frame.payload, KEY, NETWORK)
            assert told.safe_release == frame.safe_release
            self.referee.judge(
                self.at_s,
                told.setpoints_w,
                told.safe_release,
                self.grid_w,
                age_s,
                decision.verdict.source is Source.POLICY,
                self.at_s < self.blocked_until_s - 1e-6,
            )
        self.air = Air(totals_w(decision.setpoints_w, self.site), decision.setpoints_w)
        self.sent_at_s = self.at_s
