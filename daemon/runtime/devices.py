"""Opens meter and radio as configured, and says what to do when one does not open."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

from daemon.config.sections import P1Transport, SmlTransport
from daemon.config.settings import Settings
from daemon.errors import StartError
from daemon.runtime.meter_identity import IdentityFile
from daemon.system.log import log
from drivers.errors import ConfigError, DeviceFault, Transient
from drivers.meters.dsmr import DSMR_BAUDRATE, Dsmr
from drivers.meters.modbus import ModbusMeter, Rtu, Tcp, Transport
from drivers.meters.profile import load_profile
from drivers.meters.sml import Sml
from drivers.meters.telegram_meter import PushMeter
from drivers.meters.telegram_parser import TelegramParser
from drivers.ports import Meter
from drivers.zigbee.radio import STOPPED, ZigbeeRadio
from drivers.zigbee.radio_statistics import RadioEvent
from drivers.zigbee.settings import ZigbeeSettings

PATIENCE_S = 10.0
"""A device that boots together with the daemon gets this long; then the service manager tries again."""
TRY_EVERY_S = 0.5
CHECK_WIRE = "Check the address, the cable and the power of the meter."
CHECK_HEAD = (
    "Check the path, that the optical head sits over the meter's diode the right way up, that no other "
    "program reads it, and the power of the meter."
)


def meter_of(settings: Settings, clock: Callable[[], float]) -> Meter:
    """The configured meter, not yet connected.

    Raises:
        ConfigError: no such profile.
    """
    meter, identity = settings.meter, _identity(settings).load()
    wire, read_limit_s = meter.transport, 0.75 * settings.site.period_s
    if isinstance(wire, P1Transport | SmlTransport):
        language: TelegramParser = Dsmr() if isinstance(wire, P1Transport) else Sml()
        baudrate = DSMR_BAUDRATE if isinstance(wire, P1Transport) else wire.baudrate
        return PushMeter(
            wire.path,
            language,
            baudrate,
            clock=clock,
            identity=identity,
            period_s=settings.site.period_s,
            read_limit_s=read_limit_s,
        )
    transport: Transport
    if wire.type == "tcp":
        transport = Tcp(wire.host, wire.port, wire.device_id)
    else:
        transport = Rtu(wire.path, wire.baudrate, wire.parity, wire.stopbits, wire.device_id)
    return ModbusMeter(
        load_profile(str(meter.profile)),
        transport,
        clock=clock,
        identity=identity,
        invert=meter.invert,
        timeout_s=settings.meter_timeout_s(),
        read_limit_s=read_limit_s,
    )


@asynccontextmanager
async def open_meter(settings: Settings, clock: Callable[[], float]) -> AsyncIterator[Meter]:
    """The meter, connected and recognised.

    Raises:
        StartError: nobody answers, or another device than configured.
    """
    try:
        meter = meter_of(settings, clock)
    except ConfigError as error:
        raise StartError(f"[meter] {error}.") from None
    try:
        await _start_meter(meter, settings)
        _identity(settings).keep(meter.identity)
        yield meter
    finally:
        await meter.stop()


def _identity(settings: Settings) -> IdentityFile:
    return IdentityFile(settings.state.directory / "meter-identity")


async def _start_meter(meter: Meter, settings: Settings) -> None:
    deadline_s = asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        try:
            await meter.start()
            return
        except DeviceFault as error:
            advice = f" If it was replaced on purpose, remove {_identity(settings).path}."
            raise StartError(f"[meter] {error}.{advice if error.cause == 'meter_identity' else ''}") from None
        except ConfigError as error:
            raise StartError(f"[meter] {error}.") from None
        except Transient as error:
            if asyncio.get_running_loop().time() >= deadline_s:
                wire = settings.meter.transport
                where = f"{wire.host}:{wire.port}" if wire.type == "tcp" else wire.path
                raise StartError(
                    f"[meter] no answer from {where} for {PATIENCE_S:.0f} s ({error}). "
                    f"{CHECK_HEAD if wire.type == 'sml' else CHECK_WIRE}"
                ) from None
        await asyncio.sleep(TRY_EVERY_S)


def zigbee_settings(settings: Settings) -> ZigbeeSettings:
    """The radio's own view of the configuration."""
    radio = settings.radio
    return ZigbeeSettings(
        path=radio.path,
        slots=tuple(slave.slot for slave in settings.slaves),
        baudrate=radio.baudrate,
        channel=radio.channel,
        database=settings.state.directory / "zigbee.db",
    )


def radio_of(settings: Settings, key: bytes, clock: Callable[[], float], rng: Random) -> ZigbeeRadio:
    """The configured radio, not yet started."""
    return ZigbeeRadio(zigbee_settings(settings), key=key, on_event=_tell, clock=clock, rng=rng)


def _tell(event: RadioEvent) -> None:
    tell = log.info if event.kind == "up" or event.text == STOPPED else log.warning
    tell(f"radio_{event.kind}", text=event.text)


@asynccontextmanager
async def open_radio(
    settings: Settings, key: bytes, clock: Callable[[], float], rng: Random
) -> AsyncIterator[ZigbeeRadio]:
    """The radio, with its network up.

    Raises:
        StartError: no coordinator, or no network on it.
    """
    radio = radio_of(settings, key, clock, rng)
    try:
        await radio.start()
        deadline_s = asyncio.get_running_loop().time() + PATIENCE_S
        while not radio.up:
            if asyncio.get_running_loop().time() >= deadline_s:
                problem = radio.problem or f"the coordinator at {settings.radio.path} does not answer"
                raise StartError(f"[radio] not up within {PATIENCE_S:.0f} s: {problem}.")
            await asyncio.sleep(0.05)
        yield radio
    finally:
        await radio.stop()
