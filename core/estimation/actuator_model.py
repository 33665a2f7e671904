"""How the slaves' power follows the commands: dead time, first-order lag and gain.

Slaves that answer alike on one phase are one response group. A slave whose dead time and lag were measured is
followed with its own numbers, exact also where the dead time is no whole number of periods; the others are
followed as the usual heater behind the usual radio.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp

from core.arrays import Number, sum_in_order
from core.site import Phases, Site, Slave, per_phase
from core.snapshot import OnAirState

AGE_SHARES = (0.0, 0.26, 0.45, 0.25, 0.04)
"""Share of a phase's power that follows the command of 0, 1, 2, 3, 4 s ago (64 h of a simulated radio)."""
MEAN_AGE_S = sum_in_order(age * share for age, share in enumerate(AGE_SHARES))
SLAVE_LAG_S = 1.5
"""Middle of the 1..2 s first-order lag of heaters behind a phase-angle controller."""
HISTORY_S = 8.0
"""Commands kept: the oldest share plus up to 3 s of estimated extra delay."""
EXTRA_DELAY_MAX_S = 10.0
"""More extra delay than this is not believed: the slaves let go long before it would matter."""
SPREAD = ((1.0 / 6.0, -(3.0**0.5)), (2.0 / 3.0, 0.0), (1.0 / 6.0, 3.0**0.5))
"""Three points with the first five moments of a normal distribution: share, and standard deviations away."""
DEAD_TIME_MAX_S = 15.0
DEAD_TIME_SD_MAX_S = 3.0
LAG_RANGE_S = (0.05, 60.0)
GAIN_RANGE = (0.5, 1.5)
"""Measured numbers beyond these are held at them: a control loop cannot be led by slower ones."""


@dataclass(frozen=True, slots=True)
class ResponseGroup:
    """Slaves that answer alike on one phase.

    `shares` are (place in `Site.slaves`, part of its power on this phase), empty for all slaves of the phase.
    `dead_time_s` is from a command to where the meter shows its first effect, None where it was not measured,
    `dead_time_sd_s` by how much it differs from command to command.
    `weight` is the group's part of the phase's rated power.
    """

    phase: int
    shares: tuple[tuple[int, float], ...] = ()
    dead_time_s: float | None = None
    dead_time_sd_s: float = 0.0
    lag_s: float = SLAVE_LAG_S
    gain: float = 1.0
    weight: float = 1.0

    def answering(self, dead_time_s: float, lag_s: float) -> "ResponseGroup":
        """The same slaves, answering so; how much that differs from command to command stays as it was
        measured."""
        low_s, high_s = LAG_RANGE_S
        return replace(
            self,
            dead_time_s=min(max(dead_time_s, 0.0), DEAD_TIME_MAX_S),
            lag_s=min(max(lag_s, low_s), high_s),
        )


def is_measured(slave: Slave) -> bool:
    """Whether dead time and lag of this slave were measured on its site."""
    return slave.dead_time_s is not None and slave.lag_s is not None


def response_groups(site: Site) -> tuple[ResponseGroup, ...]:
    """The groups of a site, by phase; one for each phase where nothing was measured."""
    if not any(map(is_measured, site.slaves)):
        return tuple(ResponseGroup(phase) for phase in range(3))
    members: dict[tuple[int, float | None, float, float, float], list[tuple[int, float]]] = {}
    rated_w = [0.0, 0.0, 0.0]
    for place, slave in enumerate(site.slaves):
        share = 1.0 / len(slave.phases)
        for phase in slave.phases:
            rated_w[phase] += share * slave.max_w
            members.setdefault((phase, *_response(slave, site)), []).append((place, share))
    groups = []
    for (phase, dead_s, sd_s, lag_s, gain), shares in sorted(members.items(), key=lambda item: item[0][0]):
        power_w = sum_in_order(share * site.slaves[place].max_w for place, share in shares)
        weight = power_w / rated_w[phase] if rated_w[phase] > 0.0 else 1.0
        groups.append(ResponseGroup(phase, tuple(shares), dead_s, sd_s, lag_s, gain, weight))
    return tuple(groups)


def commands_w(groups: Sequence[ResponseGroup], on_air: OnAirState) -> tuple[float, ...]:
    """What each group is told by what is on air, in W."""
    setpoints_w = on_air.setpoints_w
    return tuple(
        sum_in_order(share * setpoints_w[place] for place, share in group.shares)
        if group.shares and setpoints_w
        else on_air.action_w[group.phase] * (group.weight if group.shares else 1.0)
        for group in groups
    )


def first_order_lag(model_w: Number, target_w: Number, step_s: float, lag_s: float = SLAVE_LAG_S) -> Number:
    """First-order lag over one step, for one cell."""
    return model_w + (1.0 - exp(-step_s / lag_s)) * (target_w - model_w)


def delayed_command(sent_w: tuple[Number, ...], extra_delay_s: float, period_s: float) -> Number:
    """The command a phase follows on average, for one cell; `sent_w` newest first, one per period."""
    last = len(sent_w) - 1
    places = (
        (share, round((age + extra_delay_s) / period_s)) for age, share in enumerate(AGE_SHARES) if share
    )
    return sum_in_order(share * sent_w[min(place, last)] for share, place in places)


def follow(
    group: ResponseGroup,
    model_w: float,
    sent_w: tuple[float, ...],
    step_s: float,
    period_s: float,
    extra_delay_s: float,
) -> float:
    """Power of a group one step later, in watts told.

    Args:
        sent_w: commands of the group, one per period; the newest was sent when the step began.
        extra_delay_s: of the radio beyond the usual one, as the reports show it; what was measured has it.
    """
    if group.dead_time_s is None:
        return float(first_order_lag(model_w, delayed_command(sent_w, extra_delay_s, period_s), step_s))
    if group.dead_time_sd_s <= 0.0:
        return _exactly(group, model_w, sent_w, step_s, period_s, group.dead_time_s)
    return sum_in_order(
        share
        * _exactly(
            group,
            model_w,
            sent_w,
            step_s,
            period_s,
            max(0.0, group.dead_time_s + places * group.dead_time_sd_s),
        )
        for share, places in SPREAD
    )


def _exactly(
    group: ResponseGroup,
    model_w: float,
    sent_w: tuple[float, ...],
    step_s: float,
    period_s: float,
    dead_time_s: float,
) -> float:
    """Lag behind a command that took effect somewhere within a period."""
    last, whole = len(sent_w) - 1, int(dead_time_s / period_s)
    first_s = min(dead_time_s - whole * period_s, step_s)
    halfway_w = first_order_lag(model_w, sent_w[min(whole + 1, last)], first_s, group.lag_s)
    return float(first_order_lag(halfway_w, sent_w[min(whole, last)], step_s - first_s, group.lag_s))


def history_ticks(groups: Sequence[ResponseGroup], period_s: float) -> int:
    """How many commands a site has to remember."""
    measured = [
        int((group.dead_time_s + 2.0 * group.dead_time_sd_s) / period_s) + 2
        for group in groups
        if group.dead_time_s is not None
    ]
    return max(1, round(HISTORY_S / period_s), *measured)


def mean_delay_s(groups: Sequence[ResponseGroup], extra_delay_s: float) -> float:
    """From a command to the first effect at the meter, over all slaves."""
    delays_s = [
        (group.weight, MEAN_AGE_S + extra_delay_s if group.dead_time_s is None else group.dead_time_s)
        for group in groups
    ]
    if all(delay_s == delays_s[0][1] for _, delay_s in delays_s):
        return delays_s[0][1]
    return sum_in_order(weight * delay_s for weight, delay_s in delays_s) / sum_in_order(
        weight for weight, _ in delays_s
    )


def phase_gains(groups: Sequence[ResponseGroup]) -> Phases:
    """Watts drawn per watt told, for each phase."""
    gains = [0.0, 0.0, 0.0]
    for group in groups:
        gains[group.phase] += group.weight * group.gain
    return per_phase([gain or 1.0 for gain in gains])


def _response(slave: Slave, site: Site) -> tuple[float | None, float, float, float]:
    """Dead time with the meter's own lateness, its spread, lag and gain as they are believed."""
    if slave.dead_time_s is None or slave.lag_s is None:
        return None, 0.0, SLAVE_LAG_S, 1.0
    dead_time_s = min(slave.dead_time_s + site.meter_delay_s, DEAD_TIME_MAX_S)
    low_s, high_s = LAG_RANGE_S
    low, high = GAIN_RANGE
    gain = 1.0 if slave.gain is None else min(max(slave.gain, low), high)
    spread_s = min(max(slave.dead_time_sd_s, 0.0), DEAD_TIME_SD_MAX_S)
    return max(dead_time_s, 0.0), spread_s, min(max(slave.lag_s, low_s), high_s), gain
