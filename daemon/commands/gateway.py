"""`sunkeep gateway`: the process beside the daemon that others in the house talk to."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import click

from daemon.cli.options import config_option
from daemon.cli.signals import run_and_close
from daemon.config.settings import Settings, load_settings
from daemon.errors import InputError
from daemon.gateway.mqtt import MqttPublisher, broker_tls, read_password
from daemon.gateway.notices import Notice
from daemon.gateway.notifier import Notifier, read_addresses, sender
from daemon.gateway.status_client import NO_POINTS, StatusClient
from daemon.lan.order_desk import OrderDesk
from daemon.lan.password import hashed, read_password_line
from daemon.lan.relay import Relay
from daemon.lan.server import (
    HousePage,
    lan_tls,
    made_token,
    own_names,
    read_token_hash,
    serve_until_cancelled,
)
from daemon.operators.operator_socket import ask
from daemon.system.log import start_log
from daemon.system.state_file import replace_whole

COMMAND_S = 10.0


@click.command()
@config_option("The configuration of the running daemon.")
@click.option("--set-password", is_flag=True, help="Ask for the password of the page in the house, and end.")
@click.option("--test-notice", is_flag=True, help="Send one notice to every address, and end.")
@click.option("--new-token", is_flag=True, help="Make the token for programs, show it once, and end.")
def gateway(config: Path, set_password: bool, test_notice: bool, new_token: bool) -> None:
    """Serve the status of a running daemon to the house, an MQTT broker and by notices, until interrupted.

    A process of its own: nothing that happens here costs the daemon a tick. It waits for a daemon or a broker
    that is not there. Home Assistant finds the site by itself ([mqtt] discovery_prefix).
    """
    settings = load_settings(config, key=False)
    if test_notice:
        _test(settings, config)
        return
    if set_password:
        _set_password(settings, config)
        return
    if new_token:
        _make_token(settings, config)
        return
    if settings.lan is None and settings.mqtt is None and settings.notify is None:
        raise InputError(
            f"{config} has none of the sections [lan], [mqtt] and [notify]: there is nothing to do. Add one."
        )
    output = start_log(sys.stderr.fileno())
    try:
        run_and_close(_serve(settings))
    finally:
        output.flush()


async def _serve(settings: Settings) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=4)) as session:
        status = StatusClient(session, settings.status)
        works = _works(settings, session, status)
        async with asyncio.TaskGroup() as tasks:
            for work in works:
                tasks.create_task(work())


def _works(
    settings: Settings, session: aiohttp.ClientSession, status: StatusClient
) -> list[Callable[[], Coroutine[Any, Any, None]]]:
    """What the configuration asks for, once it is known that all of it can begin."""
    lan, mqtt, notify = settings.lan, settings.mqtt, settings.notify
    works: list[Callable[[], Coroutine[Any, Any, None]]] = []
    if lan is not None:
        line, encryption = read_password_line(lan.password_file), lan_tls(lan)
        relay = Relay(session, status.origin)
        accepts = lan.commands == "accepted"
        desk = OrderDesk(
            partial(_document, relay), partial(_command, settings.state.directory) if accepts else None
        )
        page = HousePage(
            relay,
            line,
            own_names(lan),
            is_encrypted=encryption is not None,
            desk=desk,
            zone=settings.zone(),
            token_hash=read_token_hash(lan),
            language=settings.site.language,
        )
        works.append(partial(serve_until_cancelled, page, lan, encryption))
    if mqtt is not None:
        command = partial(_command, settings.state.directory)
        works.append(MqttPublisher(mqtt, read_password(mqtt), broker_tls(mqtt), status.read, command).run)
    if notify is not None:
        works.append(Notifier(notify, status.read, sender(read_addresses(notify)), time.monotonic).run)
    return works


async def _document(relay: Relay) -> dict[str, Any] | None:
    """The status without the points of the chart, shared with all who read it now."""
    answer = await relay.answer("/status.json", f"since={NO_POINTS}")
    if answer.status != 200 or not isinstance(answer.body, bytes):
        return None
    document = json.loads(answer.body)
    return document if isinstance(document, dict) and "orders" in document else None


async def _command(directory: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Put a request to the daemon through its operators' socket."""
    return await asyncio.to_thread(ask, directory, request, COMMAND_S)


def _set_password(settings: Settings, config: Path) -> None:
    if settings.lan is None:
        raise InputError(f"{config} has no section [lan]. Add it, with a password_file.")
    file = settings.lan.password_file
    line = hashed(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    replace_whole(file, f"{line}\n".encode())
    click.echo(f"Kept as a hash in {file}. The gateway takes it at its next start; all logins end with it.")


def _make_token(settings: Settings, config: Path) -> None:
    if settings.lan is None or settings.lan.token_file is None:
        raise InputError(f"{config} has no token_file in its section [lan]. Add it.")
    token, digest = made_token()
    replace_whole(settings.lan.token_file, f"{digest}\n".encode())
    click.echo(token)
    click.echo(f"Its hash is in {settings.lan.token_file}. The gateway takes it at its next start.", err=True)


def _test(settings: Settings, config: Path) -> None:
    if settings.notify is None:
        raise InputError(f"{config} has no section [notify]. Add it, with an addresses_file.")
    send = sender(read_addresses(settings.notify))
    notice = Notice("Sunkeep: a test", f"Notices of {settings.site.name} arrive here.", is_over=True)
    took, asked = asyncio.run(send(notice))
    click.echo(f"{took} of {asked} addresses took the notice.")
    if took < asked:
        raise SystemExit(1)
