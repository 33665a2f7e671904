"""State estimator: the slaves' power from the commands on air, and the surplus that is left to place.

The surplus (solar power minus load) is exogenous: no action changes it. It is estimated as what the
slaves are believed to draw minus what the meter reads. Seconds pass between a command and its effect,
so the belief is a mix of the last commands by age, followed through the slaves' first-order lag.
"""

from dataclasses import dataclass
from math import exp, isfinite

from core.arrays import SCALAR, Number
from core.metering import balance_phases
from core.roles import sign
from core.site import ZERO, Phases, Site, per_phase
from core.snapshot import Snapshot, slave_capacity_w

AGE_SHARES = (0.0, 0.26, 0.45, 0.25, 0.04)
"""Share of a phase's power that follows the command of 0, 1, 2, 3, 4 s ago (64 h of a simulated radio)."""
MEAN_AGE_S = sum(age * share for age, share in enumerate(AGE_SHARES))
SLAVE_LAG_S = 1.5
"""Middle of the 1..2 s first-order lag of heaters behind a phase-angle controller."""
HISTORY_S = 8.0
"""Commands kept: the oldest share plus up to 3 s of estimated extra delay."""
EXTRA_DELAY_MAX_S = 10.0
"""More extra delay than this is not believed: the slaves let go long before it would matter."""
LONGEST_GAP_S = 2.5
"""Beyond this the belief is worthless and starts anew."""


@dataclass(frozen=True, slots=True)
class StateEstimate:
    """The estimate a controller works with, per phase, as the site's meter bills it.

    `meter_w` is the newest grid power seen the way it is billed (equal to the reading when phases are
    billed one by one), `surplus_w` the power left to place, `model_w` what the slaves are believed to
    draw or feed, `command_w` what is on air, `capacity_w` what the available slaves can take.
    `credit_s` is the time since the last frame in which the rate limit has accumulated. `fresh` is whether
    a sample came in this tick; one that is not a number is none.
    """

    fresh: bool
    meter_w: Phases
    surplus_w: Phases
    model_w: Phases
    command_w: Phases
    capacity_w: Phases
    credit_s: float
    delay_s: float
    sign: float


@dataclass(frozen=True, slots=True)
class EstimatorState:
    """Memory of the estimator: commands on air, newest first, and the believed slave power.

    `surplus_w` repeats the last estimate through a missed sample. `started` is False before the first
    sample and after a gap.
    """

    sent_w: tuple[Phases, ...] = ()
    model_w: Phases = ZERO
    surplus_w: Phases = ZERO
    meter_w: Phases = ZERO
    at_s: float = 0.0
    started: bool = False


def capacity_w(site: Site, snapshot: Snapshot) -> Phases:
    """What the available slaves of each phase can take, at most the phase limit."""
    total = [0.0, 0.0, 0.0]
    for slave, state in zip(site.slaves, snapshot.slaves, strict=True):
        for phase in slave.phases:
            total[phase] += slave_capacity_w(slave, state) / len(slave.phases)
    return per_phase([min(x, site.limits.phase_max_w) for x in total])


def first_order_lag(model_w: Number, target_w: Number, step_s: float, lag_s: float = SLAVE_LAG_S) -> Number:
    """First-order lag over one step, for one cell."""
    return model_w + (1.0 - exp(-step_s / lag_s)) * (target_w - model_w)


def delayed_command(sent_w: tuple[Number, ...], extra_delay_s: float, period_s: float) -> Number:
    """The command a phase follows on average, for one cell; `sent_w` newest first, one per period."""
    last = len(sent_w) - 1
    places = (
        (share, round((age + extra_delay_s) / period_s)) for age, share in enumerate(AGE_SHARES) if share
    )
    return sum(share * sent_w[min(place, last)] for share, place in places)


def estimate_state(
    site: Site, snapshot: Snapshot, belief: EstimatorState
) -> tuple[StateEstimate, EstimatorState]:
    """Estimate the surplus from one snapshot.

    Returns:
        The estimate of this tick and the memory for the next.
    """
    step_s = snapshot.at_s - belief.at_s
    extra_delay_s = SCALAR.clip(snapshot.extra_delay_s, 0.0, EXTRA_DELAY_MAX_S)
    fresh = snapshot.meter_age_s < site.period_s and all(map(isfinite, snapshot.grid_power_w))
    command_w = snapshot.on_air.action_w
    if not (belief.started and 0.0 < step_s <= max(LONGEST_GAP_S, 2.0 * site.period_s)):
        belief = EstimatorState(
            sent_w=(command_w,) * max(1, round(HISTORY_S / site.period_s)), model_w=command_w
        )
        sent_w, model_w = belief.sent_w, belief.model_w
    else:
        sent_w = (command_w, *belief.sent_w[:-1])
        extra_s = round(extra_delay_s)
        targets = (delayed_command(column, extra_s, site.period_s) for column in zip(*sent_w, strict=True))
        model_w = per_phase(
            [first_order_lag(m, t, step_s) for m, t in zip(belief.model_w, targets, strict=True)]
        )
    capacity = capacity_w(site, snapshot)
    surplus_w, meter_w = belief.surplus_w, belief.meter_w
    if fresh:
        s = sign(site.role)
        raw = per_phase([m - s * g for m, g in zip(model_w, snapshot.grid_power_w, strict=True)])
        surplus_w = balance_phases(raw, capacity, site.metering)
        meter_w = per_phase([s * (m - x) for m, x in zip(model_w, surplus_w, strict=True)])
    started = fresh or belief.started
    sight = StateEstimate(
        fresh=fresh,
        meter_w=meter_w,
        surplus_w=surplus_w,
        model_w=model_w,
        command_w=command_w,
        capacity_w=capacity,
        credit_s=snapshot.on_air.age_s,
        delay_s=MEAN_AGE_S + extra_delay_s,
        sign=sign(site.role),
    )
    return sight, EstimatorState(sent_w, model_w, surplus_w, meter_w, snapshot.at_s, started)
