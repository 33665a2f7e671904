"""Publishes the daemon's status to an MQTT broker, and takes it up again when the broker was away."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiomqtt import Client, MqttError, Will

from daemon.config.gateway_sections import MqttSection
from daemon.config.private_file import read_private
from daemon.errors import StartError
from daemon.gateway.home_assistant import OFFLINE, ONLINE, Topics, discovery, discovery_topic, order_of, state
from daemon.gateway.status_client import StatusReading
from daemon.system.log import log

CONNECT_S = 10.0
AGAIN_AFTER_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Waits between attempts to reach the broker; the last one stays."""
KEEP_ALIVE_S = 30
"""The broker publishes the last will after one and a half of it (MQTT 3.1.1, 3.1.2.10)."""
AT_LEAST_ONCE = 1


@dataclass(slots=True)
class MqttPublisher:
    """One site on one broker.

    Args:
        password: of `section.username`, where the broker wants one.
        read: the newest status of the daemon.
        command: puts one request to the daemon; raises OSError or ValueError where nobody answers.
    """

    section: MqttSection
    password: str | None
    tls: ssl.SSLContext | None
    read: Callable[[], Awaitable[StatusReading]]
    command: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
    topics: Topics = field(init=False)
    _announced: dict[str, str] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.topics = Topics.of(self.section)

    async def run(self) -> None:
        """Publish until cancelled; a broker that is away is asked again."""
        attempt = 0
        while True:
            try:
                async with self.connected() as client:
                    attempt = 0
                    log.info("mqtt_connected", host=self.section.host, port=self.section.port)
                    await self._publish(client)
            except MqttError as error:
                _end_if_cancelled()  # the end of the connection failed, and hid that somebody wants to stop
                wait_s = AGAIN_AFTER_S[min(attempt, len(AGAIN_AFTER_S) - 1)]
                attempt += 1
                log.warning("mqtt_lost", reason=str(error), again_in_s=wait_s)
                await asyncio.sleep(wait_s)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Client]:
        """A connection whose last will says that the gateway is gone."""
        section = self.section
        async with Client(
            section.host,
            section.port,
            username=section.username,
            password=self.password,
            identifier=self.topics.node,
            will=Will(self.topics.gateway, OFFLINE, AT_LEAST_ONCE, retain=True),
            timeout=CONNECT_S,
            keepalive=KEEP_ALIVE_S,
            tls_context=self.tls,
        ) as client:
            try:
                yield client
            finally:  # an orderly end takes the last will back
                with suppress(MqttError):
                    await self._say(client, self.topics.gateway, OFFLINE)

    async def _publish(self, client: Client) -> None:
        self._announced = {}
        await client.subscribe(self.topics.birth)
        await client.subscribe(discovery_topic(self.section, "+", "+"))
        if self.section.commands == "accepted":
            for topic in self.topics.orders:
                await client.subscribe(topic)
        hearing = asyncio.create_task(self._hear(client), name="mqtt commands")
        try:
            await self._say(client, self.topics.gateway, ONLINE)
            while not hearing.done():
                await self._say_status(client)
                await asyncio.wait([hearing], timeout=self.section.every_s)
            await hearing
        finally:
            hearing.cancel()

    async def _say_status(self, client: Client) -> None:
        """State and availability; a status that is old is never shown as one of now."""
        reading = await self.read()
        if reading.document is not None and reading.is_live:
            await self._announce(client, reading.document)
            await self._say(client, self.topics.state, json.dumps(state(reading.document)))
        await self._say(client, self.topics.daemon, ONLINE if reading.is_live else OFFLINE)

    async def _announce(self, client: Client, document: dict[str, Any]) -> None:
        self._names = {str(slave["slot"]): slave["name"] for slave in document["slaves"]}
        wanted = discovery(document, self.section)
        for topic, payload in wanted.items():
            if self._announced.get(topic) != payload:
                self._announced[topic] = payload  # before it waits: what is heard meanwhile counts
                await self._say(client, topic, payload)
        for topic in self._announced.keys() - wanted.keys():  # of a slave that is no longer there
            del self._announced[topic]
            await self._say(client, topic, "")

    async def _hear(self, client: Client) -> None:
        """What others say: Home Assistant has started, or an announcement of before is still retained."""
        async for message in client.messages:
            topic = str(message.topic)
            text = message.payload.decode(errors="replace") if isinstance(message.payload, bytes) else ""
            if any(message.topic.matches(one) for one in self.topics.orders):
                await self._order(topic, text, was_retained=message.retain)
                await self._say_status(client)
            elif topic == self.topics.birth:
                self._announced = dict.fromkeys(self._announced, "") if text == ONLINE else self._announced
            elif text and topic not in self._announced:
                self._announced[topic] = text

    async def _order(self, topic: str, text: str, *, was_retained: bool) -> None:
        """Do what is said. What is retained was said some time ago, to somebody else perhaps."""
        request = order_of(topic, text, self._names, self.topics, time.time())
        if was_retained or request is None:
            log.warning("mqtt_command_ignored", topic=topic, text=text[:32], retained=was_retained)
            return
        try:
            answer = await self.command(request)
        except (OSError, ValueError) as error:
            answer = {"refused": str(error)}
        say = log.warning if "refused" in answer else log.info
        say("mqtt_command", text=text, answer=answer)

    async def _say(self, client: Client, topic: str, payload: str) -> None:
        await client.publish(topic, payload, qos=AT_LEAST_ONCE, retain=True)
        _end_if_cancelled()  # Python 3.11 loses a cancellation that meets the broker's answer


def _end_if_cancelled() -> None:
    task = asyncio.current_task()
    if task is not None and task.cancelling() > 0:
        raise asyncio.CancelledError


def read_password(section: MqttSection) -> str | None:
    """The broker's password.

    Raises:
        StartError: the file cannot be read, or everybody can read it.
    """
    file = section.password_file
    return None if file is None else read_private(file, "[mqtt] password_file").strip()


def broker_tls(section: MqttSection) -> ssl.SSLContext | None:
    """The connection's encryption.

    Raises:
        StartError: `ca_file` is not a file of certificates.
    """
    if not section.tls:
        return None
    try:
        return ssl.create_default_context(cafile=_text(section.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"[mqtt] ca_file {section.ca_file} holds no certificate ({error}).") from None


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
