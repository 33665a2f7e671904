"""The server for the house's network: a login, and behind it what the daemon's status page answers.

A process of its own relays a fixed list of addresses, read only, and shares an answer between its readers:
the daemon is asked at a bounded rate, however many phones look.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TypeAlias

from aiohttp import web

from daemon.config.gateway_sections import LanSection
from daemon.errors import StartError
from daemon.lan.login_page import SECURITY_POLICY, login_page
from daemon.lan.logins import IDLE_S, Login, LoginLimit, Logins
from daemon.lan.password import is_right
from daemon.lan.relay import Relay
from daemon.system.log import log
from daemon.words.translation import language_of, words_in

FORM_MAX_BYTES = 4096
COOKIE = "sunkeep"
LOGIN_QUEUE_MAX = 8
"""Logins that wait for their hash, which takes a core for half a second each."""
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
        language: as configured; ``auto`` is the browser's.
    """

    relay: Relay
    password_line: str
    names: frozenset[str]
    is_encrypted: bool
    clock: Callable[[], float] = time.monotonic
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
        app.router.add_get("/{path:.*}", self._relay)
        return app

    @web.middleware
    async def _checked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self.is_own_name(request.host):
            return _plain(421, "This page is not served under that name. Add it to [lan] names.\n")
        if request.method not in ("GET", "HEAD") and not _is_same_origin(request):
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
        if request.path == "/":  # the daemon knows the gateway, not the reader's browser
            return await self.relay.answer("/", f"lang={_language(request, self.language)}")
        return await self.relay.answer(request.path, request.query_string)

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
