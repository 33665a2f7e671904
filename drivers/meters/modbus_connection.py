"""One Modbus line: keeps the connection, asks for registers, and never hands out somebody else's answer.

Facts about pymodbus 3.16.1 that shape this file: its own retries and reconnects last far longer than a tick
(both are switched off); a short answer counts as success; on a serial line a late answer is taken for the
answer to the next request; a connection that is cut during a read is noticed only at the timeout.

A serial line has no transaction numbers, so there an answer is known to belong to its request by its length
and by its place: a device works requests off one by one. After anything went wrong only a *marker* is asked
for, a short read. When it is answered, whatever was asked before it has been answered or never will be. There
are two markers of different lengths, used in turn: one that is still on its way when control goes on spoils
the next answer by its length, and is not taken for the marker that follows.
"""

import asyncio
import logging
import termios
from collections.abc import Callable
from math import inf
from typing import TypeAlias

from pymodbus import ModbusException
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException
from pymodbus.pdu import ModbusPDU

from drivers.errors import DriverError, Transient
from drivers.meters.modbus_transport import DRAIN_S, Request, Rtu, Tcp, Transport

BACKOFF_FIRST_S = 0.2
BACKOFF_LAST_S = 2.0
MUTE_LIMIT = 3
"""Timeouts in a row after which a TCP connection counts as half-open and is made anew."""

_EXCEPTIONS = {
    1: "illegal function",
    2: "illegal address",
    3: "illegal value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    10: "gateway path unavailable",
    11: "gateway target did not respond",
}
_INCURABLE = (1, 2, 3)


class IllegalRequestError(DriverError):
    """The device answered that it does not know this function, address or value: repeating cures nothing."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


_Client: TypeAlias = AsyncModbusTcpClient | AsyncModbusSerialClient


class ModbusConnection:
    """One Modbus connection, made when it is needed, and not more often than the backoff allows.

    Not for concurrent use. There is no background task: cancelling `ask` leaves nothing behind.

    Args:
        clock: monotonic seconds.
        timeout_s: for one answer, and for one attempt to connect.
        markers: on a serial line, two reads of different lengths, both unlike the first request after them;
            without them the drain alone is trusted.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        clock: Callable[[], float],
        timeout_s: float,
        markers: tuple[Request, Request] | None = None,
    ) -> None:
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # dumps 20 frames on an error
        self._transport = transport
        self._clock = clock
        self._timeout_s = timeout_s
        self._drain_s = 0.0
        if isinstance(transport, Rtu):
            self._drain_s = DRAIN_S if transport.drain_s is None else transport.drain_s
        self._markers = markers if isinstance(transport, Rtu) else None
        self._in_order = self._markers is None
        self._client: _Client | None = None
        self._waiting: asyncio.Timeout | None = None
        self._quiet_until_s = -inf
        self._next_connect_at_s = -inf
        self._backoff_s = BACKOFF_FIRST_S
        self._mute = 0
        self.connects = 0
        self.unasked_total = 0
        """How often bytes came while nothing was asked for: a second master, or a disturbed line."""

    async def read_registers(
        self, function: int, address: int, count: int, deadline_s: float
    ) -> tuple[int, ...]:
        """Registers from the device: exactly `count`, and of this request.

        Args:
            function: 3 (holding registers) or 4 (input registers).
            deadline_s: monotonic instant by which the call returns, whatever happens.

        Raises:
            Transient: no valid answer; `kind` says why.
            Refused: the device will not answer this request.
        """
        if self._markers is not None and not self._in_order:
            await self._pass_older_answers(self._markers[0], deadline_s)
        answer = await self._ask_once(Request(function, address, count), deadline_s)
        self._backoff_s, self._next_connect_at_s = BACKOFF_FIRST_S, -inf
        return answer

    def _lose_order(self) -> None:
        """Answers may be on their way. Markers of the kind that was used before may be among them."""
        if self._markers is not None and self._in_order:
            one, other = self._markers
            self._markers, self._in_order = (other, one), False

    async def _pass_older_answers(self, marker: Request, deadline_s: float) -> None:
        try:
            await self._ask_once(marker, deadline_s)
        except (
            IllegalRequestError,
            Transient,
        ) as error:  # an exception answers the marker, or what was asked before it
            if not (isinstance(error, IllegalRequestError) or error.kind.startswith("exc_")):
                raise
        self._in_order = True

    async def _ask_once(self, request: Request, deadline_s: float) -> tuple[int, ...]:
        await self._keep_quiet(deadline_s)
        client = await self._connected(deadline_s)
        clean = False
        try:
            answer = await self._exchange(client, request, deadline_s)
            clean = True
        except IllegalRequestError:
            clean = True
            raise
        except Transient as error:
            clean = error.kind.startswith("exc_")
            raise
        finally:  # also when cancelled: the answer may still be on its way
            if not clean:
                self._quiet_until_s = self._clock() + self._drain_s
                self._lose_order()
        return answer

    def can_retry_before(self, deadline_s: float) -> bool:
        """Whether `ask` can do something useful: drained in time, connected or allowed to connect."""
        connected = self._client is not None and self._client.connected
        return self._quiet_until_s < deadline_s and (connected or self._next_connect_at_s <= self._clock())

    async def close(self) -> None:
        """Let go of the connection. The next `ask` makes a new one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
            await asyncio.sleep(0)  # the transport closes its socket in the next round of the loop

    async def _exchange(self, client: _Client, request: Request, deadline_s: float) -> tuple[int, ...]:
        read = client.read_input_registers if request.function == 4 else client.read_holding_registers
        try:
            async with asyncio.timeout(max(0.0, deadline_s - self._clock())) as self._waiting:
                answer = await read(request.address, count=request.count, device_id=self._transport.device_id)
        except ConnectionException as error:
            raise Transient(f"connection lost: {error}", "disconnected") from error
        except (TimeoutError, ModbusException) as error:
            if not client.connected:
                raise Transient("connection lost during the read", "disconnected") from error
            self._mute += 1
            if self._mute >= MUTE_LIMIT and isinstance(self._transport, Tcp):
                await self.close()
            raise Transient(f"no valid answer from device {self._transport.device_id}", "timeout") from error
        finally:
            self._waiting = None
        self._mute = 0
        return _registers(answer, request)

    async def _keep_quiet(self, deadline_s: float) -> None:
        wait_s = self._quiet_until_s - self._clock()
        if wait_s <= 0.0:
            return
        if self._quiet_until_s >= deadline_s:
            raise Transient("waiting for a late answer to pass", "draining")
        await asyncio.sleep(wait_s)

    async def _connected(self, deadline_s: float) -> _Client:
        if self._client is not None and self._client.connected:
            return self._client
        await self.close()
        now_s = self._clock()
        if now_s < self._next_connect_at_s:
            raise Transient(f"not connected to {self._where()}; the next attempt waits", "disconnected")
        self._next_connect_at_s = now_s + self._backoff_s
        self._backoff_s = min(2.0 * self._backoff_s, BACKOFF_LAST_S)
        self.connects += 1
        client = self._make_client()
        try:
            async with asyncio.timeout(max(0.0, deadline_s - now_s)):
                up = await client.connect()
                await asyncio.sleep(0)  # a serial transport is usable two rounds after it was opened
                await asyncio.sleep(0)
            if up:
                self._mute, self._client = 0, client
        except (TimeoutError, OSError, ValueError, termios.error) as error:
            raise Transient(f"cannot connect to {self._where()}: {error}", "disconnected") from error
        finally:  # also when cancelled
            if self._client is not client:
                client.close()
        if not up:
            raise Transient(f"cannot connect to {self._where()}", "disconnected")
        return client

    def _make_client(self) -> _Client:
        line = self._transport
        if isinstance(line, Tcp):
            client: _Client = AsyncModbusTcpClient(
                line.host,
                port=line.port,
                timeout=self._timeout_s,
                retries=0,
                reconnect_delay=0,
                trace_connect=self._on_connection,
            )
        else:
            client = AsyncModbusSerialClient(
                line.path,
                baudrate=line.baudrate,
                parity=line.parity,
                stopbits=line.stopbits,
                timeout=self._timeout_s,
                retries=0,
                reconnect_delay=0,
                trace_connect=self._on_connection,
                trace_packet=self._on_bytes,
            )
        client.set_max_no_responses(1 << 30)  # when to give up a connection is decided here
        return client

    def _on_connection(self, up: bool) -> None:
        if (
            not up and self._waiting is not None and not self._waiting.expired()
        ):  # do not wait for an answer that cannot come
            self._waiting.reschedule(asyncio.get_running_loop().time())

    def _on_bytes(self, sending: bool, received: bytes) -> bytes:
        if not sending and self._waiting is None and self._clock() >= self._quiet_until_s:
            self.unasked_total += 1
        return received

    def _where(self) -> str:
        line = self._transport
        return f"{line.host}:{line.port}" if isinstance(line, Tcp) else line.path


def _registers(answer: ModbusPDU, request: Request) -> tuple[int, ...]:
    """The registers of an answer, if it answers this request."""
    if answer.isError():
        code = answer.exception_code
        message = f"the device answers with exception {code} ({_EXCEPTIONS.get(code, 'unknown')})"
        if code in _INCURABLE:
            raise IllegalRequestError(code, message)
        raise Transient(message, f"exc_{code}" if code in _EXCEPTIONS else "exc_unknown")
    if answer.function_code != request.function or len(answer.registers) != request.count:
        raise Transient(
            f"answer of {len(answer.registers)} registers to a request for {request.count}", "short"
        )
    return tuple(answer.registers)
