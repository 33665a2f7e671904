"""What the slaves follow, as far as the coordinator has said what became of the frames."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from core.authorization import Decoded
from core.site import ZERO, Phases, Site, Slave, per_phase
from core.snapshot import GroupOnAir, OnAirState

LONGEST_WAY_S = 5.0
"""A frame that nobody confirmed goes on air within this time or not at all: the second one without an
answer makes the radio be built anew, and what waited in the coordinator is gone."""


@dataclass(frozen=True, slots=True)
class OnAirCandidate:
    """Setpoints of one group that may be on air: since `at_s`, or perhaps only now."""

    setpoints_w: tuple[int, ...]
    at_s: float = -inf
    since_now: bool = False


class OnAir:
    """What every delivery group (places of slaves) may follow; without `groups` there is one."""

    def __init__(
        self, site: Site, ttl_s: float | Sequence[float], groups: Sequence[Sequence[int]] = ()
    ) -> None:
        """`ttl_s` is the time to live of a message: one for all groups, or one for each."""
        self._size = len(site.slaves)
        self._changed_at_s = -inf
        told = groups or (range(self._size),)
        each_s = [float(ttl_s)] * len(told) if isinstance(ttl_s, int | float) else ttl_s
        self._groups = [
            DeliveryGroup(tuple(group), tuple(site.slaves[place] for place in group), one_s)
            for group, one_s in zip(told, each_s, strict=True)
        ]

    def accepted(self, said: Decoded, at_s: float) -> None:
        """The radio took this message, and every one to this group before it: what it says is on air now."""
        for group, told in self._told(said):
            if group.may_change(told, at_s):
                self._changed_at_s = at_s
            group.accepted(told, at_s)

    def unconfirmed(self, said: Decoded, at_s: float) -> None:
        """Nobody said what became of this message: it is on air, or will be, or everything is as it was."""
        for group, told in self._told(said):
            group.unconfirmed(told, at_s)
        self._changed_at_s = at_s

    def at(self, at_s: float) -> OnAirState:
        """What the slaves follow: nothing once their time-to-live has run out."""
        if len(self._groups) == 1:
            alone = self._groups[0].alone(at_s)
            return replace(alone, still_s=self._still_s(at_s))
        setpoints_w = [0] * self._size
        for group in self._groups:
            for place, watts in zip(group.places, group.likely_w(at_s), strict=True):
                setpoints_w[place] = watts
        groups = tuple(group.at(at_s) for group in self._groups)
        totals_w = [group.total_w(group.likely_w(at_s)) for group in self._groups]
        action_w = per_phase([sum(column) for column in zip(*totals_w, strict=True)])
        return OnAirState(
            action_w,
            tuple(setpoints_w),
            min(group.age_s for group in groups),
            groups=groups,
            still_s=self._still_s(at_s),
        )

    def _still_s(self, at_s: float) -> float:
        """Since anything changed, be it that the time-to-live of slaves told so long ago ran out.

        A message of which nobody knows what became of it may change something just now.
        """
        if any(group.is_in_doubt(at_s) for group in self._groups):
            return 0.0
        return min(at_s - self._changed_at_s, *(group.resting_s(at_s) for group in self._groups))

    def _told(self, said: Decoded) -> list[tuple["DeliveryGroup", dict[int, int]]]:
        told = dict(enumerate(said.setpoints_w, said.base))
        return [(group, told) for group in self._groups if any(slave.slot in told for slave in group.slaves)]


class DeliveryGroup:
    """Every vector that one delivery group may follow: one, once an accepted message told all its slaves."""

    def __init__(self, places: tuple[int, ...], slaves: tuple[Slave, ...], ttl_s: float) -> None:
        self.places, self.slaves, self._ttl_s = places, slaves, ttl_s
        self._resting = (0,) * len(slaves)
        self._possible = [OnAirCandidate(self._resting)]

    def accepted(self, told: dict[int, int], at_s: float) -> None:
        """These setpoints by slot are on air now."""
        self._possible = self._with(told, at_s, since_now=False)

    def unconfirmed(self, told: dict[int, int], at_s: float) -> None:
        """These setpoints by slot are on air, or will be, or everything is as it was."""
        self._possible = [*self._with(told, at_s, since_now=True), *self._living(at_s)]

    def may_change(self, told: dict[int, int], at_s: float) -> bool:
        """Whether these setpoints by slot may be others than those that are followed."""
        return any(
            watts != told.get(slave.slot, watts)
            for one in self._living(at_s)
            for slave, watts in zip(self.slaves, one.setpoints_w, strict=True)
        )

    def is_in_doubt(self, at_s: float) -> bool:
        """Whether a message that changes something may be on its way."""
        living = self._living(at_s)
        return any(one.since_now for one in living) and len({one.setpoints_w for one in living}) > 1

    def likely_w(self, at_s: float) -> tuple[int, ...]:
        """What was told last, accepted or not; rest once its time is over."""
        return self._living(at_s)[0].setpoints_w

    def alone(self, at_s: float) -> OnAirState:
        """As the only group of a site: each different one of what may be on air by itself."""
        first, *others = (
            OnAirState(
                self.total_w(one.setpoints_w), one.setpoints_w, 0.0 if one.since_now else at_s - one.at_s
            )
            for one in self._living(at_s)
        )
        return replace(first, doubts=tuple(others))

    def at(self, at_s: float) -> GroupOnAir:
        """As one of several: the range of what may be on air."""
        living = [one for one in self._possible if self._lives(one, at_s)]
        totals_w = [self.total_w(one.setpoints_w) for one in living]
        if len(living) < len(self._possible):
            totals_w.append(ZERO)
        return GroupOnAir(
            self.places,
            at_s - max(one.at_s for one in self._possible),
            per_phase([min(column) for column in zip(*totals_w, strict=True)]),
            per_phase([max(column) for column in zip(*totals_w, strict=True)]),
            unconfirmed=any(one.since_now for one in living),
            may_rest=any(self._is_nearly_over(one, at_s) for one in living),
        )

    def resting_s(self, at_s: float) -> float:
        """Since the time-to-live of the last message ran out; inf while it lives, and before the first."""
        over_s = at_s - max(one.at_s for one in self._possible) - self._ttl_s
        return over_s if 0.0 < over_s < inf else inf

    def total_w(self, setpoints_w: tuple[int, ...]) -> Phases:
        """Per phase."""
        totals_w = [0.0, 0.0, 0.0]
        for slave, watts in zip(self.slaves, setpoints_w, strict=True):
            for phase in slave.phases:
                totals_w[phase] += watts / len(slave.phases)
        return per_phase(totals_w)

    def _with(self, told: dict[int, int], at_s: float, *, since_now: bool) -> list[OnAirCandidate]:
        """Everything that may be on air, after this message."""
        vectors = [
            tuple(told.get(slave.slot, w) for slave, w in zip(self.slaves, one.setpoints_w, strict=True))
            for one in self._living(at_s)
        ]
        return [OnAirCandidate(setpoints_w, at_s, since_now) for setpoints_w in dict.fromkeys(vectors)]

    def _lives(self, one: OnAirCandidate, at_s: float) -> bool:
        return at_s - one.at_s <= self._ttl_s + (LONGEST_WAY_S if one.since_now else 0.0)

    def _is_nearly_over(self, one: OnAirCandidate, at_s: float) -> bool:
        return not at_s - one.at_s <= self._ttl_s - min(LONGEST_WAY_S, self._ttl_s / 3.0)

    def _living(self, at_s: float) -> list[OnAirCandidate]:
        """Each different one of the vectors; those whose time-to-live is over are all the same: rest.

        One whose time is nearly over may be over when a message that is sent now goes on air.
        """
        living: dict[tuple[tuple[int, ...], bool], OnAirCandidate] = {}
        for one in self._possible:
            rest = OnAirCandidate(self._resting, one.at_s)
            if self._lives(one, at_s):
                living.setdefault((one.setpoints_w, one.since_now), one)
            if self._is_nearly_over(one, at_s):
                living.setdefault((rest.setpoints_w, rest.since_now), rest)
        return list(living.values())
