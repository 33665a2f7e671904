"""The server for the house's network: a login, and behind it what the daemon's status page answers.

A process of its own relays a fixed list of addresses, read only, and shares an answer between its readers:
the daemon is asked at a bounded rate, however many phones look.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from hashlib import sha256
from hmac import compare_digest
from ipaddress import ip_address
from secrets import token_urlsafe
from typing import TypeAlias

from aiohttp import web

from daemon.config.gateway_sections import LanSection
from daemon.config.private_file import read_private
from daemon.errors import StartError
from daemon.lan.api import HouseApi
from daemon.lan.api_description import PREFIX
from daemon.lan.login_page import SECURITY_POLICY, login_page
from daemon.lan.logins import IDLE_S, Login, LoginLimit, Logins
from daemon.lan.order_desk import READ_ONLY, OrderDesk
from daemon.lan.orders_page import SECURITY_POLICY as ORDERS_POLICY
from daemon.lan.orders_page import orders_page, request_of
from daemon.lan.password import is_right
from daemon.lan.relay import Relay
from daemon.system.log import log
from daemon.words.translation import language_of, words_in

FORM_MAX_BYTES = 4096
COOKIE = "sunkeep"
SETTLE_S = 1.5
"""A tick of 1 s, and the age of an answer that is given to others."""
LOGIN_QUEUE_MAX = 8
"""Logins that wait for their hash, which takes a core for half a second each."""
ORDERS_LINK = b'<footer><a href="/orders">Pause, boost, holiday</a>'
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
Answer: TypeAlias = Awaitable[web.StreamResponse]
Handler: TypeAlias = Callable[[web.Request], Answer]


@dataclass(slots=True)
class HousePage:
    """The addresses of the page in the house.

    Args:
        relay: asks the daemon.
        password_line: as `daemon.lan.password.hashed` gives it.
        names: names under which the page may be reached, beside private addresses.
        is_encrypted: whether browsers reach it over TLS.
        clock: any clock that never goes back, in s.
        desk: takes orders to the daemon.
        zone: of the site.
        token_hash: of the token for programs (`HouseApi`).
        language: as configured; ``auto`` is the browser's.
    """

    relay: Relay
    password_line: str
    names: frozenset[str]
    is_encrypted: bool
    clock: Callable[[], float] = time.monotonic
    desk: OrderDesk = field(default_factory=lambda: OrderDesk(_nobody))
    zone: tzinfo = UTC
    token_hash: str | None = None
    settle_s: float = SETTLE_S
    language: str = "auto"
    logins: Logins = field(default_factory=Logins)
    limit: LoginLimit = field(default_factory=LoginLimit)
    _hashing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _waiting: int = 0

    def application(self) -> web.Application:
        """All routes behind the checks of host, origin and login."""
        app = web.Application(client_max_size=FORM_MAX_BYTES, middlewares=[self._checked])
        app.router.add_get("/login", self._ask)
        app.router.add_post("/login", self._login)
        app.router.add_post("/logout", self._logout)
        app.router.add_get("/orders", self._show_orders)
        app.router.add_post("/orders", self._take_order)
        HouseApi(self.desk, self.token_hash, self.limit, self._is_logged_in).add_to(app)
        app.router.add_get("/{path:.*}", self._relay)
        return app

    @web.middleware
    async def _checked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self.is_own_name(request.host):
            return _plain(421, "This page is not served under that name. Add it to [lan] names.\n")
        is_program = request.path.startswith(PREFIX) and "Authorization" in request.headers
        if not (is_program or request.method in ("GET", "HEAD") or _is_same_origin(request)):
            return _plain(403, "This request comes from another page.\n")
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = _plain(error.status, f"{error.reason}\n")
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if self.is_encrypted:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        return response

    def is_own_name(self, host: str) -> bool:
        """Whether a Host header names this page: one that is rebound to it must not read the site."""
        name = host if host.endswith("]") else host.rsplit(":", 1)[0]
        try:
            return ip_address(name.strip("[]")).is_private
        except ValueError:
            return name.lower() in self.names

    async def _ask(self, request: web.Request) -> web.StreamResponse:
        if self._login_of(request) is not None:
            return web.Response(status=303, headers={"Location": "/"})
        return _form(request, self.language, 200)

    async def _login(self, request: web.Request) -> web.StreamResponse:
        address = request.remote or ""
        if self._waiting >= LOGIN_QUEUE_MAX or not self.limit.may_try(address, self.clock()):
            log.warning("login_refused", address=address, reason="too many tries")
            return _form(request, self.language, 429, "Too many tries. Wait a minute, and try again.")
        password = (await request.post()).get("password")
        if not isinstance(password, str) or not await self._is_right(password):
            log.warning("login_refused", address=address, reason="wrong password")
            return _form(request, self.language, 403, "That is not the password.")
        self.limit.succeeded(address)
        log.info("login", address=address)
        response = web.Response(status=303, headers={"Location": "/"})
        response.set_cookie(
            COOKIE,
            self.logins.begin(self.clock()),
            max_age=round(IDLE_S),
            httponly=True,
            samesite="Strict",
            secure=self.is_encrypted,
        )
        return response

    async def _is_right(self, password: str) -> bool:
        self._waiting += 1
        try:
            async with self._hashing:  # one at a time: guesses must not take the machine
                return await asyncio.to_thread(is_right, password, self.password_line)
        finally:
            self._waiting -= 1

    async def _logout(self, request: web.Request) -> web.StreamResponse:
        self.logins.end(request.cookies.get(COOKIE, ""))
        response = web.Response(status=303, headers={"Location": "/login"})
        response.del_cookie(COOKIE)
        return response

    async def _relay(self, request: web.Request) -> web.StreamResponse:
        if self._login_of(request) is None:
            if request.path == "/":
                return web.Response(status=303, headers={"Location": "/login"})
            return _plain(401, "Log in first.\n")
        query = request.query_string
        if request.path == "/":  # the daemon knows the gateway, not the reader's browser
            query = f"lang={_language(request, self.language)}"
        answer = await self.relay.answer(request.path, query)
        if request.path == "/" and self.desk.command is not None and isinstance(answer.body, bytes):
            answer.body = answer.body.replace(b"<footer>", ORDERS_LINK, 1)
        return answer

    async def _show_orders(self, request: web.Request) -> web.StreamResponse:
        login = self._login_of(request)
        if login is None:
            return web.Response(status=303, headers={"Location": "/login"})
        return await self._orders(login, READ_ONLY if self.desk.command is None else "")

    async def _take_order(self, request: web.Request) -> web.StreamResponse:
        login = self._login_of(request)
        if login is None:
            return web.Response(status=303, headers={"Location": "/login"})
        form = await request.post()
        if not compare_digest(str(form.get("csrf", "")).encode(), login.csrf.encode()):
            return _plain(403, "This form is of another login. Load the page again.\n")
        wish = request_of(form, [str(name) for name in form.getall("kept", [])], datetime.now(self.zone))
        if wish is None:
            return await self._orders(login, "Not done: choose a date.")
        status, said = await self.desk.put(wish, request.remote or "")
        if status == 200:  # the page shows what became of it: the next tick has heard it
            await asyncio.sleep(self.settle_s)
        return await self._orders(login, said)

    async def _orders(self, login: Login, said: str) -> web.Response:
        document = await self.desk.status()
        if document is None:
            return _plain(503, "The controller does not answer. Every device goes to rest by itself.\n")
        text = orders_page(document, login.csrf, said)
        response = web.Response(text=text, content_type="text/html")
        response.headers["Content-Security-Policy"] = ORDERS_POLICY
        return response

    def _is_logged_in(self, request: web.Request) -> bool:
        return self._login_of(request) is not None

    def _login_of(self, request: web.Request) -> Login | None:
        return self.logins.find(request.cookies.get(COOKIE, ""), self.clock())


async def serve_house(
    page: HousePage, host: str, port: int, encryption: ssl.SSLContext | None
) -> tuple[web.AppRunner, int]:
    """Listen; gives what stops it, and the port.

    Raises:
        StartError: the address is taken, or not one of this machine.
    """
    runner = web.AppRunner(page.application(), access_log=None, keepalive_timeout=15.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=encryption, backlog=64).start()
    except OSError as error:
        await runner.cleanup()
        raise StartError(
            f"[lan] cannot listen on {host}:{port} ({error.strerror or error}). Choose another port, or "
            "stop the program that holds it."
        ) from None
    return runner, int(runner.addresses[0][1])


async def serve_until_cancelled(
    page: HousePage, section: LanSection, encryption: ssl.SSLContext | None
) -> None:
    """Serve the page as it is configured."""
    runner, port = await serve_house(page, section.host, section.port, encryption)
    log.info("house_page", host=section.host, port=port, encrypted=page.is_encrypted)
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def lan_tls(section: LanSection) -> ssl.SSLContext | None:
    """The page's encryption; None where the configuration does without.

    Raises:
        StartError: certificate and key cannot be used.
    """
    if section.certificate_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(section.certificate_file, section.key_file)
    except (OSError, ssl.SSLError) as error:
        raise StartError(
            f"[lan] certificate_file {section.certificate_file} and key_file {section.key_file} cannot "
            f"be used ({error.strerror or error})."
        ) from None
    return context


def read_token_hash(section: LanSection) -> str | None:
    """The hash of the token for programs; None without one.

    Raises:
        StartError: the file cannot be read, or everybody can read it, or it holds no hash.
    """
    if section.token_file is None:
        return None
    line = read_private(section.token_file, "[lan] token_file").strip()
    if len(line) != 2 * sha256().digest_size or set(line) - set("0123456789abcdef"):
        raise StartError(
            f"[lan] token_file {section.token_file} holds no hash of a token. Make one: "
            "`sunkeep gateway --new-token`."
        )
    return line


def made_token() -> tuple[str, str]:
    """A token for programs, and its hash: 256 random bits need no slow one."""
    token = token_urlsafe(32)
    return token, sha256(token.encode()).hexdigest()


async def _nobody() -> None:
    return None


def own_names(section: LanSection) -> frozenset[str]:
    """Names under which the page may be reached, in small letters."""
    return frozenset({"localhost", *map(str.lower, section.names)})


def _is_same_origin(request: web.Request) -> bool:
    """Browsers say where a form was; what says nothing is no browser with a cookie of ours."""
    origin = request.headers.get("Origin")
    return origin is not None and origin.partition("://")[2] == request.host


def _language(request: web.Request, configured: str) -> str:
    accepted = request.headers.get("Accept-Language", "")
    return language_of(request.query.get("lang", ""), accepted, configured)


def _form(request: web.Request, configured: str, status: int, said: str = "") -> web.Response:
    words = words_in(_language(request, configured))
    response = web.Response(status=status, text=login_page(said, words), content_type="text/html")
    response.headers["Content-Security-Policy"] = SECURITY_POLICY
    return response


def _plain(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text)
