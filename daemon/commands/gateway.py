"""`sunkeep gateway`: the process beside the daemon that others in the house talk to."""

import asyncio
import sys
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import click

from daemon.cli.signals import run_and_close
from daemon.config.settings import Settings, load_settings
from daemon.errors import InputError
from daemon.gateway.mqtt import MqttPublisher, broker_tls, read_password
from daemon.gateway.notices import Notice
from daemon.gateway.notifier import Notifier, read_addresses, sender
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
@click.option("--test-notice", is_flag=True, help="Send one notice to every address, and end.")
def gateway(config: Path, test_notice: bool) -> None:
    """Publish the status of a running daemon to an MQTT broker, and send notices, until interrupted.

    A process of its own: nothing that happens here costs the daemon a tick. It waits for a daemon or a broker
    that is not there. Home Assistant finds the site by itself ([mqtt] discovery_prefix).
    """
    settings = load_settings(config, key=False)
    if test_notice:
        _test(settings, config)
        return
    if settings.mqtt is None and settings.notify is None:
        raise InputError(
            f"{config} has neither a section [mqtt] nor [notify], so there is nothing to do. Add one of them."
        )
    output = start_log(sys.stderr.fileno())
    try:
        run_and_close(_serve(settings))
    finally:
        output.flush()


async def _serve(settings: Settings) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        status = StatusClient(session, settings.status)
        works = list(_works(settings, status))
        async with asyncio.TaskGroup() as tasks:
            for work in works:
                tasks.create_task(work)


def _works(settings: Settings, status: StatusClient) -> Iterator[Coroutine[Any, Any, None]]:
    """What the configuration asks for, once it is known that all of it can begin."""
    mqtt, notify = settings.mqtt, settings.notify
    publisher = None
    if mqtt is not None:
        publisher = MqttPublisher(mqtt, read_password(mqtt), broker_tls(mqtt), status.read)
    if notify is not None:
        yield Notifier(notify, status.read, sender(read_addresses(notify)), time.monotonic).run()
    if publisher is not None:
        yield publisher.run()


def _test(settings: Settings, config: Path) -> None:
    if settings.notify is None:
        raise InputError(f"{config} has no section [notify]. Add it, with an addresses_file.")
    send = sender(read_addresses(settings.notify))
    notice = Notice("Sunkeep: a test", f"Notices of {settings.site.name} arrive here.", is_over=True)
    took, asked = asyncio.run(send(notice))
    click.echo(f"{took} of {asked} addresses took the notice.")
    if took < asked:
        raise SystemExit(1)
