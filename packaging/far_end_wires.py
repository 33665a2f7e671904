"""Wires of a simulated site, as an installer finds them: a meter in the house's network, a stick with a name.

    python3 -I far_end_wires.py /dev/serial/by-id/usb-STICK METER_ADDRESS

`sunkeep plant` listens on loopback, on its usual ports. This joins a pseudo-terminal under the stick's name
to its coordinator, and port 502 of the meter's address to its meter. Runs until it is stopped.
"""

import asyncio
import os
import shutil
import sys
import tty
from pathlib import Path

METER, COORDINATOR = ("127.0.0.1", 5020), ("127.0.0.1", 6638)
MODBUS_PORT = 502
CHUNK = 4096
RETRY_S = 0.2


async def stick(name: Path) -> None:
    """A serial port that leads to the coordinator, whenever there is one."""
    master, slave = os.openpty()  # the slave end stays open: else the port would hang up between two commands
    tty.setraw(slave)
    os.set_blocking(master, False)
    port = Path(os.ttyname(slave))
    shutil.chown(port, group="dialout")
    port.chmod(0o660)
    name.parent.mkdir(parents=True, exist_ok=True)
    name.unlink(missing_ok=True)
    name.symlink_to(port)
    while True:
        try:
            reader, writer = await asyncio.open_connection(*COORDINATOR)
        except OSError:
            await asyncio.sleep(RETRY_S)
            continue
        loop = asyncio.get_running_loop()
        loop.add_reader(master, _send, master, writer)
        try:
            while data := await reader.read(CHUNK):
                os.write(master, data)
        except OSError:  # a wire loses bytes, it does not complain
            pass
        finally:
            loop.remove_reader(master)
            writer.close()


def _send(master: int, writer: asyncio.StreamWriter) -> None:
    try:
        writer.write(os.read(master, CHUNK))
    except OSError:
        return


async def _meter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection to the meter."""
    try:
        far_reader, far_writer = await asyncio.open_connection(*METER)
    except OSError:
        writer.close()
        return
    await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def main(name: str, address: str) -> None:
    """Both wires."""
    server = await asyncio.start_server(_meter, address, MODBUS_PORT)
    async with server:
        await stick(Path(name))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
