"""A Modbus device on loopback TCP that any client can talk to: pymodbus' server over a model's registers."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice

from plant.devices.modbus_models import ModbusModel, RefusedAccess

OnAccess: TypeAlias = Callable[
    [int, int, int, int, list[int], list[int] | list[bool] | None], Coroutine[None, None, ExcCodes | None]
]
"""Function, first register of the block, address, count, registers to fill in, values to write."""


async def listen(server: ModbusTcpServer, port: int) -> int:
    """Serve on loopback. Returns the port. Raises OSError when it is taken."""
    try:
        await server.serve_forever(background=True)
    except RuntimeError as error:
        raise OSError(f"cannot listen on 127.0.0.1:{port}") from error
    taken: int = server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    return taken


async def shut_down(server: ModbusTcpServer | ModbusSerialServer) -> None:
    """Close all connections and refuse new ones."""
    await server.shutdown()  # type: ignore[no-untyped-call]
    await asyncio.sleep(0)  # transports close their sockets in the next rounds of the loop
    await asyncio.sleep(0)


def served(device_id: int, ranges: Iterable[tuple[int, int]], on_access: OnAccess) -> SimDevice:
    """Registers as pymodbus serves them; `on_access` fills them in at each request."""
    blocks = [
        SimData(address, count=count, values=0, datatype=DataType.REGISTERS) for address, count in ranges
    ]
    return SimDevice(device_id, simdata=blocks, action=on_access)


@dataclass(slots=True)
class DeviceFaults:
    """What the device or its wire does wrong. Set while it runs; the next answer obeys."""

    hangs: bool = False
    """Takes connections and requests and answers none; what it was told counts all the same."""
    late_s: float = 0.0
    exception: int | None = None
    tells_w: float | None = None
    """It tells this power, whatever it draws."""


class VirtualModbusDevice:
    """Serves one model. `measured_w` and `temperature_c` are asked at every request."""

    def __init__(
        self,
        model: ModbusModel,
        *,
        clock: Callable[[], float],
        measured_w: Callable[[], float] = lambda: 0.0,
        temperature_c: Callable[[], float] = lambda: 45.0,
    ) -> None:
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # refusals here are on purpose
        self.model, self.faults = model, DeviceFaults()
        self.port = 0
        self._clock, self._measured_w, self._temperature_c = clock, measured_w, temperature_c
        self._server: _DeviceServer | None = None

    def acting_w(self, at_s: float) -> float:
        """What it lets its electricity draw now."""
        return self.model.acting_w(at_s)

    async def start(self, port: int = 0) -> int:
        """Listen on loopback. Returns the port. Raises OSError when it is taken."""
        server = _DeviceServer(self, port)
        self.port = await listen(server, port)
        self._server = server
        return self.port

    async def stop(self) -> None:
        """Close all connections and refuse new ones, until `start` is called again."""
        server, self._server = self._server, None
        if server is not None:
            await shut_down(server)

    def device(self) -> SimDevice:
        """The registers as pymodbus serves them; `_on_access` fills them in at each request."""
        return served(self.model.device_id, self.model.ranges, self._on_access)

    async def _on_access(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        set_values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        model, now_s = self.model, self._clock()
        tells_w = self.faults.tells_w
        model.draws_w = self._measured_w() if tells_w is None else tells_w
        model.temperature_c = self._temperature_c()
        if self.faults.exception is not None:
            return ExcCodes(self.faults.exception)
        if function not in (*model.read_with, *model.written_with):
            return ExcCodes.ILLEGAL_FUNCTION
        try:
            for at in range(address, address + count):
                if set_values is not None:
                    model.write(at, int(set_values[at - address]), now_s)
                elif function in model.read_with:  # a written register is echoed as it was written
                    registers[at - start] = model.read(at, now_s)
        except RefusedAccess as refused:
            return ExcCodes(refused.code)
        return None


class _DeviceConnection(ServerRequestHandler):
    """One client's connection, with the faults of the device."""

    def __init__(self, owner: ModbusTcpServer, device: VirtualModbusDevice) -> None:
        super().__init__(owner, None, None, None)  # type: ignore[no-untyped-call]
        self._device = device

    def send(self, data: bytes, addr: tuple[str, int] | None = None) -> None:
        faults = self._device.faults
        if faults.hangs:
            return
        if faults.late_s > 0.0:
            self.loop.call_later(faults.late_s, super().send, data, addr)
            return
        super().send(data, addr)


class _DeviceServer(ModbusTcpServer):
    def __init__(self, device: VirtualModbusDevice, port: int) -> None:
        super().__init__(device.device(), address=("127.0.0.1", port))
        self._device = device

    def callback_new_connection(self) -> _DeviceConnection:
        return _DeviceConnection(self, self._device)
