"""Everything a daemon talks to, on loopback: a virtual meter and radio around one site."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random

import numpy as np

from core.roles import Role, sign
from core.site import Metering, Phases, Slave, per_phase
from plant.devices.modbus_models import MODELS
from plant.devices.modbus_server import VirtualModbusDevice
from plant.devices.zigbee_output import OutputMake, VirtualOutput
from plant.meters.layouts import MeterState
from plant.meters.virtual_meter import REFRESH_S, VirtualMeter
from plant.radio.channel import BurstLoss, Delay, IndependentLoss, Loss
from plant.radio.coordinator.nvram import Nvram
from plant.radio.link import LOSS_RANGE, NOISE_W
from plant.radio.network import SEEK_EVERY_S, MakeSlave, RadioSite, seek, serve_radio_site, sound_slave
from plant.radio.slave_node import install_code_key
from plant.site.actuators import sample_actuators
from plant.site.dead_time import DeadTime
from plant.site.description import Description
from plant.site.drawing import draw_actuators_of, scaled
from plant.site.live import LiveSite
from plant.site.trace import Trace

OUTPUT_DRIVERS = ("zigbee-switch", "zigbee-level")
"""Drivers whose far end is a relay or a dimmer that one can buy."""
AIR_S = (0.03, 0.20)
"""A broadcast reaches every slave of a house within two or three hops."""
COUNTED_BEFORE_WH = 1_000_000.0
"""A meter that has hung there for some time."""
SLAVE_MAX_W = 1700
SLAVE_NAMES = ("boiler", "heating rod", "charger", "buffer", "floor heating", "dryer", "pool pump", "heater")


def slaves_of(count: int, max_w: int = SLAVE_MAX_W) -> tuple[Slave, ...]:
    """So many slaves, spread over the phases in turn."""
    return tuple(
        Slave(slot, f"{SLAVE_NAMES[slot % len(SLAVE_NAMES)]} {slot + 1}", slot % 3, max_w)
        for slot in range(count)
    )


@dataclass(frozen=True, slots=True)
class SimulatedSite:
    """A running simulated site. A daemon reaches it at `meter_port` (Modbus TCP) and `radio_path`."""

    site: LiveSite
    meter: VirtualMeter
    radio: RadioSite
    meter_port: int
    devices: Mapping[int, VirtualModbusDevice] = field(default_factory=dict)
    """By slot: slaves that speak Modbus, each on a port of its own."""
    outputs: Mapping[int, VirtualOutput] = field(default_factory=dict)
    """By slot: Zigbee relays and dimmers, on the air of the radio."""

    @property
    def radio_path(self) -> str:
        """What a host opens."""
        return self.radio.path

    async def stop(self) -> None:
        """Take all wires down."""
        for device in self.devices.values():
            await device.stop()
        await self.meter.stop()
        await self.radio.stop()


async def start_far_end(
    trace: Trace,
    slaves: Sequence[Slave],
    key: bytes,
    *,
    clock: Callable[[], float],
    seed: int = 0,
    start_s: float = 11 * 3600.0,
    meter_port: int = 0,
    radio_port: int | None = 0,
    connection: str = "3ph",
    metering: Metering = Metering.NET,
    role: Role = Role.ABSORB,
    commissioned: bool = True,
    layout: str = "sdm630",
    described: Description | None = None,
    make_slave: MakeSlave = sound_slave,
    modbus: Mapping[int, str] | None = None,
    makes: Mapping[int, OutputMake] | None = None,
) -> SimulatedSite:
    """Start site, meter, radio and devices.

    Args:
        key: the site key of the slaves, 32 bytes.
        clock: monotonic seconds.
        start_s: second of the measured day at which the site begins.
        meter_port, radio_port: TCP ports on loopback, 0 for any; a radio port of None opens a
            pseudo-terminal.
        commissioned: with a network that the slaves have joined; else with a blank coordinator, and slaves
            that keep trying to join with their install codes.
        layout: the kind of meter, a key of `plant.meters.layouts.LAYOUTS`.
        described: the true site, of which `slaves` are the labels; the usual one by default.
        make_slave: makes each slave's radio and firmware.
        modbus: by slot, the slaves that are Modbus devices: keys of `plant.devices.modbus_models.MODELS`.
        makes: by slot, how Zigbee relays and dimmers (by their driver) are made; by default soundly.

    Raises:
        OSError: a port is taken.
    """
    rng = Random(seed)
    appliances: dict[int, DeadTime | VirtualModbusDevice | VirtualOutput] = {}
    models = modbus or ({} if described is None else described.devices())
    if described is None:
        actuators = sample_actuators(np.random.default_rng(seed), slaves)
    else:
        actuators = draw_actuators_of(described, *map(np.random.default_rng, (seed, seed + 2)))
        trace = scaled(trace, described)
    site = LiveSite(
        trace,
        actuators,
        lambda slot, at_s: appliances[slot].acting_w(at_s),
        sign=sign(role),
        started_at_s=clock(),
        start_s=start_s,
        connection=connection,
        metering=metering,
    )

    def measured_w(slot: int) -> float:
        site.advance(clock())
        return site.slave_power_w(slot)

    radio = await serve_radio_site(
        [(s.slot, s.max_w) for s in slaves if s.slot not in models and s.driver not in OUTPUT_DRIVERS],
        key,
        measured_w=measured_w,
        rng=rng,
        port=radio_port,
        clock=clock,
        broadcast_delay=_delay(rng, described),
        loss=_loss(rng, described),
        nvram=Nvram.formed(Random(seed)) if commissioned else Nvram(),
        joined=commissioned,
        make_slave=make_slave,
    )
    dead_times_s = {actuator.slot: actuator.dead_time_s for actuator in actuators}
    for slot, firmware in radio.firmwares.items():
        is_known = described is not None and described.radio.delay_s != "zigbee"
        appliances[slot] = DeadTime(firmware, rng, dead_times_s[slot] if is_known else None)
    devices = {
        slave.slot: VirtualModbusDevice(
            MODELS[models[slave.slot]](slave.max_w, len(slave.phases)),
            clock=clock,
            measured_w=partial(measured_w, slave.slot),
            temperature_c=partial(site.temperature_c, slave.slot),
        )
        for slave in slaves
        if slave.slot in models
    }
    outputs = _outputs(slaves, radio, measured_w, makes or {}, commissioned=commissioned, rng=rng)
    appliances |= devices
    appliances |= outputs

    def state() -> MeterState:
        now_s = clock()
        return MeterState(
            power_w=_shown_w(site, now_s, described),
            voltage_v=site.voltage_v(now_s),
            import_wh=COUNTED_BEFORE_WH + site.imported_wh,
            export_wh=COUNTED_BEFORE_WH + site.exported_wh,
        )

    meter = VirtualMeter(
        state,
        clock=clock,
        rng=np.random.default_rng(seed + 1),
        layout=layout,
        noise_w=NOISE_W if described is None else described.meter.noise_w,
        refresh_s=REFRESH_S if described is None else described.meter.period_s,
    )
    whole = SimulatedSite(site, meter, radio, 0, devices, outputs)
    try:
        for device in devices.values():
            await device.start()
        return replace(whole, meter_port=await meter.start(meter_port))
    except OSError:
        await whole.stop()
        raise


def _outputs(
    slaves: Sequence[Slave],
    radio: RadioSite,
    measured_w: Callable[[int], float],
    makes: Mapping[int, OutputMake],
    *,
    commissioned: bool,
    rng: Random,
) -> dict[int, VirtualOutput]:
    """Zigbee relays and dimmers, in the network or on their way into it."""
    found: dict[int, VirtualOutput] = {}
    for slave in slaves:
        if slave.driver not in OUTPUT_DRIVERS:
            continue
        output = VirtualOutput(
            radio.air,
            slave.slot,
            max_w=slave.max_w,
            is_dimmed=slave.driver == "zigbee-level",
            measured_w=partial(measured_w, slave.slot),
            make=makes.get(slave.slot),
        )
        output.join_key = install_code_key(slave.slot)
        if commissioned:
            radio.air.add(output)
        else:
            radio.air.later(rng.uniform(0.1, SEEK_EVERY_S), seek, radio.coordinator, output)
        found[slave.slot] = output
    return found


def _delay(rng: Random, described: Description | None) -> Delay:
    """Of broadcasts. What a Zigbee network takes longer than the air lies in the appliances' dead times."""
    radio = None if described is None else described.radio
    span_s = AIR_S if radio is None or radio.delay_s == "zigbee" else radio.delay_s
    extra_s = 0.0 if radio is None else radio.extra_delay_s
    return lambda receivers: [extra_s + rng.uniform(*span_s) for _ in range(receivers)]


def _loss(rng: Random, described: Description | None) -> Loss:
    if described is None or (described.radio.loss is None and described.radio.has_bursts):
        return BurstLoss(rng)
    share = rng.uniform(*(described.radio.loss or LOSS_RANGE))
    return BurstLoss(rng, good_loss=share) if described.radio.has_bursts else IndependentLoss(rng, share)


def _shown_w(site: LiveSite, now_s: float, described: Description | None) -> Phases:
    """What the meter makes a reading of."""
    if described is None:
        return site.grid_power_w(now_s)
    meter = described.meter
    over_s = meter.period_s if meter.reading == "averaged" else 0.0
    power_w = site.mean_power_w(now_s, over_s, meter.delay_s)
    step_w = meter.resolution_w
    return per_phase([round(w / step_w) * step_w for w in power_w]) if step_w > 0.0 else power_w
