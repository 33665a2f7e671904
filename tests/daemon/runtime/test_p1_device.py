"""A meter that pushes telegrams, from the configuration to a reading, over a pseudo-terminal."""

import asyncio
import json
import os
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from daemon import __main__ as command_line
from daemon.config.settings import load_settings
from daemon.errors import StartError
from daemon.runtime.devices import open_meter
from daemon.runtime.meter_identity import IdentityFile
from tests.drivers.meters.test_p1 import telegram
from tests.support.configuration import CONFIGURATION, write_configuration

MODBUS = 'profile = "sdm630"\n[meter.transport]\ntype = "tcp"\nhost = "127.0.0.1"\nport = 1502\n'
SENT_EVERY_S = 0.2


@pytest.fixture
def port() -> Iterator[str]:
    """The path of a P1 cable whose meter keeps sending."""
    master, slave = os.openpty()
    tty.setraw(slave)
    done = threading.Event()

    def send() -> None:
        second = 0
        while not done.wait(SENT_EVERY_S):
            second += 1
            with suppress(OSError):
                os.write(master, telegram(0.5, second))

    sender = threading.Thread(target=send)
    sender.start()
    yield os.ttyname(slave)
    done.set()
    sender.join()
    for descriptor in (master, slave):
        os.close(descriptor)


def configured(folder: Path, port: str) -> Path:
    (folder / "state").mkdir()
    wire = f'[meter.transport]\ntype = "p1"\npath = "{port}"\n'
    assert MODBUS in CONFIGURATION
    return write_configuration(folder, CONFIGURATION.replace(MODBUS, wire))


def test_meter_read_shows_a_telegram(tmp_path: Path, port: str, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(tmp_path, port)
    assert command_line.main(["meter", "read", "--json", "--config", str(config)]) == 0
    reading = json.loads(capsys.readouterr().out)
    assert reading["grid_power_w"] == [500.0, 32.0, -1204.0]
    assert reading["voltage_v"] == [229.0, 226.0, 231.0]
    assert bytes(IdentityFile(tmp_path / "state" / "meter-identity").load() or ()).startswith(b"/XMX5")


async def test_another_meter_at_the_cable_is_refused_at_the_start(tmp_path: Path, port: str) -> None:
    settings = load_settings(configured(tmp_path, port))
    IdentityFile(tmp_path / "state" / "meter-identity").keep(tuple(b"/XMX5 another"))
    with pytest.raises(StartError, match=r"remove .*meter-identity"):
        async with open_meter(settings, time.monotonic):
            pass


async def test_a_cable_that_is_not_there_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.runtime.devices.PATIENCE_S", 0.1)
    settings = load_settings(configured(tmp_path, str(tmp_path / "nothing")))
    with pytest.raises(StartError, match="Check the address, the cable"):
        async with asyncio.timeout(5.0), open_meter(settings, time.monotonic):
            pass


def test_the_checklist_looks_at_the_port(
    tmp_path: Path, port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command_line.main(["check", "--json", "--config", str(configured(tmp_path, port))])
    items = {item["name"]: item for item in json.loads(capsys.readouterr().out)["items"]}
    assert items["meter port"]["ok"]
    assert "standard" in items["meter profile"]["detail"]
