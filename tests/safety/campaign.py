"""The long forms: random ticks and Hypothesis steps through the shipped floor, power cuts of the state file.

    python -m tests.safety.campaign --ticks 1000000 --steps 100000 --power-cuts 100000 --seed 1

Prints one line per kind with its rate. Any unsafe frame ends it with the assertion that saw it.
"""

import argparse
import os
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from core.decision import Authority
from core.roles import Role
from core.site import Phases
from safety.causes import CAUSES
from tests.safety.house import WILD_W, House

LIFE = 400
"""Ticks of one house."""


def random_ticks(ticks: int, seed: int) -> list[House]:
    """Live this many ticks in a row of houses; raises AssertionError on the first unsafe frame."""
    rng = random.Random(seed)
    houses = []
    for start in range(0, ticks, LIFE):
        house = House(
            of_grid=rng.random() < 0.3,
            role=rng.choice(list(Role)),
            predictive=rng.random() < 0.5,
            minimum_w=rng.choice([0, 0, 700]),
        )
        houses.append(house)
        trouble, madness = rng.choice([0.0, 0.005, 0.02, 0.2]), rng.choice([0.0, 0.0, 0.002, 0.1])
        for _ in range(min(LIFE, ticks - start)):
            one_tick(house, rng, trouble, madness)
    return houses


def one_tick(house: House, rng: random.Random, trouble: float, madness: float) -> None:
    """One tick of a life with this much trouble, under a policy this mad."""
    alarms: tuple[str, ...] = ()
    acknowledged: tuple[str, ...] = ()
    authority, step_s, latency_s = Authority.POLICY, 1.0, 0.001
    if rng.random() < trouble:
        event = rng.randrange(8)
        if event == 0:
            alarms = (rng.choice([*CAUSES, "no such alarm"]),)
        elif event == 1:
            acknowledged = tuple(CAUSES)
        elif event == 2:
            house.restart(
                is_reboot=rng.random() < 0.5, is_lost=rng.random() < 0.1, off_s=rng.uniform(0.5, 30.0)
            )
        elif event == 3:
            house.skip(rng.choice([1.0, 5.0, 60.0, 4000.0, 90_000.0]))
        elif event == 4:
            slot = rng.randrange(len(house.available))
            house.available[slot] = not house.available[slot]
        elif event == 5:
            authority = rng.choice(list(Authority))
        elif event == 6:
            latency_s = rng.choice([0.02, float("nan")])
        else:
            step_s = rng.choice([0.001, 0.3, 1.5, 3.0, 20.0])
    wished_w = None if rng.random() < 0.1 * madness else a_wish(rng, madness)
    grid_w = None if rng.random() < trouble else a_reading(rng, house)
    house.tick(wished_w, grid_w, authority, alarms, step_s, latency_s, rng.random() > trouble, acknowledged)


def a_wish(rng: random.Random, madness: float) -> Phases:
    """What a policy wishes: mostly a power, at times anything."""
    if rng.random() >= madness:
        return (rng.uniform(-500, 6000), rng.uniform(-500, 6000), rng.uniform(-500, 6000))
    return (any_number(rng), any_number(rng), any_number(rng))


def any_number(rng: random.Random) -> float:
    return rng.choice(WILD_W) if rng.random() < 0.5 else rng.uniform(0.0, 5000.0)


def a_reading(rng: random.Random, house: House) -> Phases:
    """What the meter reads: the slaves, a surplus, at times something else."""
    if rng.random() < 0.05:
        return (rng.uniform(-2e4, 2e4), rng.uniform(-2e4, 2e4), rng.uniform(-2e4, 2e4))
    toward = 1.0 if house.site.role is Role.ABSORB else -1.0
    a, b, c = (toward * (w - rng.uniform(0.0, 4000.0)) for w in house.air.action_w)
    return (a, b, c)


def main() -> None:
    """Run the long form."""
    from tests.daemon.test_statefile import power_cuts
    from tests.safety.test_stateful import live_any_house

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--power-cuts", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    started_s, frames, acted = time.perf_counter(), 0, Counter[str]()
    for number, start in enumerate(range(0, args.ticks, 100 * LIFE)):
        for house in random_ticks(min(100 * LIFE, args.ticks - start), args.seed * 1_000_003 + number):
            frames += house.referee.frames
            acted.update({state.value: count for state, count in house.acted.items()})
    took_s = time.perf_counter() - started_s
    print(f"ticks {args.ticks} frames {frames} unsafe 0 seed {args.seed} {args.ticks / took_s:.0f} ticks/s")
    print("ticks by state: " + ", ".join(f"{name} {count}" for name, count in sorted(acted.items())))
    if args.steps:
        started_s = time.perf_counter()
        live_any_house(args.steps // 50)
        took_s = time.perf_counter() - started_s
        print(f"Hypothesis steps {args.steps} unsafe 0 {args.steps / took_s:.0f} steps/s")
    if args.power_cuts:
        started_s = time.perf_counter()
        os.fsync = lambda _fd: None  # type: ignore[assignment]
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
            power_cuts(Path(directory), args.power_cuts, args.seed)
        took_s = time.perf_counter() - started_s
        print(f"power cuts {args.power_cuts} records lost or torn 0 {args.power_cuts / took_s:.0f}/s")


if __name__ == "__main__":
    main()
