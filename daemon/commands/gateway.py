"""`sunkeep gateway`: the process beside the daemon that others in the house talk to."""

import asyncio
import sys
from pathlib import Path

import aiohttp
import click

from daemon.cli.signals import run_and_close
from daemon.config.settings import Settings, load_settings
from daemon.errors import InputError
from daemon.gateway.mqtt import MqttPublisher, broker_tls, read_password
from daemon.gateway.status_client import StatusClient
from daemon.system.log import start_log

DEFAULT_CONFIG = Path("/etc/sunkeep/sunkeep.toml")


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The configuration of the running daemon.",
)
def gateway(config: Path) -> None:
    """Publish the status of a running daemon to an MQTT broker, until interrupted.

    A process of its own: nothing that happens here costs the daemon a tick. It waits for a daemon or a broker
    that is not there. Home Assistant finds the site by itself ([mqtt] discovery_prefix).
    """
    settings = load_settings(config, key=False)
    if settings.mqtt is None:
        raise InputError(
            f"{config} has no section [mqtt], so there is nothing to do. Name the broker's host."
        )
    output = start_log(sys.stderr.fileno())
    try:
        run_and_close(_serve(settings))
    finally:
        output.flush()


async def _serve(settings: Settings) -> None:
    section = settings.mqtt
    assert section is not None
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        status = StatusClient(session, settings.status)
        publisher = MqttPublisher(section, read_password(section), broker_tls(section), status.read)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(publisher.run(), name="mqtt")
