"""One Modbus TCP connection to a device: reads and writes registers, and says what became of a write.

pymodbus' own retries and reconnects last far longer than a tick; both are switched off, and `DeviceWire`
makes a new connection. Nothing here waits longer than its caller lets it.
"""

import asyncio
import logging
import struct
from collections.abc import Sequence

from pymodbus import ModbusException
from pymodbus.client import AsyncModbusTcpClient

from drivers.errors import Transient, Unconfirmed
from drivers.modbus_devices.profile import WORDS, Kind

_FORMS = {"i16": ">h", "u16": ">H", "u32": ">I", "f32": ">f"}


class RegisterLine:
    """Not for concurrent use."""

    def __init__(self, host: str, port: int, device_id: int, timeout_s: float) -> None:
        """Nothing happens before `open`. `timeout_s` is for one answer."""
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # dumps 20 frames on an error
        self._host, self._port = host, port
        self._device_id, self._timeout_s = device_id, timeout_s
        self._client: AsyncModbusTcpClient | None = None

    async def open(self) -> None:
        """Connect. Raises Transient."""
        await self.close()
        client = AsyncModbusTcpClient(
            self._host, port=self._port, timeout=self._timeout_s, retries=0, reconnect_delay=0
        )
        client.set_max_no_responses(1 << 30)  # when to give up a connection is decided by the caller
        self._client = client
        try:
            up = await client.connect()
        except OSError as error:
            raise Transient(f"cannot connect to {self._where}: {error.strerror}", "disconnected") from error
        if not up:
            raise Transient(f"cannot connect to {self._where}", "disconnected")

    async def close(self) -> None:
        """Let go of the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
            await asyncio.sleep(0)  # the transport closes its socket in the next round of the loop

    async def read(self, function: int, address: int, kind: Kind) -> float:
        """One value. Raises Transient."""
        client, count = self._connected(), WORDS[kind]
        ask = client.read_input_registers if function == 4 else client.read_holding_registers
        try:
            answer = await ask(address, count=count, device_id=self._device_id)
        except ModbusException as error:
            raise Transient(f"register {address} was not answered by {self._where}", "timeout") from error
        if answer.isError():
            raise Transient(f"register {address}: exception {answer.exception_code}", "exception")
        if len(answer.registers) != count:
            raise Transient(f"register {address}: {len(answer.registers)} registers instead of {count}")
        return value_of(answer.registers, kind)

    async def write(self, function: int, address: int, number: int, kind: Kind = "u16") -> None:
        """Write one register. Returns when the device said that it did.

        Raises:
            Transient: it refused.
            Unconfirmed: it did not answer.
        """
        client = self._connected()
        (word,) = struct.unpack(">H", struct.pack(_FORMS[kind], number))
        try:
            if function == 6:
                answer = await client.write_register(address, word, device_id=self._device_id)
            else:
                answer = await client.write_registers(address, [word], device_id=self._device_id)
        except ModbusException as error:
            raise Unconfirmed(f"register {address} was not answered by {self._where}", "timeout") from error
        if answer.isError():
            raise Transient(f"register {address} was refused: exception {answer.exception_code}", "exception")

    @property
    def _where(self) -> str:
        return f"{self._host}:{self._port}"

    def _connected(self) -> AsyncModbusTcpClient:
        if self._client is None or not self._client.connected:
            raise Transient(f"the connection to {self._where} was lost", "disconnected")
        return self._client


def value_of(registers: Sequence[int], kind: Kind) -> float:
    """Registers, high word first, as a number."""
    (value,) = struct.unpack(_FORMS[kind], struct.pack(f">{len(registers)}H", *registers))
    return float(value)
