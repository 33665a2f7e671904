"""A meter that pushes SML, from the configuration to a reading and to what an installer is told."""

import asyncio
import json
import threading
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from daemon import __main__ as command_line
from daemon.config.settings import load_settings
from daemon.errors import StartError
from daemon.runtime.devices import open_meter
from daemon.runtime.meter_identity import IdentityFile
from plant.meters.sml_meter import SERVER_ID, SmlMeter
from tests.support.configuration import CONFIGURATION, write_configuration
from tests.support.meter_wire import WiredMeter

MODBUS = 'profile = "sdm630"\n[meter.transport]\ntype = "tcp"\nhost = "127.0.0.1"\nport = 1502\n'
SENT_EVERY_S = 0.5


@dataclass
class Head:
    """A meter that keeps sending from a thread of its own, and the path of its head."""

    meter: SmlMeter
    path: str

    def configured(self, folder: Path, path: str | None = None) -> Path:
        (folder / "state").mkdir()
        wire = f'[meter.transport]\ntype = "sml"\npath = "{path or self.path}"\n'
        assert MODBUS in CONFIGURATION
        return write_configuration(folder, CONFIGURATION.replace(MODBUS, wire))


@pytest.fixture
def head() -> Iterator[Head]:
    meter = SmlMeter(WiredMeter(), time.monotonic, every_s=SENT_EVERY_S)
    path = meter.plug()
    done = threading.Event()

    async def send() -> None:
        task = asyncio.create_task(meter.run())
        await asyncio.to_thread(done.wait)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    sender = threading.Thread(target=lambda: asyncio.run(send()))
    sender.start()
    yield Head(meter, path)
    done.set()
    sender.join()
    meter.unplug()


def test_meter_read_shows_a_telegram(tmp_path: Path, head: Head, capsys: pytest.CaptureFixture[str]) -> None:
    config = head.configured(tmp_path)
    assert command_line.main(["meter", "read", "--json", "--config", str(config)]) == 0
    reading = json.loads(capsys.readouterr().out)
    assert reading["grid_power_w"] == [1500.0, -2500.0, 320.0]
    assert reading["voltage_v"] == [231.0, 229.0, 233.0]
    assert IdentityFile(tmp_path / "state" / "meter-identity").load() == tuple(SERVER_ID)


def test_a_locked_meter_tells_the_installer_what_to_do(
    tmp_path: Path, head: Head, capsys: pytest.CaptureFixture[str]
) -> None:
    head.meter.faults.locked = True
    assert command_line.main(["meter", "read", "--config", str(head.configured(tmp_path))]) == 78
    told = capsys.readouterr()
    assert "PIN was entered" in told.out + told.err
    assert "Traceback" not in told.out + told.err


async def test_another_meter_under_the_head_is_refused_at_the_start(tmp_path: Path, head: Head) -> None:
    settings = load_settings(head.configured(tmp_path))
    IdentityFile(tmp_path / "state" / "meter-identity").keep(tuple(b"another"))
    with pytest.raises(StartError, match=r"remove .*meter-identity"):
        async with open_meter(settings, time.monotonic):
            pass


async def test_a_head_that_is_not_there_says_where_to_look(
    tmp_path: Path, head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.runtime.devices.PATIENCE_S", 0.1)
    settings = load_settings(head.configured(tmp_path, str(tmp_path / "nothing")))
    with pytest.raises(
        StartError, match=r"\[meter\] no answer from .*the optical head sits over the meter's diode"
    ):
        async with asyncio.timeout(5.0), open_meter(settings, time.monotonic):
            pass


def test_the_checklist_looks_at_the_port(
    tmp_path: Path, head: Head, capsys: pytest.CaptureFixture[str]
) -> None:
    command_line.main(["check", "--json", "--config", str(head.configured(tmp_path))])
    items = {item["name"]: item for item in json.loads(capsys.readouterr().out)["items"]}
    assert items["meter port"]["ok"]
    assert "standard" in items["meter profile"]["detail"]


def test_probe_finds_a_head_and_prints_its_lines(head: Head, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["meter", "probe", "--serial", head.path]
    assert command_line.main(arguments) == 0
    told = capsys.readouterr().out
    assert "sends SML telegrams by itself" in told
    lines = told[told.index("[meter.transport]") :]
    assert tomllib.loads(lines)["meter"]["transport"] == {"type": "sml", "path": head.path}
    assert command_line.main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pushes"] == "sml"
    assert head.meter.heard() == b""


def test_probe_says_why_a_meter_under_the_head_cannot_serve(
    head: Head, capsys: pytest.CaptureFixture[str]
) -> None:
    head.meter.faults.locked = True
    assert command_line.main(["meter", "probe", "--serial", head.path]) == 78
    assert "cannot serve" in (told := capsys.readouterr().out)
    assert "PIN was entered" in told
    assert head.meter.heard() == b""
