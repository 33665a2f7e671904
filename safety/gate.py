"""The last word before the radio: from what is asked to what is allowed, from messages to cleared messages.

Every rule says what is accepted, never what is refused, so that a NaN is not accepted by any of them.
Each rule holds on a convex set that contains what is on air, so scaling the step from there always ends
inside. Limits that were tightened while more was on air are approached at the step limit and never left
further.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import hypot, isfinite, sqrt

from core.allocation import totals_w
from core.arrays import sum_in_order
from core.authorization import AuthorizedFrame, Decoded
from core.decision import Decision, Intervention, Source
from core.limits import (
    CREDIT_MAX_S,
    IMBALANCE_CAP_W,
    PHASE_CAP_W,
    ROUNDING_W,
    STEP_CAP_W_PER_S,
    ImbalanceOf,
)
from core.roles import sign
from core.site import ZERO, Phases, Site, per_phase
from core.snapshot import Snapshot
from safety.partial import Reachable, corners, reachable
from safety.switching import has_authority, is_workable, switch_credit_s, switching_groups

FLOAT_NOISE_W = 1e-6
"""A proposal is not at fault for the last bits of its arithmetic (5000 W in double precision: 1e-12 W)."""
_HALVINGS = 40
"""Bisection of the step: 5000 W / 2^40 is 5e-9 W."""


class SafetyGate:
    """The only way to the radio, for every controller alike. The site can only tighten the hard caps."""

    def __init__(self, site: Site) -> None:
        limits = site.limits
        self._site = site
        self._phase_max_w = min(PHASE_CAP_W, limits.phase_max_w)
        self._step_max_w_per_s = min(STEP_CAP_W_PER_S, limits.step_max_w_per_s)
        self._imbalance_max_w = min(IMBALANCE_CAP_W, limits.imbalance_max_w)
        self._of_grid = limits.imbalance_of is ImbalanceOf.GRID
        self._sign = sign(site.role)

    def violations(self, requested_action_w: Phases, snapshot: Snapshot) -> tuple[str, ...]:
        """Rules that an action would break: of finite, box, step, imbalance."""
        return self._broken(requested_action_w, snapshot, FLOAT_NOISE_W)

    def check(
        self, requested_action_w: Phases, source: Source, snapshot: Snapshot
    ) -> tuple[Phases, tuple[Intervention, ...]]:
        """The allowed action on the straight way from what is on air to what is asked.

        Rest goes to 0 W at once: that way is exempt from the step, the slaves ramp by themselves.
        `ROUNDING_W` is kept free below the limits. Never fails.
        """
        air_w = snapshot.on_air.action_w
        if source is Source.REST or not _sound(air_w):
            rule = "safe_release" if source is Source.REST else "on_air"
            return ZERO, (Intervention(rule, air_w, ZERO),) if air_w != ZERO else ()
        interventions = []
        action_w = requested_action_w
        for rule, bring in (
            ("finite", _finite),
            ("box", self._into_box),
            ("step", self._into_reach),
            ("imbalance", self._into_balance),
        ):
            brought_w = bring(action_w, snapshot)
            if brought_w != action_w:
                interventions.append(Intervention(rule, action_w, brought_w))
                action_w = brought_w
        return action_w, tuple(interventions)

    def accepts(
        self, action_w: Phases, source: Source, snapshot: Snapshot, switch_credit_s: float = 0.0
    ) -> bool:
        """Whether whole-watt totals may go on air: within the true limits of all that may be there.

        `switch_credit_s` is the credit of a move that switches a staged slave (`safety.switching`).
        """
        air = snapshot.on_air
        if source is Source.REST or not _sound(air.action_w):
            return action_w == ZERO
        return not any(
            self._broken(action_w, replace(snapshot, on_air=one), 0.0, switch_credit_s)
            for one in (air, *air.doubts)
        )

    def accepts_setpoints(
        self, setpoints_w: tuple[int, ...], withheld: tuple[int, ...], source: Source, snapshot: Snapshot
    ) -> bool:
        """Whether setpoints may go on air to every delivery group but those withheld.

        Told in several messages: whichever of them get through, in whatever order, now or later. A staged
        slave takes one of its powers, and its switching has a step of its own (`safety.switching`).
        """
        air = snapshot.on_air
        if source is not Source.REST and not (
            is_workable(setpoints_w, snapshot, self._site) and has_authority(setpoints_w, self._site)
        ):
            return False
        credit_s = switch_credit_s(setpoints_w, snapshot, self._site)
        if source is Source.REST or not air.groups:
            return not withheld and self.accepts(
                totals_w(setpoints_w, self._site), source, snapshot, credit_s
            )
        reach = reachable(setpoints_w, withheld, snapshot, self._site)
        if not (_sound(reach.low_w) and _sound(reach.high_w)):
            return not withheld and not any(setpoints_w)
        return not reach.moves or (
            hypot(*reach.width_w) <= self._reach_w(snapshot, credit_s)
            and self._usual_without_switching(setpoints_w, withheld, snapshot)
            and all(
                raised_w == 0.0 or high_w <= self._phase_max_w
                for raised_w, high_w in zip(reach.raised_w, reach.high_w, strict=True)
            )
            and self._corners_balanced(reach, snapshot)
        )

    def clear_all(
        self,
        payloads: Sequence[bytes],
        decode: Callable[[bytes], Decoded],
        decision: Decision,
        snapshot: Snapshot,
        lost: Sequence[int] = (),
    ) -> tuple[AuthorizedFrame, ...] | None:
        """Decode the messages of one decision and compare them, slot by slot, with what was decided.

        Args:
            payloads: one message for each delivery group that is neither withheld nor lost, in any order.
            decode: the inverse of the encoder; may raise anything.
            lost: groups whose wire is down. They may have been decided on: that a message gets lost on its
                way is one of the partial deliveries that are accepted.

        Returns:
            The messages, cleared for the radio; None when any of them says something else than what was
            decided and allowed. Then none of them may be sent.
        """
        resting = decision.verdict.source is Source.REST
        slots = [slave.slot for slave in self._site.slaves]
        meant = dict(zip(slots, decision.setpoints_w, strict=True))
        waiting = self._addressed({*decision.withheld, *lost}, snapshot)
        cleared = []
        for payload in payloads:
            try:
                said = decode(payload)
            except Exception:  # noqa: BLE001 - whatever keeps a message from being read keeps it off the air
                return None
            told = dict(enumerate(said.setpoints_w, said.base))
            group = frozenset(told.keys() & meant.keys())
            ours = {slot: meant[slot] for slot in group}  # a slot in a gap between two slaves is told 0 W
            if said.safe_release != resting or group not in waiting or told != dict.fromkeys(told, 0) | ours:
                return None
            waiting.remove(group)
            cleared.append(AuthorizedFrame(payload, resting, said))
        accepted = self.accepts_setpoints(
            decision.setpoints_w, decision.withheld, decision.verdict.source, snapshot
        )
        return tuple(cleared) if accepted and not waiting else None

    def _addressed(self, silent: set[int], snapshot: Snapshot) -> set[frozenset[int]]:
        """The slots of each delivery group that is told."""
        slaves, groups = self._site.slaves, snapshot.on_air.groups
        if not groups:
            return {frozenset(slave.slot for slave in slaves)}
        told = (group for number, group in enumerate(groups) if number not in silent)
        return {frozenset(slaves[place].slot for place in group.slaves) for group in told}

    def _broken(
        self, action_w: Phases, snapshot: Snapshot, noise_w: float, switch_credit_s: float = 0.0
    ) -> tuple[str, ...]:
        """Rules that an action does not keep within `noise_w`; the later ones need finite numbers."""
        if not all(map(isfinite, action_w)):
            return ("finite",)
        kept = {
            "box": all(
                -noise_w <= a <= max(self._phase_max_w, air) + noise_w
                for a, air in zip(action_w, snapshot.on_air.action_w, strict=True)
            ),
            "step": _step_w(action_w, snapshot) <= self._reach_w(snapshot, switch_credit_s) + noise_w,
            "imbalance": self._balanced(action_w, snapshot, -noise_w, FLOAT_NOISE_W),
        }
        return tuple(rule for rule, is_kept in kept.items() if not is_kept)

    def _usual_without_switching(
        self, setpoints_w: tuple[int, ...], withheld: tuple[int, ...], snapshot: Snapshot
    ) -> bool:
        """Whether a switching that does not get through leaves no more than a usual step."""
        switching = switching_groups(setpoints_w, snapshot, self._site)
        if not switching:
            return True  # it has no more credit than any other move
        left = reachable(setpoints_w, (*withheld, *switching), snapshot, self._site)
        return hypot(*left.width_w) <= self._reach_w(snapshot)

    def _corners_balanced(self, reach: Reachable, snapshot: Snapshot) -> bool:
        """Whether every partial delivery keeps the phases together, or as far apart as they surely are."""
        limit_w, air_w = self._imbalance_max_w, snapshot.on_air.action_w
        if self._of_grid and all(map(isfinite, snapshot.grid_power_w)):
            grid_w = snapshot.grid_power_w
            low_w = per_phase([-fall_w for fall_w in reach.fall_w])
            most_w = max(limit_w, _spread_w(grid_w) + FLOAT_NOISE_W)
            return all(
                _spread_w(per_phase([g + self._sign * m for g, m in zip(grid_w, moved_w, strict=True)]))
                <= most_w
                for moved_w in corners(low_w, reach.rise_w)
            )
        most_w = max(limit_w, _spread_w(air_w) + FLOAT_NOISE_W) if reach.is_known else limit_w
        return all(_spread_w(corner_w) <= most_w for corner_w in corners(reach.low_w, reach.high_w))

    def _into_box(self, action_w: Phases, _snapshot: Snapshot) -> Phases:
        return per_phase([min(max(0.0, a), self._phase_max_w) for a in action_w])

    def _into_reach(self, action_w: Phases, snapshot: Snapshot) -> Phases:
        reach_w = max(0.0, self._reach_w(snapshot) - ROUNDING_W)
        step_w = _step_w(action_w, snapshot)
        if step_w <= reach_w:
            return action_w
        return _on_the_way(snapshot.on_air.action_w, action_w, reach_w / step_w)

    def _into_balance(self, action_w: Phases, snapshot: Snapshot) -> Phases:
        if self._balanced(action_w, snapshot, ROUNDING_W, FLOAT_NOISE_W):
            return action_w
        low, high = 0.0, 1.0
        for _ in range(_HALVINGS):
            share = 0.5 * (low + high)
            point_w = _on_the_way(snapshot.on_air.action_w, action_w, share)
            low, high = (share, high) if self._balanced(point_w, snapshot, ROUNDING_W) else (low, share)
        return _on_the_way(snapshot.on_air.action_w, action_w, low)

    def _reach_w(self, snapshot: Snapshot, switch_credit_s: float = 0.0) -> float:
        """How far the action may have moved by now; an age that makes no sense gives nothing."""
        age_s = snapshot.on_air.age_s
        credit_s = min(age_s, CREDIT_MAX_S) if age_s >= 0.0 else 0.0
        return self._step_max_w_per_s * max(credit_s, switch_credit_s)

    def _balanced(self, action_w: Phases, snapshot: Snapshot, spare_w: float, noise_w: float = 0.0) -> bool:
        """Whether the phases differ by no more than the limit, or than they do already.

        Moving every phase alike leaves them as far apart as they are, but for `noise_w`.
        """
        air_w = snapshot.on_air.action_w
        if self._of_grid and all(map(isfinite, snapshot.grid_power_w)):
            before_w = snapshot.grid_power_w
            changes = zip(before_w, action_w, air_w, strict=True)
            after_w = per_phase([g + self._sign * (a - air) for g, a, air in changes])
        else:
            before_w, after_w = air_w, action_w
        return _spread_w(after_w) <= max(self._imbalance_max_w - spare_w, _spread_w(before_w) + noise_w)


def _sound(action_w: Phases) -> bool:
    """Whether this can be on air at all."""
    return all(0.0 <= a <= PHASE_CAP_W for a in action_w)


def _finite(action_w: Phases, snapshot: Snapshot) -> Phases:
    return action_w if all(map(isfinite, action_w)) else snapshot.on_air.action_w


def _step_w(action_w: Phases, snapshot: Snapshot) -> float:
    """L2 norm of the change against what is on air."""
    return hypot(*(a - air for a, air in zip(action_w, snapshot.on_air.action_w, strict=True)))


def _spread_w(values_w: Phases) -> float:
    """Population standard deviation over the phases."""
    mean_w = sum_in_order(values_w) / 3.0
    return hypot(*(v - mean_w for v in values_w)) / sqrt(3.0)


def _on_the_way(start_w: Phases, end_w: Phases, share: float) -> Phases:
    return per_phase([s + share * (e - s) for s, e in zip(start_w, end_w, strict=True)])
