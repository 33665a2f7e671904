"""The same things for programs: what is, and what may be said, as JSON (`daemon.lan.api_description`)."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from typing import Any

from aiohttp import web

from daemon.lan.api_description import DESCRIPTION, PREFIX
from daemon.lan.logins import LoginLimit, TriesLeft
from daemon.lan.order_desk import OrderDesk

READS, READ_AGAIN_S = 60, 0.2
"""Requests in a row over all programs, and seconds until one more is answered."""
_JSON = "application/json"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class HouseApi:
    """Routes for programs that hold the token, and for scripts of a page that is logged in.

    Args:
        token_hash: SHA-256 of the token in hexadecimal digits; None where programs get no access.
        is_logged_in: whether a request carries the cookie of a login.
    """

    desk: OrderDesk
    token_hash: str | None
    limit: LoginLimit
    is_logged_in: Callable[[web.Request], bool]
    _reads: TriesLeft = field(default_factory=lambda: TriesLeft(READS, 0.0))

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get(f"{PREFIX}/openapi.json", self._description)
        app.router.add_get(f"{PREFIX}/status", self._known(self._status))
        app.router.add_get(f"{PREFIX}/orders", self._known(self._orders))
        for path, command, keys in (
            ("pause", "pause", ("until_unix_s",)),
            ("boosts/{device}", "boost", ("until_unix_s",)),
            ("priorities", "priorities", ("first",)),
            ("holiday", "holiday", ("until_unix_s", "kept")),
        ):
            app.router.add_put(f"{PREFIX}/{path}", self._known(self._taker(command, keys)))
        for path, command in (
            ("pause", "resume"),
            ("boosts/{device}", "end_boost"),
            ("holiday", "end_holiday"),
        ):
            app.router.add_delete(f"{PREFIX}/{path}", self._known(self._taker(command, None)))

    def _known(self, handler: Handler) -> Handler:
        """Only for those who may ask, and not too often."""

        async def answer(request: web.Request) -> web.StreamResponse:
            now_s = self.desk.clock()
            given = request.headers.get("Authorization")
            if given is None and not self.is_logged_in(request):
                return _said(401, "Send the token, or log in first.")
            if given is not None and not self._is_token(given):
                may_try = self.limit.may_try(request.remote or "", now_s)
                return _said(401 if may_try else 429, "That is not the token.")
            if not self._reads.take(now_s, READS, READ_AGAIN_S):
                return _said(429, "Too many requests. Wait a second.")
            return await handler(request)

        return answer

    def _is_token(self, given: str) -> bool:
        scheme, _, token = given.partition(" ")
        digest = sha256(token.strip().encode(errors="surrogatepass")).hexdigest()
        is_right = compare_digest(digest, self.token_hash or "")
        return is_right and scheme.lower() == "bearer"

    async def _description(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(DESCRIPTION)

    async def _status(self, _request: web.Request) -> web.StreamResponse:
        document = await self.desk.status()
        return _away() if document is None else web.json_response(document)

    async def _orders(self, _request: web.Request) -> web.StreamResponse:
        document = await self.desk.status()
        if document is None:
            return _away()
        return web.json_response({"pause": document["pause"], **document["orders"]})

    def _taker(self, command: str, keys: tuple[str, ...] | None) -> Handler:
        """Takes one kind of order; `keys` are those of its body, None where it has none."""

        async def take(request: web.Request) -> web.StreamResponse:
            order: dict[str, Any] = {"command": command}
            if "device" in request.match_info:
                order["slave"] = request.match_info["device"]
            if keys is not None:
                body = await _body(request)
                if body is None or set(body) != set(keys):
                    return _said(400, f"The body is a JSON object with {' and '.join(keys)}.")
                order |= body
            status, said = await self.desk.put(order, request.remote or "")
            return web.json_response({"said": said}) if status == 200 else _said(status, said)

        return take


async def _body(request: web.Request) -> dict[str, Any] | None:
    """A JSON object; a form of another page cannot send one."""
    if request.content_type != _JSON:
        return None
    try:
        body = await request.json()
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _said(status: int, text: str) -> web.Response:
    headers = {"Retry-After": "5"} if status == 429 else {}
    return web.json_response({"error": text}, status=status, headers=headers)


def _away() -> web.Response:
    return _said(503, "The controller does not answer.")
