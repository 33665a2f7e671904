"""The shipped decision, gate, supervisor and frame codec in a house where everything goes wrong.

`SearchedHouse` is the smallest shell around `decide()`: it encodes, has the frames cleared, and keeps what is
on air. The bytes of every frame that was cleared are judged by `tests.safety.search.referee`, which shares no
code with it. Where the slaves take several frames, each has its own fate, and what is late is late by its own
time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from math import inf, nan
from typing import Any
from zlib import crc32

from core.authorization import AuthorizedFrame
from core.decision import Authority, Decision, Send, Source, State
from core.estimation.state_estimate import StateEstimate
from core.limits import ImbalanceOf, Limits
from core.parts import Memory, Parts, initial_memory
from core.roles import Role
from core.site import ZERO, Phases, Site, Slave
from core.snapshot import OnAirState, SlaveState, Snapshot
from core.tick import decide
from daemon.runtime.on_air import LONGEST_WAY_S, OnAir
from daemon.runtime.transmitter import delivery_groups
from drivers.zigbee.setpoint_frame import decode, encode
from safety.anomaly import ZScoreDetector
from safety.gate import SafetyGate
from safety.pi import PiFallback
from safety.predictive import PredictiveFallback
from safety.supervisor import ModeSupervisor
from safety.timers import restore, save
from tests.safety.search.referee import TTL_S, Referee

KEY, NETWORK = bytes(range(32)), bytes(8)
DENORMAL_W = 5e-324
WILD_W = (
    nan,
    inf,
    -inf,
    0.0,
    -0.0,
    DENORMAL_W,
    -DENORMAL_W,
    2.0**53,
    -(2.0**53),
    1.7e308,
    -1.7e308,
    5000.0,
    -1.0,
)
"""What a broken policy may say."""
LEAST_S = {
    "violation": 3600.0,
    "anomaly": 86400.0,
    "state_lost": 3600.0,
    "dwell": 890.0,
    "repeated_late_ticks": 60.0,
    "restart_storm": 3600.0,
    "airtime_lost": 60.0,
}
"""What a fallback must last once it has begun (specification)."""
THERE, SILENT = SlaveState(available=True), SlaveState(available=False)


class Fate(Enum):
    """What becomes of a frame. After the last three nobody says so."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNSAID = "on air at once"
    LATE = "on air just before the next tick"
    GONE = "never on air"


@dataclass(frozen=True)
class Waiting:
    """A frame on its way: on air once it is due, or just before the next one to the same slaves."""

    sent_at_s: float
    due_at_s: float
    cleared: AuthorizedFrame
    is_policy: bool
    is_blocked: bool


class Told:
    """An observer that sees nothing and a policy that says what it is told."""

    cold = None
    policy_action_w: Phases | None = None

    def observe(
        self, _snapshot: Snapshot, _sight: StateEstimate, _memory: None
    ) -> tuple[Sequence[float], None]:
        return (0.0,), None

    def propose(self, _observation: Sequence[float], _memory: None) -> tuple[Phases | None, None]:
        return self.policy_action_w, None


def slots_of(frames: int, each: int) -> list[int]:
    """Slots that take so many frames."""
    return [40 * frame + place for frame in range(frames) for place in range(each)]


class SearchedHouse:
    """One site, tick by tick: seven slaves of 1500 to 3000 W, or when big one of 5000 W on each phase.

    With several frames, so many slaves in each; when whole, 45 slaves of 1700 W as a real site has them.
    """

    def __init__(
        self,
        *,
        of_grid: bool = False,
        role: Role = Role.ABSORB,
        predictive: bool = False,
        minimum_w: int = 0,
        is_big: bool = False,
        frames: int = 1,
        is_whole: bool = False,
    ) -> None:
        self.limits = Limits(imbalance_of=ImbalanceOf.GRID if of_grid else ImbalanceOf.ACTION)
        most_w = (5000,) * 3 if is_big else tuple(1500 + 250 * slot for slot in range(7))
        self.slots = list(range(45)) if is_whole else slots_of(frames, len(most_w))
        most_w = (1700,) * 45 if is_whole else most_w * frames
        slaves = tuple(
            Slave(slot, str(slot), place % 3, w, minimum_w)
            for place, (slot, w) in enumerate(zip(self.slots, most_w, strict=True))
        )
        self.site = Site(slaves=slaves, role=role, limits=self.limits)
        self.groups = delivery_groups(self.site)
        self.toward = 1.0 if role is Role.ABSORB else -1.0
        self.told = Told()
        law: Any = PredictiveFallback if predictive else PiFallback
        detector = ZScoreDetector(("x",), (0.0,), (1.0,))
        self.gate = SafetyGate(self.site)
        self.parts: Parts = Parts(
            self.site, self.told, self.told, law(self.site), detector, ModeSupervisor(), self.gate
        )
        self.memory: Memory = replace(initial_memory(self.parts), watch=ModeSupervisor().warm)
        self.referee = Referee(
            {slave.slot: slave.phase for slave in slaves},
            {slave.slot: slave.max_w for slave in slaves},
            self.toward,
            of_grid,
            minimum_w,
        )
        self.at_s, self.boot, self.boot_s = 1000.0, 1, 0.0
        self.sample_at_s, self.grid_w = 1000.0, ZERO
        self.on_air = OnAir(self.site, TTL_S, self.groups)
        self.waiting: dict[int, Waiting] = {}
        self.slaves = (THERE,) * len(slaves)
        self.mute_ticks = 0
        self.bad_ticks, self.bad_group = 0, 0
        self.counter = 0
        self.blocked_until_s = -inf
        self.ticks = 0
        self.acted: dict[State, int] = dict.fromkeys(State, 0)
        self.said = 0

    def tick(
        self,
        policy_action_w: Phases | None,
        grid_w: Phases | None,
        authority: Authority = Authority.POLICY,
        alarms: tuple[str, ...] = (),
        step_s: float = 1.0,
        latency_s: float = 0.001,
        fate: Fate | tuple[Fate, ...] = Fate.ACCEPTED,
        acknowledged: tuple[str, ...] = (),
        late_s: float = 0.0,
    ) -> Decision:
        """One tick; `grid_w` None is a missed sample, `fate` that of the frame or of one after the other.

        A late frame is on air at the next tick that is `late_s` away or later.
        """
        self.at_s += step_s
        self._late_frames()
        self.referee.opened(self.at_s)
        self.boot_s += step_s
        if grid_w is not None:
            self.sample_at_s, self.grid_w = self.at_s - 0.05, grid_w
        age_s = self.at_s - self.sample_at_s
        self.referee.sampled(self.grid_w, age_s)
        seen = Snapshot(
            tick=self.ticks,
            at_s=self.boot_s,
            grid_power_w=self.grid_w,
            meter_age_s=age_s,
            slaves=self.slaves,
            on_air=self.on_air.at(self.at_s),
            alarms=alarms,
            acknowledged=acknowledged,
            policy_latency_s=latency_s,
        )
        self.told.policy_action_w = policy_action_w
        decision, self.memory = decide(seen, authority, self.memory, self.parts)
        self.ticks += 1
        self.acted[decision.verdict.state] += 1
        if decision.send is not Send.NOTHING:
            fates = fate if isinstance(fate, tuple) else (fate,) * len(self.groups)
            self._send(decision, seen, fates, late_s)
        for name, left_s in self.memory.watch.standing.left_s:  # what has begun must be lived through
            if left_s == LEAST_S[name]:
                self.blocked_until_s = max(self.blocked_until_s, self.at_s + left_s)
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
        self.memory = initial_memory(self.parts)
        self.referee.restarted()
        self.waiting = {}

    @property
    def air(self) -> OnAirState:
        """What is most likely on air."""
        return self.on_air.at(self.at_s)

    def skip(self, seconds: float) -> None:
        """Nothing runs for a while (suspension)."""
        self.at_s += seconds
        self.boot_s += seconds

    def toggle(self, slot: int) -> None:
        """A slave falls silent, or is heard again; the number counts around."""
        states = list(self.slaves)
        slot %= len(states)
        states[slot] = SILENT if states[slot].available else THERE
        self.slaves = tuple(states)

    def tighten(self, phase_max_w: float, imbalance_max_w: float) -> None:
        """The owner has changed the limits."""
        self.limits = replace(self.limits, phase_max_w=phase_max_w, imbalance_max_w=imbalance_max_w)
        self.site = replace(self.site, limits=self.limits)
        self.gate = SafetyGate(self.site)
        law: Any = type(self.parts.fallback)
        self.parts = replace(self.parts, site=self.site, fallback=law(self.site), gate=self.gate)
        self.referee.limited(self.at_s, phase_max_w, imbalance_max_w)

    def fingerprint(self) -> int:
        """A checksum of every frame and of what is remembered, for two runs that should be the same."""
        return crc32(repr((self.air, self.memory, self.acted)).encode(), self.said)

    def _send(self, decision: Decision, seen: Snapshot, fates: tuple[Fate, ...], late_s: float) -> None:
        told = [number for number in range(len(self.groups)) if number not in decision.withheld]
        payloads = []
        for number in told:
            self.counter += 1
            payloads += encode(
                {self.slots[place]: decision.setpoints_w[place] for place in self.groups[number]},
                counter=self.counter,
                ttl_s=int(TTL_S),
                key=KEY,
                network_id=NETWORK,
                safe_release=decision.verdict.source is Source.REST,
            )
        cleared = self.gate.clear_all(payloads, _decoded, decision, seen)
        assert cleared is not None, decision  # what was decided is always allowed: control never jams
        is_policy = decision.verdict.source is Source.POLICY
        is_blocked = self.at_s < self.blocked_until_s - 1e-6
        for number, one, fate in zip(told, cleared, fates, strict=False):
            new = Waiting(self.at_s, self.at_s + late_s, one, is_policy, is_blocked)
            if fate is not Fate.REFUSED and (old := self.waiting.pop(number, None)) is not None:
                self._put_on_air(old, is_late=True)
            if fate is Fate.ACCEPTED:
                self.on_air.accepted(one.said, self.at_s)
            elif fate is not Fate.REFUSED:
                self.on_air.unconfirmed(one.said, self.at_s)
            if fate in (Fate.ACCEPTED, Fate.UNSAID):
                self._put_on_air(new)
            elif fate is Fate.LATE:
                self.waiting[number] = new

    def _late_frames(self) -> None:
        """What waited in the coordinator goes on air, in front of everything that is sent now."""
        for number, one in list(self.waiting.items()):
            if one.due_at_s <= self.at_s:
                del self.waiting[number]
                self._put_on_air(one, is_late=True)

    def _put_on_air(self, one: Waiting, *, is_late: bool = False) -> None:
        if is_late and not self.at_s - one.sent_at_s <= LONGEST_WAY_S:
            return
        self.said = crc32(one.cleared.payload, self.said)
        self.referee.judge(
            self.at_s,
            one.cleared.payload,
            is_policy=one.is_policy,
            is_blocked=one.is_blocked,
            is_late=is_late,
        )


def _decoded(payload: bytes) -> Any:
    return decode(payload, KEY, NETWORK)
