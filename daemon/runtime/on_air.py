"""What the slaves follow, as far as the coordinator has said what became of the frames."""

from dataclasses import dataclass, replace
from math import inf

from core.allocation import totals_w
from core.site import Site
from core.snapshot import OnAirState
from drivers.zigbee.setpoint_frame import SetpointFrame

LONGEST_WAY_S = 5.0
"""A frame that nobody confirmed goes on air within this time or not at all: the second one without an
answer makes the radio be built anew, and what waited in the coordinator is gone."""


@dataclass(frozen=True, slots=True)
class OnAirCandidate:
    """One vector of setpoints that may be on air: since `at_s`, or perhaps only now."""

    setpoints_w: tuple[int, ...]
    at_s: float = -inf
    since_now: bool = False


class OnAir:
    """Every vector that may be on air. Once every slave was addressed by accepted frames there is one."""

    def __init__(self, site: Site, ttl_s: float) -> None:
        self._site, self._ttl_s = site, ttl_s
        self._resting = (0,) * len(site.slaves)
        self._possible = [OnAirCandidate(self._resting)]

    def accepted(self, frame: SetpointFrame, at_s: float) -> None:
        """The coordinator took this frame, and every one before it: what it says is on air now."""
        self._possible = self._with(frame, at_s, since_now=False)

    def unconfirmed(self, frame: SetpointFrame, at_s: float) -> None:
        """Nobody said what became of this frame: it is on air, or will be, or everything is as it was."""
        self._possible = [*self._with(frame, at_s, since_now=True), *self._living(at_s)]

    def at(self, at_s: float) -> OnAirState:
        """What the slaves follow: nothing once their time-to-live has run out."""
        first, *others = (
            OnAirState(
                totals_w(one.setpoints_w, self._site),
                one.setpoints_w,
                0.0 if one.since_now else at_s - one.at_s,
            )
            for one in self._living(at_s)
        )
        return replace(first, doubts=tuple(others))

    def _with(self, frame: SetpointFrame, at_s: float, *, since_now: bool) -> list[OnAirCandidate]:
        """Everything that may be on air, after this frame."""
        told = dict(enumerate(frame.setpoints_w, frame.base))
        vectors = [
            tuple(
                told.get(slave.slot, w) for slave, w in zip(self._site.slaves, one.setpoints_w, strict=True)
            )
            for one in self._living(at_s)
        ]
        return [OnAirCandidate(setpoints_w, at_s, since_now) for setpoints_w in dict.fromkeys(vectors)]

    def _living(self, at_s: float) -> list[OnAirCandidate]:
        """Each different one of the vectors; those whose time-to-live is over are all the same: rest.

        One whose time is nearly over may be over when a frame that is sent now goes on air.
        """
        living: dict[tuple[tuple[int, ...], bool], OnAirCandidate] = {}
        for one in self._possible:
            age_s, rest = at_s - one.at_s, OnAirCandidate(self._resting, one.at_s)
            if age_s <= self._ttl_s + (LONGEST_WAY_S if one.since_now else 0.0):
                living.setdefault((one.setpoints_w, one.since_now), one)
            if not age_s <= self._ttl_s - min(LONGEST_WAY_S, self._ttl_s / 3.0):
                living.setdefault((rest.setpoints_w, rest.since_now), rest)
        return list(living.values())
