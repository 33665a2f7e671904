"""How the site's meter bills the phases, and what that means for where power is placed."""

from core.site import ZERO, Metering, Phases, per_phase

_ROUNDS = 8
"""Enough for exactness: the sum is piecewise linear in the shift, with at most six corners."""


def level(surplus_w: Phases, capacity_w: Phases, metering: Metering) -> Phases:
    """The surplus each phase should place.

    Billed one by one, each phase places its own. A netting meter bills only the sum: then the sum is
    placed, and it is shared so that the phases' grid powers come out as equal as capacity allows (every
    phase is shifted by one common amount and bounded by 0 and its capacity). The sum is preserved; what
    is below 0 or above the whole capacity is shared equally.
    """
    if metering is Metering.PER_PHASE:
        return surplus_w
    total = sum(surplus_w)
    room = sum(capacity_w)
    if total <= 0.0:
        return (total / 3.0,) * 3
    if total >= room:
        over = (total - room) / 3.0
        return per_phase([c + over for c in capacity_w])
    return _shift_to_sum(surplus_w, capacity_w, total)


def _shift_to_sum(surplus_w: Phases, capacity_w: Phases, total_w: float) -> Phases:
    """Shift all phases by one amount so that, bounded by 0 and capacity, they sum to total_w."""
    low, high = -max(surplus_w), max(c - s for c, s in zip(capacity_w, surplus_w, strict=True))
    shift = 0.0
    placed = ZERO
    for _ in range(_ROUNDS):
        placed = per_phase([min(max(0.0, s + shift), c) for s, c in zip(surplus_w, capacity_w, strict=True)])
        error = total_w - sum(placed)
        if abs(error) < 1e-6:
            break
        if error > 0.0:
            low = shift
        else:
            high = shift
        free = sum(
            0.0 < s + shift < c for s, c in zip(surplus_w, capacity_w, strict=True)
        )  # Newton where it stays inside the bracket, else bisection
        step = shift + error / free if free else low - 1.0
        shift = step if low < step < high else 0.5 * (low + high)
    return placed


def exported_w(grid_power_w: Phases, metering: Metering) -> float:
    """Power flowing out, as billed."""
    if metering is Metering.NET:
        return max(0.0, -sum(grid_power_w))
    return sum(max(0.0, -g) for g in grid_power_w)


def imported_w(grid_power_w: Phases, metering: Metering) -> float:
    """Power flowing in, as billed."""
    if metering is Metering.NET:
        return max(0.0, sum(grid_power_w))
    return sum(max(0.0, g) for g in grid_power_w)


def avoidable_import_w(slave_power_w: Phases, grid_power_w: Phases, metering: Metering) -> float:
    """The part of the absorbing slaves' power that was drawn from the grid, as billed."""
    if metering is Metering.NET:
        return min(sum(slave_power_w), max(0.0, sum(grid_power_w)))
    return sum(min(p, max(0.0, g)) for p, g in zip(slave_power_w, grid_power_w, strict=True))
