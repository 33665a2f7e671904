"""Status page and metrics, served by the event loop itself on loopback.

Nobody who connects may disturb the tick: few connections, short timeouts, metrics rendered at most once
per second, a page that asks only for what it has not seen yet, and nothing but GET.
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from ipaddress import ip_address
from re import DOTALL, findall

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from daemon.clock import boottime_s
from daemon.figures import Figures
from daemon.metrics import Exposition
from daemon.status import stale_after_s, status

CONNECTIONS_MAX = 32
"""A page, a scraper and some curious people. The oldest connection makes room for a new one beyond that."""
IDLE_S = 5.0
"""A connection that asks nothing for this long is closed."""


class StatusError(Exception):
    """The status page cannot be served. The message says what to do."""


@dataclass(slots=True)
class StatusServer:
    """A running server. `port` is the one it listens on."""

    host: str
    port: int
    _runner: web.ServerRunner

    @property
    def url(self) -> str:
        """Address of the status page."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    async def stop(self) -> None:
        """Close the socket and every connection."""
        await self._runner.cleanup()


async def serve(
    figures: Figures, host: str, port: int, *, clock: Callable[[], float] = boottime_s
) -> StatusServer:
    """Listen for scrapers and browsers.

    Args:
        host: a loopback address; port: 0 chooses a free one.
        clock: the clock of the snapshots, in s.

    Raises:
        StatusError: the address is not on loopback, or taken.
    """
    _require_loopback(host)
    server = _FewConnections(_Pages(figures, clock).answer, keepalive_timeout=IDLE_S, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise StatusError(
            f"cannot listen on {host}:{port} ({error.strerror or error}); "
            "choose another port in [status] or stop the program that holds it"
        ) from error
    return StatusServer(host, int(runner.addresses[0][1]), runner)


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
    """The four addresses."""

    def __init__(self, figures: Figures, clock: Callable[[], float]) -> None:
        self._figures, self._clock = figures, clock
        self._exposition = Exposition(figures)
        self._page = files("daemon").joinpath("page/index.html").read_bytes()
        self._policy = content_security_policy(self._page.decode())

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if not _is_local(request.host):
            return _text(421, "this address is only served under a loopback name\n")
        if request.method not in ("GET", "HEAD"):
            response = _text(405, "only GET\n")
            response.headers["Allow"] = "GET, HEAD"
            return response
        answers = {
            "/": self._index,
            "/metrics": self._metrics,
            "/status.json": self._status,
            "/healthz": self._health,
        }
        found = answers.get(request.path)
        return found(request) if found else _text(404, "not here; try /, /metrics or /status.json\n")

    def _index(self, _: web.BaseRequest) -> web.Response:
        response = web.Response(body=self._page, content_type="text/html", charset="utf-8")
        response.headers.update(_HEADERS)
        response.headers["Content-Security-Policy"] = self._policy
        return response

    def _metrics(self, _: web.BaseRequest) -> web.Response:
        body = self._exposition.render(self._clock())
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4, **_HEADERS})

    def _status(self, request: web.BaseRequest) -> web.Response:
        try:
            since_s = float(request.query.get("since", "0"))
        except ValueError:
            return _text(400, "since is an instant in seconds\n")
        body = json.dumps(status(self._figures, self._clock(), since_s), allow_nan=False)
        return web.Response(body=body.encode(), content_type="application/json", headers=_HEADERS)

    def _health(self, _: web.BaseRequest) -> web.Response:
        snapshot = self._figures.snapshot
        if snapshot is None:
            return _text(503, "starting\n")
        age_s = self._clock() - snapshot.at_s
        healthy = age_s <= stale_after_s(self._figures)
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


def _is_local(host: str) -> bool:
    """Whether the Host header names loopback: a web page that rebinds its name must not read the site."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    try:
        return name == "localhost" or ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _text(code: int, text: str) -> web.Response:
    return web.Response(status=code, text=text, headers=_HEADERS)
