"""Random lives of houses: what goes wrong in a tick, and what a run of them came to."""

from collections import Counter
from dataclasses import dataclass, field
from math import inf, isfinite, isnan, nan
from random import Random
from zlib import crc32

from core.decision import Authority
from core.roles import Role
from core.site import Phases
from safety.faults import FAULTS
from tests.safety.search.house import DENORMAL_W, WILD_W, Fate, SearchedHouse

LIFE = 400
"""Ticks of one house."""
EVERYTHING = tuple(FAULTS)
AUTHORITIES = tuple(Authority)
ROLES = tuple(Role)
WILD_READINGS_W = (nan, inf, -inf, DENORMAL_W, -DENORMAL_W, 0.0, -0.0, 1e6, -1e6, 1.7e308, -1.7e308)
"""`drivers` lets nothing in that is out of range; a decision has an answer to it all the same."""
ALARMS = (*sorted(FAULTS), "no such alarm")
LATE_S = (1.5, 3.0, 20.0)


@dataclass
class LivesTally:
    """What a run of lives came to; `fingerprint` tells two runs apart that were not the same."""

    ticks: int = 0
    frames: int = 0
    states: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    fingerprint: int = 0

    def add(self, other: "LivesTally") -> None:
        self.ticks += other.ticks
        self.frames += other.frames
        self.states.update(other.states)
        self.events.update(other.events)
        self.fingerprint ^= other.fingerprint

    def take(self, house: SearchedHouse) -> None:
        """Count one life that is over."""
        self.ticks += house.ticks
        self.frames += house.referee.frames
        self.states.update({state.value: count for state, count in house.acted.items() if count})
        self.fingerprint = crc32(house.fingerprint().to_bytes(4, "big"), self.fingerprint)


UNLUCKY = tuple(fate for fate in Fate if fate is not Fate.ACCEPTED)


def live(ticks: int, seed: int | str, frames: int | None = None, *, is_whole: bool = False) -> LivesTally:
    """Live this many ticks in a row of houses, of one to three frames, or of so many; or of 45 slaves.

    Raises:
        AssertionError: the first unsafe frame.
    """
    rng, tally = Random(seed), LivesTally()
    for start in range(0, ticks, LIFE):
        house = SearchedHouse(
            of_grid=rng.random() < 0.3,
            role=rng.choice(ROLES),
            predictive=rng.random() < 0.5,
            minimum_w=rng.choice((0, 0, 700)),
            is_big=rng.random() < 0.4,
            frames=rng.choice((1, 2, 2, 3)) if frames is None else frames,
            is_whole=is_whole or (frames is None and rng.random() < 0.15),
        )
        trouble, madness = rng.choice((0.0, 0.005, 0.02, 0.2)), rng.choice((0.0, 0.0, 0.002, 0.1))
        for _ in range(min(LIFE, ticks - start)):
            one_tick(house, rng, trouble, madness, tally.events)
        tally.take(house)
    return tally


def one_tick(house: SearchedHouse, rng: Random, trouble: float, madness: float, events: Counter[str]) -> None:
    """One tick of a life with this much trouble, under a policy this mad."""
    draw = rng.random
    policy_action_w: Phases | None
    if draw() >= madness:
        policy_action_w = (6500.0 * draw() - 500.0, 6500.0 * draw() - 500.0, 6500.0 * draw() - 500.0)
    elif draw() < 0.1:
        policy_action_w = None
        events["policy without an answer"] += 1
    else:
        policy_action_w = (_any_number(rng), _any_number(rng), _any_number(rng))
        events.update({_kind(w) for w in policy_action_w})
    if not draw() < trouble:
        fates, late_s = _fates(house, rng, 0.5 * trouble)
        house.tick(policy_action_w, _reading(house, rng), fate=fates, late_s=late_s)
        return
    _trouble(house, rng, policy_action_w, events)


def _trouble(house: SearchedHouse, rng: Random, policy_action_w: Phases | None, events: Counter[str]) -> None:
    """One tick in which something goes wrong."""
    alarms: tuple[str, ...] = ()
    acknowledged: tuple[str, ...] = ()
    authority, step_s, latency_s = Authority.POLICY, 1.0, 0.001
    fates, late_s = _fates(house, rng, 0.0)
    grid_w: Phases | None = _reading(house, rng)
    event = EVENTS[int(len(EVENTS) * rng.random())]
    events[event] += 1
    if event == "alarm":
        alarms = (rng.choice(ALARMS),)
    elif event == "acknowledgement":
        acknowledged = EVERYTHING
    elif event in ("restart", "reboot"):
        house.restart(
            is_reboot=event == "reboot", is_lost=rng.random() < 0.1, off_s=0.5 + 29.5 * rng.random()
        )
    elif event == "suspension":
        house.skip(rng.choice((1.0, 5.0, 60.0, 4000.0, 90_000.0)))
    elif event == "slave silent or back":
        house.toggle(rng.randrange(45))
    elif event == "group silent or back":
        for place in house.groups[rng.randrange(len(house.groups))]:
            house.toggle(place)
    elif event == "radio bad for a while":
        house.bad_ticks, house.bad_group = rng.randrange(2, 25), rng.randrange(len(house.groups))
    elif event == "limits changed":
        house.tighten(rng.choice((5000.0, 4000.0, 1500.0)), rng.choice((2000.0, 1200.0, 300.0)))
    elif event == "mode flip":
        authority = rng.choice(AUTHORITIES)
    elif event == "policy late":
        latency_s = rng.choice((0.02, float("nan")))
    elif event == "tick late":
        step_s = rng.choice(LATE_S)
        alarms = ("late_tick",) if rng.random() < 0.5 else ()
    elif event == "tick early":
        step_s = rng.choice((0.001, 0.3))
    elif event == "sample missed":
        grid_w = None
    elif event == "meter silent":
        house.mute_ticks = rng.randrange(2, 9)
    elif event == "sample wild":
        grid_w = (rng.choice(WILD_READINGS_W), rng.choice(WILD_READINGS_W), rng.choice(WILD_READINGS_W))
    else:
        fates, late_s = _fates(house, rng, 1.0)
    house.tick(policy_action_w, grid_w, authority, alarms, step_s, latency_s, fates, acknowledged, late_s)


def _fates(house: SearchedHouse, rng: Random, share: float) -> tuple[tuple[Fate, ...], float]:
    """Of the frames of a tick, and how late a late one is; this share is not accepted, in one way or another.

    While the radio is bad for one group, hardly anything gets through to it.
    """
    bad = house.bad_group if house.bad_ticks > 0 else -1
    house.bad_ticks -= 1
    fates = tuple(
        rng.choice(UNLUCKY) if rng.random() < (0.9 if number == bad else share) else Fate.ACCEPTED
        for number in range(len(house.groups))
    )
    return fates, 0.0 if len(fates) == 1 else rng.choice((0.0, 0.0, 2.0, 4.9))


EVENTS = (
    "alarm",
    "acknowledgement",
    "restart",
    "reboot",
    "suspension",
    "slave silent or back",
    "group silent or back",
    "radio bad for a while",
    "limits changed",
    "mode flip",
    "policy late",
    "tick late",
    "tick early",
    "sample missed",
    "meter silent",
    "sample wild",
    "frame refused",
)
"""What goes wrong, each as likely as it stands here."""


def _any_number(rng: Random) -> float:
    return rng.choice(WILD_W) if rng.random() < 0.5 else 5000.0 * rng.random()


def _kind(wish_w: float) -> str:
    """How a wish of a mad policy is counted."""
    if isnan(wish_w):
        return "wish NaN"
    if not isfinite(wish_w):
        return "wish infinite"
    if abs(wish_w) == DENORMAL_W:
        return "wish denormal"
    return "wish huge" if abs(wish_w) > 1e6 else "wish of a mad policy within 1 MW"


def _reading(house: SearchedHouse, rng: Random) -> Phases | None:
    """What the meter reads: the slaves, a surplus, at times something else; nothing while it is silent."""
    if house.mute_ticks:
        house.mute_ticks -= 1
        return None
    draw = rng.random
    if draw() < 0.05:
        return (4e4 * draw() - 2e4, 4e4 * draw() - 2e4, 4e4 * draw() - 2e4)
    (a, b, c), toward = house.air.action_w, house.toward
    return (toward * (a - 4000.0 * draw()), toward * (b - 4000.0 * draw()), toward * (c - 4000.0 * draw()))
