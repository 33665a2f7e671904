"""A vectorised twin of the gate for setpoints in several messages, held against the shipped one, and lived.

    python -m tests.safety.search.group_fuzz --ticks 100000000 --shipped 200000 --seed 1 --jobs 2

Three groups with one slave on each phase, over many sites at once. `--shipped` proposals go through both, and
must get the same answer; `--ticks` go through the twin in closed loop. Each message is accepted, refused, on
air unsaid, late by some ticks, or gone, in any order; groups come to rest by themselves; limits change. What
is really on air is judged after every message by the sentences of the specification.
"""

import argparse
import time
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.decision import Source
from core.limits import ImbalanceOf, Limits
from core.roles import Role
from core.site import Phases, Site, Slave, per_phase
from core.snapshot import GroupOnAir, OnAirState, SlaveState, Snapshot
from safety.gate import SafetyGate
from tests.safety.search.blocks import add_options, chosen, done, tell

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Seed: TypeAlias = int | list[int]
GROUPS = 3
SLAVES = tuple(Slave(slot, str(slot), slot % 3, 5000) for slot in range(3 * GROUPS))
CORNERS = np.array(list(product((0.0, 1.0), repeat=3)))
ACCEPTED, REFUSED, UNSAID, LATE, GONE = range(5)
BLOCK = 1_000_000
NOISE_W = 1e-6


@dataclass
class FuzzedSites:
    """What is known on air: arrays [sites, groups, 3] and [sites, groups], ages [sites]."""

    low_w: Floats
    high_w: Floats
    may_rest: Flags
    age_s: Floats
    grid_w: Floats
    phase_max_w: float = 5000.0
    imbalance_max_w: float = 2000.0
    of_grid: bool = False
    toward: float = 1.0


def spread(values_w: Floats) -> Floats:
    """Population standard deviation over the last axis."""
    return np.asarray(values_w.std(axis=-1))


def accepted(sites: FuzzedSites, new_w: Floats, told: Flags) -> Flags:
    """Which proposals the gate would let out."""
    is_told = told[:, :, None]
    least_w = np.where(sites.may_rest[:, :, None], 0.0, sites.low_w)
    most_w = sites.high_w
    pending_w = np.where(is_told, 0.0, most_w - sites.low_w)
    lowest_w = np.where(is_told, np.minimum(least_w, new_w), least_w)
    highest_w = np.where(is_told, np.maximum(most_w, new_w), most_w)
    up_w = np.where(is_told, np.maximum(0.0, new_w - least_w), 0.0).sum(1)
    stays = (np.where(is_told, highest_w - lowest_w, 0.0) == 0.0).all((1, 2))
    width_w = (np.where(is_told, highest_w - lowest_w, 0.0) + pending_w).sum(1)
    low_w, high_w = lowest_w.sum(1), highest_w.sum(1)
    near = np.sqrt((width_w**2).sum(1)) <= 1000.0 * np.minimum(sites.age_s, 2.0)
    inside = ((up_w == 0.0) | (high_w <= sites.phase_max_w)).all(1)
    known = (least_w == most_w).all((1, 2))
    if sites.of_grid:
        low_w = -(np.where(is_told, most_w - lowest_w, 0.0) + pending_w).sum(1)
        high_w = (np.where(is_told, highest_w - least_w, 0.0) + pending_w).sum(1)
    boxes_w = low_w[:, None, :] + CORNERS[None] * (high_w - low_w)[:, None, :]
    if sites.of_grid:
        boxes_w = sites.grid_w[:, None, :] + sites.toward * boxes_w
        limit_w = np.maximum(sites.imbalance_max_w, spread(sites.grid_w) + NOISE_W)
    else:
        before_w = spread(most_w.sum(1)) + NOISE_W
        limit_w = np.where(known, np.maximum(sites.imbalance_max_w, before_w), sites.imbalance_max_w)
    level = (spread(boxes_w) <= limit_w[:, None]).all(1)
    return np.asarray(stays | (near & inside & level))


def proposals(rng: np.random.Generator, sites: FuzzedSites) -> tuple[Floats, Flags]:
    """Ways of every kind from what is on air, whole watts, and who is told."""
    n = len(sites.age_s)
    air_w, kind = sites.high_w, rng.integers(0, 5, n)[:, None, None]
    random_w = rng.uniform(0.0, 2200.0, air_w.shape)
    share = rng.choice(np.array([1.0, 0.5, 0.2, 0.05]), n)[:, None, None]
    toward_w = air_w + share * (random_w - air_w)
    shifted_w = air_w + share * (np.roll(air_w, 1, axis=1) - air_w)
    lowered_w = np.minimum(air_w, toward_w)
    one_w = np.where(np.arange(3) == rng.integers(0, 3, n)[:, None, None], toward_w, air_w)
    ways_w = (toward_w, shifted_w, lowered_w, one_w, air_w)
    new_w = np.select([kind == number for number in range(5)], ways_w)
    return np.asarray(np.floor(np.clip(new_w, 0.0, 5000.0))), np.asarray(rng.random((n, GROUPS)) < 0.8)


@dataclass
class Life:
    """Sites that live on: what is really on air, what is on its way, and where the totals have been."""

    rng: np.random.Generator
    sites: FuzzedSites
    real_w: Floats
    waiting_w: Floats
    waits: Flags
    at_s: Floats
    been: list[tuple[Floats, Floats]] = field(default_factory=list)
    moved: int = 0

    def tick(self) -> None:
        """One tick of every site. Raises AssertionError: something unsafe was on air."""
        rng, n = self.rng, len(self.at_s)
        step_s = rng.choice(np.array([0.001, 0.3, 1.0, 1.0, 2.0, 5.0]), n)
        self.at_s = self.at_s + step_s
        self.sites.age_s = self.sites.age_s + step_s
        for number in range(GROUPS):  # late ones that come by themselves
            comes = self.waits[:, number] & (rng.random(n) < 0.3)
            self._air(number, comes, self.waiting_w, 5000.0)
            self.waits[:, number] &= ~comes
        self.sites.grid_w = rng.normal(0.0, 2500.0, (n, 3))
        self._rest()
        new_w, told = proposals(rng, self.sites)
        told &= accepted(self.sites, new_w, told)[:, None]
        self._send(new_w, told)
        self.been = [*self.been[-4:], (self.at_s, self.real_w.copy())]

    def _rest(self) -> None:
        """Some groups may rest before a message comes; half of them do."""
        rng, shape = self.rng, self.waits.shape
        self.sites.may_rest = (rng.random(shape) < 0.03) & ~self.waits
        rests = self.sites.may_rest & (rng.random(shape) < 0.5)
        self.real_w = np.where(rests[:, :, None], 0.0, self.real_w)
        for _, then_w in self.been:  # who has come to rest is counted from there
            then_w[rests] = 0.0

    def _send(self, new_w: Floats, told: Flags) -> None:
        rng, n, sites = self.rng, len(self.at_s), self.sites
        start_w, reach_w = self.real_w.sum(1), 1000.0 * np.minimum(sites.age_s, 2.0)
        fates = rng.choice(np.array([0, 0, 0, 1, 2, 3, 4]), told.shape)
        for number in rng.permutation(GROUPS):
            is_told, fate = told[:, number], fates[:, number]
            passes = is_told & (fate != REFUSED)
            late = passes & self.waits[:, number] & (rng.random(n) < 0.5)
            self._air(number, late, self.waiting_w, 5000.0)
            self.waits[:, number] &= ~passes
            airs = is_told & ((fate == ACCEPTED) | (fate == UNSAID))
            self._air(number, airs, new_w, sites.phase_max_w, start_w, reach_w)
            waits = is_told & (fate == LATE)
            self.waiting_w[waits, number] = new_w[waits, number]
            self.waits[:, number] |= waits
        least_w = np.where(sites.may_rest[:, :, None], 0.0, sites.low_w)
        known, doubtful = told & (fates == ACCEPTED), told & (fates >= UNSAID)
        sites.low_w = np.where(doubtful[:, :, None], np.minimum(least_w, new_w), least_w)
        sites.high_w = np.where(doubtful[:, :, None], np.maximum(sites.high_w, new_w), sites.high_w)
        untold = sites.may_rest & ~known & ~doubtful  # it is known again what they follow
        resting = untold & (self.real_w == 0.0).all(2) & ~self.waits
        for bound_w in (sites.low_w, sites.high_w):
            bound_w[known] = new_w[known]
            bound_w[resting] = 0.0
        sites.age_s = np.where((known | doubtful).any(1), 0.0, sites.age_s)
        self.moved += int((told & (new_w != sites.low_w).any(2)).any(1).sum())

    def _air(
        self,
        number: int,
        airs: Flags,
        says_w: Floats,
        phase_max_w: float,
        start_w: Floats | None = None,
        reach_w: Floats | None = None,
    ) -> None:
        """One message goes on air at some sites, and what is there then is judged."""
        before_w = self.real_w.sum(1)
        own_w = np.where(airs[:, None], says_w[:, number], self.real_w[:, number])
        changes = airs & (own_w != self.real_w[:, number]).any(1)
        self.real_w[:, number] = own_w
        now_w = self.real_w.sum(1)
        good = (now_w >= 0.0).all(1) & (now_w <= 5000.0).all(1)
        good &= ((now_w <= phase_max_w) | (now_w <= before_w)).all(1)
        for then_s, then_w in self.been:
            paced_w = 2000.0 + 1000.0 * (self.at_s - then_s)
            good &= np.linalg.norm((self.real_w - then_w).sum(1), axis=1) <= paced_w + NOISE_W
        if start_w is not None and reach_w is not None:
            sites, move_w = self.sites, now_w - start_w
            good &= np.linalg.norm(move_w, axis=1) <= reach_w + NOISE_W
            was_w = sites.grid_w if sites.of_grid else start_w
            tilt_w = spread(sites.grid_w + sites.toward * move_w) if sites.of_grid else spread(now_w)
            good &= tilt_w <= np.maximum(sites.imbalance_max_w, spread(was_w)) + 2 * NOISE_W
        bad = changes & ~good
        assert not bad.any(), (number, before_w[bad][0], now_w[bad][0], self.sites.age_s[bad][0])


def settled(rng: np.random.Generator, n: int, of_grid: bool, toward: float) -> Life:
    """Sites with something allowed on air."""
    total_w = rng.uniform(0.0, 4900.0, (n, 3))
    mean_w = total_w.mean(axis=1, keepdims=True)
    total_w = mean_w + np.minimum(1.0, 1990.0 / np.maximum(spread(total_w), 1.0))[:, None] * (
        total_w - mean_w
    )
    shares = rng.dirichlet(np.ones(GROUPS), n)[:, :, None]
    real_w = np.floor(shares * total_w[:, None, :])
    no = np.zeros((n, GROUPS), bool)
    sites = FuzzedSites(real_w.copy(), real_w.copy(), no, np.full(n, 9.0), np.zeros((n, 3)))
    sites = replace(sites, of_grid=of_grid, toward=toward)
    return Life(rng, sites, real_w, real_w.copy(), no.copy(), np.zeros(n))


def run(ticks: int, seed: Seed, n: int = 5000) -> int:
    """Live so many ticks in closed loop; returns how many moved something.

    Raises:
        AssertionError: something unsafe was on air between two messages.
    """
    rng = np.random.default_rng(seed)
    lived = moved = number = 0
    while lived < ticks:
        life = settled(rng, min(n, ticks - lived), number % 2 == 1, 1.0 if number % 4 < 2 else -1.0)
        for tick in range(100):
            if tick % 25 == 24:  # the owner changes the limits
                life.sites.phase_max_w = float(rng.choice([5000.0, 3500.0, 1500.0]))
                life.sites.imbalance_max_w = float(rng.choice([2000.0, 900.0]))
            life.tick()
            lived += len(life.at_s)
            if lived >= ticks:
                break
        moved, number = moved + life.moved, number + 1
    return moved


def shipped(sites: FuzzedSites, new_w: Floats, told: Flags) -> Flags:
    """What the shipped gate says, one by one."""
    limits = Limits(
        sites.phase_max_w,
        1000.0,
        sites.imbalance_max_w,
        (ImbalanceOf.ACTION, ImbalanceOf.GRID)[sites.of_grid],
    )
    role = Role.ABSORB if sites.toward > 0.0 else Role.GENERATE
    gate, answers = SafetyGate(Site(SLAVES, role=role, limits=limits)), []
    for one in range(len(sites.age_s)):
        groups = tuple(
            GroupOnAir(
                tuple(range(3 * number, 3 * number + 3)),
                float(sites.age_s[one]),
                _phases(sites.low_w[one, number]),
                _phases(sites.high_w[one, number]),
                may_rest=bool(sites.may_rest[one, number]),
            )
            for number in range(GROUPS)
        )
        setpoints_w = tuple(int(w) for w in sites.high_w[one].ravel())
        air = OnAirState(
            _phases(sites.high_w[one].sum(0)), setpoints_w, float(sites.age_s[one]), groups=groups
        )
        seen = Snapshot(0, 0.0, _phases(sites.grid_w[one]), 0.0, (SlaveState(),) * len(SLAVES), air)
        withheld = tuple(number for number in range(GROUPS) if not told[one, number])
        new = tuple(int(w) for w in new_w[one].ravel())
        answers.append(gate.accepts_setpoints(new, withheld, Source.POLICY, seen))
    return np.array(answers)


def _phases(values_w: Floats) -> Phases:
    return per_phase([float(w) for w in values_w])


def compare(ticks: int, seed: Seed) -> int:
    """Put proposals of lived sites through both; returns how many were accepted.

    Raises:
        AssertionError: they do not say the same.
    """
    rng = np.random.default_rng(seed)
    yes = number = compared = 0
    while compared < ticks:
        life = settled(rng, 100, number % 2 == 1, 1.0 if number % 4 < 2 else -1.0)
        for _ in range(10):
            life.tick()
            age_s = life.sites.age_s + rng.choice(np.array([0.0, 0.5, 1.0, 2.0, 3.0]), 100)
            sites = replace(life.sites, age_s=age_s, may_rest=rng.random((100, GROUPS)) < 0.1)
            new_w, told = proposals(rng, sites)
            one, other = accepted(sites, new_w, told), shipped(sites, new_w, told)
            differ = one != other
            assert not differ.any(), (sites, new_w[differ][0], told[differ][0])
            yes, compared = yes + int(one.sum()), compared + 100
        number += 1
    return yes


def run_block(seed: int, number: int) -> int:
    """One block of ticks in closed loop."""
    return run(BLOCK, [seed, number])


def compare_block(seed: int, number: int) -> int:
    """One block of proposals through both."""
    return compare(20_000, [seed, number])


def main() -> None:
    """Run the long form."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ticks", type=int, default=10_000_000)
    parser.add_argument("--shipped", type=int, default=100_000)
    add_options(parser)
    args = parser.parse_args()
    if args.shipped:
        yes = list(
            done(partial(compare_block, args.seed), -(-args.shipped // 20_000), chosen(args), "shipped")
        )
        tell(
            f"shipped gate, three groups: {20_000 * len(yes):,} proposals, {sum(yes):,} accepted, "
            f"the same as the twin; seed {args.seed}",
            args.summary,
        )
    if args.ticks:
        began_s = time.monotonic()
        moved = list(done(partial(run_block, args.seed), -(-args.ticks // BLOCK), chosen(args), "twin"))
        ticks = BLOCK * len(moved)
        rate = ticks / (time.monotonic() - began_s)
        tell(
            f"twin, three groups: {ticks:,} ticks, 0 unsafe between any two messages, {sum(moved):,} moved; "
            f"seed {args.seed}; {rate:,.0f} ticks/s with {args.jobs} processes",
            args.summary,
        )


if __name__ == "__main__":
    main()
