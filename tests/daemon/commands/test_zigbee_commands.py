"""`sunkeep zigbee` as an installer types it, in processes of their own, before a far end that lives here."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from daemon.commands.installing.zigbee.permit import remarks
from daemon.commissioning.embedded_site import site_key, write_site
from daemon.runtime.state_directory import hold_state
from drivers.zigbee.joining import Joined
from plant.radio.channel import immediate, no_loss
from plant.radio.coordinator.nvram import Nvram
from plant.radio.network import RadioSite, serve_radio_site
from plant.radio.slave_node import ieee_of, install_code_of
from plant.simulated_site import slaves_of

LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out.splitlines()[-1])


@dataclass(frozen=True, slots=True)
class CommandSite:
    """A site on disk, and its far end."""

    config: Path
    far: RadioSite

    @property
    def state(self) -> Path:
        return self.config.parent

    async def begin(self, *words: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "daemon", "zigbee", *words, "--config", str(self.config))
        return await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)

    async def run(self, *words: str, typed: str = "") -> Done:
        process = await self.begin(*words)
        return await ended(process, typed)


async def ended(process: asyncio.subprocess.Process, typed: str = "", said: str = "") -> Done:
    async with asyncio.timeout(LIMIT_S):
        out, err = await process.communicate(typed.encode())
    assert process.returncode is not None
    assert b"Traceback" not in err
    return Done(process.returncode, said + out.decode(), err.decode())


@asynccontextmanager
async def site(folder: Path, *, joined: bool = False, blank: bool = False) -> AsyncIterator[CommandSite]:
    """Three slaves; by default with a network that none of them has joined yet."""
    far = await serve_radio_site(
        [(slot, 1700) for slot in range(3)],
        site_key(folder),
        measured_w=lambda slot: None,
        rng=Random(1),
        port=0,
        broadcast_delay=immediate,
        loss=no_loss,
        nvram=Nvram() if blank else None,
        joined=joined,
    )
    try:
        yield CommandSite(write_site(folder, slaves_of(3), 1502, far.path), far)
    finally:
        await far.stop()


def device(slot: int) -> tuple[str, str]:
    return "--device", ieee_of(slot)[::-1].hex(":")


def code(slot: int) -> tuple[str, str]:
    return "--install-code", install_code_of(slot).hex()


def is_closed(far: RadioSite) -> bool:
    routers = all(node.permit_until_s <= far.air.clock() for node in far.nodes.values())
    return routers and not far.coordinator.stack.permitting


@pytest.mark.slow
async def test_a_site_is_commissioned_drilled_and_listed(tmp_path: Path) -> None:
    async with site(tmp_path, blank=True) as here:
        absent = await here.run("devices")
        assert (absent.code, absent.out) == (78, "")
        assert "sunkeep zigbee form" in absent.err
        assert (await here.run("form", "--json")).json["restored"] is False
        joined = await here.run("permit", *device(0), *code(0), "--json")
        assert joined.code == 0, joined.err
        assert joined.json["joined"] is True
        assert joined.json["device"]["address"] == 0x1000
        assert [json.loads(line)["kind"] for line in joined.out.splitlines()[-3:-1]] == ["joined", "closed"]
        assert is_closed(here.far)
        asked = await here.run("permit", typed=f"{device(1)[1]}\n{code(1)[1]}\n")
        assert asked.code == 0, asked.err
        assert "joined as 0x1001 (Sunkeep power slave)" in asked.out
        assert "Joined. `sunkeep zigbee drill` shows" in asked.out

        before = await here.run("devices", "--json")
        assert [d["slot"] for d in before.json["devices"]] == [None, None]
        assert before.json["drill_at_utc"] is None
        drilled = await here.run("drill", "--seconds", "10", "--json")
        assert drilled.code == 1, drilled.err
        assert drilled.json["silent"] == [2]
        after = (await here.run("devices", "--json")).json
        assert [(d["ieee"], d["slot"]) for d in after["devices"]] == [(device(0)[1], 0), (device(1)[1], 1)]
        assert after["drill_at_utc"] == drilled.json["at_utc"]
        words = await here.run("devices")
        assert words.out.count("00:12:4b:00:00:4f:5e:0") == 2
        assert f"1 heating rod 2 {device(1)[1]} 0x1001" in " ".join(words.out.split())
        assert "Nobody answered for slot 2 (charger 3)." in words.out
        assert "Never answered: slot 2" in (await here.run("drill", "--seconds", "10")).out


async def test_a_drill_in_words_is_content_when_everybody_answers(tmp_path: Path) -> None:
    async with site(tmp_path, joined=True) as here:
        done = await here.run("drill", "--seconds", "10")
        assert done.code == 0, done.err
        assert "Every slave answers." in done.out
        assert "frames of 0 W in 10 s (counters 1 to" in done.out
        # slaves that joined in another way are known by their address alone
        found = (await here.run("devices", "--json")).json["devices"]
        assert [(d["ieee"], d["address"], d["slot"]) for d in found] == [
            (None, 0x1000 + s, s) for s in range(3)
        ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
async def test_whatever_interrupts_a_permit_closes_the_network(
    number: signal.Signals, tmp_path: Path
) -> None:
    async with site(tmp_path) as here:
        process = await here.begin("permit", *device(200), *code(200), "--seconds", "200")
        assert process.stdout is not None
        async with asyncio.timeout(LIMIT_S):
            said = (await process.stdout.readline()).decode()
        assert "open for 200 s" in said
        assert here.far.coordinator.stack.permitting
        process.send_signal(number)
        process.send_signal(number)  # impatience changes nothing
        done = await ended(process, said=said)
        assert done.code == 130
        assert done.out.splitlines()[-1].endswith("the network is closed")
        assert is_closed(here.far)


async def test_who_does_not_join_is_told_what_to_try(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        wrong = await here.run("permit", *device(0), *code(1), "--seconds", "6")
        assert wrong.code == 1
        assert "this is the install code of another device" in wrong.out
        assert code(1)[1] not in wrong.out + wrong.err
        absent = await here.run("permit", *device(200), *code(200), "--seconds", "3")
        assert absent.code == 1
        assert "It did not ask to join within 3 s" in absent.out
        assert f"Refused were: {device(0)[1]}, {device(1)[1]}, {device(2)[1]}." in absent.out
        assert is_closed(here.far)


@pytest.mark.parametrize("words", [
    (*device(0), "--install-code", code(0)[1][:-1] + ("0" if code(0)[1][-1] != "0" else "1")),
    ("--device", "00:12:4b", *code(0)),
    (*device(0), *code(0), "--seconds", "255"),
])  # fmt: skip
async def test_what_was_typed_wrongly_is_refused_before_the_radio_is_opened(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    async with site(tmp_path) as here:
        done = await here.run("permit", *words)
        assert done.code == 2
        assert "Invalid value" in done.err
        assert not here.far.coordinator.calls


COMMANDS = [("permit", *device(0), *code(0)), ("form",), ("drill",), ("backup", "--out", "{out}")]


@pytest.mark.parametrize("words", COMMANDS)
async def test_a_running_daemon_keeps_its_coordinator(words: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "backup.json"
    async with site(tmp_path) as here:
        with hold_state(here.state):
            done = await here.run(*(word.format(out=out) for word in words))
        assert done.code == 78
        assert "another sunkeep holds" in done.err
        assert "systemctl stop sunkeep" in done.err
        assert not here.far.coordinator.calls
        assert not out.exists()


@pytest.mark.parametrize("words", COMMANDS[:1] + COMMANDS[3:])
async def test_a_coordinator_that_is_not_there_is_named(words: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "backup.json"
    async with site(tmp_path) as here:
        await here.far.stop()
        done = await here.run(*(word.format(out=out) for word in words))
        assert done.code == 78, done.err
        assert here.far.path in done.err
        assert not out.exists()


async def test_a_backup_is_private_complete_and_restored_onto_a_blank_stick(tmp_path: Path) -> None:
    out = tmp_path / "backup.json"
    async with site(tmp_path) as here:
        done = await here.run("backup", "--out", str(out))
        assert done.code == 0, done.err
        assert "keys of the network in clear" in done.out
        assert "site.key" in done.out
        assert out.stat().st_mode & 0o777 == 0o600
        content = out.read_bytes()
        key = here.far.coordinator.nvram.security.network_key
        assert json.loads(content)["network_key"]["key"] == key.hex()
        assert key.hex() not in done.out + done.err
        again = await here.run("backup", "--out", str(out))
        assert again.code == 2
        assert "is not overwritten" in again.err
        assert out.read_bytes() == content
        used = await here.run("form", "--backup", str(out))
        assert used.code == 78
        assert "has a network already" in used.err
    async with site(tmp_path, blank=True) as here:
        restored = await here.run("form", "--backup", str(out))
        assert restored.code == 0, restored.err
        assert restored.out.startswith("Restored: channel 15, PAN 0x")
        assert here.far.coordinator.nvram.security.network_key == key
        broken = await here.run("form", "--backup", str(here.config))
        assert broken.code == 78
        assert "is not a whole backup" in broken.err


@pytest.mark.parametrize(("is_router", "is_slave", "remark"), [
    (True, True, "shows whether it answers"),
    (False, True, "will miss setpoints"),
    (True, False, "does not speak the setpoint protocol"),
])  # fmt: skip
def test_a_device_that_cannot_be_a_slave_is_remarked_upon(
    is_router: bool, is_slave: bool, remark: str
) -> None:
    joined = Joined("00:12:4b:00:00:4f:5e:00", 0x1000, None, None, is_router, is_slave)
    assert remark in "".join(remarks(joined))
