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
from functools import lru_cache
from math import exp, inf, log
from typing import NamedTuple

from core.estimation.actuator_model import SPREAD

DEAD_TIMES_S = (
    0.1,
    0.3,
    0.5,
    0.75,
    1.0,
    1.25,
    1.5,
    2.0,
    2.5,
    3.0,
    3.5,
    4.0,
    4.5,
    5.0,
    5.5,
    6.0,
    6.5,
    7.0,
    8.0,
)
LAGS_S = (0.3, 0.8, 1.5, 2.5, 4.0, 6.5, 11.0)
SAMPLE_S = 1.0
"""Quicker meters are looked at once in so long: shorter changes are noise."""
HELD_MAX_S = 6.0
"""A reading that stays the same for longer tells nothing about what moved meanwhile."""
GAIN_RANGE = (0.4, 1.6)
TEMPER = 4.0
"""The log likelihood is divided by this: the noise is not quite what is assumed."""
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


class Hypothesis(NamedTuple):
    """A dead time and a lag: `near` times the sample at place `at`, and `far` times the next, is the
    power."""

    dead_time_s: float
    log_lag: float
    at: int
    near: float
    far: float


class BankGrid(NamedTuple):
    """What follows from the period and from how much the dead time differs from command to command.

    `places` are the ages in ticks at which each history is sampled: those of plain commands, lag by lag, then
    those of spread ones. `spread` are shares of a spread command, by its age in ticks. `quick` are the
    samples of the quickest lag at every age.
    """

    ways: tuple[float, ...]
    places: tuple[tuple[int, ...], ...]
    spread: tuple[tuple[int, float], ...]
    hypotheses: tuple[Hypothesis, ...]
    quick: slice
    every: int
    held_max: int


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


@lru_cache(maxsize=16)
def bank_grid(period_s: float, spread_s: float = 0.0) -> BankGrid:
    """The hypotheses at a period.

    Args:
        spread_s: standard deviation of the dead time from command to command, in whole tenths. A quick answer
            has
            none: where the dead time is shorter than the spread reaches back, commands count as they are.
    """
    reach_s = -SPREAD[0][1] * spread_s
    plain = [dead_s for dead_s in DEAD_TIMES_S if spread_s <= 0.0 or dead_s < reach_s]
    spread = [dead_s - reach_s for dead_s in DEAD_TIMES_S if dead_s not in plain]
    plain_at, spread_at = _places(plain, period_s), _places(spread, period_s)
    first = len(plain_at) * len(LAGS_S)
    hypotheses = []
    for row, lag_s in enumerate(LAGS_S):
        for dead_s in DEAD_TIMES_S:
            if dead_s in plain:
                cells, at, shown_s = plain_at, row * len(plain_at), dead_s
            else:
                cells, at, shown_s = spread_at, first + row * len(spread_at), dead_s - reach_s
            whole = int(shown_s / period_s)
            near, far = _shares(shown_s / period_s - whole, period_s, lag_s)
            hypotheses.append(Hypothesis(dead_s, log(lag_s), at + cells.index(whole), near, far))
    return BankGrid(
        tuple(1.0 - exp(-period_s / lag_s) for lag_s in LAGS_S),
        (plain_at,) * len(LAGS_S) + (spread_at,) * (len(LAGS_S) if spread else 0),
        _spread_command(reach_s / period_s) if spread else (),
        tuple(hypotheses),
        slice(first, first + len(spread_at)) if spread else slice(0, len(plain_at)),
        max(1, round(SAMPLE_S / period_s)),
        max(1, round(HELD_MAX_S / period_s)),
    )


def _places(dead_times_s: Sequence[float], period_s: float) -> tuple[int, ...]:
    """The samples before and after every dead time."""
    wholes = {int(dead_s / period_s) for dead_s in dead_times_s}
    return tuple(sorted(wholes | {whole + 1 for whole in wholes}))


def _shares(part: float, period_s: float, lag_s: float) -> tuple[float, float]:
    """Of the newer and the older sample, where a dead time ends in such a part of a period."""
    left, old = exp(-period_s / lag_s), exp(-(1.0 - part) * period_s / lag_s)
    return (1.0 - old) / (1.0 - left), (old - left) / (1.0 - left)


def _spread_command(reach: float) -> tuple[tuple[int, float], ...]:
    """Three points of a normal distribution, each between two ticks."""
    ages: dict[int, float] = {}
    for place, (share, _) in enumerate(SPREAD):
        whole = int(place * reach)
        part = place * reach - whole
        ages[whole] = ages.get(whole, 0.0) + share * (1.0 - part)
        ages[whole + 1] = ages.get(whole + 1, 0.0) + share * part
    return tuple((age, share) for age, share in sorted(ages.items()) if share > 0.0)


def no_sums(grid: BankGrid) -> BankSums:
    """Nothing was seen."""
    nothing = (0.0,) * sum(map(len, grid.places))
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
            [(sum([share * plain[age] for age, share in grid.spread]), *past[:-1]) for plain, past in pairs]
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


def nearest(grid: BankGrid, dead_time_s: float, lag_s: float) -> int:
    """Place of the hypothesis nearest to a belief: half a second counts like a lag half as long again."""
    log_lag = log(lag_s)
    return min(
        range(len(grid.hypotheses)),
        key=lambda at: (
            ((grid.hypotheses[at].dead_time_s - dead_time_s) / 0.5) ** 2
            + ((grid.hypotheses[at].log_lag - log_lag) / 0.4) ** 2
        ),
    )


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
