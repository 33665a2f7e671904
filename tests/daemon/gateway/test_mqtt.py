"""The gateway between a status page and a real broker."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from aiomqtt import Client

from daemon.config.gateway_sections import MqttSection
from daemon.config.sections import StatusSection
from daemon.errors import InputError, StartError
from daemon.gateway.mqtt import MqttPublisher, broker_tls, read_password
from daemon.gateway.status_client import StatusClient, StatusReading
from daemon.monitoring.figures import Figures
from daemon.monitoring.telemetry import PauseOrder
from daemon.web.server import serve
from tests.support.configuration import CONFIGURATION, write_configuration
from tests.support.mqtt_broker import mosquitto, needs_mosquitto
from tests.support.telemetry_feed import ABOUT, SITE, FedHouse, feed

pytestmark = needs_mosquitto
LIMIT_S = 20.0


class Broker:
    """What a second client sees on a broker: the newest retained payload of every topic."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.payloads: dict[str, str] = {}
        self._changed = asyncio.Event()

    async def listen(self) -> None:
        async for message in self._client.messages:
            assert isinstance(message.payload, bytes)
            self.payloads[str(message.topic)] = message.payload.decode()
            self._changed.set()

    async def until(self, condition: Callable[[dict[str, str]], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not condition(self.payloads):
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def listener(port: int) -> AsyncIterator[Broker]:
    async with Client("127.0.0.1", port) as client:
        await client.subscribe("#", qos=1)
        broker = Broker(client)
        listening = asyncio.create_task(broker.listen())
        yield broker
        listening.cancel()


class FedPage:
    """A daemon's status, as the gateway reads it."""

    def __init__(self) -> None:
        self.figures = Figures(SITE, ABOUT, 1000.0)
        self.at_s = 1030.5
        self.house = FedHouse()
        feed(self.figures, self.house, "sunny", 30)
        self.problem = ""
        self.requests: list[dict[str, Any]] = []

    async def command(self, request: dict[str, Any]) -> dict[str, Any]:
        """The operators' socket of the daemon."""
        self.requests.append(request)
        self.figures.pause = PauseOrder(request["command"] == "pause")
        return {}

    async def read(self) -> StatusReading:
        from daemon.monitoring.status import status

        if self.problem:
            return StatusReading(None, self.problem)
        return StatusReading(status(self.figures, self.at_s))


@asynccontextmanager
async def published(section: MqttSection, page: FedPage) -> AsyncIterator[asyncio.Task[None]]:
    publisher = MqttPublisher(section, None, None, page.read, page.command)
    task = asyncio.create_task(publisher.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


def section(port: int) -> MqttSection:
    return MqttSection(host="127.0.0.1", port=port, every_s=1.0)


async def test_a_late_listener_finds_state_and_entities_retained(tmp_path: Path) -> None:
    page = FedPage()
    async with mosquitto(tmp_path) as port, published(section(port), page):
        async with listener(port) as first:
            await first.until(lambda seen: "sunkeep/home/state" in seen)
        async with listener(port) as late:
            await late.until(lambda seen: "sunkeep/home/state" in seen and len(seen) >= 30)
            assert late.payloads["sunkeep/home/gateway"] == "online"
            assert late.payloads["sunkeep/home/daemon"] == "online"
            assert json.loads(late.payloads["sunkeep/home/state"])["mode"] == "production"
            entity = json.loads(late.payloads["homeassistant/sensor/sunkeep_home/grid_power/config"])
            assert entity["availability"] == [
                {"topic": "sunkeep/home/gateway"},
                {"topic": "sunkeep/home/daemon"},
            ]


async def test_an_old_status_is_never_shown_as_one_of_now(tmp_path: Path) -> None:
    page = FedPage()
    async with mosquitto(tmp_path) as port, published(section(port), page), listener(port) as broker:
        await broker.until(lambda seen: seen.get("sunkeep/home/daemon") == "online")
        page.at_s += 60.0  # the page answers, the loop behind it does not tick
        await broker.until(lambda seen: seen["sunkeep/home/daemon"] == "offline")
        page.at_s -= 60.0
        await broker.until(lambda seen: seen["sunkeep/home/daemon"] == "online")
        page.problem = "no daemon answers"
        await broker.until(lambda seen: seen["sunkeep/home/daemon"] == "offline")


async def test_entities_are_told_again_when_home_assistant_starts(tmp_path: Path) -> None:
    topic = "homeassistant/sensor/sunkeep_home/grid_power/config"
    page = FedPage()
    async with mosquitto(tmp_path) as port, published(section(port), page), listener(port) as broker:
        await broker.until(lambda seen: topic in seen)
        del broker.payloads[topic]
        async with Client("127.0.0.1", port) as home_assistant:
            await home_assistant.publish("homeassistant/status", "online")
            await broker.until(lambda seen: topic in seen)


async def test_home_assistant_may_give_orders_where_that_is_accepted(tmp_path: Path) -> None:
    page = FedPage()
    async with mosquitto(tmp_path) as port:
        async with Client("127.0.0.1", port) as before:
            await before.publish("sunkeep/home/pause/set", "ON", retain=True)
        accepting = section(port).model_copy(update={"commands": "accepted"})
        async with published(accepting, page), listener(port) as broker:
            await broker.until(lambda seen: '"paused": false' in seen.get("sunkeep/home/state", ""))
            assert page.requests == []  # what is retained was said to somebody else
            async with Client("127.0.0.1", port) as home_assistant:
                await home_assistant.publish("sunkeep/home/pause/set", "nonsense")
                await home_assistant.publish("sunkeep/home/pause/set", "ON")
                await broker.until(lambda seen: '"paused": true' in seen["sunkeep/home/state"])
                await home_assistant.publish("sunkeep/home/pause/set", "OFF")
                await broker.until(lambda seen: '"paused": false' in seen["sunkeep/home/state"])
                slave = SITE.slaves[1]
                await home_assistant.publish(f"sunkeep/home/boost/{slave.slot}/set", "ON")
                await home_assistant.publish("sunkeep/home/holiday/set", "0")
                await home_assistant.publish("sunkeep/home/pause/set", "ON")
                await broker.until(lambda seen: '"paused": true' in seen["sunkeep/home/state"])
    said = [request["command"] for request in page.requests]
    assert said == ["pause", "resume", "boost", "end_holiday", "pause"]
    assert page.requests[2]["slave"] == slave.name


async def test_nobody_pauses_where_commands_are_refused(tmp_path: Path) -> None:
    page = FedPage()
    async with mosquitto(tmp_path) as port, published(section(port), page), listener(port) as broker:
        await broker.until(lambda seen: "sunkeep/home/state" in seen)
        async with Client("127.0.0.1", port) as somebody:
            await somebody.publish("sunkeep/home/pause/set", "ON")
            await somebody.publish("homeassistant/status", "online")  # a round trip later
        del broker.payloads["sunkeep/home/state"]
        await broker.until(lambda seen: "sunkeep/home/state" in seen)
        assert "homeassistant/switch/sunkeep_home/pause/config" not in broker.payloads
    assert page.requests == []


async def test_what_is_retained_of_a_slave_that_is_gone_is_taken_back(tmp_path: Path) -> None:
    gone = "homeassistant/sensor/sunkeep_home/slot_77_power/config"
    page = FedPage()
    async with mosquitto(tmp_path) as port:
        async with Client("127.0.0.1", port) as before:
            await before.publish(gone, "{}", retain=True)
        async with listener(port) as broker:
            await broker.until(lambda seen: seen.get(gone) == "{}")
            async with published(section(port), page):
                await broker.until(lambda seen: seen[gone] == "")


async def test_an_end_in_order_is_told(tmp_path: Path) -> None:
    page = FedPage()
    async with mosquitto(tmp_path) as port, listener(port) as broker:
        async with published(section(port), page):
            await broker.until(lambda seen: seen.get("sunkeep/home/gateway") == "online")
        await broker.until(lambda seen: seen["sunkeep/home/gateway"] == "offline")


async def test_the_broker_tells_the_last_will_of_a_gateway_that_was_killed(tmp_path: Path) -> None:
    config = write_configuration(
        tmp_path, CONFIGURATION + '[mqtt]\nhost = "127.0.0.1"\nport = PORT\n[status]\nport = 1\n'
    )
    async with mosquitto(tmp_path) as port, listener(port) as broker:
        config.write_text(config.read_text().replace("PORT", str(port)))
        gateway = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "daemon",
            "gateway",
            "--config",
            str(config),
            stderr=asyncio.subprocess.DEVNULL,
        )
        await broker.until(lambda seen: seen.get("sunkeep/home/gateway") == "online")
        assert broker.payloads.get("sunkeep/home/daemon", "offline") == "offline"  # none runs
        gateway.kill()
        await gateway.wait()
        await broker.until(lambda seen: seen["sunkeep/home/gateway"] == "offline")


async def test_a_broker_that_was_away_is_found_again(tmp_path: Path) -> None:
    page = FedPage()
    async with mosquitto(tmp_path) as port:
        pass
    async with published(section(port), page) as task:
        await asyncio.sleep(0.1)
        assert not task.done()
        async with mosquitto(tmp_path, port), listener(port) as broker:
            await broker.until(lambda seen: "sunkeep/home/state" in seen)
        async with mosquitto(tmp_path, port), listener(port) as broker:
            await broker.until(lambda seen: "sunkeep/home/state" in seen)


async def test_the_status_client_reads_a_real_page_and_says_why_not() -> None:
    page = FedPage()
    server = await serve(page.figures, "127.0.0.1", 0, clock=lambda: page.at_s)
    async with ClientSession() as session:
        client = StatusClient(session, StatusSection(port=server.port))
        reading = await client.read()
        assert reading.is_live
        assert reading.document is not None
        assert reading.document["points"] == []
        page.at_s += 60.0
        assert not (await client.read()).is_live
        await server.stop()
        reading = await client.read()
        assert reading.document is None
        assert not reading.is_live
        assert "no daemon answers at http://127.0.0.1:" in reading.problem
        with pytest.raises(InputError, match="port = 0"):
            StatusClient(session, StatusSection(port=0))


def test_a_password_must_be_the_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "mqtt.password"
    section = MqttSection(host="broker", username="sunkeep", password_file=file)
    with pytest.raises(StartError, match="cannot be read"):
        read_password(section)
    file.write_text("secret\n")
    file.chmod(0o644)
    with pytest.raises(StartError, match="chmod 600"):
        read_password(section)
    file.chmod(0o600)
    assert read_password(section) == "secret"
    assert read_password(MqttSection(host="broker")) is None


def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    with pytest.raises(StartError, match="holds no certificate"):
        broker_tls(MqttSection(host="broker", tls=True, ca_file=file))
    assert broker_tls(MqttSection(host="broker", tls=True)) is not None
    assert broker_tls(MqttSection(host="broker")) is None
