"""A Shelly of generation 2 or later: a relay or a dimmer, spoken to by RPC over HTTP.

Its dead-man is `toggle_after`: the device switches itself off so many seconds after the last message,
whatever became of whoever sent it. Facts: Shelly API documentation, Gen2+ (General/RPC Protocol,
General/Authentication, components Switch and Light).
"""

from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal, TypeAlias

import aiohttp

from drivers.devices.device_wire import DeviceReading
from drivers.errors import ConfigError, DriverError, Transient, Unconfirmed

Component: TypeAlias = Literal["switch", "light"]
USER = "admin"
"""The only one that these devices know (General/Authentication)."""
FIRST_GENERATION = 2
TRANSITION_S = 0.5
"""A dimmer's own default takes seconds, which the controller would have to wait for."""
PERCENT = 100


@dataclass(slots=True)
class Shelly:
    """Satisfies `drivers.devices.device_wire.SlaveDevice`.

    Args:
        component: "switch" is on or off, "light" is dimmed in steps of 1 %.
        max_w: what the load draws when it is fully on.
        dead_man_s: the device's own timer, renewed by every message.
        timeout_s: for one request.
    """

    host: str
    component: Component
    channel: int
    max_w: int
    dead_man_s: float
    timeout_s: float
    password: str | None = None
    version: str = ""
    """Of its firmware, as it tells it."""
    _session: aiohttp.ClientSession | None = None
    _mac: str = ""
    _is_timer_seen: bool = False
    _told: tuple[int, int] = (0, 0)
    """The level that it was told, and for how many watts; a level is coarser than a watt."""
    _ids: "count[int]" = field(default_factory=lambda: count(1))

    async def open(self) -> None:
        """Recognise the device, and refuse one that would be on after a power cut.

        Raises:
            Transient: it does not answer.
            ConfigError: it is another device, wants a password, or is set up so that it cannot be trusted.
        """
        await self.close()
        digest = None if self.password is None else aiohttp.DigestAuthMiddleware(USER, self.password)
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self.timeout_s),
            connector=aiohttp.TCPConnector(limit=1),
            middlewares=() if digest is None else (digest,),
        )
        self._recognise(await self._ask("Shelly.GetDeviceInfo"))
        config = await self._ask(f"{self._namespace}.GetConfig", id=self.channel)
        if config.get("initial_state") != "off":
            raise ConfigError(
                f"{self.host} would not stay off after a power cut (initial_state is "
                f"{config.get('initial_state')!r}). Set 'Power on default' to OFF in its web page."
            )
        if config.get("auto_on") is not False:
            raise ConfigError(
                f"{self.host} switches itself on again after it was switched off (auto_on). "
                "Turn 'Auto ON' off in its web page."
            )

    async def write(self, watts: int) -> None:
        """Switch or dim, and start the timer anew. Never more than `watts`.

        Raises:
            Transient: it was not taken.
            Unconfirmed: nobody knows.
            ConfigError: the device does not run its timer, and was switched off.
        """
        level = self._level(watts)
        if level == 0:
            await self._ask(f"{self._namespace}.Set", id=self.channel, on=False)
            return
        more: dict[str, Any] = {}
        if self.component == "light":
            more = {"brightness": level, "transition_duration": TRANSITION_S}
        await self._ask(
            f"{self._namespace}.Set", id=self.channel, on=True, toggle_after=self.dead_man_s, **more
        )
        self._told = (level, min(watts, self.max_w) if self.component == "light" else self.max_w)
        if not self._is_timer_seen:
            await self._see_timer()

    async def read(self) -> DeviceReading:
        """What it says of itself. Raises Transient."""
        status = await self._ask(f"{self._namespace}.GetStatus", id=self.channel)
        power_w = status.get("apower")
        return DeviceReading(
            power_w=float(power_w) if isinstance(power_w, int | float) else None,
            applied_w=self._applied_w(status),
            detail=", ".join(map(str, status.get("errors") or ())),
        )

    async def close(self) -> None:
        """Let go of the connection."""
        session, self._session = self._session, None
        self._is_timer_seen = False
        if session is not None:
            await session.close()

    @property
    def _namespace(self) -> str:
        return self.component.capitalize()

    def _level(self, watts: int) -> int:
        """What the device is told: percent of a dimmer, 0 or 100 of a relay."""
        if self.component == "switch":
            return PERCENT if watts >= self.max_w else 0
        return min(PERCENT, PERCENT * watts // self.max_w)

    def _applied_w(self, status: dict[str, Any]) -> int | None:
        if not isinstance(status.get("output"), bool):
            return None
        if not status["output"]:
            return 0
        level = status.get("brightness") if self.component == "light" else PERCENT
        if level == self._told[0]:
            return self._told[1]
        return round(self.max_w * level / PERCENT) if isinstance(level, int | float) else None

    def _recognise(self, info: dict[str, Any]) -> None:
        if not isinstance(info.get("gen"), int) or info["gen"] < FIRST_GENERATION:
            raise ConfigError(f"{self.host} is a Shelly of the first generation, which has no such timer")
        if info.get("auth_en") and self.password is None:
            raise ConfigError(f"{self.host} wants a password. Name a password_file for this slave.")
        mac = str(info.get("mac", ""))
        if self._mac and mac != self._mac:
            raise ConfigError(
                f"{self.host} is another device now ({mac}, was {self._mac}). Commission the slave "
                "again, then restart the daemon."
            )
        self._mac, self.version = mac, str(info.get("ver") or "")

    async def _see_timer(self) -> None:
        status = await self._ask(f"{self._namespace}.GetStatus", id=self.channel)
        timer_s = status.get("timer_duration")
        if not isinstance(timer_s, int | float) or not 0.0 < timer_s <= self.dead_man_s + 1.0:
            await self._ask(f"{self._namespace}.Set", id=self.channel, on=False)
            raise ConfigError(
                f"{self.host} does not run its timer (toggle_after), so it would stay on when nobody speaks "
                "to it. It was switched off. Update its firmware."
            )
        self._is_timer_seen = True

    async def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One request; gives its result."""
        if self._session is None:
            raise Transient(f"{self.host} is not connected", "disconnected")
        frame = {"id": next(self._ids), "method": method, "params": params}
        try:
            async with self._session.post(f"http://{self.host}/rpc", json=frame) as response:
                if response.status == 401:
                    raise ConfigError(f"{self.host} refuses the password. Correct its password_file.")
                answer = await response.json(content_type=None)
        except aiohttp.ClientConnectorError as error:
            raise Transient(f"{self.host} is not there ({error.strerror or error})", "disconnected") from None
        except TimeoutError:
            raise Unconfirmed(f"{self.host} did not answer within {self.timeout_s:g} s", "timeout") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unconfirmed(f"{self.host} hung up ({type(error).__name__})", "disconnected") from None
        return self._result(answer, frame["id"])

    def _result(self, answer: Any, number: object) -> dict[str, Any]:
        if not isinstance(answer, dict) or answer.get("id") != number:
            raise Unconfirmed(f"{self.host} answered something else", "other")
        error = answer.get("error")
        if isinstance(error, dict):
            raise _refused(self.host, error)
        result = answer.get("result")
        return result if isinstance(result, dict) else {}


def _refused(host: str, error: dict[str, Any]) -> DriverError:
    text = f"{host} refuses: {error.get('message', 'no reason')} ({error.get('code')})"
    if error.get("code") in (404, -105):  # no such method, no such component (General/RPC Protocol, errors)
        return ConfigError(f"{text}. Correct component and channel of this slave.")
    return Transient(text, "refused")
