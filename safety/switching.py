"""The step of a switching: a move of its own kind, with more credit than the others.

A staged slave cannot be moved a little. So its switching may use the seconds in which nothing else moved, up
to `SWITCH_CREDIT_MAX_S` of them; and only one slave may be switched up in one move. Where a move takes
several messages, those that switch nothing are together no more than a usual step: they may get through
alone.
"""

from core.limits import SWITCH_CREDIT_MAX_S
from core.site import Site
from core.snapshot import Snapshot


def switch_credit_s(setpoints_w: tuple[int, ...], snapshot: Snapshot, site: Site) -> float:
    """Seconds of credit that moving to these setpoints may use because it switches a staged slave.

    0 where nothing is switched, more than one step is taken up, or it is unknown what is on air.
    """
    air = snapshot.on_air
    if air.doubts or not air.still_s >= 0.0:
        return 0.0
    steps = _steps(setpoints_w, snapshot, site)
    if sum(max(0, step) for step in steps) > 1 or not any(steps):
        return 0.0
    return min(air.still_s, SWITCH_CREDIT_MAX_S)


def switching_groups(setpoints_w: tuple[int, ...], snapshot: Snapshot, site: Site) -> tuple[int, ...]:
    """Numbers of the delivery groups of which these setpoints switch a staged slave."""
    steps, groups = _steps(setpoints_w, snapshot, site), snapshot.on_air.groups
    return tuple(n for n, group in enumerate(groups) if any(steps[place] for place in group.slaves))


def is_workable(setpoints_w: tuple[int, ...], snapshot: Snapshot, site: Site) -> bool:
    """Whether every slave with levels is told one of them, or what it was told before."""
    before_w = snapshot.on_air.setpoints_w or (0,) * len(site.slaves)
    if not len(setpoints_w) == len(before_w) == len(site.slaves):
        return not any(slave.levels_w for slave in site.slaves)
    cells = zip(site.slaves, setpoints_w, before_w, strict=True)
    return all(not slave.levels_w or slave.takes(new) or new == old for slave, new, old in cells)


def has_authority(setpoints_w: tuple[int, ...], site: Site) -> bool:
    """Whether nobody is told to draw whose dead-man is not proven."""
    if len(setpoints_w) != len(site.slaves):
        return all(slave.may_draw for slave in site.slaves)
    return all(slave.may_draw or w == 0 for slave, w in zip(site.slaves, setpoints_w, strict=True))


def _steps(setpoints_w: tuple[int, ...], snapshot: Snapshot, site: Site) -> tuple[int, ...]:
    """How many of its steps each slave is taken up, or down; nowhere for vectors that do not fit the site."""
    before_w = snapshot.on_air.setpoints_w or (0,) * len(site.slaves)
    if not len(setpoints_w) == len(before_w) == len(site.slaves):
        return (0,) * len(site.slaves)
    cells = zip(site.slaves, before_w, setpoints_w, strict=True)
    return tuple(_step(slave.steps_w, new) - _step(slave.steps_w, old) for slave, old, new in cells)


def _step(steps_w: tuple[int, ...], setpoint_w: int) -> int:
    """How many of its steps a slave is up."""
    return sum(step_w <= setpoint_w for step_w in steps_w)
