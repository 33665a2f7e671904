"""A three-phase meter at the far end of a real wire: Modbus TCP on loopback, or RTU on a pseudo-terminal."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from pymodbus.constants import ExcCodes
from pymodbus.pdu import ModbusPDU
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import SimDevice

from core.site import per_phase
from plant.devices.modbus_server import listen, served, shut_down
from plant.meters.layouts import LAYOUTS, POWERS, Entry, MeterState, Words, encode_exact
from plant.null_modem import NullModem

NOISE_W = 8.0
"""Standard deviation of one phase's power around its true value."""
REFRESH_S = 0.2
"""How often the registers change (Janitza documents a measuring window of 200 ms)."""

ANSWER_WITHIN_S = 0.3
"""What comes later is no answer any more (the daemon's time-out for a meter on TCP)."""

_Server: TypeAlias = ModbusTcpServer | ModbusSerialServer
Tap: TypeAlias = Callable[[bytes | None, float], None]


@dataclass(slots=True)
class MeterFaults:
    """What the meter or its wire does wrong. Set while it runs; the next answer obeys."""

    mute: bool = False
    drop: int = 0
    """So many answers are lost, then all is well."""
    late_s: float = 0.0
    """Answers stay in the order of their requests: a meter works them off one by one."""
    short_by: int = 0
    """Registers missing at the end of each answer."""
    exception: int | None = None
    corrupt: bool = False
    """The last byte of each answer is wrong (RTU: the checksum)."""
    absent: bool = False
    """All values are what this meter answers for "not available"."""
    told: float | None = None
    """Every number is told as this one: NaN, infinity."""
    one_behind: bool = False
    """Each answer waits for the next request and goes out in the place of its answer."""
    frozen: bool = False
    frozen_power: bool = False
    """Powers stay what they were while voltages and currents go on."""
    zeroed: bool = False
    reversed_sign: bool = False
    swapped_phases: bool = False
    scale: float = 1.0
    """Powers alone are told so many times as large; voltage, current and power factor stay."""
    torn: bool = False
    """The last phase's power stays what it was while all else goes on."""
    swapped_words: bool = False
    swapped_bytes: bool = False


class VirtualMeter:
    """Answers like a real meter, with noise and at its own pace.

    Args:
        state: what flows through the meter now; asked at each refresh.
        layout: a key of `LAYOUTS`.
        clock: monotonic seconds.
        rng: for the noise.
    """

    def __init__(
        self,
        state: Callable[[], MeterState],
        *,
        clock: Callable[[], float],
        rng: np.random.Generator,
        layout: str = "sdm630",
        noise_w: float = NOISE_W,
        refresh_s: float = REFRESH_S,
        device_id: int = 1,
        serial_number: int = 0x01234567,
    ) -> None:
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # faults here are on purpose
        self.faults = MeterFaults()
        self.serial_number = serial_number
        self.answers = 0
        """Requests that reached the registers."""
        self.taps: list[Tap] = []
        """Called with every answer as it leaves (None: it does not, or too late to be one), and when."""
        self._state = state
        self._layout = LAYOUTS[layout]
        self._clock = clock
        self._rng = rng
        self._noise_w = noise_w
        self._refresh_s = refresh_s
        self._device_id = device_id
        self._words: dict[int, int] = {}
        self._refreshed_at_s: float | None = None
        self._server: _Server | None = None
        self._cable: NullModem | None = None
        self.pending: set[asyncio.TimerHandle] = set()
        """Answers on their way."""

    async def start(self, port: int = 0) -> int:
        """Listen on loopback TCP. Returns the port. Raises OSError when the port is taken."""
        server = _TcpServer(self, port)
        bound = await listen(server, port)
        self._server = server
        return bound

    async def start_serial(self) -> str:
        """Answer on a serial line. Returns the path of the port for the other end."""
        self._cable = NullModem()
        self._server = _SerialServer(self, self._cable.near)
        await self._server.serve_forever(background=True)
        return self._cable.far

    @property
    def line_path(self) -> str | None:
        """The meter's own end of the serial line, while there is one."""
        return None if self._cable is None else self._cable.near

    async def stop(self) -> None:
        """Close all connections and refuse new ones, until `start` is called again."""
        for answer in self.pending:
            answer.cancel()
        self.pending.clear()
        server, self._server = self._server, None
        if server is not None:
            await shut_down(server)
        self.unplug()

    def unplug(self) -> None:
        """Pull the serial cable."""
        cable, self._cable = self._cable, None
        if cable is not None:
            cable.unplug()

    def device(self) -> SimDevice:
        """The registers as pymodbus serves them; `_on_access` fills them in at each request."""
        return served(self._device_id, self._layout.ranges, self._on_access)

    async def _on_access(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        set_values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        self.answers += 1
        if set_values is not None or function not in self._layout.functions:
            return ExcCodes.ILLEGAL_FUNCTION
        if count > self._layout.longest_read:
            return ExcCodes.ILLEGAL_ADDRESS
        if self.faults.exception is not None:
            return ExcCodes(self.faults.exception)
        self._refresh()
        for at in range(address, address + count):
            registers[at - start] = 0 if self.faults.zeroed else self._words.get(at, 0)
        return None

    def _refresh(self) -> None:
        now_s = self._clock()
        due = self._refreshed_at_s is None or now_s - self._refreshed_at_s >= self._refresh_s
        if not due or (self.faults.frozen and self._words):
            return
        self._refreshed_at_s = now_s
        words = self._layout.words(self._measured(), self._tell)
        kept = self._layout.power_at if self.faults.frozen_power else []
        kept += self._layout.last_phase_at if self.faults.torn else []
        words |= {at: self._words[at] for at in kept if at in self._words}
        self._words = words
        if self._layout.serial_at is not None:
            high, low = divmod(self.serial_number, 1 << 16)
            self._words |= {self._layout.serial_at: high, self._layout.serial_at + 1: low}

    def _measured(self) -> MeterState:
        state = self._state()
        noise_w = self._rng.normal(0.0, self._noise_w, 3)
        power_w = [p + float(n) for p, n in zip(state.power_w, noise_w, strict=True)]
        if self.faults.reversed_sign:
            power_w = [-p for p in power_w]
        if self.faults.swapped_phases:
            power_w = [*power_w[1:], power_w[0]]
        return replace(state, power_w=per_phase(power_w))

    def _tell(self, entry: Entry, number: float) -> Words:
        if self.faults.absent:
            return entry.encoding.absent
        if self.faults.told is not None:
            return encode_exact(entry, self.faults.told)
        if entry.quantity in POWERS:
            number *= self.faults.scale
        words = encode_exact(entry, number)
        if self.faults.swapped_words or self.faults.swapped_bytes:
            words = words[::-1]
        if self.faults.swapped_bytes:
            words = tuple((word & 0xFF) << 8 | word >> 8 for word in words)
        return words

    def tap(self, answer: bytes | None) -> None:
        """Tell those who listen on the wire."""
        now_s = self._clock()
        for tap in self.taps:
            tap(answer, now_s)

    def trace_pdu(self, sending: bool, pdu: ModbusPDU) -> ModbusPDU:
        """Cut registers off an answer."""
        if sending and self.faults.short_by and not pdu.isError():
            pdu.registers = pdu.registers[: -self.faults.short_by]
        return pdu


class _Connection(ServerRequestHandler):
    """One client's connection, with the faults of the wire."""

    def __init__(self, owner: _Server, meter: VirtualMeter) -> None:
        super().__init__(owner, None, meter.trace_pdu, None)  # type: ignore[no-untyped-call]
        self._meter = meter
        self._waiting: bytes | None = None

    def send(self, data: bytes, addr: tuple[str, int] | None = None) -> None:
        faults = self._meter.faults
        if faults.one_behind:
            self._waiting, late = data, self._waiting
            self._meter.tap(None)
            if late is not None:
                super().send(late, addr)
            return
        if faults.mute:
            self._meter.tap(None)
            return
        if faults.drop > 0:
            faults.drop -= 1
            self._meter.tap(None)
            return
        if faults.corrupt:
            data = data[:-1] + bytes([data[-1] ^ 0xFF])
        now_s = self.loop.time()
        pending = {answer for answer in self._meter.pending if answer.when() > now_s}
        due_s = max([now_s + faults.late_s, *(answer.when() for answer in pending)])
        if due_s - now_s > ANSWER_WITHIN_S:
            self._meter.tap(None)
        if due_s <= now_s:
            self._meter.tap(data)
            super().send(data, addr)
            return
        self._meter.pending = pending | {self.loop.call_at(due_s, self._send_late, data, now_s)}

    def _send_late(self, data: bytes, asked_at_s: float) -> None:
        if self.loop.time() - asked_at_s <= ANSWER_WITHIN_S:
            self._meter.tap(data)
        super().send(data)


class _TcpServer(ModbusTcpServer):
    def __init__(self, meter: VirtualMeter, port: int) -> None:
        super().__init__(meter.device(), address=("127.0.0.1", port))
        self._meter = meter

    def callback_new_connection(self) -> _Connection:
        return _Connection(self, self._meter)


class _SerialServer(ModbusSerialServer):
    def __init__(self, meter: VirtualMeter, path: str) -> None:
        super().__init__(meter.device(), port=path, reconnect_delay=0)
        self._meter = meter

    def callback_new_connection(self) -> _Connection:
        return _Connection(self, self._meter)
