"""Many hypotheses of how late and how slowly the slaves of one phase answer, held against what the meter
shows.

Each hypothesis is a dead time and a lag. What it says of the meter's change follows from the commands on air:
for every lag one filtered history, of which a dead time takes two neighbouring samples. So a few sums of
products hold all that is needed to judge every hypothesis later, however long ago it was seen.

Three things make it right in a closed loop, where commands answer the very disturbances that hide their
effect (figures: docs/results/measured-actuators.md). Changes are whitened by what the belief leaves
unexplained, because clouds go on. Outliers (loads that switch) weigh less, judged by the hypothesis that
explains the last minutes
best: judged by the belief, a wrong belief would call its own refutation an outlier. And only what moves
    counts.
"""

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from core.arrays import sum_in_order
from core.estimation.response_grid import LAGS_S, BankGrid

NOISE_W2 = (900.0, 25.0)
"""Mean square of what is left unexplained, at first and at least."""
NOISE_SHARE = 0.01
OUTLIER = 3.0
"""Degrees of freedom of Student's t."""
WHITENING_KEPT = 0.998
WHITENING_RANGE = (-0.6, 0.8)
MOVED_W, MOVED_KEPT = 20.0, 0.9
"""Smaller moves tell nothing; a move goes on to count while slow slaves still follow it."""
BELIEVABLE_W = 1.0e6


class BankSums(NamedTuple):
    """Weighted sums of products, lag after lag and place after place: of what would move (`x`) with itself,
    with its older neighbour and with what the meter moved (`y`); and of `y` with itself."""

    xx: tuple[float, ...]
    xn: tuple[float, ...]
    xy: tuple[float, ...]
    yy: float = 0.0


class BankState(NamedTuple):
    """Memory of one phase.

    `told_w` are the filtered commands of each history, the newest first. `meter_w` is the reading before, so
    many ticks ago (`since`), `dy_w` and `dx_w` how it and the histories had changed then. `recent` sums what
    moved since they were collected last, over `moving` samples. `noise_w2` is what stays unexplained,
    `whiten` how much of it goes on in the next sample (from `products` and `squares`), `leader` the
    hypothesis that explains the last minutes best.
    """

    told_w: tuple[tuple[float, ...], ...]
    meter_w: float | None
    since: int
    dy_w: float
    dx_w: tuple[float, ...]
    recent: BankSums
    moving: int = 0
    moved_w: float = 0.0
    noise_w2: float = NOISE_W2[0]
    whiten: float = 0.0
    products: float = 0.0
    squares: float = 1.0
    leader: int = 0
    interval_ticks: float = 1.0


def no_sums(grid: BankGrid) -> BankSums:
    """Nothing was seen."""
    nothing = (0.0,) * len([age for places in grid.places for age in places])
    return BankSums(nothing, nothing, nothing)


def new_bank(grid: BankGrid, leader: int, told_w: float) -> BankState:
    """A bank that has seen nothing; what is told was told for long."""
    sums = no_sums(grid)
    return BankState(_steady(grid, told_w), None, 0, 0.0, sums.xx, sums, leader=leader)


def after_gap(grid: BankGrid, bank: BankState, told_w: float) -> BankState:
    """What was seen stays; nothing is compared across the gap."""
    return bank._replace(told_w=_steady(grid, told_w), meter_w=None, since=0)


def observe(
    grid: BankGrid,
    bank: BankState,
    told_w: float,
    meter_w: float | None,
    gain: float,
    here: int,
    is_sound: bool,
) -> BankState:
    """Take in one tick of one phase.

    Args:
        told_w: what was on air since the tick before.
        meter_w: the new reading, turned so that what slaves take counts up; None where none came in.
        gain: as believed.
        here: place of the hypothesis that is nearest to the belief.
        is_sound: whether the slaves are known to do what they are told.
    """
    heard_w = believable_w(told_w)
    rows = zip(bank.told_w, grid.ways, strict=False)  # the plain ones
    history = tuple([(past[0] + way * (heard_w - past[0]), *past[:-1]) for past, way in rows])
    if grid.spread:
        pairs = zip(history, bank.told_w[len(LAGS_S) :], strict=True)
        history += tuple(
            [
                (sum_in_order([share * plain[age] for age, share in grid.spread]), *past[:-1])
                for plain, past in pairs
            ]
        )
    since = bank.since + 1
    if meter_w is None or since < grid.every or meter_w == bank.meter_w:
        return bank._replace(told_w=history, since=since)
    if bank.meter_w is None or since > grid.held_max:
        dx_w = (0.0,) * len(bank.dx_w)
        return bank._replace(told_w=history, since=0, meter_w=meter_w, dy_w=0.0, dx_w=dx_w)
    cells = zip(history, grid.places, strict=True)
    dx_w = tuple([past[k] - past[k + since] for past, places in cells for k in places])
    moved = bank._replace(told_w=history, since=0, meter_w=meter_w, dy_w=meter_w - bank.meter_w, dx_w=dx_w)
    return _weighed(grid, bank, moved, gain, here, since if is_sound else 0)


def of_hypothesis(grid: BankGrid, values: Sequence[float], place: int) -> float:
    """What one hypothesis says, from the values of all lags and places."""
    one = grid.hypotheses[place]
    return one.near * values[one.at] + one.far * values[one.at + 1]


def believable_w(power_w: float) -> float:
    """Bounded; nothing for what is not a number."""
    return min(max(power_w, -BELIEVABLE_W), BELIEVABLE_W) if -inf < power_w < inf else 0.0


def _steady(grid: BankGrid, told_w: float) -> tuple[tuple[float, ...], ...]:
    last = max([places[-1] for places in grid.places] + [age for age, _ in grid.spread])
    return ((believable_w(told_w),) * (last + grid.held_max + 1),) * len(grid.places)


def _weighed(
    grid: BankGrid, before: BankState, now: BankState, gain: float, here: int, since: int
) -> BankState:
    """The sums with one more sample; `since` is 0 where it must not count."""
    whiten, noise_w2 = before.whiten, before.noise_w2
    y = now.dy_w - whiten * before.dy_w
    x = [new - whiten * old for new, old in zip(now.dx_w, before.dx_w, strict=True)]
    left_w = y - gain * of_hypothesis(grid, x, before.leader)
    moved_w = max(MOVED_KEPT * before.moved_w, *map(abs, x[grid.quick]))
    recent, moving, interval = before.recent, before.moving, before.interval_ticks
    if since and moved_w > max(MOVED_W, noise_w2**0.5):
        weight = (OUTLIER + 1.0) / (OUTLIER + left_w * left_w / noise_w2) / noise_w2
        recent, moving = _summed(recent, x, y, weight), moving + 1
        interval += 0.02 * (since - interval)
    limit_w = 3.0 * noise_w2**0.5
    new_w = _within(now.dy_w - gain * of_hypothesis(grid, now.dx_w, here), limit_w)
    old_w = _within(before.dy_w - gain * of_hypothesis(grid, before.dx_w, here), limit_w)
    products = WHITENING_KEPT * before.products + old_w * new_w
    squares = WHITENING_KEPT * before.squares + old_w * old_w
    low, high = WHITENING_RANGE
    spread_w2 = 1.25 * min(left_w * left_w, 9.0 * noise_w2)
    return now._replace(
        recent=recent,
        moving=moving,
        moved_w=moved_w,
        noise_w2=max(noise_w2 + NOISE_SHARE * (spread_w2 - noise_w2), NOISE_W2[1]),
        whiten=min(max(products / squares, low), high) if squares > 0.0 else 0.0,
        products=products,
        squares=squares,
        interval_ticks=interval,
    )


def _summed(sums: BankSums, x: list[float], y: float, weight: float) -> BankSums:
    heavy = [weight * one for one in x]
    return BankSums(
        tuple([s + a * b for s, a, b in zip(sums.xx, heavy, x, strict=True)]),
        tuple([s + a * b for s, a, b in zip(sums.xn, heavy, [*x[1:], 0.0], strict=True)]),
        tuple([s + a * y for s, a in zip(sums.xy, heavy, strict=True)]),
        sums.yy + weight * y * y,
    )


def _within(value: float, limit: float) -> float:
    return min(max(value, -limit), limit)
