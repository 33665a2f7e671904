"""A real mosquitto on loopback."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

needs_mosquitto = pytest.mark.skipif(
    not (shutil.which("mosquitto") or Path("/usr/sbin/mosquitto").exists()),
    reason="mosquitto is not installed (package mosquitto)",
)


@asynccontextmanager
async def mosquitto(folder: Path, port: int | None = None, more: str = "") -> AsyncIterator[int]:
    """Run a broker that takes anybody on loopback, unless `more` says otherwise; gives its port."""
    port = port or _free_port()
    config = folder / "mosquitto.conf"
    who = "" if "password_file" in more else "allow_anonymous true\n"
    config.write_text(f"listener {port} 127.0.0.1\n{who}{more}")
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    broker = await asyncio.create_subprocess_exec(
        program, "-c", str(config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(20.0):
            while not await _listens(port):
                assert broker.returncode is None
                await asyncio.sleep(0.02)
        yield port
    finally:
        if broker.returncode is None:
            broker.terminate()
        await broker.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
