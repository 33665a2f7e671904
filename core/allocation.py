"""From per-phase totals to one setpoint per slave, and the ways there.

Where one vector goes out in several messages, each may get through alone.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from core.arrays import sum_in_order
from core.roles import SAFE_SETPOINT_W
from core.site import Phases, Site, Slave, per_phase
from core.snapshot import GroupOnAir, SlaveState, Snapshot, slave_capacity_w

SHARES = (1.0, 0.75, 0.5, 0.25, 0.125)
"""Parts of the way to new setpoints that are tried, before what is on air."""
Setpoints = tuple[int, ...]


def allocate(action_w: Phases, site: Site, snapshot: Snapshot) -> tuple[int, ...]:
    """Share each phase's action over its available slaves.

    The most important slaves first; among equal ones proportional to capability, whole watts by largest
    remainder, never above a slave's maximum and never between 0 and its minimum: where the shares would be
    too small, slaves with the highest minimum rest first. The sum never exceeds the action (rounding goes
    toward safe). Equal slaves on a phase that all answer get the specification's even split. Slaves on three
    phases take what the others leave, from all phases alike; with them the phases' totals can differ from the
    action, never their sum.

    Args:
        action_w: per-phase totals in W, finite and >= 0.

    Returns:
        Setpoints in W in the order of ``site.slaves``; unavailable slaves get the safe setpoint.
    """
    setpoints = [SAFE_SETPOINT_W] * len(site.slaves)
    left_w = list(action_w)
    for phase, total_w in enumerate(action_w):
        candidates = [
            (index, _as_it_is(slave, snapshot.slaves[index]))
            for index, slave in enumerate(site.slaves)
            if slave.phase == phase and not slave.is_three_phase
            if slave_capacity_w(slave, snapshot.slaves[index]) > 0
        ]
        for index, setpoint_w in _by_priority(int(total_w), candidates):
            setpoints[index] = setpoint_w
            left_w[phase] -= setpoint_w
    three_phase = [
        (index, _as_it_is(slave, snapshot.slaves[index]))
        for index, slave in enumerate(site.slaves)
        if slave.is_three_phase and slave_capacity_w(slave, snapshot.slaves[index]) > 0
    ]
    if three_phase:
        for index, setpoint_w in _by_priority(int(sum_in_order(left_w)), three_phase):
            setpoints[index] = setpoint_w
    return tuple(setpoints)


def _by_priority(total_w: int, slaves: list[tuple[int, Slave]]) -> list[tuple[int, int]]:
    """The most important slaves first, equal ones together."""
    shares: list[tuple[int, int]] = []
    for priority in sorted({slave.priority for _, slave in slaves}):
        shared = _share(total_w, [item for item in slaves if item[1].priority == priority])
        total_w -= sum(setpoint_w for _, setpoint_w in shared)
        shares += shared
    return shares


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
        works = slave.takes(setpoint_w) or not state.available
        moved.append(setpoint_w if works else old_w)
    return tuple(moved)


def totals_w(setpoints_w: tuple[int, ...], site: Site) -> Phases:
    """The per-phase action that a vector of setpoints amounts to."""
    totals = [0.0, 0.0, 0.0]
    for slave, setpoint_w in zip(site.slaves, setpoints_w, strict=True):
        for phase in slave.phases:
            totals[phase] += setpoint_w / len(slave.phases)
    return per_phase(totals)


def ways(
    on_air_w: Setpoints, wanted_w: Setpoints, site: Site, snapshot: Snapshot
) -> Iterator[tuple[Setpoints, tuple[int, ...]]]:
    """Setpoints to try and the groups to withhold them from, the most wanted first.

    Told in one message: part of the way, what is on air, rest. In several, where that does not fit: what
    fills the room there is, else what makes room, the rest in a later tick; then without the groups of
    which it is unknown what they follow.
    """
    groups = snapshot.on_air.groups
    unsettled = tuple(n for n, group in enumerate(groups) if group.unconfirmed or group.may_rest)
    for withheld in dict.fromkeys(((), unsettled)):
        if groups and len(withheld) == len(groups):
            continue
        kept = {place for number in withheld for place in groups[number].slaves}
        aim_w = tuple(
            old if place in kept else new
            for place, (old, new) in enumerate(zip(on_air_w, wanted_w, strict=True))
        )
        for target_w, share in _steps(on_air_w, aim_w, site, groups):
            part_w = interpolate_setpoints(on_air_w, target_w, share, site, snapshot)
            if part_w != on_air_w:
                yield part_w, withheld
        yield on_air_w, withheld
    yield (0,) * len(site.slaves), ()


def _as_it_is(slave: Slave, state: SlaveState) -> Slave:
    """The slave with what it can be told now for its maximum."""
    capacity_w = slave_capacity_w(slave, state)
    return slave if capacity_w == slave.max_w else replace(slave, max_w=capacity_w)


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


def _steps(
    on_air_w: Setpoints, aim_w: Setpoints, site: Site, groups: tuple[GroupOnAir, ...]
) -> Iterator[tuple[Setpoints, float]]:
    """Where to and how far. Of several groups first those move that raise, then those that lower a phase."""
    *most, least = SHARES
    yield from ((aim_w, share) for share in most)
    moves_w = _moves_w(on_air_w, aim_w, site, groups)
    for toward, phases in product((1, -1), ((0, 1, 2), (0,), (1,), (2,)) if groups else ()):
        target_w = tuple(
            new if set(slave.phases) <= set(phases) and toward * move_w > 0 else old
            for slave, move_w, old, new in zip(site.slaves, moves_w, on_air_w, aim_w, strict=True)
        )
        yield from ((target_w, share) for share in SHARES)
    yield aim_w, least


def _moves_w(
    on_air_w: Setpoints, aim_w: Setpoints, site: Site, groups: tuple[GroupOnAir, ...]
) -> tuple[float, ...]:
    """For each slave, how far its group moves on its phases."""
    moves_w = [0.0] * len(site.slaves)
    for group in groups:
        totals_w = [0.0, 0.0, 0.0]
        for place in group.slaves:
            slave = site.slaves[place]
            for phase in slave.phases:
                totals_w[phase] += (aim_w[place] - on_air_w[place]) / len(slave.phases)
        for place in group.slaves:
            moves_w[place] = sum_in_order(totals_w[phase] for phase in site.slaves[place].phases)
    return tuple(moves_w)
