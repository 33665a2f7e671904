"""`sunkeep plant`: the simulated site alone."""

import asyncio
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from core.site import Site
from daemon.cli.options import TimeOfDay
from daemon.commissioning.embedded_site import site_key, write_site
from daemon.errors import InputError
from daemon.simulation.plant_description import load_plant, plant_trace
from daemon.system.clock import boottime_s
from plant.radio.slave_node import ieee_of, install_code_of
from plant.simulated_site import SimulatedSite, slaves_of, start_far_end
from plant.site.description import Description


@dataclass(frozen=True)
class PlantRequest:
    """The command line."""

    trace: Path | None
    meter_port: int
    radio_port: int
    plant: str | None
    slaves: int | None
    start_s: int
    pv_connection: str | None
    seed: int
    status_port: int
    uncommissioned: bool
    folder: Path | None


@click.command()
@click.option(
    "--trace", type=click.Path(path_type=Path), help="A day as .parquet or .csv; else the shipped one."
)
@click.option("--meter-port", type=click.IntRange(0, 65535), default=5020, show_default=True, help="0: any.")
@click.option("--radio-port", type=click.IntRange(0, 65535), default=6638, show_default=True, help="0: any.")
@click.option(
    "--plant",
    metavar="NAME|FILE",
    help="The true site: one that ships, or a description in TOML. By default nine heaters.",
)
@click.option("--slaves", type=click.IntRange(1, 90), help="Spread over the phases; without --plant, 9.")
@click.option("--at", "start_s", type=TimeOfDay(), default="11:00", show_default=True, help="Begin here.")
@click.option("--pv-connection", type=click.Choice(["3ph", "A", "B", "C"]), help="Without --plant, 3ph.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of all chance.")
@click.option(
    "--status-port",
    type=click.IntRange(0, 65535),
    default=9108,
    show_default=True,
    help="With --write-config: where the daemon serves its status page.",
)
@click.option(
    "--uncommissioned",
    is_flag=True,
    help="A blank coordinator, and slaves that wait to join; prints their install codes.",
)
@click.option(
    "--write-config",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write site.toml, key and frame counter for a daemon into this folder.",
)
def plant(**options: Any) -> None:
    """Run a simulated site behind a virtual Modbus meter and a virtual Zigbee coordinator on loopback.

    Any Modbus client reads the meter (SDM630, device 1), any EZSP host uses the coordinator. With
    --write-config, `sunkeep run --config FOLDER/site.toml` controls it exactly as it controls hardware.
    With --uncommissioned, every step of docs/operate/hardware.md with `sunkeep zigbee` can be rehearsed on
    it. Runs until interrupted.
    """
    asyncio.run(_serve(PlantRequest(**options)))


async def _serve(request: PlantRequest) -> None:
    described = None if request.plant is None else load_plant(request.plant)
    if described is not None and request.slaves is not None:
        raise click.UsageError("--slaves belongs to the usual site; --plant describes its own")
    site = Site(slaves_of(request.slaves or 9)) if described is None else described.core_site()
    day = plant_trace(described, request.trace)
    key = site_key(request.folder)
    try:
        far_end = await start_far_end(
            day,
            site.slaves,
            key,
            clock=boottime_s,
            seed=request.seed,
            start_s=request.start_s,
            meter_port=request.meter_port,
            radio_port=request.radio_port,
            connection=request.pv_connection
            or ("3ph" if described is None else described.house.pv_connection),
            metering=site.metering,
            role=site.role,
            commissioned=not request.uncommissioned,
            described=described,
        )
    except OSError as error:
        raise InputError(
            f"a port is taken ({error.strerror or error}). Choose others with --meter-port and --radio-port."
        ) from None
    try:
        _say(request, site, far_end, described)
        click.echo(
            f"day    {day.name}, from {request.start_s // 3600:02d}:{request.start_s % 3600 // 60:02d}"
        )
        sys.stdout.flush()
        await _interrupted()
    finally:
        await far_end.stop()


def _say(request: PlantRequest, site: Site, far_end: SimulatedSite, described: Description | None) -> None:
    """Where everything listens; writes the configuration that was asked for."""
    folder, kinds = request.folder, {} if described is None else described.devices()
    if folder is not None:
        write_site(
            folder,
            site.slaves,
            far_end.meter_port,
            far_end.radio_path,
            request.status_port,
            role=site.role,
            metering=site.metering,
            period_s=site.period_s,
            modbus={slot: (kind, far_end.devices[slot].port) for slot, kind in kinds.items()},
        )
    click.echo(f"meter  127.0.0.1:{far_end.meter_port}  Modbus TCP, SDM630, device 1")
    click.echo(f"radio  {far_end.radio_path}  EZSP 13, {len(far_end.radio.nodes)} slaves")
    for slot, kind in kinds.items():
        device = far_end.devices[slot]
        unit = device.model.device_id
        click.echo(f"device 127.0.0.1:{device.port}  Modbus TCP, {kind}, device {unit}, slot {slot}")
    for slot, output in far_end.outputs.items():
        kind = "dimmer" if output.is_dimmed else "plug"
        click.echo(f"device {ieee_of(slot)[::-1].hex(':')}  Zigbee, {kind}, slot {slot}")
    for slave in site.slaves if request.uncommissioned else ():
        ieee, code = ieee_of(slave.slot)[::-1].hex(":"), install_code_of(slave.slot).hex()
        click.echo(f"slave  slot {slave.slot}  {ieee}  {code}  {slave.name}")
    if folder is not None:
        click.echo(f"config {folder / 'site.toml'}")


async def _interrupted() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
