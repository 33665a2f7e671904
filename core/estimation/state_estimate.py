"""State estimator: the slaves' power from the commands on air, and the surplus that is left to place.

The surplus (solar power minus load) is exogenous: no action changes it. It is estimated as what the
slaves are believed to draw minus what the meter reads. Seconds pass between a command and its effect,
so the slaves' power is followed from the commands through dead time and lag
(`core.estimation.actuator_model`).
"""

from dataclasses import dataclass, field, replace
from math import isfinite

from core.arrays import SCALAR
from core.estimation.actuator_model import (
    EXTRA_DELAY_MAX_S,
    ResponseGroup,
    commands_w,
    follow,
    history_ticks,
    mean_delay_s,
    phase_gains,
    response_groups,
)
from core.estimation.learned_response import NOT_LEARNED, Learned, adapted
from core.metering import balance_phases
from core.roles import sign
from core.site import ZERO, Phases, Site, per_phase
from core.snapshot import METER_LOST_S, Snapshot, slave_capacity_w


@dataclass(frozen=True, slots=True)
class StateEstimate:
    """The estimate a controller works with, per phase, as the site's meter bills it.

    `meter_w` is the newest grid power seen the way it is billed (equal to the reading when phases are
    billed one by one), `surplus_w` the power left to place, `model_w` what the slaves are believed to
    draw or feed, `command_w` what is on air, `capacity_w` what the available slaves can take.
    `credit_s` is the time since the last frame in which the rate limit has accumulated. `fresh` is whether
    a sample came in this tick; one that is not a number is none. Where the slaves' gain was measured, every
    power but `command_w` and `capacity_w` is in watts told: what has to be told for it.
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
    learned: Learned = field(
        default=NOT_LEARNED, compare=False
    )  # follows from the memory, and is not journalled


@dataclass(frozen=True, slots=True)
class EstimatorState:
    """Memory of the estimator: commands on air, newest first, and the believed power of each response group.

    `surplus_w` repeats the last estimate through a missed sample. `started` is False before the first
    sample and after a gap.
    """

    sent_w: tuple[tuple[float, ...], ...] = ()
    model_w: tuple[float, ...] = ZERO
    surplus_w: Phases = ZERO
    meter_w: Phases = ZERO
    at_s: float = 0.0
    started: bool = False
    groups: tuple[ResponseGroup, ...] = ()
    learned: Learned = NOT_LEARNED


def capacity_w(site: Site, snapshot: Snapshot) -> Phases:
    """What the available slaves of each phase can take, at most the phase limit."""
    total = [0.0, 0.0, 0.0]
    for slave, state in zip(site.slaves, snapshot.slaves, strict=True):
        for phase in slave.phases:
            total[phase] += slave_capacity_w(slave, state) / len(slave.phases)
    return per_phase([min(x, site.limits.phase_max_w) for x in total])


def estimate_state(
    site: Site, snapshot: Snapshot, belief: EstimatorState, in_force: Learned = NOT_LEARNED
) -> tuple[StateEstimate, EstimatorState]:
    """Estimate the surplus from one snapshot.

    Args:
        in_force: what was learned of how the slaves of each phase answer.

    Returns:
        The estimate of this tick and the memory for the next.
    """
    step_s = snapshot.at_s - belief.at_s
    fresh = snapshot.meter_age_s < site.period_s and all(map(isfinite, snapshot.grid_power_w))
    if belief.started and 0.0 < step_s <= max(METER_LOST_S, 2.0 * site.period_s):
        groups = belief.groups or response_groups(site)
        if in_force != belief.learned:
            groups = adapted(groups, in_force)
            longer = history_ticks(groups, site.period_s) - len(belief.sent_w)
            belief = replace(belief, sent_w=belief.sent_w + belief.sent_w[-1:] * longer)
        sent_w, group_w = _followed(groups, site.period_s, snapshot, belief, step_s)
    else:
        groups = adapted(response_groups(site), in_force)
        group_w = commands_w(groups, snapshot.on_air)
        sent_w = (group_w,) * history_ticks(groups, site.period_s)
    model_w = _phase_sums(groups, group_w)
    capacity = capacity_w(site, snapshot)
    surplus_w, meter_w = belief.surplus_w, belief.meter_w
    if fresh:
        s, gains = sign(site.role), phase_gains(groups)
        cells = zip(model_w, snapshot.grid_power_w, gains, strict=True)
        raw = per_phase([m - s * g / gain for m, g, gain in cells])
        surplus_w = balance_phases(raw, capacity, site.metering)
        meter_w = per_phase([s * (m - x) for m, x in zip(model_w, surplus_w, strict=True)])
    estimate = StateEstimate(
        fresh=fresh,
        meter_w=meter_w,
        surplus_w=surplus_w,
        model_w=model_w,
        command_w=snapshot.on_air.action_w,
        capacity_w=capacity,
        credit_s=snapshot.on_air.age_s,
        delay_s=mean_delay_s(groups, _believable_s(snapshot)),
        sign=sign(site.role),
        learned=in_force,
    )
    started = fresh or belief.started
    return estimate, EstimatorState(
        sent_w, group_w, surplus_w, meter_w, snapshot.at_s, started, groups, in_force
    )


def _followed(
    groups: tuple[ResponseGroup, ...],
    period_s: float,
    snapshot: Snapshot,
    belief: EstimatorState,
    step_s: float,
) -> tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]:
    """The commands with the newest in front, and the groups' power after this step."""
    sent_w = (commands_w(groups, snapshot.on_air), *belief.sent_w[:-1])
    extra_s = round(_believable_s(snapshot))
    columns = zip(groups, belief.model_w, zip(*sent_w, strict=True), strict=True)
    return sent_w, tuple(
        follow(group, model_w, column, step_s, period_s, extra_s) for group, model_w, column in columns
    )


def _believable_s(snapshot: Snapshot) -> float:
    """Extra delay of the radio, as far as it is believed."""
    return float(SCALAR.clip(snapshot.extra_delay_s, 0.0, EXTRA_DELAY_MAX_S))


def _phase_sums(groups: tuple[ResponseGroup, ...], group_w: tuple[float, ...]) -> Phases:
    """Power per phase."""
    total = [0.0, 0.0, 0.0]
    for group, power_w in zip(groups, group_w, strict=True):
        total[group.phase] += power_w
    return per_phase(total)
