"""The daemon through the real wires: pymodbus on a socket, zigpy and bellows on a pseudo-terminal."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from core.decision import Source
from daemon.commands.engineering.replay import replay
from daemon.errors import StartError
from daemon.system.clock import boottime_s
from tests.support.full_daemon import until, whole


async def test_it_keeps_power_at_home_and_ends_with_every_slave_at_rest(tmp_path: Path) -> None:
    async with whole(tmp_path) as pair:
        site = pair.far_end.site
        assert sum(site.bare_power_w(boottime_s())) < -8000.0
        await until(lambda: sum(site.grid_power_w(boottime_s())) > -2000.0, 30.0)
        asked_at_s = boottime_s()
        await pair.stop()
        assert boottime_s() - asked_at_s < 2.0
        # who missed the first word hears the second, 0.8 s later, and ramps for 0.7 s
        await until(lambda: set(pair.reference_w().values()) == {0.0}, 1.0)

    result = CliRunner().invoke(replay, [str(tmp_path / "journal")], standalone_mode=False)
    assert result.return_value == 0, result.output
    assert " 0 different" in result.output
    assert len(pair.ticks()) > 20


async def test_a_silent_meter_brings_every_slave_to_rest(tmp_path: Path) -> None:
    async with whole(tmp_path) as pair:
        await until(lambda: sum(pair.reference_w().values()) > 3000.0, 20.0)
        pair.far_end.meter.faults.mute = True
        await until(lambda: set(pair.reference_w().values()) == {0.0}, 5.0)
        await pair.stop()
    states = [tick.decision.verdict.state.value for tick in pair.ticks()]
    assert states.index("hold") < states.index("safe_stop")


async def test_another_meter_is_not_taken_for_the_commissioned_one(tmp_path: Path) -> None:
    async with whole(tmp_path) as pair:
        await until((tmp_path / "meter-identity").exists, 10.0)
        await pair.stop()
    (tmp_path / "meter-identity").write_text("[1, 2]")
    with pytest.raises(StartError, match=r"another meter answers.*meter-identity"):
        async with whole(tmp_path) as pair:
            await pair.task
    (tmp_path / "meter-identity").write_text("[291")
    with pytest.raises(StartError, match=r"meter-identity is damaged"):
        async with whole(tmp_path) as pair:
            await pair.task


async def test_a_damaged_database_of_the_radio_is_named(tmp_path: Path) -> None:
    (tmp_path / "zigbee.db").write_bytes(b"not a database, but long enough to look at " * 40)
    with pytest.raises(
        StartError, match=r"zigbee\.db, cannot be used \(file is not a database\).*move it away"
    ):
        async with whole(tmp_path) as pair:
            await pair.task


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[" * 100_000,
        '{"counts": [1], "ledger": [2], "judge": [3]}',
        '{"counts": {"violations": 1%s}, "ledger": {"total": {"exported_j": 1%s}}, "judge": "x"}'
        % (("0" * 400,) * 2),
        '{"ledger": {"total": {"exported_j": NaN}, "today_is": 5}, "judge": {"subject": null, "live": NaN}}',
    ],
)
async def test_damaged_totals_begin_again_and_do_not_stop_the_daemon(tmp_path: Path, content: str) -> None:
    async with whole(tmp_path) as pair:
        (tmp_path / "totals.json").write_text(content)  # the far end is new and has removed what was there
        await until(lambda: pair.service.figures is not None and pair.service.figures.ticks > 2, 20.0)
        await pair.stop()
    carried = json.loads((tmp_path / "totals.json").read_text())
    assert carried["counts"]["violations"] == 0
    assert 0.0 <= carried["ledger"]["total"]["exported_j"] < 1e9


async def test_a_killed_daemon_leaves_slaves_that_rest_by_themselves(tmp_path: Path) -> None:
    async with whole(tmp_path) as pair:
        await until(lambda: sum(pair.reference_w().values()) > 3000.0, 20.0)
        pair.task.cancel()
        await asyncio.wait([pair.task])
        firmware = next(iter(pair.far_end.radio.firmwares.values()))
        assert firmware.deadline_s is not None
        assert firmware.deadline_s - boottime_s() <= 15.0
        assert firmware.setpoint_w(firmware.deadline_s + 2.0) == 0.0


async def test_a_state_that_cannot_be_written_leaves_the_fallback_in_charge(tmp_path: Path) -> None:
    async with whole(tmp_path) as pair:
        await until(lambda: sum(pair.reference_w().values()) > 500.0, 20.0)
        for name in ("standing.a", "standing.b"):
            (tmp_path / name).unlink(missing_ok=True)
            (tmp_path / name).mkdir()
        pair.far_end.meter.faults.mute = True  # a change of state is saved at once
        await asyncio.sleep(1.0)
        pair.far_end.meter.faults.mute = False
        await asyncio.sleep(1.0)
        await pair.stop()
    told = [
        tick.decision.verdict for tick in pair.ticks() if "state_unwritable" in tick.decision.verdict.causes
    ]
    assert told
    assert all(verdict.source is not Source.POLICY for verdict in told)
