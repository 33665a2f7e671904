"""The small commands against the far end of real wires: Modbus TCP and EZSP on loopback."""

import asyncio
import json
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from daemon import __main__ as command_line
from plant.radio.coordinator.nvram import Nvram
from plant.radio.network import serve_radio_site
from tests.support.configuration import CONFIGURATION, write_configuration


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The configuration of a running far end with more slaves than one frame carries."""
    folder = tmp_path_factory.mktemp("plant")
    arguments = [
        "plant",
        "--meter-port",
        "0",
        "--radio-port",
        "0",
        "--slaves",
        "45",
        "--write-config",
        str(folder),
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "daemon", *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("day"):
                break
        yield folder / "site.toml"
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(20) == 0


def test_check_accepts_what_plant_writes(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = site.read_text().replace("port = 9108", "port = 0")
    quiet = site.with_name("quiet.toml")
    quiet.write_text(text)
    assert command_line.main(["check", "--json", "--config", str(quiet)]) == 0, capsys.readouterr().out


def test_check_tries_every_wire(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Meter, radio and slaves each fail or hold in a row of their own."""
    quiet = site.with_name("wires.toml")
    quiet.write_text(site.read_text().replace("port = 9108", "port = 0"))
    code = command_line.main(["check", "--wires", "--json", "--config", str(quiet)])
    rows = {item["name"]: item for item in json.loads(capsys.readouterr().out)["items"]}
    assert code == 0, rows
    assert rows["meter"]["detail"].startswith("answers: ")
    assert rows["radio"]["detail"].startswith("up: ")
    assert rows["slaves"]["detail"] == "all answer"
    deaf = site.with_name("deaf.toml")
    text = re.sub(r"(?m)^port = \d+$", "port = 1", quiet.read_text(), count=1)
    deaf.write_text(re.sub(r"socket://127.0.0.1:\d+", "socket://127.0.0.1:1", text))
    assert command_line.main(["check", "--wires", "--json", "--config", str(deaf)]) == 78
    rows = {item["name"]: item for item in json.loads(capsys.readouterr().out)["items"]}
    assert [rows[name]["ok"] for name in ("meter", "radio", "slaves")] == [False, False, False]


def test_meter_read_shows_the_grid(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["meter", "read", "--json", "--config", str(site)]) == 0
    reading = json.loads(capsys.readouterr().out)
    assert sum(reading["grid_power_w"]) == pytest.approx(reading["total_power_w"], abs=30.0)
    assert command_line.main(["meter", "read", "--config", str(site)]) == 0
    assert capsys.readouterr().out.count(" W") == 4


def test_meter_probe_names_the_profile_and_its_lines(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["meter", "probe", "--json", "--config", str(site)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["best"] == ["sdm630", "sdm72d-m-v2"]
    lines = tomllib.loads("\n".join(found["configuration"]))["meter"]
    assert lines == tomllib.loads(site.read_text())["meter"] | {
        "transport": lines["transport"] | {"device_id": 1}
    }
    where = lines["transport"]
    arguments = ["meter", "probe", "--host", where["host"], "--port", str(where["port"])]
    assert command_line.main(arguments) == 0
    assert "Best match: sdm630 (Eastron SDM630)." in capsys.readouterr().out
    assert command_line.main([*arguments, "--device-id", "9"]) == 78
    assert "Nobody answers. Check the address" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--host", "127.0.0.1", "--serial", "/dev/null"],
        ["--serial", "/dev/null", "--device-id", "0"],
        ["--serial", "/dev/null", "--baudrate", "1234"],
    ],
)
def test_meter_probe_refuses_what_it_cannot_try(arguments: list[str]) -> None:
    assert command_line.main(["meter", "probe", *arguments]) == 2


def test_meter_probe_says_that_a_port_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["meter", "probe", "--serial", "/dev/none"]) == 78
    said = capsys.readouterr().err
    assert "/dev/none is not there" in said
    assert "/dev/serial/by-id" in said
    assert "A and B" not in said


def test_forming_refuses_a_coordinator_with_a_network(site: Path) -> None:
    done = form(site)
    assert done.returncode == 78
    assert "has a network already" in done.stderr
    assert "Traceback" not in done.stderr


async def test_forming_gives_a_blank_coordinator_a_network(tmp_path: Path) -> None:
    far = await serve_radio_site(
        [(0, 3000)], bytes(range(32)), measured_w=lambda slot: None, rng=Random(1), port=0, nvram=Nvram()
    )
    try:
        path = write_configuration(tmp_path, CONFIGURATION.replace("socket://127.0.0.1:6638", far.path))
        done = await asyncio.to_thread(form, path)
    finally:
        await far.stop()
    assert done.returncode == 0, done.stderr
    network = json.loads(done.stdout)
    assert network["channel"] == 15
    assert len(network["extended_pan_id"]) == 8 * 3 - 1
    assert (tmp_path / "state" / "zigbee.db").stat().st_mode & 0o077 == 0


def form(config: Path) -> subprocess.CompletedProcess[str]:
    """In a process of its own: its log and loop are not ours."""
    arguments = [sys.executable, "-m", "daemon", "zigbee", "form", "--json", "--config", str(config)]
    return subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
