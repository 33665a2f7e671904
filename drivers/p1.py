"""Meters that push telegrams by themselves: a DSMR P1 port, read as a stream. Nothing is ever written to it.

The only file that knows pyserial-asyncio (its successor serialx is import-compatible).
"""

import asyncio
import termios
from collections.abc import Callable
from math import inf

import serial_asyncio

from drivers.errors import Broken, ConfigError, Transient
from drivers.line import BACKOFF_FIRST_S, BACKOFF_LAST_S
from drivers.ports import Energy, Reading
from drivers.telegram import NotThreePhase, Splitter, Telegram, parse

START_S = 25.0
"""Two telegrams of an old meter, 10 s apart, and a wait for the first."""
SLOWEST_S = 2.5
"""A sample older than this is lost, so a port that pushes more rarely cannot drive control."""
OLDEST_S = 1.0
"""A telegram that nobody has asked for in time is not fresh any more."""


class P1Meter:
    """Reads a DSMR 4 or 5 meter (`drivers.ports.Meter`).

    Current is not told: whole amperes are too coarse for a cross-check.

    Args:
        path: serial port of the P1 cable.
        clock: monotonic seconds.
        baudrate, parity, bytesize: 115200 8N1 for DSMR 4 and 5.
        identity: what `identity` was at commissioning; None accepts any.
        read_limit_s: longest wait for the next telegram.
    """

    def __init__(
        self,
        path: str,
        *,
        clock: Callable[[], float],
        baudrate: int = 115200,
        parity: str = "N",
        bytesize: int = 8,
        identity: tuple[int, ...] | None = None,
        read_limit_s: float = 0.75,
    ) -> None:
        self._path = path
        self._clock = clock
        self._port = {"baudrate": baudrate, "parity": parity, "bytesize": bytesize, "stopbits": 1}
        self._read_limit_s = read_limit_s
        self._stream: _Stream | None = None
        self._next_open_at_s = -inf
        self._backoff_s = BACKOFF_FIRST_S
        self.identity = identity
        self.connects = 0
        self.energy = Energy()

    async def start(self) -> None:
        """Open the port and wait for two telegrams.

        Raises:
            Transient: the port does not open, or stays silent.
            Broken: ``meter_identity``.
            ConfigError: telegrams come too rarely, or do not tell the power per phase.
        """
        try:
            await self._next(START_S)
            first_at_s = self._clock()
            await self._next(START_S)
        except NotThreePhase as error:
            raise ConfigError(f"{self._path}: {error}; such a port cannot serve three phases") from error
        period_s = self._clock() - first_at_s
        if period_s > SLOWEST_S:
            raise ConfigError(
                f"{self._path}: the meter sends every {period_s:.0f} s; control needs a telegram at least "
                f"every {SLOWEST_S} s (DSMR 5 sends every second)"
            )

    async def read(self) -> Reading:
        """The newest telegram not read before; waits for it at most `read_limit_s`.

        Raises:
            Transient: none came, or its checksum was wrong.
            Broken: ``meter_identity``, ``meter_config``.
        """
        try:
            telegram = await self._next(self._read_limit_s)
        except NotThreePhase as error:
            raise Broken("meter_config", str(error)) from error
        self.energy = Energy(telegram.import_wh, telegram.export_wh, self._clock())
        return Reading(
            grid_power_w=telegram.power_w,
            total_power_w=telegram.total_power_w,
            voltage_v=telegram.voltage_v,
            current_a=None,
            frequency_hz=None,
            raw=(*(int(w) for w in telegram.power_w), telegram.checksum),
        )

    async def stop(self) -> None:
        """Close the port."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
            for _ in range(3):  # pyserial-asyncio closes the port in later rounds of the loop
                await asyncio.sleep(0)

    async def _next(self, patience_s: float) -> Telegram:
        stream = await self._opened()
        try:
            async with asyncio.timeout(patience_s):
                data = await stream.newest(self._clock() - OLDEST_S)
        except TimeoutError:
            raise Transient(f"{self._path}: no telegram", "timeout") from None
        except OSError as error:
            raise Transient(f"{self._path}: {error}", "disconnected") from error
        telegram = parse(data)
        if telegram is None:
            raise Transient(f"{self._path}: the checksum of the telegram is wrong", "checksum")
        told = tuple(telegram.identity)
        if self.identity is not None and told != self.identity:
            raise Broken("meter_identity", f"{self._path}: another meter sends: {telegram.identity!r}")
        self.identity = told
        self._backoff_s = BACKOFF_FIRST_S
        return telegram

    async def _opened(self) -> "_Stream":
        if self._stream is not None and self._stream.lost is None:
            return self._stream
        await self.stop()
        now_s = self._clock()
        if now_s < self._next_open_at_s:
            raise Transient(f"{self._path}: not open; the next attempt waits", "disconnected")
        self._next_open_at_s = now_s + self._backoff_s
        self._backoff_s = min(2.0 * self._backoff_s, BACKOFF_LAST_S)
        self.connects += 1
        loop = asyncio.get_running_loop()
        stream = _Stream(self._clock)
        try:
            await serial_asyncio.create_serial_connection(
                loop, lambda: stream, self._path, exclusive=True, **self._port
            )
        except (OSError, ValueError, termios.error) as error:
            raise Transient(f"cannot open {self._path}: {error}", "disconnected") from error
        self._stream = stream
        return stream


class _Stream(asyncio.Protocol):
    """The receiving end: keeps the newest telegram."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._splitter = Splitter()
        self._telegram: bytes | None = None
        self._arrived_at_s = -inf
        self._changed = asyncio.Event()
        self._transport: asyncio.BaseTransport | None = None
        self.lost: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        for telegram in self._splitter.feed(data):
            self._telegram, self._arrived_at_s = telegram, self._clock()
            self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = exc or OSError("closed")
        self._changed.set()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def newest(self, since_s: float) -> bytes:
        """The newest telegram, once, if it arrived after `since_s`. Raises OSError when the port is lost."""
        while self._telegram is None or self._arrived_at_s < since_s:
            if self.lost is not None:
                raise self.lost if isinstance(self.lost, OSError) else OSError(str(self.lost))
            self._changed.clear()
            await self._changed.wait()
        telegram, self._telegram = self._telegram, None
        return telegram
