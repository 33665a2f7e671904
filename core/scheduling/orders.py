"""What the owner said of single devices, as a decision takes it in.

An order never widens a limit: the gate does not know of orders, and judges what comes of them as it judges
everything else.
"""

from dataclasses import replace

from core.site import Site
from core.snapshot import DeviceOrder, SlaveState, Snapshot


def is_boosted(state: SlaveState) -> bool:
    """Whether it gets power without a surplus."""
    return state.order is DeviceOrder.BOOST


def has_boosted(snapshot: Snapshot) -> bool:
    """Whether any device does."""
    return any(map(is_boosted, snapshot.slaves))


def in_owners_order(site: Site, snapshot: Snapshot) -> Site:
    """The same site, with the priorities that the owner gave; those of the configuration otherwise."""
    if all(state.priority is None for state in snapshot.slaves):
        return site
    cells = zip(site.slaves, snapshot.slaves, strict=True)
    return replace(
        site,
        slaves=tuple(
            slave if state.priority is None else replace(slave, priority=state.priority)
            for slave, state in cells
        ),
    )


def rested(snapshot: Snapshot) -> Snapshot:
    """The same image, in which devices that shall rest can be told nothing but 0 W."""
    if all(state.order is not DeviceOrder.REST for state in snapshot.slaves):
        return snapshot
    return replace(
        snapshot,
        slaves=tuple(
            replace(state, limit_w=0) if state.order is DeviceOrder.REST else state
            for state in snapshot.slaves
        ),
    )
