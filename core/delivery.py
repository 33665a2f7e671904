"""Ways to new setpoints when one vector goes out in several messages, of which each may get through alone."""

from collections.abc import Iterator
from itertools import product

from core.allocation import interpolate_setpoints
from core.site import Site
from core.snapshot import GroupOnAir, Snapshot

SHARES = (1.0, 0.75, 0.5, 0.25, 0.125)
"""Parts of the way to new setpoints that are tried, before what is on air."""
Setpoints = tuple[int, ...]


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


def _steps(
    on_air_w: Setpoints, aim_w: Setpoints, site: Site, groups: tuple[GroupOnAir, ...]
) -> Iterator[tuple[Setpoints, float]]:
    """Where to and how far. Of several groups first those move that raise, then those that lower a phase."""
    *most, least = SHARES
    yield from ((aim_w, share) for share in most)
    moves_w = _moves_w(on_air_w, aim_w, site, groups)
    for toward, phases in product((1, -1), ((0, 1, 2), (0,), (1,), (2,)) if groups else ()):
        target_w = tuple(
            new if slave.phase in phases and toward * move_w > 0 else old
            for slave, move_w, old, new in zip(site.slaves, moves_w, on_air_w, aim_w, strict=True)
        )
        yield from ((target_w, share) for share in SHARES)
    yield aim_w, least


def _moves_w(on_air_w: Setpoints, aim_w: Setpoints, site: Site, groups: tuple[GroupOnAir, ...]) -> Setpoints:
    """For each slave, how far its group moves on its phase."""
    moves_w = [0] * len(site.slaves)
    for group in groups:
        totals_w = [0, 0, 0]
        for place in group.slaves:
            totals_w[site.slaves[place].phase] += aim_w[place] - on_air_w[place]
        for place in group.slaves:
            moves_w[place] = totals_w[site.slaves[place].phase]
    return tuple(moves_w)
