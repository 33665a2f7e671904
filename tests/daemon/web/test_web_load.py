"""Whoever asks, however often: the status server's work is bounded, and no tick waits for it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from daemon.monitoring.figures import Figures
from daemon.monitoring.status import document
from daemon.system.clock import boottime_s
from daemon.system.pacer import Pacer, TickGap
from daemon.web import answers
from daemon.web.answers import PageAnswers
from daemon.web.server import ADMISSIONS_PER_S, StatusServer, serve
from daemon.words.translation import Words
from tests.support.telemetry_feed import ABOUT, SITE, FedHouse, feed


class LoadClock:
    """A clock that a test sets."""

    at_s = 1000.0

    def __call__(self) -> float:
        return self.at_s


@pytest.fixture
def figures() -> Figures:
    return Figures(SITE, ABOUT, 1000.0)


@pytest.fixture
async def server(figures: Figures) -> AsyncIterator[StatusServer]:
    running = await serve(figures, "127.0.0.1", 0, clock=LoadClock())
    yield running
    await running.stop()


def connect_and_reset(port: int) -> None:
    """As an aborting client does: the connection is established, and gone before anybody takes it."""
    with socket.create_connection(("127.0.0.1", port), timeout=5.0) as client:
        client.sendall(b"GET /status.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def test_clients_that_hang_up_cost_no_connection(
    server: StatusServer, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    admitted = 0
    made = server._runner.server.connection_made  # type: ignore[union-attr]

    def count(*arguments: object) -> None:
        nonlocal admitted
        admitted += 1
        made(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(server._runner.server, "connection_made", count)
    for _ in range(50):  # while the loop does not run, so that all have left when it looks
        connect_and_reset(server.port)
    async with ClientSession(server.url) as late, late.get("/status.json") as answer:
        assert answer.status == 200
    assert admitted == 1


async def test_connections_are_admitted_at_a_bounded_rate(server: StatusServer) -> None:
    """Who comes faster waits in the kernel, where it costs nothing."""
    clients = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(60)]
    await asyncio.sleep(0.5)
    connections = server._runner.server.connections  # type: ignore[union-attr]
    assert (
        1 <= len(connections) <= 5 + 1 + ADMISSIONS_PER_S * 1.0
    )  # burst, and twice the time for a slow machine
    for _, writer in clients:
        writer.transport.abort()


async def test_nothing_is_answered_while_a_tick_is_due_or_under_way() -> None:
    clock, due_at_s, lived_at_s = LoadClock(), 1001.0, 1000.0
    gap = TickGap(clock, 1.0, lambda: due_at_s, lambda: lived_at_s)
    pacer = Pacer(gap, per_s=1000.0, burst=10)
    await asyncio.wait_for(pacer.turn(), 0.5)  # the last tick is over, the next far away

    async def is_mute() -> bool:
        turn = asyncio.ensure_future(pacer.turn())
        await asyncio.sleep(0.05)
        done = turn.done()
        turn.cancel()
        return not done

    clock.at_s = 1000.99  # just before the tick
    assert await is_mute()
    clock.at_s, due_at_s = 1001.1, 1002.0  # it has begun and waits for the meter
    assert await is_mute()
    lived_at_s = 1001.1
    assert not await is_mute()


async def test_a_tick_that_never_ends_does_not_make_the_page_mute() -> None:
    gap = TickGap(boottime_s, 1.0, lambda: boottime_s() + 0.5, lambda: boottime_s() - 60.0)
    await asyncio.wait_for(Pacer(gap, per_s=1000.0, burst=10).turn(), 5.0)


def test_answers_are_made_once_per_tick(figures: Figures, monkeypatch: pytest.MonkeyPatch) -> None:
    feed(figures, FedHouse(), "sunny", 30)
    made = 0

    def count(of: Figures, at_s: float, words: Words) -> dict[str, object]:
        nonlocal made
        made += 1
        return document(of, at_s, words)

    monkeypatch.setattr(answers, "document", count)
    clock = LoadClock()
    clock.at_s = 1030.1
    kept = PageAnswers(figures, clock)
    bodies = [kept.status(0.0) for _ in range(100)]
    assert (made, len(set(bodies))) == (1, 1)
    clock.at_s = 1030.9  # ages are of now all the same
    assert b'"tick_age_s": 0.9' in kept.status(0.0)
    assert made == 1
    clock.at_s = 1040.0  # no tick comes: rates and sentences go on
    assert b'"tick_age_s": 10.0' in kept.status(0.0)
    assert made == 2
