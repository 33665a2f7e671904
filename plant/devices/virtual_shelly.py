"""A Shelly that answers like one: RPC over HTTP, digest authentication, its own timer, its own faults.

After the Shelly API documentation for Gen2+: frames and errors (General/RPC Protocol), authentication
(General/Authentication), and the components Switch and Light.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import Any, Literal

from aiohttp import web

from plant.devices.digest_authentication import DigestAuthentication

INVALID_ARGUMENT, NOT_FOUND, NO_HANDLER = -103, -105, 404
UNPROTECTED = ("Shelly.GetDeviceInfo",)
"""Answered without a password (General/Authentication)."""


class RpcError(Exception):
    """A request that is refused, with a code of the documentation."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(slots=True)
class ShellyFaults:
    """What is wrong with it.

    `ignores_timer` never switches off by itself; `hangs` takes requests and answers none; `is_open` is a
    thermostat that lets nothing through; `power_factor` multiplies what it says that it draws.
    """

    ignores_timer: bool = False
    hangs: bool = False
    is_open: bool = False
    power_factor: float = 1.0


@dataclass(slots=True)
class VirtualShelly:
    """One device with one output.

    Args:
        clock: s.
        max_w: of the load behind it.
    """

    clock: Callable[[], float]
    component: Literal["switch", "light"] = "switch"
    max_w: float = 2000.0
    password: str | None = None
    mac: str = "A8032ABE54DC"
    initial_state: str = "off"
    auto_on: bool = False
    generation: int = 2
    faults: ShellyFaults = field(default_factory=ShellyFaults)
    rng: Random = field(default_factory=lambda: Random(0))
    output: bool = False
    brightness: float = 100.0
    _timer_from_s: float = 0.0
    _timer_s: float | None = None
    _authentication: DigestAuthentication | None = None
    _runner: web.ServerRunner | None = None

    @property
    def name(self) -> str:
        """Its device identifier, which is also the realm of its password."""
        return f"shelly{self.component}-{self.mac.lower()}"

    def power_w(self) -> float:
        """What its load draws now."""
        self._let_timer_run()
        if not self.output or self.faults.is_open:
            return 0.0
        return self.max_w * (self.brightness / 100.0 if self.component == "light" else 1.0)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; gives the port."""
        if self.password is not None:
            self._authentication = DigestAuthentication("admin", self.name, self.password, self.rng)
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Cut its power: nothing answers, the load is off, and on again only if it is set up so."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.output, self._timer_s = self.initial_state == "on", None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.faults.hangs:
            await asyncio.sleep(inf)
        try:
            method, params, number = await _parsed(request)
        except ValueError:
            return web.json_response({"code": 400, "message": "Bad request"}, status=400)
        guard = None if method in UNPROTECTED else self._authentication
        if guard is not None and not guard.accepts(request.method, request.headers):
            return web.Response(status=401, headers={"WWW-Authenticate": guard.challenge()})
        frame = {} if number is None else {"id": number, "src": self.name}
        try:
            result = self._called(method, params)
        except RpcError as error:
            said = {"code": error.code, "message": error.message}
            if number is None:
                return web.json_response(said, status=500)
            return web.json_response(frame | {"error": said})
        return web.json_response(frame | {"result": result} if number is not None else result)

    def _called(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._let_timer_run()
        if method == "Shelly.GetDeviceInfo":
            return self._info()
        namespace, _, verb = method.partition(".")
        verbs = {"Set": self._set, "GetStatus": self._status, "GetConfig": self._config}
        if namespace.lower() != self.component or verb not in verbs:
            raise RpcError(NO_HANDLER, f"No handler for {method}")
        if type(params.get("id")) is not int:
            raise RpcError(INVALID_ARGUMENT, "Missing required argument 'id'!")
        if params["id"] != 0:
            raise RpcError(NOT_FOUND, f"Argument 'id', value {params['id']} not found!")
        return verbs[verb](params)

    def _info(self) -> dict[str, Any]:
        return {
            "id": self.name,
            "mac": self.mac,
            "model": "SNSW-001P16EU" if self.component == "switch" else "S3DM-0010WW",
            "gen": self.generation,
            "fw_id": "20260210-121020/1.7.4-g1234567",
            "ver": "1.7.4",
            "app": "Plus1PM" if self.component == "switch" else "Dimmer0110VPMG3",
            "auth_en": self.password is not None,
            "auth_domain": self.name if self.password is not None else None,
        }

    def _set(self, params: dict[str, Any]) -> dict[str, Any]:
        on, after_s = params.get("on"), params.get("toggle_after")
        if not isinstance(on, bool) and not (self.component == "light" and "brightness" in params):
            raise RpcError(INVALID_ARGUMENT, "Missing or bad argument 'on'!")
        if after_s is not None and (not _is_number(after_s) or after_s <= 0.0):
            raise RpcError(INVALID_ARGUMENT, "Bad argument 'toggle_after'!")
        brightness = params.get("brightness")
        if brightness is not None and (not _is_number(brightness) or not 0 <= brightness <= 100):
            raise RpcError(INVALID_ARGUMENT, "Bad argument 'brightness'!")
        was_on = self.output
        if brightness is not None:
            self.brightness = float(brightness)
        if isinstance(on, bool):
            self.output = on
        self._timer_from_s = self.clock()
        self._timer_s = None if after_s is None or self.faults.ignores_timer else float(after_s)
        return {"was_on": was_on} if self.component == "switch" else {}

    def _status(self, _: dict[str, Any]) -> dict[str, Any]:
        status: dict[str, Any] = {
            "id": 0,
            "source": "HTTP_in",
            "output": self.output,
            "apower": round(self.power_w() * self.faults.power_factor, 1),
            "voltage": 230.1,
            "temperature": {"tC": 41.2, "tF": 106.2},
        }
        if self.component == "light":
            status["brightness"] = self.brightness
        if self._timer_s is not None:
            status |= {"timer_started_at": self._timer_from_s, "timer_duration": self._timer_s}
        return status

    def _config(self, _: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": 0,
            "name": None,
            "initial_state": self.initial_state,
            "auto_on": self.auto_on,
            "auto_off": False,
        }

    def _let_timer_run(self) -> None:
        if self._timer_s is not None and self.clock() - self._timer_from_s >= self._timer_s:
            self.output, self._timer_s = not self.output, None  # it toggles, whatever it is now


async def _parsed(request: web.BaseRequest) -> tuple[str, dict[str, Any], Any]:
    """Method, parameters, and the frame's number; None where there was no frame. Raises ValueError."""
    if request.path == "/rpc" and request.method == "POST":
        frame = json.loads(await request.text())
        if not isinstance(frame, dict) or not isinstance(frame.get("method"), str) or "id" not in frame:
            raise ValueError("no frame")
        params = frame.get("params", {})
        if not isinstance(params, dict):
            raise ValueError("no parameters")
        return frame["method"], params, frame["id"]
    if request.path.startswith("/rpc/"):
        return (
            request.path.removeprefix("/rpc/"),
            {key: _value(text) for key, text in request.query.items()},
            None,
        )
    raise ValueError("nothing here")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
