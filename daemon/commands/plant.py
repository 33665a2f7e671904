"""`sunkeep plant`: the far end alone."""

import asyncio
import signal
import sys
from pathlib import Path

import click

from daemon.clock import boottime_s
from daemon.commands.options import TimeOfDay
from daemon.embedded import site_key, write_site
from daemon.refusals import InputError
from plant.far_end import slaves_of, start_far_end
from plant.slave_node import ieee_of, install_code_of
from plant.trace import TraceError, load_trace


@click.command()
@click.option(
    "--trace", type=click.Path(path_type=Path), help="A day as .parquet or .csv; else the shipped one."
)
@click.option("--meter-port", type=click.IntRange(0, 65535), default=5020, show_default=True, help="0: any.")
@click.option("--radio-port", type=click.IntRange(0, 65535), default=6638, show_default=True, help="0: any.")
@click.option(
    "--slaves", type=click.IntRange(1, 90), default=9, show_default=True, help="Spread over the phases."
)
@click.option("--at", "start_s", type=TimeOfDay(), default="11:00", show_default=True, help="Begin here.")
@click.option("--pv-connection", type=click.Choice(["3ph", "A", "B", "C"]), default="3ph", show_default=True)
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
def plant(
    trace: Path | None,
    meter_port: int,
    radio_port: int,
    slaves: int,
    start_s: int,
    pv_connection: str,
    seed: int,
    status_port: int,
    uncommissioned: bool,
    folder: Path | None,
) -> None:
    """Run a simulated site behind a virtual Modbus meter and a virtual Zigbee coordinator on loopback.

    Any Modbus client reads the meter (SDM630, device 1), any EZSP host uses the coordinator. With
    --write-config, `sunkeep run --config FOLDER/site.toml` controls it exactly as it controls hardware.
    With --uncommissioned, every step of docs/hardware.md with `sunkeep zigbee` can be rehearsed on it.
    Runs until interrupted.
    """
    asyncio.run(
        _serve(
            trace,
            meter_port,
            radio_port,
            slaves,
            start_s,
            pv_connection,
            seed,
            status_port,
            folder,
            commissioned=not uncommissioned,
        )
    )


async def _serve(
    trace: Path | None,
    meter_port: int,
    radio_port: int,
    slaves: int,
    start_s: int,
    connection: str,
    seed: int,
    status_port: int,
    folder: Path | None,
    *,
    commissioned: bool,
) -> None:

    try:
        day = load_trace(trace)
    except TraceError as error:
        raise InputError(str(error)) from None
    devices = slaves_of(slaves)
    key = site_key(folder)
    try:
        far_end = await start_far_end(
            day,
            devices,
            key,
            clock=boottime_s,
            seed=seed,
            start_s=start_s,
            meter_port=meter_port,
            radio_port=radio_port,
            connection=connection,
            commissioned=commissioned,
        )
    except OSError as error:
        raise InputError(
            f"a port is taken ({error.strerror or error}). Choose others with --meter-port and --radio-port."
        ) from None
    try:
        if folder is not None:
            write_site(folder, devices, far_end.meter_port, far_end.radio_path, status_port)
        click.echo(f"meter  127.0.0.1:{far_end.meter_port}  Modbus TCP, SDM630, device 1")
        click.echo(f"radio  {far_end.radio_path}  EZSP 13, {slaves} slaves")
        for slave in devices if not commissioned else ():
            ieee, code = ieee_of(slave.slot)[::-1].hex(":"), install_code_of(slave.slot).hex()
            click.echo(f"slave  slot {slave.slot}  {ieee}  {code}  {slave.name}")
        if folder is not None:
            click.echo(f"config {folder / 'site.toml'}")
        click.echo(f"day    {day.name}, from {start_s // 3600:02d}:{start_s % 3600 // 60:02d}")
        sys.stdout.flush()
        await _interrupted()
    finally:
        await far_end.stop()


async def _interrupted() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
