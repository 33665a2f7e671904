"""Status page and metrics, served by the event loop itself on loopback.

Nobody who connects may disturb the tick: connections and requests are taken at a bounded rate and never while
a tick is due or under way, few connections are open, timeouts are short, answers are rendered once per tick
at most, a page asks only for what it has not seen yet, and there is nothing but GET.
"""

import asyncio
import socket
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from importlib.resources import files
from ipaddress import ip_address
from math import inf
from re import DOTALL, findall

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from daemon.errors import InputError
from daemon.monitoring.figures import Figures
from daemon.system.clock import boottime_s
from daemon.system.listener import BACKLOG, BoundedListener
from daemon.system.pacer import Pacer, TickGap
from daemon.web.answers import PageAnswers
from daemon.web.history_answers import SPANS, HistoryAnswers
from daemon.words.translation import LANGUAGES, language_of, words_in

CONNECTIONS_MAX = 32
"""A page, a scraper and some curious people. The oldest connection makes room for a new one beyond that."""
IDLE_S = 5.0
"""A connection that asks nothing for this long is closed."""
LOOKS_PER_S, ADMISSIONS_PER_S, REQUESTS_PER_S = 300.0, 25.0, 50.0
"""Connections taken off the socket, connections admitted, requests answered. That is 6, 4 and 10 % of a Pi 4
core at the worst (estimated as 5 times the measured 0.04, 0.3 and 0.4 ms); a page and a scraper ask less than
twice a second."""


class StatusError(Exception):
    """The status page cannot be served. The message says what to do."""


@dataclass(slots=True)
class StatusServer:
    """A running server. `port` is the one it listens on."""

    host: str
    port: int
    _runner: web.ServerRunner
    _listener: BoundedListener

    @property
    def url(self) -> str:
        """Address of the status page."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    async def stop(self) -> None:
        """Close the socket and every connection."""
        await self._listener.stop()
        await self._runner.cleanup()


async def serve(
    figures: Figures,
    host: str,
    port: int,
    *,
    clock: Callable[[], float] = boottime_s,
    next_tick_at_s: Callable[[], float] | None = None,
    history: HistoryAnswers | None = None,
    language: str = "auto",
) -> StatusServer:
    """Listen for scrapers and browsers.

    Args:
        host: a loopback address; port: 0 chooses a free one.
        clock: the clock of the snapshots, in s.
        next_tick_at_s: when the next tick is due, on the same clock; None where nothing ticks.
        history: answers about days, months and years; None where there are none.
        language: of the page, one of `daemon.words.translation.LANGUAGES`; ``auto`` is the browser's.

    Raises:
        StatusError: the address is not on loopback, or taken.
    """
    _require_loopback(host)
    listening = _listen(host, port)
    gap = TickGap(clock, figures.site.period_s, next_tick_at_s, lambda: _lived_at_s(figures))
    pages = _Pages(figures, clock, Pacer(gap, REQUESTS_PER_S, burst=10), history, language)
    server = _FewConnections(
        pages.answer, keepalive_timeout=IDLE_S, access_log=None, handler_cancellation=True
    )
    runner = web.ServerRunner(server, shutdown_timeout=0.2)
    await runner.setup()
    looks, admissions = Pacer(gap, LOOKS_PER_S, burst=10), Pacer(gap, ADMISSIONS_PER_S, burst=5)
    listener = BoundedListener(server, listening, looks, admissions)
    return StatusServer(host, int(listening.getsockname()[1]), runner, listener)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise StatusError(
            f"cannot listen on {host}:{port} ({error.strerror or error}); "
            "choose another port in [status] or stop the program that holds it"
        ) from error


def _lived_at_s(figures: Figures) -> float:
    return -inf if figures.snapshot is None else figures.snapshot.at_s


def _require_loopback(host: str) -> None:
    try:
        loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise StatusError(
            f"[status] host = {host!r} is not a loopback address; the page has no password. "
            "Use 127.0.0.1 and reach it through ssh -L or a reverse proxy"
        )


class _FewConnections(web.Server):
    """Accepts everybody, and lets the oldest connection go when there are too many."""

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self._connections) > CONNECTIONS_MAX:
            oldest = next(iter(self._connections))
            gone = self._connections.pop(oldest)
            gone.abort()


class _Pages:
    """The five addresses."""

    def __init__(
        self,
        figures: Figures,
        clock: Callable[[], float],
        pacer: Pacer,
        history: HistoryAnswers | None = None,
        language: str = "auto",
    ) -> None:
        self._history, self._configured = history, language
        self._figures, self._clock, self._pacer = figures, clock, pacer
        self._answers = PageAnswers(figures, clock)
        page = files("daemon").joinpath("page/index.html").read_text(encoding="utf-8")
        told = {language: words_in(language).page(page) for language in LANGUAGES}
        self._pages = {name: (html.encode(), content_security_policy(html)) for name, html in told.items()}

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, when it is its turn."""
        await self._pacer.turn()
        if not _is_local(request.host):
            return _text(421, "this address is only served under a loopback name\n")
        if request.method not in ("GET", "HEAD"):
            response = _text(405, "only GET\n")
            response.headers["Allow"] = "GET, HEAD"
            return response
        if request.path == "/history.json":
            return await self._past(request)
        answers = {
            "/": self._index,
            "/metrics": self._metrics,
            "/status.json": self._status,
            "/healthz": self._health,
        }
        found = answers.get(request.path)
        return found(request) if found else _text(404, "not here; try /, /metrics or /status.json\n")

    def _language(self, request: web.BaseRequest) -> str:
        accepted = request.headers.get("Accept-Language", "")
        return language_of(request.query.get("lang", ""), accepted, self._configured)

    def _index(self, request: web.BaseRequest) -> web.Response:
        page, policy = self._pages[self._language(request)]
        response = web.Response(body=page, content_type="text/html", charset="utf-8")
        response.headers.update(_HEADERS)
        response.headers["Content-Security-Policy"] = policy
        response.headers["Vary"] = "Accept-Language"
        return response

    def _metrics(self, _: web.BaseRequest) -> web.Response:
        body = self._answers.metrics()
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4, **_HEADERS})

    def _status(self, request: web.BaseRequest) -> web.Response:
        try:
            since_s = float(request.query.get("since", "0"))
        except ValueError:
            return _text(400, "since is an instant in seconds\n")
        body = self._answers.status(since_s, _asked(request))
        return web.Response(body=body, content_type="application/json", headers=_HEADERS)

    async def _past(self, request: web.BaseRequest) -> web.Response:
        span, on = request.query.get("span", "day"), request.query.get("day", "")
        try:
            day = date.fromisoformat(on) if on else None
        except ValueError:
            day = date.min
        if span not in SPANS or (day is not None and not 1970 < day.year < 2200):
            return _text(400, f"span is one of {', '.join(SPANS)}; day is a date such as 2026-06-01\n")
        if self._history is None:
            return _text(404, "no history is kept here\n")
        try:
            body = await self._history.answer(span, day, _asked(request))
        except InputError as error:
            return _text(503, f"{error}\n")
        return web.Response(body=body, content_type="application/json", headers=_HEADERS)

    def _health(self, _: web.BaseRequest) -> web.Response:
        snapshot = self._figures.snapshot
        if snapshot is None:
            return _text(503, "starting\n")
        age_s = self._clock() - snapshot.at_s
        healthy = age_s <= self._figures.gap_s
        return _text(200 if healthy else 503, f"last tick {age_s:.1f} s ago\n")


_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}


def content_security_policy(page: str) -> str:
    """A policy that allows exactly the styles and scripts written in the page, and fetches from home."""
    digests = {
        tag: " ".join(
            f"'sha256-{b64encode(sha256(body.encode()).digest()).decode()}'"
            for body in findall(rf"<{tag}>(.*?)</{tag}>", page, DOTALL)
        )
        for tag in ("style", "script")
    }
    return (
        f"default-src 'none'; style-src {digests['style']}; script-src {digests['script']}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _asked(request: web.BaseRequest) -> str:
    """The language of an answer: English for programs, which ask for none."""
    return language_of(request.query.get("lang", ""), "")


def _is_local(host: str) -> bool:
    """Whether the Host header names loopback: a web page that rebinds its name must not read the site."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    try:
        return name == "localhost" or ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _text(code: int, text: str) -> web.Response:
    return web.Response(status=code, text=text, headers=_HEADERS)
