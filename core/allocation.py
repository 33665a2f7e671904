"""From per-phase totals to one setpoint per slave."""

from core.roles import SAFE_SETPOINT_W
from core.site import Phases, Site, Slave, per_phase
from core.snapshot import Snapshot


def allocate(action_w: Phases, site: Site, snapshot: Snapshot) -> tuple[int, ...]:
    """Share each phase's action over its available slaves.

    Proportional to capability, whole watts by largest remainder, never above a slave's maximum and
    never between 0 and its minimum: where the shares would be too small, slaves with the highest
    minimum rest first. The sum never exceeds the action (rounding goes toward safe). Equal slaves on a
    phase that all answer get the specification's even split.

    Args:
        action_w: per-phase totals in W, finite and >= 0.

    Returns:
        Setpoints in W in the order of ``site.slaves``; unavailable slaves get the safe setpoint.
    """
    setpoints = [SAFE_SETPOINT_W] * len(site.slaves)
    for phase, total_w in enumerate(action_w):
        candidates = [
            (index, slave)
            for index, slave in enumerate(site.slaves)
            if slave.phase == phase and snapshot.slaves[index].available and slave.max_w > 0
            if not (slave.levels_w or slave.is_three_phase)  # these rest: nothing switches them yet
        ]
        for index, setpoint_w in _share(int(total_w), candidates):
            setpoints[index] = setpoint_w
    return tuple(setpoints)


def interpolate_setpoints(
    on_air_w: tuple[int, ...], wanted_w: tuple[int, ...], share: float, site: Site, snapshot: Snapshot
) -> tuple[int, ...]:
    """Setpoints at `share` of the way, for a vector that is too far from what is on air for one step.

    An available slave is not left between 0 and its minimum: it stays where it is until the whole way is
    open.
    """
    moved = []
    states = zip(site.slaves, snapshot.slaves, on_air_w, wanted_w, strict=True)
    for slave, state, old_w, new_w in states:
        setpoint_w = old_w + int(share * (new_w - old_w))
        works = not 0 < setpoint_w < slave.min_w or not state.available
        moved.append(setpoint_w if works else old_w)
    return tuple(moved)


def totals_w(setpoints_w: tuple[int, ...], site: Site) -> Phases:
    """The per-phase action that a vector of setpoints amounts to."""
    totals = [0.0, 0.0, 0.0]
    for slave, setpoint_w in zip(site.slaves, setpoints_w, strict=True):
        for phase in slave.phases:
            totals[phase] += setpoint_w / len(slave.phases)
    return per_phase(totals)


def _share(total_w: int, slaves: list[tuple[int, Slave]]) -> list[tuple[int, int]]:
    """(index, setpoint) of the slaves that work; the others rest."""
    while slaves:
        room_w = sum(slave.max_w for _, slave in slaves)
        place_w = min(total_w, room_w)
        shares = [place_w * slave.max_w // room_w for _, slave in slaves]
        remainders = [place_w * slave.max_w % room_w for _, slave in slaves]
        missing = place_w - sum(shares)
        for at in sorted(range(len(slaves)), key=lambda i: -remainders[i])[:missing]:
            shares[at] += 1
        if all(w >= slave.min_w for w, (_, slave) in zip(shares, slaves, strict=True)):
            return [(index, w) for w, (index, _) in zip(shares, slaves, strict=True)]
        slaves.remove(max(slaves, key=lambda item: (item[1].min_w, item[1].slot)))
    return []
