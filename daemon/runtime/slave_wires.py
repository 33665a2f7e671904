"""The wires to the slaves: the broadcast of the radio, and every device that is spoken to alone."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

from core.site import SUNKEEP
from daemon.config.device_checks import ZIGBEE_DRIVERS
from daemon.config.private_file import read_private
from daemon.config.sections import SlaveSection
from daemon.config.settings import Settings
from daemon.identification.record import load_record
from daemon.system.log import log
from drivers.devices.device_wire import DeviceEvent, DeviceWire
from drivers.devices.shelly import Shelly
from drivers.modbus_devices.modbus_device import ModbusDevice
from drivers.modbus_devices.profile import load_device_profile
from drivers.modbus_devices.register_line import RegisterLine
from drivers.ports import SlaveDriver
from drivers.zigbee.frame_counter import FrameCounter
from drivers.zigbee.radio import ZigbeeRadio
from drivers.zigbee.setpoint_broadcast import SetpointBroadcast
from drivers.zigbee_devices.air_budget import ZIGBEE_POLL_S, AirBudget
from drivers.zigbee_devices.timed_output import TimedOutput
from drivers.zigbee_devices.unicasts import ZigbeeUnicasts

MakeWire = Callable[[Settings, SlaveSection, Callable[[], float], Random, ZigbeeUnicasts, str], SlaveDriver]
"""From the configuration of one slave to its wire, not yet started. May raise ConfigError.

The last argument is the version of the firmware whose dead-man was proven, empty for any."""

SHELLY_ANSWER_S = 2.0
"""A small device on a house's Wi-Fi; slower ones count as lost."""
ZIGBEE_ANSWER_S = 6.0
"""Three questions in a row that are answered in the last moment."""
PATIENCE_SHARE = 0.25
"""Of a period, and a quarter of a second at most: so long a tick waits for a device."""


def dead_man_s_of(slave: SlaveSection) -> float:
    """The time-out that a device of its own is given. Raises ConfigError."""
    own = slave.shelly or slave.zigbee
    if own is not None:
        return own.dead_man_s
    section = slave.modbus
    assert section is not None  # a configuration without it is refused
    if section.dead_man_s is not None:
        return section.dead_man_s
    return load_device_profile(section.profile).dead_man.default_s


def modbus_wire(
    settings: Settings,
    slave: SlaveSection,
    clock: Callable[[], float],
    rng: Random,
    unicasts: ZigbeeUnicasts,
    proven_version: str,
) -> DeviceWire:
    """A Modbus TCP device. Raises ConfigError."""
    del unicasts
    section = slave.modbus
    assert section is not None  # a configuration without it is refused
    profile = load_device_profile(section.profile)
    phases = len(slave.letters)
    dead_man_s = dead_man_s_of(slave)
    device_id = profile.device_id if section.device_id is None else section.device_id
    line = RegisterLine(section.host, section.port, device_id, profile.answer_s)
    return DeviceWire(
        slave.slot,
        slave.name,
        ModbusDevice(profile, line, phases, dead_man_s),
        dead_man_s=dead_man_s,
        patience_s=PATIENCE_SHARE * min(1.0, settings.site.period_s),
        limit_s=profile.answer_s,
        clock=clock,
        rng=rng,
        on_event=_tell,
        proven_version=proven_version,
        write_every_s=profile.write_every_s,
    )


def shelly_wire(
    settings: Settings,
    slave: SlaveSection,
    clock: Callable[[], float],
    rng: Random,
    unicasts: ZigbeeUnicasts,
    proven_version: str,
) -> DeviceWire:
    """A Shelly. Raises StartError where its password cannot be read."""
    del unicasts
    section = slave.shelly
    assert section is not None  # a configuration without it is refused
    file = section.password_file
    password = None if file is None else read_private(file, "[slaves.shelly] password_file").strip()
    device = Shelly(
        section.host,
        section.component,
        section.channel,
        slave.max_w,
        section.dead_man_s,
        SHELLY_ANSWER_S,
        password,
    )
    return DeviceWire(
        slave.slot,
        slave.name,
        device,
        dead_man_s=section.dead_man_s,
        patience_s=PATIENCE_SHARE * min(1.0, settings.site.period_s),
        limit_s=SHELLY_ANSWER_S,
        clock=clock,
        rng=rng,
        on_event=_tell,
        proven_version=proven_version,
    )


def zigbee_wire(
    settings: Settings,
    slave: SlaveSection,
    clock: Callable[[], float],
    rng: Random,
    unicasts: ZigbeeUnicasts,
    proven_version: str,
) -> DeviceWire:
    """A Zigbee relay or dimmer, through the coordinator of the site."""
    section = slave.zigbee
    assert section is not None  # a configuration without it is refused
    device = TimedOutput(
        unicasts,
        section.ieee,
        section.endpoint,
        slave.driver == "zigbee-level",
        slave.max_w,
        section.dead_man_s,
        section.stays_off,
    )
    return DeviceWire(
        slave.slot,
        slave.name,
        device,
        dead_man_s=section.dead_man_s,
        patience_s=PATIENCE_SHARE * min(1.0, settings.site.period_s),
        limit_s=ZIGBEE_ANSWER_S,
        clock=clock,
        rng=rng,
        on_event=_tell,
        proven_version=proven_version,
        poll_s=ZIGBEE_POLL_S,
    )


def _tell_trust(settings: Settings, slave: SlaveSection) -> None:
    """What it means that nobody has proven its dead-man, at every start."""
    if slave.unproven_dead_man == "accepted":
        log.warning("unproven_dead_man", slave=slave.name, told="setpoints: the configuration accepts it")
    elif not next(one for one in settings.core_site().slaves if one.slot == slave.slot).may_draw:
        log.warning("unproven_dead_man", slave=slave.name, told="0 W only")


def _tell(event: DeviceEvent) -> None:
    tell = log.info if event.kind == "up" else log.warning
    tell(f"device_{event.kind}", slave=event.name, text=event.text)


DEVICES: dict[str, MakeWire] = {
    "modbus": modbus_wire,
    "shelly": shelly_wire,
    "zigbee-switch": zigbee_wire,
    "zigbee-level": zigbee_wire,
}
"""By the name of the driver in the configuration: what speaks to one device."""


def broadcast_of(
    settings: Settings, radio: ZigbeeRadio, counter: FrameCounter, key: bytes, clock: Callable[[], float]
) -> SetpointBroadcast:
    """What tells the slaves that speak Sunkeep's own protocol."""
    slots = tuple(slave.slot for slave in settings.slaves if slave.driver == SUNKEEP)
    return SetpointBroadcast(radio, counter, key, settings.radio.ttl_s, slots, clock)


def unicasts_of(settings: Settings, radio: ZigbeeRadio | None, clock: Callable[[], float]) -> ZigbeeUnicasts:
    """Questions to the Zigbee devices, within the air that the broadcasts leave."""

    def broadcasts() -> int:
        if radio is None:
            return 0
        counted = radio.statistics
        return counted.setpoint_broadcasts + counted.other_broadcasts

    routers = sum(slave.driver in (SUNKEEP, *ZIGBEE_DRIVERS) for slave in settings.slaves)
    return ZigbeeUnicasts(radio, AirBudget(clock, broadcasts, routers), clock)


def proven_versions(settings: Settings) -> dict[int, str]:
    """By slot, the firmware whose dead-man was proven, of slaves that need the proof and tell a version."""
    record, _ = load_record(settings.state.directory)
    needed = {slave.slot for slave in settings.slaves if slave.unproven_dead_man == "refused"}
    return {proof.slot: proof.version for proof in record.dead_men if proof.slot in needed and proof.version}


@asynccontextmanager
async def open_devices(
    settings: Settings,
    radio: ZigbeeRadio | None,
    clock: Callable[[], float],
    rng: Random,
    *,
    is_attended: bool = False,
) -> AsyncIterator[tuple[SlaveDriver, ...]]:
    """The wires of all slaves that are devices of their own, kept up in the background.

    A device that is missing keeps nobody waiting: it is there when it answers. One whose firmware is another
    than that of its proof is refused, unless it `is_attended`: somebody is there to prove it anew.
    """
    proven = {} if is_attended else proven_versions(settings)
    async with AsyncExitStack() as opened:
        wires, unicasts = [], unicasts_of(settings, radio, clock)
        for slave in settings.slaves:
            if slave.driver == SUNKEEP:
                continue
            wire = DEVICES[slave.driver](settings, slave, clock, rng, unicasts, proven.get(slave.slot, ""))
            _tell_trust(settings, slave)
            opened.push_async_callback(wire.stop)
            await wire.start()
            wires.append(wire)
        yield tuple(wires)
