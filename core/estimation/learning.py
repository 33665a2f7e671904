"""What ordinary moves tell of the slaves: dead time, lag and gain of each phase, while the site runs.

Slow (minutes of moving slaves), and silent without them. A phase begins with what commissioning has measured,
or with the usual heater behind the usual radio; it is left only when enough speaks against it. Nothing here
tells what a slave may be told: gate, credit and rest know nothing of it.

A phase whose slaves are known to answer differently from each other says nothing, because they move together.
"""

from collections.abc import Sequence
from math import exp, inf, isfinite, log
from typing import NamedTuple

from core.arrays import sum_in_order
from core.estimation.actuator_model import MEAN_AGE_S, response_groups
from core.estimation.learned_response import (
    MOVED_LAG,
    MOVED_S,
    NOT_LEARNED,
    Learned,
    LearnedResponse,
    stepped,
)
from core.estimation.likelihood import Mean, added, evidence, log_likelihoods, mean_of
from core.estimation.response_bank import BankState, BankSums, after_gap, new_bank, no_sums, observe
from core.estimation.response_grid import DEAD_TIMES_S, LAGS_S, BankGrid, bank_grid, nearest
from core.roles import sign
from core.site import Site
from core.snapshot import Snapshot

USUAL_SPREAD_S = 0.8
"""Of the delays of the usual radio (`actuator_model.AGE_SHARES`). Taken for none, a spread is taken for
lag."""
COLLECT = 12
"""Moving samples between two judgements; the phases take turns."""
LONG, SHORT = 900.0, 80.0
"""Moving samples that are remembered."""
NEED, NEED_MEASURED = 3.0, 10.0
"""Nats against a belief until it is left: with 10 it seldom moves where nothing has changed."""
NEED_QUICKER, NEED_QUICKER_MEASURED = 6.0, 20.0
QUICKER_AFTER_S, QUICKER_AFTER_MEASURED_S = 240.0, 900.0
"""More nats, and so long a time of moving slaves, until a dead time is believed to be shorter than it was:
one that is told 0.3 s too short can make the loop swing, one too long by as much costs little."""
ALARM = 10.0
"""Nats by which the last minutes speak against the belief: the rest is forgotten."""
SPEED = 0.02
"""Of the way to what is seen, per moving sample."""
ARRIVED = 0.1
"""Seconds of dead time and log of the lag: nearer than that, the belief rests."""
GAIN_SPEED = 0.01
GAIN_INFORMATION, GAIN_INFORMATION_MEASURED = 100.0, 300.0
"""Of the gain that is believed at first: standard deviations of 10 and 6 %. Without it gain and lag trade."""
CREDIBLE_GAIN = (0.6, 1.5)
"""Slaves that draw much less than they are told (full, open) say nothing of how they answer."""
CREDIBLE_INFORMATION = 20.0
ALIKE_S, ALIKE_LAG = 1.0, 2.0
"""Slaves of one phase that differ by more, or by such a factor in their lag, are not taken together."""
REACH_S = (0.15, 1.0)
"""How far the dead time may be above the belief: at least, at most."""


class PhasePrior(NamedTuple):
    """What is believed of a phase at first. `spread_s` is by how much the dead time differs from command to
    command; `is_measured` is whether its slaves were."""

    dead_time_s: float
    lag_s: float
    gain: float
    spread_s: float
    is_measured: bool


class PhaseLearning(NamedTuple):
    """Memory of one phase. Belief: `dead_time_s` (at the meter's readings), `lag_s`, `gain`; `is_moving`
    while it is on its way. `here` is the nearest hypothesis."""

    prior: PhasePrior
    bank: BankState
    long: BankSums
    short: BankSums
    dead_time_s: float
    lag_s: float
    gain: float
    here: int
    is_moving: bool
    learned: LearnedResponse


class LearningState(NamedTuple):
    """Memory of what is learned. `phases` are None where nothing can be, empty before the first tick;
    `in_force` is what estimator and gains go by."""

    at_s: float = -inf
    phases: tuple[PhaseLearning | None, ...] = ()
    in_force: Learned = NOT_LEARNED


def learn_responses(site: Site, snapshot: Snapshot, state: LearningState) -> LearningState:
    """Take in one tick."""
    air_w = snapshot.on_air.action_w
    step_s = snapshot.at_s - state.at_s
    if not state.phases:
        begun = tuple(_begun(site.period_s, prior, w) for prior, w in zip(_priors(site), air_w, strict=True))
        return LearningState(snapshot.at_s, begun)
    if not 0.5 * site.period_s < step_s < 1.5 * site.period_s:
        gone = tuple(
            None if phase is None else _after_gap(site.period_s, phase, w)
            for phase, w in zip(state.phases, air_w, strict=True)
        )
        return state._replace(at_s=snapshot.at_s, phases=gone)
    is_fresh = snapshot.meter_age_s < site.period_s
    turned, apart = sign(site.role), _phases_apart(site, snapshot)
    phases: list[PhaseLearning | None] = []
    for at, before in enumerate(state.phases):
        if before is None:
            phases.append(None)
            continue
        grid = bank_grid(site.period_s, before.prior.spread_s)
        grid_w = snapshot.grid_power_w[at]
        meter_w = turned * grid_w if is_fresh and isfinite(grid_w) else None
        bank = observe(grid, before.bank, air_w[at], meter_w, before.gain, before.here, at not in apart)
        now = before._replace(bank=bank)
        is_turn = bank.moving >= COLLECT and snapshot.tick % 3 == at
        phases.append(_judged(grid, now, site.period_s) if is_turn else now)
    return LearningState(snapshot.at_s, tuple(phases), _in_force(state.in_force, phases))


def what_is_learned(state: LearningState) -> Learned:
    """Of each phase; nothing before slaves have moved for long enough to judge anything."""
    found = tuple(
        phase.learned if phase is not None and phase.learned.moving_s > 0.0 else None
        for phase in state.phases
    )
    return found if any(found) else ()


def _priors(site: Site) -> list[PhasePrior | None]:
    """What is believed of each phase at first; None where its slaves differ, or where there are none."""
    found: list[PhasePrior | None] = []
    groups = response_groups(site)
    for phase in range(3):
        own = [group for group in groups if group.phase == phase]
        dead_s = [MEAN_AGE_S if group.dead_time_s is None else group.dead_time_s for group in own]
        lags_s = [group.lag_s for group in own]
        has_slaves = any(phase in slave.phases for slave in site.slaves)
        if not (has_slaves and _are_alike(dead_s, lags_s)):
            found.append(None)
            continue
        mean_s = sum_in_order(group.weight * one for group, one in zip(own, dead_s, strict=True))
        lag_s = sum_in_order(group.weight * group.lag_s for group in own)
        gain = sum_in_order(group.weight * group.gain for group in own)
        is_measured = all(group.dead_time_s is not None for group in own)
        dead_time_s = min(max(mean_s, DEAD_TIMES_S[0]), DEAD_TIMES_S[-1])
        spread_s = max(group.dead_time_sd_s for group in own) if is_measured else USUAL_SPREAD_S
        lag_s = min(max(lag_s, LAGS_S[0]), LAGS_S[-1])
        found.append(PhasePrior(dead_time_s, lag_s, gain, round(spread_s, 1), is_measured))
    return found


def _are_alike(dead_times_s: Sequence[float], lags_s: Sequence[float]) -> bool:
    return max(dead_times_s) - min(dead_times_s) <= ALIKE_S and max(lags_s) <= ALIKE_LAG * min(lags_s)


def _begun(period_s: float, prior: PhasePrior | None, told_w: float) -> PhaseLearning | None:
    if prior is None:
        return None
    grid = bank_grid(period_s, prior.spread_s)
    here = nearest(grid, prior.dead_time_s, prior.lag_s)
    learned = LearnedResponse(prior.dead_time_s, prior.dead_time_s + REACH_S[1], prior.lag_s, prior.gain)
    bank, nothing = new_bank(grid, here, told_w), no_sums(grid)
    believed = prior.dead_time_s, prior.lag_s, prior.gain
    return PhaseLearning(prior, bank, nothing, nothing, *believed, here, False, learned)


def _after_gap(period_s: float, phase: PhaseLearning, told_w: float) -> PhaseLearning:
    grid = bank_grid(period_s, phase.prior.spread_s)
    return phase._replace(bank=after_gap(grid, phase.bank, told_w))


def _phases_apart(site: Site, snapshot: Snapshot) -> set[int]:
    """Phases with a slave that is known not to do what it is told, or is silent."""
    cells = zip(site.slaves, snapshot.slaves, strict=True)
    return {
        phase
        for slave, seen in cells
        if slave.max_w > 0 and (seen.limit_w is not None or not seen.available)
        for phase in slave.phases
    }


def _judged(grid: BankGrid, phase: PhaseLearning, period_s: float) -> PhaseLearning:
    """Hold every hypothesis against what was collected, and move the belief."""
    bank, prior = phase.bank, phase.prior
    information = GAIN_INFORMATION_MEASURED if prior.is_measured else GAIN_INFORMATION
    first = prior.gain, prior.lag_s, information
    long = added(phase.long, bank.recent, (1.0 - 1.0 / LONG) ** bank.moving)
    short = added(phase.short, bank.recent, (1.0 - 1.0 / SHORT) ** bank.moving)
    young, _ = log_likelihoods(grid, short, *first)
    leader = young.index(max(young))
    if young[leader] - young[phase.here] > ALARM:
        long = short
    likely, gains = log_likelihoods(grid, long, *first)
    mean = mean_of(grid, likely)
    phase = _moved(grid, phase, long, likely, gains, mean)
    interval_s = bank.interval_ticks * period_s
    late_s = max(0.0, 0.5 * (interval_s - period_s * grid.every))
    moving_s = phase.learned.moving_s + bank.moving * interval_s
    return phase._replace(
        bank=bank._replace(recent=no_sums(grid), moving=0, leader=leader),
        long=long,
        short=short,
        learned=_shown(phase, mean, late_s, moving_s),
    )


def _moved(
    grid: BankGrid,
    phase: PhaseLearning,
    sums: BankSums,
    likely: list[float],
    gains: list[float],
    mean: Mean,
) -> PhaseLearning:
    """The belief after one judgement: it goes where enough speaks for it, and nowhere where slaves do not
    follow."""
    best = likely.index(max(likely))
    information, data_gain = evidence(grid, sums, best)
    low, high = CREDIBLE_GAIN
    if not (information >= CREDIBLE_INFORMATION and low <= data_gain <= high):
        return phase._replace(is_moving=False)
    dead_s, log_lag, _ = mean
    speed = 1.0 - (1.0 - SPEED) ** phase.bank.moving
    dead_move, lag_move = dead_s - phase.dead_time_s, log_lag - log(phase.lag_s)
    is_far = abs(dead_move) + abs(lag_move) > ARRIVED
    is_ready = likely[best] - likely[phase.here] > _need(phase, dead_move)
    is_moving = is_ready or (phase.is_moving and is_far)
    gain = phase.gain + (1.0 - (1.0 - GAIN_SPEED) ** COLLECT) * (gains[phase.here] - phase.gain)
    if not is_moving:
        return phase._replace(is_moving=False, gain=gain)
    dead_time_s, lag_s = phase.dead_time_s + speed * dead_move, phase.lag_s * exp(speed * lag_move)
    here = nearest(grid, dead_time_s, lag_s)
    return phase._replace(dead_time_s=dead_time_s, lag_s=lag_s, gain=gain, here=here, is_moving=True)


def _need(phase: PhaseLearning, dead_move_s: float) -> float:
    """Nats that must speak against the belief; none are enough where too little has moved."""
    is_measured = phase.prior.is_measured
    if dead_move_s >= 0.0:
        return NEED_MEASURED if is_measured else NEED
    if phase.learned.moving_s < (QUICKER_AFTER_MEASURED_S if is_measured else QUICKER_AFTER_S):
        return inf
    return NEED_QUICKER_MEASURED if is_measured else NEED_QUICKER


def _shown(phase: PhaseLearning, mean: Mean, late_s: float, moving_s: float) -> LearnedResponse:
    """What is told of a phase; in force once it is not what was believed at first."""
    mean_s, _, spread_s = mean
    least, most = REACH_S
    dead_time_s = phase.dead_time_s + late_s
    reach_s = min(max(2.0 * spread_s, mean_s - phase.dead_time_s, least), most)
    is_other = (
        abs(dead_time_s - phase.prior.dead_time_s) > MOVED_S
        or abs(log(phase.lag_s / phase.prior.lag_s)) > MOVED_LAG
    )
    in_force = phase.learned.in_force or is_other
    return LearnedResponse(dead_time_s, dead_time_s + reach_s, phase.lag_s, phase.gain, moving_s, in_force)


def _in_force(before: Learned, phases: Sequence[PhaseLearning | None]) -> Learned:
    """The very same object as before where nothing has changed by a step."""
    now = tuple(
        None if phase is None or not phase.learned.in_force else stepped(was, phase.learned)
        for was, phase in zip(before, phases, strict=True)
    )
    return before if all(a is b for a, b in zip(before, now, strict=True)) else now
