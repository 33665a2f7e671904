"""The operator's socket in the state directory, which only its owner can open.

Nobody on the network can reach it, and there is no password: whoever may write the state files may also
speak here. One request per connection, one line of JSON each way:

- ``{"command": "list"}`` gives the state, the active causes, the latched ones and running times;
- ``{"command": "acknowledge", "cause": NAME}`` clears a latched cause, unless it is still raised;
- ``{"command": "rollout", "what": WHAT}`` asks for the plan's status, or moves it (`sunkeep rollout`);
- ``{"command": "pause", "until_unix_s": SECONDS or null}`` lets every device rest until then, or until
  ``{"command": "resume"}``; other orders of the owner are in `daemon.operators.order_requests`.

The supervisor decides: a cause that is raised in the tick that hears the acknowledgement stays latched.
"""

import asyncio
import json
import os
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.decision import SupervisorDecision
from daemon.monitoring.telemetry import PauseOrder
from daemon.operators.order_requests import COMMANDS, OrderRefused, OrderRequests
from daemon.rollout.plan import RolloutStep
from daemon.rollout.walk import MoveRefused
from safety.timers import PersistentFaults

if TYPE_CHECKING:  # the command line needs the socket, not the radio behind the loop
    from daemon.operators.pause import Pause
    from daemon.runtime.loop import TickResult

SOCKET_FILE = "control.sock"
REQUEST_MAX_BYTES = 4096
ANSWER_MAX_BYTES = 65536
REQUEST_S = 2.0
"""Whoever connects and says nothing is sent away."""
TICKS_TO_WAIT = 4
"""Periods until an acknowledgement must have been heard; a tick that fails costs one."""
LEAST_WAIT_S = 2.0
CONNECTIONS_MAX = 4
PAUSE_MAX_S = 366 * 86_400.0
ORDERS = ("status", "advance", "hold", "release", "back")
"""To the plan."""
_PEER = struct.Struct("3i")
"""Process, user and group of the other end (``struct ucred`` of unix(7))."""


class RefusedError(Exception):
    """A request that is not done. The message says why and what to do."""


@dataclass(slots=True)
class OperatorSocket:
    """Answers operators of one loop. `tell` must be called with every tick that was lived.

    `standing` is what the supervisor begins with; `acknowledged` is where the loop takes acknowledgements
    from, in its next tick. `event` records what operators did, in the journal and the log; `policy` says
    which one is in force; `rollout` carries out orders to the plan, `orders` those about devices.
    """

    standing: PersistentFaults
    acknowledged: list[str]
    period_s: float
    event: Callable[..., None]
    policy: Callable[[], dict[str, Any]] = dict
    rollout: Callable[[dict[str, Any], int], Awaitable[dict[str, Any]]] | None = None
    pause: "Pause | None" = None
    orders: OrderRequests | None = None
    _verdict: SupervisorDecision | None = None
    _waiting: dict[str, list[asyncio.Future[bool]]] = field(default_factory=dict)
    _connections: int = 0

    def tell(self, result: "TickResult") -> None:
        """Take in one tick: acknowledgements it heard are settled."""
        self._verdict, self.standing = result.decision.verdict, result.after.watch.standing
        latched = self.standing.latched
        for name in result.snapshot.acknowledged:
            for waiting in self._waiting.pop(name, []):
                if not waiting.done():
                    waiting.set_result(name not in latched)

    async def answer(self, request: dict[str, Any], user_id: int) -> dict[str, Any]:
        """Do what is asked for.

        Raises:
            RefusedError: it is not done.
        """
        match request:
            case {"command": "list"} if len(request) == 1:
                return self._list()
            case {"command": "policy"} if len(request) == 1:
                return self.policy()
            case {"command": "acknowledge", "cause": str(cause)} if len(request) == 2:
                return await self._acknowledge(cause, user_id)
            case {"command": "pause", "until_unix_s": None | float() | int() as until_unix_s} if (
                len(request) == 2
            ):
                return self._pause(until_unix_s, user_id)
            case {"command": "resume"} if len(request) == 1:
                return self._resume(user_id)
            case {"command": str(command)} if self.orders is not None and command in COMMANDS:
                try:
                    return await self.orders.answer(request, user_id)
                except OrderRefused as error:
                    raise RefusedError(str(error)) from None
            case {"command": "rollout", "what": str(what)} if self.rollout and is_order(what, request):
                try:
                    return await self.rollout(request, user_id)
                except MoveRefused as error:
                    raise RefusedError(str(error)) from None
        raise RefusedError("not a request of this version")

    def _list(self) -> dict[str, Any]:
        standing, verdict = self.standing, self._verdict
        return {
            "state": "init" if verdict is None else verdict.state.value,
            "active": [] if verdict is None else list(verdict.causes),
            "latched": list(standing.latched),
            "left_s": dict(standing.left_s),
        }

    def _pause(self, until_unix_s: float | None, user_id: int) -> dict[str, Any]:
        if until_unix_s is not None and not 0.0 < until_unix_s - time.time() <= PAUSE_MAX_S:
            raise RefusedError("a pause ends in the future, and within a year.")
        self._order(PauseOrder(True, None if until_unix_s is None else float(until_unix_s)))
        self.event("paused", until_unix_s=until_unix_s, user_id=user_id)
        return {"paused": True, "until_unix_s": until_unix_s}

    def _resume(self, user_id: int) -> dict[str, Any]:
        if self.pause is None or not self.pause.order.is_on:
            raise RefusedError("nothing is paused.")
        self._order(PauseOrder())
        self.event("resumed", user_id=user_id)
        return {"paused": False, "until_unix_s": None}

    def _order(self, order: PauseOrder) -> None:
        try:
            if self.pause is not None:
                self.pause.put(order)
        except OSError as error:
            raise RefusedError(
                f"it could not be saved ({error.strerror}). Make room, and try again."
            ) from None

    async def _acknowledge(self, cause: str, user_id: int) -> dict[str, Any]:
        latched = self.standing.latched
        if cause not in latched:
            now = f"Latched now: {', '.join(latched)}." if latched else "Nothing is latched."
            raise RefusedError(f"{cause} is not latched. {now}")
        heard: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(cause, []).append(heard)
        self.acknowledged.append(cause)
        try:
            async with asyncio.timeout(max(LEAST_WAIT_S, TICKS_TO_WAIT * self.period_s)):
                cleared = await heard
        except TimeoutError:
            raise RefusedError("the daemon did not decide in time. Look at its log and try again.") from None
        if not cleared:
            self.event("acknowledge_refused", cause=cause, user_id=user_id, reason="still raised")
            raise RefusedError(f"{cause} is still raised. Remove what raises it, then acknowledge again.")
        self.event("acknowledged", cause=cause, user_id=user_id)
        return self._list()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: one request, one answer."""
        is_busy = self._connections >= CONNECTIONS_MAX
        self._connections += 1
        try:
            reply = (
                {"refused": "others are asking"} if is_busy else await self._reply(reader, _user_id(writer))
            )
            writer.write(json.dumps(reply).encode() + b"\n")
            async with asyncio.timeout(REQUEST_S):
                await writer.drain()
        except (TimeoutError, OSError):
            pass  # whoever asked has left
        finally:
            self._connections -= 1
            writer.close()

    async def _reply(self, reader: asyncio.StreamReader, user_id: int) -> dict[str, Any]:
        if user_id not in (0, os.geteuid()):
            return {"refused": "this socket belongs to another user"}
        try:
            async with asyncio.timeout(REQUEST_S):
                line = await reader.readuntil(b"\n")
            request = json.loads(line)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, RecursionError):
            return {"refused": "not one line of JSON"}
        try:
            return await self.answer(request, user_id)
        except RefusedError as error:
            return {"refused": str(error)}


def is_order(what: str, request: dict[str, Any]) -> bool:
    """Whether a request to the plan is one of this version."""
    return (
        what in ORDERS
        and set(request) <= {"command", "what", "to", "force"}
        and request.get("to") in (None, *(step.value for step in RolloutStep))
        and type(request.get("force", False)) is bool
    )


@asynccontextmanager
async def serve_control(directory: Path, control: OperatorSocket) -> AsyncIterator[None]:
    """Listen in the state directory, which the caller holds: an old socket there has no owner any more.

    Raises:
        OSError: the socket cannot be made.
    """
    file = directory / SOCKET_FILE
    file.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listening.fileno(), 0o600)  # before bind: the file is never open to others
        with _near(directory) as name:
            listening.bind(name)
        server = await asyncio.start_unix_server(control.converse, sock=listening, limit=REQUEST_MAX_BYTES)
    except OSError:
        listening.close()
        raise
    try:
        yield
    finally:
        server.close()
        with suppress(OSError):
            file.unlink()


def ask(directory: Path, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """Put one request to the daemon that holds this state directory.

    Raises:
        OSError: nobody listens there, or this user may not.
        ValueError: what answers is not a daemon of this version.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire:
        wire.settimeout(timeout_s)
        with _near(directory) as name:
            wire.connect(name)
        try:
            wire.sendall(json.dumps(request).encode() + b"\n")
            with wire.makefile("rb") as stream:
                reply = json.loads(stream.readline(ANSWER_MAX_BYTES))
        except ConnectionError:
            raise ValueError("it hung up") from None
    if not isinstance(reply, dict):
        raise ValueError("not an answer")
    return reply


@contextmanager
def _near(directory: Path) -> Iterator[str]:
    """A short name for the socket: addresses of unix sockets hold 107 bytes, paths of folders more."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_FILE}"
    finally:
        os.close(descriptor)


def _user_id(writer: asyncio.StreamWriter) -> int:
    """User of the process at the other end, as the kernel knows it."""
    wire: socket.socket = writer.get_extra_info("socket")
    peer = wire.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    return int(_PEER.unpack(peer)[1])
