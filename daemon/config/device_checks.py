"""What is wrong with the slaves that are devices of their own."""

from collections.abc import Iterator, Sequence
from math import ceil

from core.site import SUNKEEP
from daemon.config.sections import RadioSection, SiteSection, SlaveSection
from daemon.config.toml_lines import Location
from drivers.errors import ConfigError
from drivers.modbus_devices.profile import load_device_profile
from drivers.zigbee_devices.air_budget import AIR_SHARE, UNICAST_S, ZIGBEE_POLL_S, broadcast_s

Contradiction = tuple[Location, str, str]
"""Where, why, and what to do."""
MESSAGES_PER_DEAD_MAN = 3
"""A device must be able to miss two messages in a row before it rests."""
FRAME_SLOTS = 30
"""Setpoints of one frame (setpoint protocol)."""
NO_SLOT = 10**6
PERCENT = 100
ZIGBEE_LEVELS = 254
QUESTIONS_POLLED = 2.0
"""Whether it is on, and what it draws."""
ZIGBEE_DRIVERS = ("zigbee-switch", "zigbee-level")


def devices_fit(
    site: SiteSection, radio: RadioSection, slaves: Sequence[SlaveSection]
) -> Iterator[Contradiction]:
    """Every driver has its table, and no other; devices have slots that no frame covers."""
    for index, slave in enumerate(slaves):
        where: Location = ("slaves", index)
        tables = (
            ("modbus", ("modbus",), slave.modbus),
            ("shelly", ("shelly",), slave.shelly),
            ("zigbee", ZIGBEE_DRIVERS, slave.zigbee),
        )
        for name, drivers, table in tables:
            if slave.driver not in drivers and table is not None:
                named = " or ".join(f'"{driver}"' for driver in drivers)
                yield (
                    (*where, name),
                    f'belongs to driver = {named}, and the driver is "{slave.driver}"',
                    f"Remove it, or write driver = {named}",
                )
        if slave.driver == SUNKEEP and slave.unproven_dead_man == "accepted":
            yield (
                (*where, "unproven_dead_man"),
                "means nothing here: the time to live stands in every frame of this driver",
                "Remove it",
            )
        if slave.driver == "modbus":
            yield from _modbus_fits(index, slave, max(radio.airtime.keep_alive_s, site.period_s))
        if slave.driver == "shelly":
            yield from _shelly_fits(index, slave, max(radio.airtime.keep_alive_s, site.period_s))
        if slave.driver in ZIGBEE_DRIVERS:
            yield from _zigbee_fits(index, slave, max(radio.airtime.keep_alive_s, site.period_s))
    yield from _slots_fit(slaves)
    yield from _addresses_differ(slaves)
    yield from _unicasts_fit(site, radio, slaves)


def _zigbee_fits(index: int, slave: SlaveSection, silence_s: float) -> Iterator[Contradiction]:
    where: Location = ("slaves", index, "zigbee")
    section = slave.zigbee
    if section is None:
        why = f'is missing: driver = "{slave.driver}" needs to know which device it is'
        yield where, why, 'Add a table [slaves.zigbee] with ieee = "..."'
        return
    if slave.driver == "zigbee-switch" and slave.levels_w != (slave.max_w,):
        why = "does not fit a relay, which knows on and off only"
        yield ("slaves", index, "levels_w"), why, f"Write levels_w = [{slave.max_w}]"
    least_w = ceil(slave.max_w / ZIGBEE_LEVELS)
    if slave.driver == "zigbee-level" and not slave.levels_w and slave.min_w < least_w:
        why = f"is below a {ZIGBEE_LEVELS}th of {slave.max_w} W, the least that a dimmer knows"
        yield ("slaves", index, "min_w"), why, f"Write min_w = {least_w}, or more"
    yield from _outlives_silence((*where, "dead_man_s"), section.dead_man_s, silence_s)


def _addresses_differ(slaves: Sequence[SlaveSection]) -> Iterator[Contradiction]:
    seen: dict[tuple[str, int], str] = {}
    for index, slave in enumerate(slaves):
        if slave.zigbee is None:
            continue
        output = (slave.zigbee.ieee, slave.zigbee.endpoint)
        if output in seen:
            yield (
                ("slaves", index, "zigbee"),
                f"is the same output as that of {seen[output]}",
                "Correct ieee or endpoint",
            )
        seen.setdefault(output, slave.name)


def _unicasts_fit(
    site: SiteSection, radio: RadioSection, slaves: Sequence[SlaveSection]
) -> Iterator[Contradiction]:
    """Broadcasts and unicasts share the air: what keeps all of them alive fits into it."""
    devices = [index for index, slave in enumerate(slaves) if slave.driver in ZIGBEE_DRIVERS]
    routers = len(devices) + sum(slave.driver == SUNKEEP for slave in slaves)
    silence_s = max(radio.airtime.keep_alive_s, site.period_s)
    questions_per_s = sum(
        (1.0 + (slaves[index].driver == "zigbee-level")) / silence_s + QUESTIONS_POLLED / ZIGBEE_POLL_S
        for index in devices
    )
    broadcasts_share = radio.airtime.frames_per_s * broadcast_s(routers)
    if devices and not broadcasts_share + questions_per_s * UNICAST_S <= AIR_SHARE:
        yield (
            ("slaves", devices[-1], "driver"),
            f"{len(devices)} Zigbee devices are asked {questions_per_s:.1f} times a second, which takes "
            f"{100 * questions_per_s * UNICAST_S:.0f} % of the air beside {100 * broadcasts_share:.0f} % of "
            f"the broadcasts; {100 * AIR_SHARE:.0f} % may be used",
            "Lengthen keep_alive_s, or use fewer such devices",
        )


def _outlives_silence(where: Location, dead_man_s: float, silence_s: float) -> Iterator[Contradiction]:
    if not dead_man_s >= MESSAGES_PER_DEAD_MAN * silence_s:
        yield (
            where,
            f"{dead_man_s:g} s is less than {MESSAGES_PER_DEAD_MAN} keep-alives of {silence_s:g} s: "
            "the device would rest after two lost messages",
            f"Write at least {MESSAGES_PER_DEAD_MAN * silence_s:g}, or shorten keep_alive_s",
        )


def _shelly_fits(index: int, slave: SlaveSection, silence_s: float) -> Iterator[Contradiction]:
    where: Location = ("slaves", index, "shelly")
    section = slave.shelly
    if section is None:
        why = 'is missing: driver = "shelly" needs to know where the device is'
        yield where, why, 'Add a table [slaves.shelly] with host = "..."'
        return
    if slave.is_three_phase:
        yield (
            ("slaves", index, "phases"),
            "is of one phase: a Shelly switches one",
            'Write phases = "a", "b" or "c"',
        )
    if section.component == "switch" and slave.levels_w != (slave.max_w,):
        why = "does not fit a relay, which knows on and off only"
        yield ("slaves", index, "levels_w"), why, f"Write levels_w = [{slave.max_w}]"
    least_w = ceil(slave.max_w / PERCENT)
    if section.component == "light" and not slave.levels_w and slave.min_w < least_w:
        why = f"is below 1 % of {slave.max_w} W, the least that a dimmer knows"
        yield ("slaves", index, "min_w"), why, f"Write min_w = {least_w}, or more"
    yield from _outlives_silence((*where, "dead_man_s"), section.dead_man_s, silence_s)


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
    yield from _outlives_silence((*where, "dead_man_s"), used_s, silence_s)


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
