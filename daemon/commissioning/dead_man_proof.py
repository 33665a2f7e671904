"""Does a device let go by itself? It is switched on, nobody speaks to it any more, and the meter is watched.

No list of models can be trusted: there are devices and firmware versions whose time-out exists on paper only.
The grid meter alone is the witness; what the device says of itself counts nothing here. While everybody is
silent the device is still asked what it does, as by a daemon that hangs: a timer that reading starts anew is
no dead-man.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import fmean

from core.site import Slave
from daemon.commissioning.switched_slaves import SwitchedSlaves
from daemon.identification.record import DeadManOutcome, DeadManProof
from drivers.errors import Transient

ROUNDS = 2
"""A load of the house may fall in the very moment once."""
BASE_S, ON_S = 8.0, 20.0
"""The meter is watched before it is switched on, and the device has this long to follow."""
RENEW_EVERY_S = 2.0
LATE_S = 6.0
"""A device that stops this long after its time still has one; a meter is late, too."""
LEAST_W = 300
"""Less than this is lost in the noise of a house."""
SHARE = 0.6
"""Of the power told, that the meter must see come, and of what came, that it must see go."""
MEAN_OF = 3
"""Readings."""
LOOK_EVERY_S = 0.1


async def prove_dead_man(wires: SwitchedSlaves, slave: Slave, told_w: int, device: str) -> DeadManProof:
    """Switch one device on, fall silent, and see whether it lets go in its time. Leaves it resting.

    Args:
        told_w: what it is told; a step that the gate lets go.
        device: what it is, in words, for the record.

    Raises:
        Transient: the meter or the device was lost meanwhile.
    """
    dead_man_s = wires.dead_man_s(slave)
    outcome, fell_after_s = DeadManOutcome.LET_GO, 0.0
    if told_w < LEAST_W:
        outcome = DeadManOutcome.DRAWS_NOTHING
    try:
        for _ in range(ROUNDS if told_w >= LEAST_W else 0):
            outcome, after_s = await _one_round(wires, slave, told_w, dead_man_s)
            fell_after_s = max(fell_after_s, after_s)
            if outcome is not DeadManOutcome.LET_GO:
                break
    finally:
        await wires.rest()
    return DeadManProof(
        name=slave.name,
        slot=slave.slot,
        device=device,
        version=wires.version(slave),
        at_utc=datetime.now(UTC).replace(microsecond=0),
        told_w=told_w,
        dead_man_s=dead_man_s,
        outcome=outcome.value,
        fell_after_s=round(fell_after_s, 1),
    )


async def _one_round(
    wires: SwitchedSlaves, slave: Slave, told_w: int, dead_man_s: float
) -> tuple[DeadManOutcome, float]:
    place = wires.site.slaves.index(slave)
    await wires.rest()
    begun_s = wires.clock()
    await _pause(wires, BASE_S)
    resting_w = _power_w(wires, slave.phases, begun_s)
    on_at_s = wires.clock()
    while wires.clock() - on_at_s < ON_S:
        spoken_at_s = await wires.tell(place, told_w)
        await _pause(wires, RENEW_EVERY_S)
        drawing_w = _power_w(wires, slave.phases, spoken_at_s - RENEW_EVERY_S)
        if abs(drawing_w - resting_w) >= SHARE * told_w and wires.clock() - on_at_s >= ON_S / 2:
            break
    else:
        return DeadManOutcome.DRAWS_NOTHING, 0.0
    came_w = drawing_w - resting_w
    while wires.clock() - spoken_at_s < dead_man_s + LATE_S:
        await _pause(wires, LOOK_EVERY_S)
        left_w = _power_w(wires, slave.phases, spoken_at_s) - resting_w
        if left_w / came_w <= 1.0 - SHARE:
            return DeadManOutcome.LET_GO, wires.clock() - spoken_at_s
    return DeadManOutcome.WENT_ON, wires.clock() - spoken_at_s


async def _pause(wires: SwitchedSlaves, seconds: float) -> None:
    until_s = wires.clock() + seconds
    while wires.clock() < until_s:
        wires.require_meter()
        await asyncio.sleep(min(LOOK_EVERY_S, max(0.0, until_s - wires.clock())))


def _power_w(wires: SwitchedSlaves, phases: Sequence[int], since_s: float) -> float:
    """Mean of the newest readings since then, on the phases of the slave."""
    _, grid_w = wires.readings_since(since_s)
    if not len(grid_w):
        raise Transient("the meter gave no reading")
    return fmean(sum(float(row[phase]) for phase in phases) for row in grid_w[-MEAN_OF:])
