"""The conformance test over the real radio stack: sound slaves pass, and every liar is caught at its rule."""

import asyncio
import re
import signal
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from daemon.commissioning.embedded_site import site_key, write_site
from daemon.config.settings import load_settings
from daemon.conformance.checks import checks
from daemon.conformance.session import ask_slave
from daemon.conformance.verdicts import CheckOutcome, CheckVerdict, ConformanceResult
from daemon.runtime.state_directory import COUNTER_FILE
from drivers.errors import ConfigError
from drivers.zigbee.frame_counter import FrameCounter
from plant.radio.channel import immediate, no_loss
from plant.radio.medium import ApsFrame
from plant.radio.network import MakeSlave, RadioSite, serve_radio_site, sound_slave
from plant.radio.slave_firmware import CLUSTER, SAFE_RELEASE, Status
from plant.simulated_site import slaves_of
from tests.daemon.commands.test_zigbee_commands import CommandSite
from tests.daemon.conformance.liars import LIARS, BadTag, Liar
from tests.firmware.c_core import c_slave
from tests.support.zigbee_network import until

RATING_W = 100
WATTS = 120
"""Above the rating, so that every rule can be judged."""
SLOT = 1
AT_ONCE = 8
"""Each slave under test needs a coordinator of its own, and mostly waits."""
ROOT = Path(__file__).parents[3]
ZCL_HEADER_BYTES = 5


@asynccontextmanager
async def site(folder: Path, make_slave: MakeSlave) -> AsyncIterator[tuple[Path, RadioSite]]:
    """Three slaves of small rating, and the configuration that goes with them."""
    folder.mkdir(exist_ok=True)
    far = await serve_radio_site(
        [(slot, RATING_W) for slot in range(3)],
        site_key(folder),
        measured_w=lambda slot: 0.0,
        rng=Random(1),
        port=0,
        broadcast_delay=immediate,
        loss=no_loss,
        make_slave=make_slave,
    )
    try:
        yield write_site(folder, slaves_of(3, RATING_W), 1502, far.path), far
    finally:
        await far.stop()


async def asked(
    folder: Path, make_slave: MakeSlave, rules: frozenset[str] | None = None
) -> ConformanceResult:
    async with site(folder, make_slave) as (config, far):
        told = AirTap(far)
        settings = load_settings(config)
        (slave,) = (one for one in settings.core_site().slaves if one.slot == SLOT)
        seen: list[CheckVerdict] = []
        result = await ask_slave(
            settings,
            slave,
            site_key(folder),
            FrameCounter.open(folder / COUNTER_FILE),
            WATTS,
            lambda done, total, verdict: seen.append(verdict),
            rules,
        )
        assert tuple(seen) == result.verdicts
        told.assert_small_and_at_rest_in_the_end()
        return result


class AirTap:
    """Every payload of a setpoint frame that left the coordinator, good or bad."""

    def __init__(self, far: RadioSite) -> None:
        self.payloads: list[bytes] = []
        far.air.taps.append(self._heard)

    def _heard(self, frame: ApsFrame, at_s: float) -> None:
        if frame.cluster == CLUSTER:
            self.payloads.append(frame.payload[ZCL_HEADER_BYTES:])

    def assert_small_and_at_rest_in_the_end(self) -> None:
        for payload in self.payloads:
            if len(payload) >= 18:
                (first_w,) = struct.unpack_from("<h", payload, 8)
                assert -1 <= first_w <= WATTS
        for payload in (self.payloads[0], self.payloads[-1]):
            assert payload[0] & SAFE_RELEASE
            assert not any(payload[8:14])


def broken(result: ConformanceResult) -> set[str]:
    return {verdict.rule for verdict in result.verdicts if verdict.outcome is CheckOutcome.BROKEN}


@pytest.mark.slow
async def test_sound_slaves_keep_every_rule(tmp_path: Path) -> None:
    """The plant's slave and the reference slave in C."""
    for result in await asyncio.gather(asked(tmp_path / "py", sound_slave), asked(tmp_path / "c", c_slave)):
        assert result.conforms, [v for v in result.verdicts if v.outcome is CheckOutcome.BROKEN]
        assert [v.check for v in result.verdicts if v.outcome is CheckOutcome.NOT_JUDGED] == []
        assert len(result.verdicts) == len(checks(SLOT, RATING_W))
        assert result.record()["conforms"] is True


@pytest.mark.slow
async def test_every_liar_is_caught_at_its_rule_and_at_no_other(tmp_path: Path) -> None:
    always = frozenset({"R1", "R2", "R5", "F11"})

    some = asyncio.Semaphore(AT_ONCE)

    async def caught(number: int, liar: Liar) -> tuple[str, set[str]]:
        async with some:
            result = await asked(tmp_path / str(number), liar.make, always | liar.breaks)
        assert not result.conforms
        return liar.name, broken(result)

    found = dict(await asyncio.gather(*(caught(number, liar) for number, liar in enumerate(LIARS))))
    assert found == {liar.name: set(liar.breaks) for liar in LIARS}


async def test_a_slave_that_is_not_heard_or_not_believed_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"reports came that nobody can believe: the tag is wrong"):
        await asked(tmp_path / "tag", Liar("bad tag", frozenset(), BadTag).make)
    async with site(tmp_path / "off", sound_slave) as (config, far):
        far.nodes[SLOT].online = False
        settings = load_settings(config)
        slave = settings.core_site().slaves[SLOT]
        counter = FrameCounter.open(tmp_path / "off" / COUNTER_FILE)
        with pytest.raises(ConfigError, match=r"slot 1 .* does not answer .*joined"):
            await ask_slave(settings, slave, site_key(tmp_path / "off"), counter, 50, lambda *_: None)


async def test_the_command_prints_a_table_or_json_and_asks_before_it_switches(tmp_path: Path) -> None:
    async with site(tmp_path, sound_slave) as (config, far):
        here = CommandSite(config, far)
        nobody = await here.run("conformance", "--slot", "1")
        assert (nobody.code, nobody.out) == (2, "")
        assert "nobody is here to agree: give --watts 100" in nobody.err
        assert all(node.firmware.accepted == 0 for node in far.nodes.values())
        for words, said in (
            (("--watts", "50"), "Choose one: --slot 0 (boiler 1), 1"),
            (("--watts", "50", "--slot", "7"), "No slave has slot 7: --slot 0"),
            (("--watts", "50", "--slot", "1", "--rule", "X1"), "--rule X1: nothing is checked"),
        ):
            refused = await here.run("conformance", *words)
            assert refused.code == 2
            assert said in refused.err
        rules = ("--watts", "50", "--slot", "1", "--rule", "F11", "--rule", "F10")
        done = await here.run("conformance", *rules, "--json")
        assert done.code == 0
        assert done.json["conforms"] is True
        assert [(v["rule"], v["outcome"]) for v in done.json["verdicts"]] == [
            ("F11", "pass"),
            ("F11", "pass"),
            ("F10", "not judged"),
        ]
        table = await here.run("conformance", *rules)
        assert table.code == 0
        assert re.search(r"F11 +a broadcast is heard +pass", table.out)
        assert "keeps every rule that was judged: 2 pass, 0 fail, 1 not judged" in table.out
        far.nodes[1].firmware.max_w = 10
        broke = await here.run("conformance", *rules, "--json")
        assert (broke.code, broke.json["conforms"]) == (1, False)


async def test_ctrl_c_leaves_everybody_at_rest(tmp_path: Path) -> None:
    async with site(tmp_path, sound_slave) as (config, far):
        told = AirTap(far)
        process = await CommandSite(config, far).begin("conformance", "--slot", "1", "--watts", "50")
        await until(lambda: far.nodes[1].firmware.target_w(far.air.clock()) > 0, 60.0)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(30.0):
            _, err = await process.communicate()
        assert process.returncode not in (0, None)
        assert b"Traceback" not in err
        told.assert_small_and_at_rest_in_the_end()
        states = {node.firmware.status(far.air.clock()) for node in far.nodes.values()}
        assert states == {Status.RESTING_RELEASED}


def test_every_rule_that_is_checked_stands_in_the_protocol() -> None:
    text = (ROOT / "docs" / "develop" / "setpoint-protocol.md").read_text()
    written = set(re.findall(r"^\|? ?(?:- )?\*{0,2}([FWR]\d+)[.* |]", text, re.MULTILINE))
    checked = {check.rule for slot in (0, 1, 255) for check in checks(slot, 1700)}
    assert checked <= written
    assert written - checked == {"W1", "W2"}, "what cannot be judged over the air"
