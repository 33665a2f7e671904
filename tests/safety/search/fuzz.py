"""A vectorised twin of the gate, held against the shipped one, then run for as many ticks as one likes.

    python -m tests.safety.search.fuzz --ticks 1000000000 --shipped 1000000 --seed 1 --jobs 2

The twin is numpy over many sites at once. `--shipped` ticks go through both, one by one, and must agree
within a microwatt; `--ticks` go through the twin alone, in closed loop (what is allowed is on air next), and
every result is judged by the sentences of the specification. Any difference or unsafe action ends the run.
"""

import argparse
import time
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.decision import Source
from core.limits import CREDIT_MAX_S, IMBALANCE_CAP_W, PHASE_CAP_W, ROUNDING_W, STEP_CAP_W_PER_S
from core.roles import Role, sign
from core.site import Phases
from safety.gate import FLOAT_NOISE_W, SafetyGate
from tests.safety.search import compiled
from tests.safety.search.blocks import add_options, chosen, done, tell
from tests.safety.search.house import WILD_W
from tests.support.examples import GRID, site, snapshot

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
HALVINGS = 40
AGREE_W = 1e-6
AGREE_FLAT_W, FLAT_W = 1e-3, 1e-9
"""A move that begins along a line of equal imbalance leaves it with the square of its length, so the last
bits of the imbalance (1e-12 W) say where it ends to some 1e-5 W only."""
SHIPPED_BLOCK, TWIN_BLOCK = 20_000, 1_000_000
"""Ticks of one block."""
Seed: TypeAlias = int | list[int]


@dataclass(frozen=True)
class Ticks:
    """One tick of each of many sites: arrays [sites, 3], ages [sites]."""

    requested_action_w: Floats
    air_w: Floats
    age_s: Floats
    grid_w: Floats
    rest: Flags


def spread(values_w: Floats) -> Floats:
    """Population standard deviation over the phases."""
    deviation_w = values_w - values_w.sum(axis=1, keepdims=True) / 3.0
    return np.asarray(np.sqrt((deviation_w * deviation_w).sum(axis=1) / 3.0))


def twin(ticks: Ticks, *, of_grid: bool, sign: float) -> Floats:
    """What the gate allows, for all sites at once."""
    air_w, base_w = ticks.air_w, ticks.grid_w if of_grid else ticks.air_w
    toward = sign if of_grid else 1.0
    is_finite = np.isfinite(ticks.requested_action_w).all(axis=1, keepdims=True)
    action_w = np.clip(np.where(is_finite, ticks.requested_action_w, air_w), 0.0, PHASE_CAP_W)
    credit_s = np.where(ticks.age_s >= 0.0, np.minimum(ticks.age_s, CREDIT_MAX_S), 0.0)
    reach_w = np.maximum(0.0, STEP_CAP_W_PER_S * credit_s - ROUNDING_W)
    move_w = action_w - air_w
    step_w = np.sqrt((move_w * move_w).sum(axis=1))
    share = np.where(step_w <= reach_w, 1.0, reach_w / np.where(step_w > 0.0, step_w, 1.0))
    action_w = np.where((step_w <= reach_w)[:, None], action_w, air_w + share[:, None] * move_w)
    limit_w = np.maximum(IMBALANCE_CAP_W - ROUNDING_W, spread(base_w))
    alike_w = np.maximum(limit_w, spread(base_w) + FLOAT_NOISE_W)
    tilted = ~(spread(base_w + toward * (action_w - air_w)) <= alike_w)
    if tilted.any():
        some_base_w, some_air_w, some_limit_w = base_w[tilted], air_w[tilted], limit_w[tilted]
        move_w = action_w[tilted] - some_air_w
        low, high = np.zeros(len(move_w)), np.ones(len(move_w))
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            fits = spread(some_base_w + toward * middle[:, None] * move_w) <= some_limit_w
            low, high = np.where(fits, middle, low), np.where(fits, high, middle)
        action_w[tilted] = some_air_w + low[:, None] * move_w
    return np.asarray(np.where(ticks.rest[:, None], 0.0, action_w))


def some_ticks(rng: np.random.Generator, air_w: Floats) -> Ticks:
    """Wishes, ages and readings of every kind, for what is on air."""
    n = len(air_w)
    requested_action_w = rng.uniform(-500.0, 6000.0, (n, 3))
    near = rng.random(n) < 0.4
    requested_action_w[near] = air_w[near] + rng.normal(0.0, 400.0, (int(near.sum()), 3))
    mad = rng.random((n, 3)) < 0.01
    requested_action_w[mad] = rng.choice(np.array(WILD_W), int(mad.sum()))
    age_s = rng.choice(np.array([1.0, 1.0, 2.0, 3.0, 0.0, 0.1, 15.0, np.inf, np.nan, -1.0]), n)
    uneven = rng.random(n) < 0.3
    age_s[uneven] = rng.uniform(0.0, 3.0, int(uneven.sum()))
    grid_w = rng.normal(0.0, 2500.0, (n, 3))
    return Ticks(requested_action_w, air_w, age_s, grid_w, rng.random(n) < 0.01)


def unsafe(ticks: Ticks, safe_action_w: Floats, *, of_grid: bool, sign: float) -> Flags:
    """Where an action, in whole watts, is not what the specification allows."""
    whole_w = np.floor(safe_action_w)
    inside = np.isfinite(whole_w).all(axis=1) & (whole_w >= 0.0).all(axis=1) & (whole_w <= 5000.0).all(axis=1)
    credit_s = np.where(np.isnan(ticks.age_s), 0.0, np.clip(ticks.age_s, 0.0, 2.0))
    near = np.linalg.norm(whole_w - ticks.air_w, axis=1) <= 1000.0 * credit_s
    if of_grid:
        tilt_w, before_w = np.std(ticks.grid_w + sign * (whole_w - ticks.air_w), axis=1), ticks.grid_w
    else:
        tilt_w, before_w = np.std(whole_w, axis=1), ticks.air_w
    # beyond the limit already, whole watts may add their rounding, never more
    level = tilt_w <= np.maximum(2000.0, np.std(before_w, axis=1) + (0.5 if of_grid else FLOAT_NOISE_W))
    rests = (whole_w == 0.0).all(axis=1)
    return np.asarray(~np.where(ticks.rest, rests, inside & near & level))


def compare(ticks: int, seed: Seed) -> float:
    """Put both through the same ticks; returns the largest difference in W.

    Raises:
        AssertionError: they differ by more than a microwatt, or the shipped one allows what it refuses.
    """
    rng = np.random.default_rng(seed)
    worst_w = 0.0
    for number, start in enumerate(range(0, ticks, 1000)):
        of_grid, role = number % 2 == 1, list(Role)[number // 2 % 2]
        gate = SafetyGate(site(role=role, limits=GRID) if of_grid else site(role=role))
        n = min(1000, ticks - start)
        many = some_ticks(rng, np.floor(safe_vectors(rng, n)))
        expected_w = twin(many, of_grid=of_grid, sign=1.0 if role is Role.ABSORB else -1.0)
        safe_action_w = np.array(shipped(gate, many))
        differs_w = np.abs(expected_w - safe_action_w).max(axis=1)
        far = ~(
            differs_w
            <= np.where(_flat(many, expected_w, safe_action_w, of_grid, role), AGREE_FLAT_W, AGREE_W)
        )
        assert not far.any(), (
            many.requested_action_w[far][0],
            many.air_w[far][0],
            many.age_s[far][0],
            safe_action_w[far][0],
        )
        worst_w = max(worst_w, float(differs_w.max()))
    return worst_w


def _flat(many: Ticks, one_w: Floats, other_w: Floats, of_grid: bool, role: Role) -> Flags:
    """Where two actions leave the phases equally far apart, but for the last bits."""
    toward, base_w = (sign(role), many.grid_w) if of_grid else (1.0, many.air_w)
    apart_w = [spread(base_w + toward * (action_w - many.air_w)) for action_w in (one_w, other_w)]
    return np.asarray(np.abs(apart_w[0] - apart_w[1]) <= FLAT_W)


def shipped(gate: SafetyGate, many: Ticks) -> list[Phases]:
    """What the shipped gate allows, tick by tick; it must accept that itself."""
    columns = (many.requested_action_w, many.air_w, many.grid_w)
    rows = zip(
        *(map(tuple, column.tolist()) for column in columns), many.age_s.tolist(), many.rest, strict=True
    )
    result = []
    for requested_action_w, air_w, grid_w, age_s, rests in rows:
        seen = snapshot(air_w, age_s, grid_w)
        source = Source.REST if rests else Source.POLICY
        safe_action_w, _ = gate.check(requested_action_w, source, seen)
        assert gate.accepts(safe_action_w, source, seen), (
            requested_action_w,
            air_w,
            grid_w,
            age_s,
            safe_action_w,
        )
        result.append(safe_action_w)
    return result


def safe_vectors(rng: np.random.Generator, n: int) -> Floats:
    """What may be on air: within the box, phases no further apart than allowed."""
    air_w = rng.uniform(0.0, 5000.0, (n, 3))
    corner = rng.random((n, 3))
    air_w[corner < 0.1], air_w[corner > 0.9] = 0.0, 5000.0
    mean_w = air_w.mean(axis=1, keepdims=True)
    share = np.minimum(1.0, 1999.0 / np.maximum(spread(air_w), 1.0))[:, None]
    return np.asarray(mean_w + share * (air_w - mean_w))


def run(ticks: int, seed: Seed, sites: int = 20_000) -> int:
    """Live `ticks` ticks in closed loop; returns how many were interfered with.

    Raises:
        AssertionError: an unsafe action.
    """
    rng = np.random.default_rng(seed)
    changed, lived, block = 0, 0, 0
    while lived < ticks:
        of_grid, sign = block % 2 == 1, 1.0 if block % 4 < 2 else -1.0
        air_w = np.floor(safe_vectors(rng, min(sites, ticks - lived)))
        for _ in range(50):
            many = some_ticks(rng, air_w)
            safe_action_w = twin(many, of_grid=of_grid, sign=sign)
            bad = unsafe(many, safe_action_w, of_grid=of_grid, sign=sign)
            assert not bad.any(), (
                many.requested_action_w[bad][0],
                many.air_w[bad][0],
                many.age_s[bad][0],
                safe_action_w[bad][0],
            )
            changed += int((safe_action_w != many.requested_action_w).any(axis=1).sum())
            lived += len(air_w)
            air_w = np.floor(safe_action_w)
            if lived >= ticks:
                break
        block += 1
    return changed


def compare_block(seed: int, number: int) -> float:
    """One block of ticks through both."""
    return compare(SHIPPED_BLOCK, [seed, number])


def run_block(seed: int, number: int) -> int:
    """One block of ticks of the twin, in closed loop."""
    return run(TWIN_BLOCK, [seed, number])


def tell_shipped(args: argparse.Namespace) -> None:
    """Hold both against each other, and say what it came to."""
    started_s, blocks = time.monotonic(), -(-args.shipped // SHIPPED_BLOCK)
    work, again = partial(compare_block, args.seed), "--ticks 0 --shipped 1"
    worst_w = list(done(work, blocks, chosen(args), "shipped", again))
    ticks = len(worst_w) * SHIPPED_BLOCK
    rate = ticks / (time.monotonic() - started_s)
    tell(
        f"shipped gate: {ticks:,} ticks, differs from the twin by {max(worst_w, default=0.0):.1e} W at most; "
        f"{compiled.how()}; "
        f"seed {args.seed}; {rate:,.0f} ticks/s with {args.jobs} processes",
        args.summary,
    )


def tell_compiled(args: argparse.Namespace) -> None:
    """The same with the shipped sources compiled, or interpreted where nothing can be compiled."""
    options = ["--ticks", "0", "--shipped", str(args.shipped), "--minutes", str(args.minutes)]
    options += ["--summary", str(args.summary)] if args.summary else []
    try:
        with compiled.sources() as folder:
            compiled.live("tests.safety.search.fuzz", folder, chosen(args), options)
    except compiled.NotCompiledError as error:
        tell(f"not compiled, so interpreted: {error}", args.summary)
        tell_shipped(args)


def tell_twin(args: argparse.Namespace) -> None:
    """Live with the twin, and say what it came to."""
    started_s, blocks = time.monotonic(), -(-args.ticks // TWIN_BLOCK)
    changed = list(done(partial(run_block, args.seed), blocks, chosen(args), "twin", "--shipped 0 --ticks 1"))
    ticks = len(changed) * TWIN_BLOCK
    rate = ticks / (time.monotonic() - started_s)
    tell(
        f"twin: {ticks:,} ticks, 0 unsafe, {sum(changed) / max(ticks, 1):.0%} of the wishes changed; "
        f"seed {args.seed}; {rate:,.0f} ticks/s with {args.jobs} processes",
        args.summary,
    )


def main() -> None:
    """Run the long form."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ticks", type=int, default=10_000_000)
    parser.add_argument("--shipped", type=int, default=100_000)
    parser.add_argument("--compiled", action="store_true", help="compile the shipped sources first")
    add_options(parser)
    args = parser.parse_args()
    if args.shipped and args.compiled:
        tell_compiled(args)
    elif args.shipped:
        tell_shipped(args)
    if args.ticks:
        tell_twin(args)


if __name__ == "__main__":
    main()
