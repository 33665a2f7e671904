"""The electricity of a site, written once for floats, numpy arrays and torch tensors.

Every function computes one *cell*: one slave, or one phase. `ns` is a `core.arrays.Namespace` (`SCALAR`,
`numpy` or `torch`); arguments are floats or arrays of one shape in its type. Powers of slaves are magnitudes
in W; `grid_w` carries the signs of `core`.

Model of a slave: the setpoint heard last becomes a reference that moves with a limited slope, the slave draws
the reference up to its rating with a small gain error, and its power follows with a first-order lag. The lag
step is exact for a reference that stands still during the step, whatever the length of the step.
"""

from collections.abc import Sequence

from core.arrays import Namespace, Number

RAMP_W_PER_S = 1000.0
"""Slope with which a slave follows a setpoint (docs/develop/setpoint-protocol.md)."""
SAFE_RAMP_W_PER_S = 2500.0
"""Slope of a slave's own way to 0 W: safe release, or time to live run out
(docs/develop/setpoint-protocol.md)."""
TTL_S = 15.0
"""Default time to live of a setpoint (docs/develop/setpoint-protocol.md)."""
LAG_RANGE_S = (1.0, 2.0)
"""First-order lag of heaters behind a phase-angle controller: the range of simulated slaves."""
GAIN_RANGE = (0.95, 1.03)
"""Power drawn per watt of setpoint: tolerance of heating elements and of the line voltage."""
PHASE_SHARES = {
    "3ph": (1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0),
    "A": (1.0, 0.0, 0.0),
    "B": (0.0, 1.0, 0.0),
    "C": (0.0, 0.0, 1.0),
}
"""How an inverter's power enters the phases, by its connection."""


def wanted_w(ns: Namespace, setpoint_w: Number, silence_s: Number, ttl_s: float = TTL_S) -> Number:
    """What a slave wants: the setpoint it heard last, 0 W once that is older than its time to live."""
    return ns.where(silence_s < ttl_s, setpoint_w, setpoint_w * 0.0)


def ramp_w_per_s(
    ns: Namespace, silence_s: Number, ttl_s: float = TTL_S, follow_w_per_s: float = RAMP_W_PER_S
) -> Number:
    """Slope in force: the normal one, or the fast one once nothing was heard for the time to live."""
    slope = silence_s * 0.0 + follow_w_per_s
    rest_w_per_s = max(SAFE_RAMP_W_PER_S, follow_w_per_s)
    return ns.where(silence_s < ttl_s, slope, slope * 0.0 + rest_w_per_s)


def slewed_w(ns: Namespace, reference_w: Number, goal_w: Number, reach_w: Number) -> Number:
    """The reference after one step in which it may move by `reach_w` (slope times step length)."""
    return reference_w + ns.clip(goal_w - reference_w, -reach_w, reach_w)


def lag_share(ns: Namespace, step_s: float, lag_s: Number) -> Number:
    """Share of the way to its target that a first-order lag covers in one step; exact."""
    return 1.0 - ns.exp(-step_s / lag_s)


def worked_w(ns: Namespace, reference_w: Number, steps_w: Sequence[Number], is_free: bool) -> Number:
    """What an appliance with steps makes of its reference: the highest step that is not above it, or 0 W.

    Args:
        steps_w: rising powers that it switches to; its minimum alone where it moves freely above that.
        is_free: whether it does.
    """
    if is_free:
        return ns.where(reference_w < steps_w[0], reference_w * 0.0, reference_w)
    placed_w = reference_w * 0.0
    for step_w in steps_w:
        placed_w = ns.where(reference_w < step_w, placed_w, placed_w * 0.0 + step_w)
    return placed_w


def stored_c(
    temperature_c: Number,
    power_w: Number,
    step_s: float,
    capacity_wh_per_k: Number,
    loss_w_per_k: Number,
    room_c: Number,
) -> Number:
    """Temperature of a store after one step in which it takes `power_w`."""
    gained_wh = (power_w - loss_w_per_k * (temperature_c - room_c)) * step_s / 3600.0
    return temperature_c + gained_wh / capacity_wh_per_k


def closed_after(
    ns: Namespace, is_closed: Number, temperature_c: Number, open_c: Number, close_c: Number
) -> Number:
    """Whether a thermostat lets power through (1) or not (0), with the hysteresis between its limits."""
    cooled = ns.where(temperature_c <= close_c, is_closed * 0.0 + 1.0, is_closed)
    return ns.where(temperature_c >= open_c, is_closed * 0.0, cooled)


def settled_w(
    ns: Namespace, power_w: Number, reference_w: Number, max_w: Number, gain: Number, share: Number
) -> Number:
    """A slave's power after one step: saturation, gain error, then the lag by `share` of the way."""
    placed_w = ns.where(reference_w < max_w, reference_w, max_w)
    return power_w + share * (placed_w * gain - power_w)


def grid_w(load_w: Number, pv_w: Number, slaves_w: Number, sign: float) -> Number:
    """Power at the meter of one phase (+ import); `sign` is +1 for absorbing slaves, -1 for generating."""
    return load_w - pv_w + sign * slaves_w


def pv_phases_w(pv_w: Number, connection: str) -> tuple[Number, Number, Number]:
    """A site's PV power split over the phases. Raises KeyError for a connection not in `PHASE_SHARES`."""
    a, b, c = PHASE_SHARES[connection]
    return pv_w * a, pv_w * b, pv_w * c


def phase_sums_w(power_w: Sequence[Number], phases: Sequence[int], zero: Number = 0.0) -> list[Number]:
    """Sum of the slaves' power per phase; `zero` is the neutral element of the arrays in use."""
    sums = [zero, zero, zero]
    for phase, power in zip(phases, power_w, strict=True):
        sums[phase] = sums[phase] + power
    return sums
