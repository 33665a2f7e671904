"""What is wrong with the slaves of a configuration, beyond types and ranges."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import hypot, sqrt

from core.limits import PHASE_CAP_W, ROUNDING_W, SWITCH_CREDIT_MAX_S, ImbalanceOf
from daemon.config.sections import LimitsSection, SlaveSection
from daemon.config.toml_lines import Location

Contradiction = tuple[Location, str, str]
"""Where, why, and what to do."""

KILOWATTS = 23
"""A rating below this is one in kilowatts: the largest charger has 22 kW, and no load so few watts."""
_TRIED = 40
"""Powers of the other phases that are tried to find the best balance."""


def slaves_fit(slaves: Sequence[SlaveSection]) -> Iterator[Contradiction]:
    """Every slave has a name, a slot and a phase, and powers that make sense together."""
    if not slaves:
        yield ("slaves",), "there is none", "Add a section [[slaves]] for each controllable device"
    names: dict[str, int] = {}
    slots: dict[int, int] = {}
    for index, slave in enumerate(slaves):
        first = names.setdefault(slave.name, index)
        if first != index:
            yield (
                ("slaves", index, "name"),
                f'"{slave.name}" is taken by another slave',
                "Choose another name",
            )
        first = slots.setdefault(slave.slot, index)
        if first != index:
            yield (
                ("slaves", index, "slot"),
                f'slot {slave.slot} is taken by "{slaves[first].name}"',
                "Give every slave the slot it was commissioned with",
            )
        yield from _phases_fit(index, slave)
        yield from _powers_fit(index, slave)
        yield from _times_fit(index, slave)
        yield from _measured_fit(index, slave)


def _phases_fit(index: int, slave: SlaveSection) -> Iterator[Contradiction]:
    if slave.phase is None and slave.phases is None:
        yield (
            ("slaves", index, "phases"),
            "is missing: it says where the slave draws its power",
            'Add phases = "a", "b", "c", or "all" for a device on three phases, to [[slaves]]',
        )
    if slave.phase is not None and slave.phases is not None:
        why = "says the same as phase, in another line"
        yield ("slaves", index, "phases"), why, "Remove one of the two"


def _powers_fit(index: int, slave: SlaveSection) -> Iterator[Contradiction]:
    if slave.max_w < KILOWATTS:
        yield (
            ("slaves", index, "max_w"),
            f"{slave.max_w} W is less than any such device draws; perhaps it is in kilowatts",
            f"Write watts: max_w = {1000 * slave.max_w}",
        )
    if not slave.is_three_phase and slave.max_w > PHASE_CAP_W:
        yield (
            ("slaves", index, "max_w"),
            f"{slave.max_w} W is more than one phase carries, {PHASE_CAP_W:g} W",
            'Lower it, or write phases = "all" if the device is connected to three phases',
        )
    if slave.min_w > slave.max_w:
        yield (
            ("slaves", index, "min_w"),
            f"{slave.min_w} W is more than max_w, {slave.max_w} W",
            "Lower min_w or raise max_w",
        )
    levels = slave.levels_w
    if not levels:
        return
    if slave.min_w:
        why = "has no meaning beside levels_w: the lowest level is the minimum"
        yield ("slaves", index, "min_w"), why, "Remove it"
    if any(low >= high for low, high in pairwise((0, *levels))) or levels[-1] != slave.max_w:
        yield (
            ("slaves", index, "levels_w"),
            f"{list(levels)} do not rise from above 0 to max_w, {slave.max_w} W",
            f"List every power it knows, for on and off only levels_w = [{slave.max_w}]",
        )


def _times_fit(index: int, slave: SlaveSection) -> Iterator[Contradiction]:
    """Minimum times belong to what is switched."""
    if slave.min_w or slave.levels_w:
        return
    for key in ("min_on_s", "min_off_s"):
        if getattr(slave, key) > 0.0:
            yield (
                ("slaves", index, key),
                "a slave that moves freely from 0 W on is never switched",
                f"Add min_w or levels_w = [{slave.max_w}], or remove {key}",
            )


def _measured_fit(index: int, slave: SlaveSection) -> Iterator[Contradiction]:
    """The most that a dead time may be belongs to that dead time."""
    high_s, dead_time_s = slave.dead_time_high_s, slave.dead_time_s
    if high_s is not None and (dead_time_s is None or high_s < dead_time_s):
        than = (
            "there is no dead_time_s"
            if dead_time_s is None
            else f"it is below dead_time_s, {dead_time_s:g} s"
        )
        yield (
            ("slaves", index, "dead_time_high_s"),
            than,
            "Give dead_time_s, and at least as much here",
        )


def slaves_obey_limits(limits: LimitsSection, slaves: Sequence[SlaveSection]) -> Iterator[Contradiction]:
    """A slave whose first step lies beyond a limit could never start."""
    for index, slave in enumerate(slaves):
        steps_w = slave.levels_w or ((slave.min_w,) if slave.min_w else ())
        if not steps_w:
            continue
        key = "levels_w" if slave.levels_w else "min_w"
        largest_w = max(high - low for low, high in pairwise((0, *steps_w)))
        for why, what in (
            *_beyond_step(limits, slave, largest_w),
            *_beyond_phase(limits, slave, steps_w[0]),
            *_beyond_balance(limits, slave, steps_w[0], slaves),
        ):
            yield ("slaves", index, key), why, what


def _beyond_step(limits: LimitsSection, slave: SlaveSection, step_w: int) -> Iterator[tuple[str, str]]:
    reach_w = limits.step_max_w_per_s * SWITCH_CREDIT_MAX_S - ROUNDING_W
    moved_w = step_w / sqrt(3.0) if slave.is_three_phase else float(step_w)
    if moved_w > reach_w:
        thirds = f" on three phases count as {moved_w:.0f} W, which" if slave.is_three_phase else ""
        yield (
            f"{step_w} W{thirds} is more than the step limit ever allows at once: "
            f"{limits.step_max_w_per_s:g} W per second, for {SWITCH_CREDIT_MAX_S:g} s, "
            f"less {ROUNDING_W:g} W are {reach_w:g} W",
            "Such a slave could never start; use one with smaller steps, or raise limits.step_max_w_per_s",
        )


def _beyond_phase(limits: LimitsSection, slave: SlaveSection, first_w: int) -> Iterator[tuple[str, str]]:
    on_phase_w = first_w / 3.0 if slave.is_three_phase else float(first_w)
    if on_phase_w > limits.phase_max_w:
        thirds = f", {on_phase_w:.0f} W on each phase," if slave.is_three_phase else ""
        yield (
            f"{first_w} W{thirds} is more than limits.phase_max_w, {limits.phase_max_w:g} W",
            "Such a slave could never work; lower its minimum or raise phase_max_w",
        )


def _beyond_balance(
    limits: LimitsSection, slave: SlaveSection, first_w: int, slaves: Sequence[SlaveSection]
) -> Iterator[tuple[str, str]]:
    """Alone on its phase it may be balanced by what the others draw on the other phases, at best."""
    if slave.is_three_phase or limits.imbalance_of is ImbalanceOf.GRID:
        return
    own = slave.letters
    others_w = [
        min(
            limits.phase_max_w,
            sum(s.max_w / len(s.letters) for s in slaves if letter in s.letters and s is not slave),
        )
        for letter in "abc"
        if letter not in own
    ]
    grids = [[room_w * at / _TRIED for at in range(_TRIED + 1)] for room_w in others_w]
    spread_w = min(_spread_w(first_w, b, c) for b in grids[0] for c in grids[1])
    if spread_w > limits.imbalance_max_w:
        yield (
            f"{first_w} W leave the phases apart by {spread_w:.0f} W (standard deviation) however much the "
            f"others draw, and limits.imbalance_max_w is {limits.imbalance_max_w:g} W",
            'Such a slave could never start; use a smaller one, or imbalance_of = "grid"',
        )


def _spread_w(a: float, b: float, c: float) -> float:
    mean = (a + b + c) / 3.0
    return hypot(a - mean, b - mean, c - mean) / sqrt(3.0)
