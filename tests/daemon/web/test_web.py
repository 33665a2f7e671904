"""The page and its addresses over real sockets."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from daemon.monitoring.figures import Figures
from daemon.web.server import CONNECTIONS_MAX, StatusError, StatusServer, content_security_policy, serve
from tests.support.telemetry_feed import ABOUT, SITE, FedHouse, feed


class Clock:
    """A clock that a test sets."""

    at_s = 1000.0

    def __call__(self) -> float:
        return self.at_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def figures() -> Figures:
    return Figures(SITE, ABOUT, 1000.0)


@pytest.fixture
async def server(figures: Figures, clock: Clock) -> AsyncIterator[StatusServer]:
    running = await serve(figures, "127.0.0.1", 0, clock=clock)
    yield running
    await running.stop()


@pytest.fixture
async def browser(server: StatusServer) -> AsyncIterator[ClientSession]:
    async with ClientSession(server.url) as session:
        yield session


async def test_the_page_allows_only_what_is_written_in_it(browser: ClientSession) -> None:
    async with browser.get("/") as answer:
        page = await answer.text()
        policy = answer.headers["Content-Security-Policy"]
    assert answer.content_type == "text/html"
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert policy == content_security_policy(page)
    assert policy.count("'sha256-") == 2
    assert not re.search(r"<[^>]+\s(?:on\w+|style)\s*=", page)  # the policy would block them
    assert not re.search(r"(?:src|href)=\"(?!/|data:)", page)  # nothing from elsewhere
    assert 'lang="en"' in page
    assert 'aria-live="polite"' in page


async def test_status_gives_the_chart_only_once(
    browser: ClientSession, figures: Figures, clock: Clock
) -> None:
    feed(figures, FedHouse(), "sunny", 30)
    clock.at_s = 1030.5
    first = await (await browser.get("/status.json")).json()
    assert len(first["points"]) == 30
    assert (first["tick"], first["tick_age_s"], first["site"]["name"]) == (30, 0.5, "Home")
    later = await (await browser.get("/status.json", params={"since": "1028.01"})).json()
    assert [point[0] for point in later["points"]] == [1029.0, 1030.0]
    assert (await browser.get("/status.json", params={"since": "x"})).status == 400


async def test_metrics_are_prometheus_text(browser: ClientSession, figures: Figures) -> None:
    feed(figures, FedHouse(), "sunny", 3)
    async with browser.get("/metrics") as answer:
        names = {family.name for family in text_string_to_metric_families(await answer.text())}
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert {"sunkeep_grid_power_watts", "sunkeep_inference_seconds", "process_resident_memory_bytes"} <= names


async def test_health_follows_the_last_tick(browser: ClientSession, figures: Figures, clock: Clock) -> None:
    assert (await browser.get("/healthz")).status == 503
    feed(figures, FedHouse(), "sunny", 1)
    clock.at_s = 1002.0
    assert (await browser.get("/healthz")).status == 200
    clock.at_s = 1010.0
    assert (await browser.get("/healthz")).status == 503


async def test_what_is_refused(browser: ClientSession) -> None:
    assert (await browser.get("/etc/passwd")).status == 404
    assert (await browser.post("/")).status == 405
    assert (await browser.head("/")).status == 200
    for host, status in [
        ("evil.example", 421),
        ("evil.example:9108", 421),
        ("localhost:9108", 200),
        ("[::1]", 200),
    ]:
        assert (await browser.get("/", headers={"Host": host})).status == status, host


async def test_a_taken_port_and_an_open_address_are_told_clearly(
    figures: Figures, server: StatusServer
) -> None:
    with pytest.raises(StatusError, match=rf"cannot listen on 127\.0\.0\.1:{server.port}.*another port"):
        await serve(figures, "127.0.0.1", server.port)
    for host in ("0.0.0.0", "192.168.1.5", "example.org", "::"):
        with pytest.raises(StatusError, match="not a loopback address"):
            await serve(figures, host, 0)


async def test_500_idle_sockets_leave_room_for_the_next(server: StatusServer, figures: Figures) -> None:
    """The oldest connections make room, and the loop stays free while they come."""
    idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(500)]
    async with ClientSession(server.url) as late, late.get("/status.json") as answer:
        assert answer.status == 200
    await asyncio.sleep(0.05)
    still_open = sum(not reader.at_eof() and reader.exception() is None for reader, _ in idle)
    assert still_open <= CONNECTIONS_MAX
    for _, writer in idle:
        writer.transport.abort()


async def test_stopping_ends_open_connections(figures: Figures) -> None:
    running = await serve(figures, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    await asyncio.wait_for(running.stop(), 1.0)
    assert await asyncio.wait_for(reader.read(), 1.0) == b""
    writer.close()
    with pytest.raises(OSError, match=r"[Cc]onnect"):
        await asyncio.open_connection("127.0.0.1", running.port)
