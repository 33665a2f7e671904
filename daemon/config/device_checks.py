"""What is wrong with the slaves that are devices of their own."""

from collections.abc import Iterator, Sequence

from core.site import SUNKEEP
from daemon.config.sections import RadioSection, SiteSection, SlaveSection
from daemon.config.toml_lines import Location
from drivers.errors import ConfigError
from drivers.modbus_devices.profile import load_device_profile

Contradiction = tuple[Location, str, str]
"""Where, why, and what to do."""
MESSAGES_PER_DEAD_MAN = 3
"""A device must be able to miss two messages in a row before it rests."""
FRAME_SLOTS = 30
"""Setpoints of one frame (setpoint protocol)."""
NO_SLOT = 10**6


def devices_fit(
    site: SiteSection, radio: RadioSection, slaves: Sequence[SlaveSection]
) -> Iterator[Contradiction]:
    """Every driver has its table, and no other; devices have slots that no frame covers."""
    for index, slave in enumerate(slaves):
        where: Location = ("slaves", index)
        if slave.driver != "modbus" and slave.modbus is not None:
            yield (
                (*where, "modbus"),
                f'belongs to driver = "modbus", and the driver is "{slave.driver}"',
                'Remove it, or write driver = "modbus"',
            )
        if slave.driver == SUNKEEP and slave.unproven_dead_man == "accepted":
            yield (
                (*where, "unproven_dead_man"),
                "means nothing here: the time to live stands in every frame of this driver",
                "Remove it",
            )
        if slave.driver == "modbus":
            yield from _modbus_fits(index, slave, max(radio.airtime.keep_alive_s, site.period_s))
    yield from _slots_fit(slaves)


def _modbus_fits(index: int, slave: SlaveSection, silence_s: float) -> Iterator[Contradiction]:
    where: Location = ("slaves", index, "modbus")
    section = slave.modbus
    if section is None:
        why = 'is missing: driver = "modbus" needs to know which device, and where it is'
        yield where, why, 'Add a table [slaves.modbus] with profile = "..." and host = "..."'
        return
    try:
        profile = load_device_profile(section.profile)
    except ConfigError as error:
        yield (*where, "profile"), f"{error}", "Name one of them, or correct the file"
        return
    phases = len(slave.letters) or 1
    least_w = profile.least_w(phases)
    if (slave.levels_w[0] if slave.levels_w else slave.min_w) < least_w:
        key = "levels_w" if slave.levels_w else "min_w"
        yield (
            ("slaves", index, key),
            f"{profile.title} works from {least_w} W on, on {phases} phase{'s' if phases > 1 else ''}",
            f"Write min_w = {least_w}, or more",
        )
    if profile.levels and not slave.levels_w:
        yield (
            ("slaves", index, "levels_w"),
            f"is missing: {profile.title} works in steps only",
            "List the powers of its steps, for example levels_w = [500, 1000, 1500]",
        )
    dead_man, chosen_s = profile.dead_man, section.dead_man_s
    if chosen_s is not None and dead_man.is_fixed:
        why = f"{profile.title} has a time-out of its own, {dead_man.default_s:g} s, that nobody can set"
        yield (*where, "dead_man_s"), why, "Remove it"
    elif chosen_s is not None and not dead_man.least_s <= chosen_s <= dead_man.most_s:
        why = f"{profile.title} takes {dead_man.least_s:g} to {dead_man.most_s:g} s"
        yield (*where, "dead_man_s"), why, "Write a number between them"
    used_s = dead_man.default_s if chosen_s is None else chosen_s
    if not used_s >= MESSAGES_PER_DEAD_MAN * silence_s:
        yield (
            (*where, "dead_man_s"),
            f"{used_s:g} s is less than {MESSAGES_PER_DEAD_MAN} keep-alives of {silence_s:g} s: "
            "the device would rest after two lost messages",
            f"Write at least {MESSAGES_PER_DEAD_MAN * silence_s:g}, or shorten keep_alive_s",
        )


def _slots_fit(slaves: Sequence[SlaveSection]) -> Iterator[Contradiction]:
    """A frame tells every slot between its first and its last: none of them may be a device's."""
    framed = sorted(slave.slot for slave in slaves if slave.driver == SUNKEEP)
    base, covered = -1, dict[int, str]()
    by_slot = {slave.slot: slave.name for slave in slaves}
    for slot, after in zip(framed, (*framed[1:], NO_SLOT)[: len(framed)], strict=True):
        base = slot if base < 0 else base
        if after >= base + FRAME_SLOTS:
            covered |= dict.fromkeys(range(base, slot + 1), by_slot[slot])
            base = -1
    for index, slave in enumerate(slaves):
        if slave.driver != SUNKEEP and slave.slot in covered:
            yield (
                ("slaves", index, "slot"),
                f"slot {slave.slot} lies between slaves that are told in one frame with it",
                f"Give it a slot above theirs, for example {max(by_slot) + 1}",
            )
