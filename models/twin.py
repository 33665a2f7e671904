"""The twin: what the fallback would have made of the same seconds at the same site.

It lives through the same readings with slaves of its own, which are the believed ones (`core.sight`): the
meter it sees is the real one, less what the real slaves are believed to draw, plus what its own are. So what
the sun gave and the house took is the same for both, and all that differs is who acted. A twin that commands
what was really commanded sees exactly what was really measured.

While the fallback itself is in charge the twin is the real controller; it parts from it when the policy takes
over, and goes its own way for as long as the policy is meant to act.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from core.allocation import totals_w
from core.decision import Anomaly, Authority, Decision, Send, Source, State, Verdict
from core.parts import Fallback, Findings, Gate, Memory, Parts
from core.sight import Sight, look
from core.site import Phases, Site, per_phase
from core.snapshot import Air, Snapshot
from core.tick import decide

FRAME_S = 0.05
"""From the tick until the coordinator has accepted a frame, until one was timed."""


class _Blind:
    """In the place of observer, policy and detector: a fallback needs none of them."""

    cold = ()

    def observe(
        self, _snapshot: Snapshot, _sight: Sight, _memory: tuple[()]
    ) -> tuple[Sequence[float], tuple[()]]:
        """No features."""
        return (), ()

    def propose(self, _observation: Sequence[float], _memory: tuple[()]) -> tuple[None, tuple[()]]:
        """No wish."""
        return None, ()

    def inspect(
        self, _snapshot: Snapshot, _observation: Sequence[float], _wished_w: Phases | None, _memory: tuple[()]
    ) -> tuple[Anomaly, tuple[()]]:
        """Nothing is unusual."""
        return Anomaly(), ()


class _Obedient:
    """A supervisor that rests when the real one does, and holds what is on air without a sample."""

    cold = None

    def step(
        self, _snapshot: Snapshot, sight: Sight, authority: Authority, _findings: Findings, _memory: None
    ) -> tuple[Verdict, None]:
        """Rest, hold, or let the fallback act."""
        if authority is Authority.REST:
            return Verdict(State.SAFE_STOP, Source.REST, ()), None
        if not sight.fresh:
            return Verdict(State.HOLD, Source.HOLD, ()), None
        return Verdict(State.PI_FALLBACK, Source.FALLBACK, ()), None


@dataclass(frozen=True, slots=True)
class TwinMemory:
    """What the twin carries: its memory, the setpoints it has on air and since when.

    `memory` is None while the twin is the real controller. `frame_s` is how long the coordinator took to
    accept the newest real frame; `has_sent` and `real_sent_at_s` (of the tick) say who sent in the last tick.
    """

    memory: Memory[Any, Any, Any, Any, Any] | None = None
    setpoints_w: tuple[int, ...] = ()
    sent_at_s: float = -inf
    frame_s: float = FRAME_S
    has_sent: bool = False
    real_sent_at_s: float = -inf


@dataclass(frozen=True, slots=True)
class TwinTick:
    """One second of the twin: what its meter reads, what its slaves draw or feed, what it has on air."""

    grid_power_w: Phases
    slaves_w: Phases
    action_w: Phases


class Twin:
    """The fallback in a world of its own.

    Args:
        site: as commissioned.
        fallback: a law of its own instance or one without state.
        gate: the gate of the site.
        ttl_s: how long slaves follow a frame.
    """

    cold = TwinMemory()

    def __init__(self, site: Site, fallback: Fallback[Any], gate: Gate, ttl_s: float) -> None:
        blind = _Blind()
        self._parts = Parts(site, blind, blind, fallback, blind, _Obedient(), gate)
        self._ttl_s = ttl_s

    def step(
        self,
        snapshot: Snapshot,
        decision: Decision,
        before: Memory[Any, Any, Any, Any, Any],
        accepted: bool | None,
        memory: TwinMemory,
    ) -> tuple[TwinTick, TwinMemory]:
        """Live one tick beside the real one.

        Args:
            snapshot: what the real controller saw.
            decision: what it decided.
            before: its memory before it decided.
            accepted: what became of its frames, None when it sent none.
            memory: the twin's own.
        """
        memory = _timed(snapshot, memory)
        if decision.authority is not Authority.POLICY:
            sight = decision.sight
            same = TwinTick(snapshot.grid_power_w, sight.model_w, sight.command_w)
            return same, replace(
                memory, memory=None, has_sent=False, real_sent_at_s=_when(snapshot, accepted)
            )
        if memory.memory is None:
            memory = self._parted(snapshot, before, memory)
        seen = self._seen(snapshot, decision, memory)
        return self._live(seen, snapshot, decision, accepted, memory)

    def _parted(
        self, snapshot: Snapshot, before: Memory[Any, Any, Any, Any, Any], memory: TwinMemory
    ) -> TwinMemory:
        """The twin where the real controller is now."""
        own = Memory(before.belief, (), (), before.fallback, (), None, before.bucket)
        air = snapshot.on_air
        return replace(memory, memory=own, setpoints_w=air.setpoints_w, sent_at_s=snapshot.at_s - air.age_s)

    def _seen(self, snapshot: Snapshot, decision: Decision, memory: TwinMemory) -> Snapshot:
        """What the twin's meter reads, and what it has on air."""
        assert memory.memory is not None
        site, age_s = self._parts.site, snapshot.at_s - memory.sent_at_s
        air = Air()
        if age_s <= self._ttl_s and memory.setpoints_w:
            air = Air(totals_w(memory.setpoints_w, site), memory.setpoints_w, age_s)
        seen = replace(snapshot, on_air=air, alarms=(), acknowledged=())
        own, _ = look(site, seen, memory.memory.belief)
        real = decision.sight
        cells = zip(snapshot.grid_power_w, real.model_w, own.model_w, strict=True)
        return replace(seen, grid_power_w=per_phase([g + real.sign * (m - r) for g, r, m in cells]))

    def _live(
        self,
        seen: Snapshot,
        snapshot: Snapshot,
        decision: Decision,
        accepted: bool | None,
        memory: TwinMemory,
    ) -> tuple[TwinTick, TwinMemory]:
        assert memory.memory is not None
        authority = Authority.REST if decision.verdict.source is Source.REST else Authority.FALLBACK
        own, following = decide(seen, authority, memory.memory, self._parts)
        tick = TwinTick(seen.grid_power_w, own.sight.model_w, own.sight.command_w)
        is_refused = accepted is False or (accepted is None and "radio_down" in snapshot.alarms)
        has_sent = own.send is not Send.NOTHING and not is_refused
        if has_sent:
            sent_at_s = snapshot.at_s + memory.frame_s
            memory = replace(memory, setpoints_w=own.setpoints_w, sent_at_s=sent_at_s)
        real_sent_at_s = _when(snapshot, accepted)
        return tick, replace(memory, memory=following, has_sent=has_sent, real_sent_at_s=real_sent_at_s)


def _when(snapshot: Snapshot, accepted: bool | None) -> float:
    return snapshot.at_s if accepted else -inf


def _timed(snapshot: Snapshot, memory: TwinMemory) -> TwinMemory:
    """A real frame that was sent in the tick before tells how long the coordinator takes."""
    if not (memory.real_sent_at_s > -inf and snapshot.on_air.age_s < inf):
        return memory
    sent_at_s = snapshot.at_s - snapshot.on_air.age_s
    if memory.has_sent:
        memory = replace(memory, sent_at_s=sent_at_s)
    return replace(memory, frame_s=max(0.0, sent_at_s - memory.real_sent_at_s))
