"""Meters that push telegrams by themselves over a serial line. Nothing is ever written to it.

The only file that knows pyserial-asyncio (its successor serialx is import-compatible).
"""

import asyncio
import termios
from collections.abc import Callable
from math import ceil, inf

import serial_asyncio

from core.causes import Cause
from drivers.errors import ConfigError, DeviceFault, Transient
from drivers.meters.modbus_connection import BACKOFF_FIRST_S, BACKOFF_LAST_S
from drivers.meters.telegram_parser import Splitter, Telegram, TelegramParser, UnsupportedMeterError
from drivers.ports import EnergyCounters, Reading

START_S = 25.0
"""Two telegrams of an old meter, 10 s apart, and a wait for the first."""
OLDEST_S = 1.0
"""A telegram that nobody has asked for in time is not fresh any more."""
SLOWEST_S = 1.7
"""A tick takes a telegram of the last `OLDEST_S`, or waits for one until the last sample is 2.5 s old and
lost (`core.snapshot.METER_LOST_S`). At a period of T s that is a window of OLDEST_S + 2.5 - T, which must
be T at least: else there are phases between tick and telegram in which tick after tick comes away empty."""
CADENCE_SHARE = 1.1
"""Of the control period. A meter that sends more rarely leaves a tick without a sample before ten in a row
are good (`safety.supervisor.GOOD_AT_START`), so control would never begin."""


class PushMeter:
    """Reads a meter that pushes telegrams (`drivers.ports.Meter`). 8 data bits, no parity, 1 stop bit.

    Args:
        path: serial port of the cable or the optical head.
        language: what the meter sends.
        baudrate: how fast.
        clock: monotonic seconds.
        identity: what `identity` was at commissioning; None accepts any.
        period_s: control period; a sample is asked for once in it.
        read_limit_s: longest wait for the next telegram.
    """

    def __init__(
        self,
        path: str,
        language: TelegramParser,
        baudrate: int,
        *,
        clock: Callable[[], float],
        identity: tuple[int, ...] | None = None,
        period_s: float = 1.0,
        read_limit_s: float = 0.75,
    ) -> None:
        self._path = path
        self._language = language
        self._baudrate = baudrate
        self._clock = clock
        self._period_s = period_s
        self._read_limit_s = read_limit_s
        self._stream: _Stream | None = None
        self._next_open_at_s = -inf
        self._backoff_s = BACKOFF_FIRST_S
        self.identity = identity
        self.connects = 0
        self.unasked_total = 0
        """Always 0: this meter speaks by itself."""
        self.energy = EnergyCounters()

    async def start(self) -> None:
        """Open the port and wait for two telegrams, or three where the second was late.

        Raises:
            Transient: the port does not open, or stays silent.
            Broken: ``meter_identity``.
            ConfigError: telegrams come too rarely, or cannot serve, for example without the power per phase.
        """
        try:
            await self._next(START_S)
            cadence_s = await self._wait_for_next()
            if not cadence_s <= CADENCE_SHARE * self._period_s:  # one telegram may have been lost
                cadence_s = min(cadence_s, await self._wait_for_next())
        except UnsupportedMeterError as error:
            raise ConfigError(f"{self._path}: {error}") from error
        self._check_cadence(cadence_s)

    async def _wait_for_next(self) -> float:
        """How long the next telegram took, s."""
        began_s = self._clock()
        await self._next(START_S)
        return self._clock() - began_s

    async def read(self) -> Reading:
        """The newest telegram not read before; waits for it at most `read_limit_s`.

        Raises:
            Transient: none came, or its checksum was wrong.
            Broken: ``meter_identity``, ``meter_config``.
        """
        try:
            telegram = await self._next(self._read_limit_s)
        except UnsupportedMeterError as error:
            raise DeviceFault(Cause.METER_CONFIG, str(error)) from error
        now_s = self._clock()
        self.energy = EnergyCounters(telegram.import_wh, telegram.export_wh, now_s, now_s)
        return Reading(
            grid_power_w=telegram.power_w,
            total_power_w=telegram.total_power_w,
            voltage_v=telegram.voltage_v,
            current_a=telegram.current_a,
            frequency_hz=telegram.frequency_hz,
            raw=telegram.raw,
        )

    async def stop(self) -> None:
        """Close the port."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
            for _ in range(3):  # pyserial-asyncio closes the port in later rounds of the loop
                await asyncio.sleep(0)

    def _check_cadence(self, cadence_s: float) -> None:
        """`cadence_s` from one telegram to the next."""
        if not cadence_s <= SLOWEST_S:
            raise ConfigError(
                f"{self._path}: the meter sends every {cadence_s:.0f} s; control needs a telegram at least "
                f"every {SLOWEST_S} s. Use a meter that sends every second, as DSMR 5 does, or a Modbus meter"
            )
        if not cadence_s <= CADENCE_SHARE * self._period_s:
            raise ConfigError(
                f"{self._path}: the meter sends every {cadence_s:.1f} s, and a period without a telegram is "
                f"a missed sample, so with site.period_s = {self._period_s:g} control would never begin. "
                f"Write period_s = {ceil(10.0 * cadence_s) / 10.0:g} in [site]; a policy has to be made for "
                "that period, and without one the fallback acts"
            )

    async def _next(self, patience_s: float) -> Telegram:
        stream = await self._opened()
        try:
            async with asyncio.timeout(patience_s):
                data = await stream.newest(self._clock() - OLDEST_S)
        except TimeoutError:
            raise Transient(f"{self._path}: no telegram", "timeout") from None
        except OSError as error:
            raise Transient(f"{self._path}: {error}", "disconnected") from error
        telegram = self._language.parse(data)
        if telegram is None:
            raise Transient(f"{self._path}: the telegram is damaged", "checksum")
        told = tuple(telegram.identity)
        if self.identity is not None and told != self.identity:
            raise DeviceFault(
                Cause.METER_IDENTITY, f"{self._path}: another meter sends: {_readable(telegram.identity)}"
            )
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
        stream = _Stream(self._language, self._clock)
        try:
            await serial_asyncio.create_serial_connection(
                loop, lambda: stream, self._path, exclusive=True, baudrate=self._baudrate
            )
        except (OSError, ValueError, termios.error) as error:
            raise Transient(f"cannot open {self._path}: {error}", "disconnected") from error
        self._stream = stream
        return stream


class _Stream(asyncio.Protocol):
    """The receiving end: keeps the newest telegram."""

    def __init__(self, language: TelegramParser, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._splitter = Splitter(language.start, language.end)
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


def _readable(identity: bytes) -> str:
    text = identity.decode("ascii", "replace")
    return text if text.isprintable() and text.isascii() else identity.hex()
