"""Net and per-phase billing: what is exported, and how the surplus is shared between the phases."""

from core.arrays import sum_in_order
from core.roles import Role
from core.site import Metering, Phases, per_phase

AVOIDABLE_WEIGHT = 0.5
"""What a watt-hour bought in vain costs, against one given away."""


def balance_phases(surplus_w: Phases, capacity_w: Phases, metering: Metering) -> Phases:
    """The surplus each phase should place.

    Billed one by one, each phase places its own. A netting meter bills only the sum: then the sum is
    placed, and it is shared so that the phases' grid powers come out as equal as capacity allows (every
    phase is shifted by one common amount and bounded by 0 and its capacity). The sum is preserved; what
    is below 0 or above the whole capacity is shared equally.
    """
    if metering is Metering.PER_PHASE:
        return surplus_w
    total = sum_in_order(surplus_w)
    room = sum_in_order(capacity_w)
    if total <= 0.0:
        return (total / 3.0,) * 3
    if total >= room:
        over = (total - room) / 3.0
        return per_phase([c + over for c in capacity_w])
    return _shift_to_sum(surplus_w, capacity_w, total)


def _shift_to_sum(surplus_w: Phases, capacity_w: Phases, total_w: float) -> Phases:
    """Shift all phases by one amount so that, bounded by 0 and capacity, they sum to total_w.

    The sum is piecewise linear in the shift; its corners are where a phase reaches 0 or its capacity.
    """

    def placed_w(shift: float) -> Phases:
        return per_phase([min(max(0.0, s + shift), c) for s, c in zip(surplus_w, capacity_w, strict=True)])

    corners = sorted(bound - s for s, c in zip(surplus_w, capacity_w, strict=True) for bound in (0.0, c))
    low, low_w = corners[0], 0.0
    for high in corners[1:]:
        high_w = sum_in_order(placed_w(high))
        if high_w >= total_w:
            return placed_w(low + (total_w - low_w) / (high_w - low_w) * (high - low))
        low, low_w = high, high_w
    return placed_w(low)


def exported_w(grid_power_w: Phases, metering: Metering) -> float:
    """Power flowing out, as billed."""
    if metering is Metering.NET:
        return max(0.0, -sum_in_order(grid_power_w))
    return sum_in_order(max(0.0, -g) for g in grid_power_w)


def imported_w(grid_power_w: Phases, metering: Metering) -> float:
    """Power flowing in, as billed."""
    if metering is Metering.NET:
        return max(0.0, sum_in_order(grid_power_w))
    return sum_in_order(max(0.0, g) for g in grid_power_w)


def avoidable_import_w(slave_power_w: Phases, grid_power_w: Phases, metering: Metering) -> float:
    """The part of the absorbing slaves' power that was drawn from the grid, as billed."""
    if metering is Metering.NET:
        return min(sum_in_order(slave_power_w), max(0.0, sum_in_order(grid_power_w)))
    return sum_in_order(min(p, max(0.0, g)) for p, g in zip(slave_power_w, grid_power_w, strict=True))


def curtailable_w(slaves_w: Phases, capacity_w: Phases, role: Role) -> Phases:
    """What could have been placed otherwise: the draw of absorbers, the unused room of generators."""
    if role is Role.ABSORB:
        return slaves_w
    return per_phase([max(0.0, c - p) for c, p in zip(capacity_w, slaves_w, strict=True)])


def unavoidable_export_w(bare_w: Phases, capacity_w: Phases, role: Role, metering: Metering) -> float:
    """What is exported, as billed, when the slaves do all they can against it.

    Args:
        bare_w: grid power without the slaves, per phase (+ import).
        capacity_w: what the available slaves can take or feed.
    """
    if role is Role.ABSORB:
        bare_w = per_phase([g + c for g, c in zip(bare_w, capacity_w, strict=True)])
    return exported_w(bare_w, metering)
