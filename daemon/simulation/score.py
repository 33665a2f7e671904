"""The score of a run: energies as billed, peaks, setpoint changes, frames, unsafe frames.

Fed with the plant's true powers, step by step (usually a second), by `sunkeep simulate` and by the evaluation
of policies.
Definitions: J = export + 0.5 avoidable import (Wh). A *change* is a move of a phase's action on air of more
than 50 W from one step to the next. A *reversal* is a change of direction of a phase's action with an
amplitude of more than 100 W. Both are given per minute, averaged over the phases. Imbalance is the
population standard deviation of the three grid powers, averaged over time.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isfinite, sqrt

from core.estimation.reversal import ReversalState, swing
from core.limits import CREDIT_MAX_S, SWITCH_CREDIT_MAX_S, ImbalanceOf
from core.metering import AVOIDABLE_WEIGHT, avoidable_import_w, curtailable_w, exported_w, imported_w
from core.site import ZERO, Phases, Site, per_phase

CHANGE_W = 50.0
REVERSAL_W = 100.0
PEAK_WINDOW_S = 10
FRAMES_WINDOW_S = 9.0
"""Zigbee's broadcast table holds eight broadcasts for nine seconds."""
TOLERANCE_W = 1e-6
"""For rounding in the check's own arithmetic."""


def unsafe_reasons(
    setpoints_w: tuple[int, ...],
    before_w: Phases,
    elapsed_s: float,
    to_rest: bool,
    site: Site,
    still_s: float = 0.0,
    told_w: tuple[int, ...] = (),
) -> tuple[str, ...]:
    """Rules that a transmitted vector breaks, judged by code of its own and never by asking the gate.

    Args:
        setpoints_w: as transmitted, in the order of the slaves.
        before_w: per-phase totals on air until now.
        elapsed_s: since the last frame, infinite before the first.
        to_rest: whether the frame sends the slaves to rest, which the step limit exempts.
        still_s: since anything on air changed.
        told_w: setpoints on air until now; empty for all at rest.
    """
    limits = site.limits
    if len(setpoints_w) != len(site.slaves) or not all(isfinite(w) for w in setpoints_w):
        return ("finite",)
    reasons = []
    totals = [0.0, 0.0, 0.0]
    for slave, setpoint_w in zip(site.slaves, setpoints_w, strict=True):
        for phase in slave.phases:
            totals[phase] += setpoint_w / len(slave.phases)
    a, b, c = totals
    in_range = all(0 <= w <= s.max_w for s, w in zip(site.slaves, setpoints_w, strict=True))
    if not (in_range and max(totals) <= limits.phase_max_w + TOLERANCE_W):
        reasons.append("box")
    moved_w = sqrt(sum((x - y) ** 2 for x, y in zip(totals, before_w, strict=True)))
    credit_s = min(elapsed_s, CREDIT_MAX_S)
    if _is_one_switching(setpoints_w, told_w or (0,) * len(setpoints_w), site):
        credit_s = max(credit_s, min(still_s, SWITCH_CREDIT_MAX_S))
    if not (to_rest or moved_w <= limits.step_max_w_per_s * credit_s + TOLERANCE_W):
        reasons.append("step")
    staged = ((s, w) for s, w in zip(site.slaves, setpoints_w, strict=True) if s.is_staged and w <= s.max_w)
    if not all(slave.takes(setpoint_w) for slave, setpoint_w in staged):
        reasons.append("level")
    if limits.imbalance_of is ImbalanceOf.ACTION:
        mean = (a + b + c) / 3.0
        spread_w = sqrt(((a - mean) ** 2 + (b - mean) ** 2 + (c - mean) ** 2) / 3.0)
        if not spread_w <= limits.imbalance_max_w + TOLERANCE_W:
            reasons.append("imbalance")
    return tuple(reasons)


def _is_one_switching(setpoints_w: tuple[int, ...], told_w: tuple[int, ...], site: Site) -> bool:
    """Whether staged slaves are switched, and at most one of them up one step."""
    switched = started = 0
    for slave, setpoint_w, was_w in zip(site.slaves, setpoints_w, told_w, strict=True):
        for step_w in slave.steps_w:
            switched += (was_w >= step_w) != (setpoint_w >= step_w)
            started += was_w < step_w <= setpoint_w
    return switched > 0 and started <= 1


@dataclass(slots=True)
class Score:
    """Accumulates a run. `step` once a step of `step_s`; `frame` before it, whenever one is transmitted."""

    site: Site
    step_s: float = 1.0
    steps: int = 0
    frames_sent: int = 0
    unsafe: dict[str, int] = field(default_factory=dict)
    unsafe_actions: int = 0
    max_frames_per_9s: int = 0
    changes: int = 0
    peak_export_w: float = 0.0
    peak10s_export_w: float = 0.0
    _export_w: float = 0.0
    _import_w: float = 0.0
    _avoidable_w: float = 0.0
    _imbalance: float = 0.0
    _capacity_w: Phases = ZERO
    _action_w: Phases = ZERO
    _sent_at_s: float = -inf
    _moved_at_s: float = -inf
    _told_w: tuple[int, ...] = ()
    _swings: list[ReversalState] = field(default_factory=lambda: [ReversalState()] * 3)
    _reversals: int = 0
    _recent_w: deque[float] = field(default_factory=deque)
    _frames_at_s: deque[float] = field(default_factory=deque)

    def __post_init__(self) -> None:
        totals = [0.0, 0.0, 0.0]
        for slave in self.site.slaves:
            for phase in slave.phases:
                totals[phase] += slave.max_w / len(slave.phases)
        self._capacity_w = per_phase([min(x, self.site.limits.phase_max_w) for x in totals])

    def settled(self) -> "Score":
        """A score that counts from here on: what is on air is known, everything else is zero."""
        fresh = Score(self.site, self.step_s)
        fresh._action_w, fresh._sent_at_s = self._action_w, self._sent_at_s
        fresh._moved_at_s, fresh._told_w = self._moved_at_s, self._told_w
        fresh._frames_at_s.extend(self._frames_at_s)
        fresh._swings = list(self._swings)
        return fresh

    def frame(
        self, at_s: float, setpoints_w: tuple[int, ...], to_rest: bool, frames: int = 1
    ) -> tuple[str, ...]:
        """Take one transmitted vector, in `frames` frames. Returns the rules it breaks."""
        reasons = unsafe_reasons(
            setpoints_w,
            self._action_w,
            at_s - self._sent_at_s,
            to_rest,
            self.site,
            at_s - self._moved_at_s,
            self._told_w,
        )
        if setpoints_w != self._told_w:
            self._moved_at_s, self._told_w = at_s, setpoints_w
        self.unsafe_actions += bool(reasons)
        for reason in reasons:
            self.unsafe[reason] = self.unsafe.get(reason, 0) + 1
        self._sent_at_s = at_s
        self.frames_sent += frames
        self._frames_at_s.extend([at_s] * frames)
        while self._frames_at_s[0] <= at_s - FRAMES_WINDOW_S:
            self._frames_at_s.popleft()
        self.max_frames_per_9s = max(self.max_frames_per_9s, len(self._frames_at_s))
        return reasons

    @property
    def seconds(self) -> float:
        """How long it has been fed."""
        return self.steps * self.step_s

    def step(self, grid_w: Phases, slaves_w: Phases, action_w: Phases) -> None:
        """Take one step per phase: true grid power (+ import), true slave power, the action on air."""
        self.steps += 1
        metering = self.site.metering
        export_w = exported_w(grid_w, metering)
        self._export_w += export_w
        self._import_w += imported_w(grid_w, metering)
        placed_w = curtailable_w(slaves_w, self._capacity_w, self.site.role)
        self._avoidable_w += avoidable_import_w(placed_w, grid_w, metering)
        self._peaks(export_w)
        a, b, c = grid_w
        mean = (a + b + c) / 3.0
        self._imbalance += sqrt(((a - mean) ** 2 + (b - mean) ** 2 + (c - mean) ** 2) / 3.0)
        if action_w != self._action_w:
            for phase, (new, old) in enumerate(zip(action_w, self._action_w, strict=True)):
                self.changes += abs(new - old) > CHANGE_W
                self._swings[phase], is_reversal = swing(self._swings[phase], new, REVERSAL_W)
                self._reversals += is_reversal
            self._action_w = action_w

    def _peaks(self, export_w: float) -> None:
        recent = self._recent_w
        window = round(PEAK_WINDOW_S / self.step_s)
        recent.append(export_w)
        if export_w > self.peak_export_w:
            self.peak_export_w = export_w
        if len(recent) > window:
            recent.popleft()
        if len(recent) == window:
            self.peak10s_export_w = max(self.peak10s_export_w, sum(recent) / window)

    def summary(self) -> Mapping[str, float]:
        """The figures of the run so far, by their published names."""
        seconds = self.seconds
        minutes = max(seconds, 1) / 60.0
        per_hour = 3600.0 / self.step_s
        export_wh, avoidable_wh = self._export_w / per_hour, self._avoidable_w / per_hour
        return {
            "seconds": int(seconds) if seconds.is_integer() else seconds,
            "export_wh": export_wh,
            "import_wh": self._import_w / per_hour,
            "avoidable_import_wh": avoidable_wh,
            "j_wh": export_wh + AVOIDABLE_WEIGHT * avoidable_wh,
            "peak_export_w": self.peak_export_w,
            "peak10s_export_w": self.peak10s_export_w,
            "setpoint_changes_per_min": self.changes / 3.0 / minutes,
            "reversals_per_min": self._reversals / 3.0 / minutes,
            "imbalance_std_w": self._imbalance / max(self.steps, 1),
            "frames_sent": self.frames_sent,
            "max_frames_per_9s": self.max_frames_per_9s,
            "unsafe_actions": self.unsafe_actions,
        }
