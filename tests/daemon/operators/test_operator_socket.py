"""Operators acknowledge through the daemon's own socket, end to end."""

import asyncio
import json
import os
import socket
import stat
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from daemon.commands.ack import ack, in_words
from daemon.journal.reader import read_journal
from daemon.journal.records import Event
from daemon.operators.operator_socket import CONNECTIONS_MAX, REQUEST_MAX_BYTES, SOCKET_FILE, ask
from plant.meters.virtual_meter import REFRESH_S
from tests.support.configuration import write_configuration
from tests.support.full_daemon import Whole, until, whole

OTHER_METER = 0x07654321


async def sunkeep_ack(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and output of the command, in a process of its own."""
    command = ["-m", "daemon", "ack", *arguments, "--config", str(folder / "site.toml")]
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=PIPE, stderr=STDOUT)
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def asked(folder: Path, cause: str | None = None) -> dict[str, Any]:
    """The daemon's answer, without a new process."""
    request = {"command": "list"} if cause is None else {"command": "acknowledge", "cause": cause}
    return await asyncio.to_thread(ask, folder, request, 20.0)


async def exchange_meter(pair: Whole, serial_number: int) -> None:
    """Another device answers at the same address."""
    meter = pair.far_end.meter
    await meter.stop()
    meter.serial_number = serial_number
    await asyncio.sleep(1.5 * REFRESH_S)  # the registers of the old one are gone by then
    await meter.start(pair.far_end.meter_port)


def power_w(pair: Whole) -> float:
    return sum(pair.reference_w().values())


@pytest.mark.slow
async def test_a_latched_cause_is_acknowledged_once_it_is_no_longer_raised(tmp_path: Path) -> None:
    async with whole(tmp_path, period_s=0.1) as pair:
        await until(lambda: power_w(pair) > 1000.0, 20.0)
        assert (await asked(tmp_path))["latched"] == []
        answer = await asked(tmp_path, "meter_identity")
        assert answer == {"refused": "meter_identity is not latched. Nothing is latched."}

        commissioned = pair.far_end.meter.serial_number
        await exchange_meter(pair, OTHER_METER)
        await until(lambda: power_w(pair) == 0.0, 10.0)
        assert (await asked(tmp_path))["latched"] == ["meter_identity"]
        answer = await asked(tmp_path, "meter_sign")
        assert answer == {"refused": "meter_sign is not latched. Latched now: meter_identity."}
        code, output = await sunkeep_ack(tmp_path, "meter_identity")
        assert (code, "meter_identity is still raised. Remove what raises it" in output) == (2, True)

        await exchange_meter(pair, commissioned)
        await until(lambda: pair.ticks()[-1].decision.estimate.fresh, 10.0)
        await asyncio.sleep(40 * 0.1)  # good samples alone do not end a latched stop
        assert power_w(pair) == 0.0
        code, output = await sunkeep_ack(tmp_path, "meter_identity", "--json")
        assert code == 0, output
        assert json.loads(output)["latched"] == []
        await until(lambda: power_w(pair) > 1000.0, 20.0)
        await pair.stop()
        assert not (tmp_path / SOCKET_FILE).exists()

    ticks = pair.ticks()
    heard = [i for i, tick in enumerate(ticks) if tick.snapshot.acknowledged == ("meter_identity",)]
    assert len(heard) == 2
    assert "meter_identity" in ticks[heard[0]].decision.verdict.causes
    assert "meter_identity" not in ticks[heard[1]].decision.verdict.causes
    events = [r for r in read_journal(tmp_path / "journal") if isinstance(r, Event)]
    told = {event.event: event.detail for event in events}
    me = {"cause": "meter_identity", "user_id": os.geteuid()}
    assert told["acknowledged"] == me
    assert told["acknowledge_refused"] == {**me, "reason": "still raised"}


async def test_an_acknowledgement_before_thirty_good_samples_does_not_end_the_stop_early(
    tmp_path: Path,
) -> None:
    async with whole(tmp_path, period_s=0.1) as pair:
        await until(lambda: power_w(pair) > 1000.0, 20.0)
        commissioned = pair.far_end.meter.serial_number
        await exchange_meter(pair, OTHER_METER)
        await until(lambda: power_w(pair) == 0.0, 10.0)
        await exchange_meter(pair, commissioned)
        async with asyncio.timeout(10.0):
            while "refused" in await asked(tmp_path, "meter_identity"):
                await asyncio.sleep(0.05)
        await until(lambda: power_w(pair) > 0.0, 20.0)
        await pair.stop()
    ticks = pair.ticks()
    last_bad = max(i for i, t in enumerate(ticks) if "meter_identity" in t.snapshot.alarms)
    moved = next(i for i, t in enumerate(ticks) if i > last_bad and any(t.decision.setpoints_w))
    good = sum(tick.decision.estimate.fresh for tick in ticks[last_bad + 1 : moved + 1])
    assert good >= 30


async def test_the_socket_is_its_owner_s_and_answers_nonsense(tmp_path: Path) -> None:
    async with whole(tmp_path, period_s=0.1) as pair:
        file = tmp_path / SOCKET_FILE
        await until(file.exists, 20.0)
        mode = file.stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600

        async def reply(line: bytes) -> bytes:
            reader, writer = await asyncio.open_unix_connection(str(file))
            writer.write(line)
            answer = await reader.readline()
            writer.close()
            await writer.wait_closed()
            return answer

        for line in (
            b"\xff\n",
            b"[" * 900 + b"\n",
            b"{}\n",
            b"[1]\n",
            b'{"command": "list", "more": 1}\n',
            b'{"command": "acknowledge", "cause": 1}\n',
            b'{"command": "acknowledge", "cause": "meter_sign"}\n',
            b"x" * (4 * REQUEST_MAX_BYTES),
        ):
            assert b"refused" in await reply(line), line
        assert json.loads(await reply(b'{"command": "list"}\n'))["latched"] == []

        silent = [await asyncio.open_unix_connection(str(file)) for _ in range(CONNECTIONS_MAX)]
        await asyncio.sleep(0.05)
        assert await reply(b'{"command": "list"}\n') == b'{"refused": "others are asking"}\n'
        for _, writer in silent:
            writer.close()
            await writer.wait_closed()
        await pair.stop()


@pytest.mark.parametrize(
    ("answer", "cause", "words"),
    [
        ({"latched": [], "active": [], "left_s": {}}, None, ["Nothing is latched."]),
        (
            {"latched": ["meter_sign"], "active": ["meter_sign", "reentry"], "left_s": {"violation": 1800.0}},
            None,
            [
                "Latched: meter_sign.",
                "Acknowledge with: sunkeep ack meter_sign",
                "Active: reentry.",
                "violation runs for 0.5 h more.",
            ],
        ),
        (
            {"latched": [], "active": ["meter_sign"], "left_s": {}},
            "meter_sign",
            ["Acknowledged meter_sign.", "Nothing else is latched."],
        ),
    ],
)
def test_what_people_read(answer: dict[str, Any], cause: str | None, words: list[str]) -> None:
    assert in_words(answer, cause) == words


def configured(folder: Path) -> Path:
    config = write_configuration(folder)
    (folder / "state").mkdir()
    return config


def test_without_a_daemon_it_says_so(tmp_path: Path) -> None:
    config = configured(tmp_path)
    result = CliRunner().invoke(ack, ["--config", str(config)])
    assert result.exit_code == 2
    assert "No daemon listens at" in result.output
    (tmp_path / "state").rmdir()
    assert CliRunner().invoke(ack, ["--config", str(config)]).exit_code == 2


@pytest.mark.parametrize("answer", [b"", b"no\n", b"[]\n"])
def test_a_stranger_at_the_socket_is_no_daemon(tmp_path: Path, answer: bytes) -> None:
    config = configured(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "state" / SOCKET_FILE))
        listening.listen(1)

        async def command() -> str:
            asking = asyncio.create_task(
                asyncio.to_thread(CliRunner().invoke, ack, ["--config", str(config)])
            )
            peer, _ = await asyncio.get_running_loop().sock_accept(listening)
            with peer:
                peer.sendall(answer)
            result = await asking
            assert result.exit_code == 2
            return result.output

        listening.setblocking(False)
        assert "not a daemon of this version" in asyncio.run(command())
