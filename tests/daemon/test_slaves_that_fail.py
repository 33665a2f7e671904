"""Slaves that are silent, full or wrong, through the whole daemon: said truthfully, led around, replayed."""

import asyncio
from pathlib import Path

from click.testing import CliRunner

from daemon.commands.engineering.replay import replay
from daemon.journal.reader import read_journal
from daemon.journal.records import Event
from daemon.monitoring.status import status
from daemon.system.clock import boottime_s
from tests.support.full_daemon import Whole, until, whole


def events(pair: Whole) -> dict[tuple[str, int], str]:
    """By name and slot: what was told of slaves."""
    found = (record for record in read_journal(pair.folder / "journal") if isinstance(record, Event))
    return {
        (record.event, record.detail["slot"]): record.detail["why"]
        for record in found
        if record.event.startswith("slave_")
    }


async def test_slaves_that_do_not_follow_are_named_and_others_take_over(tmp_path: Path) -> None:
    async with whole(tmp_path) as pair:
        nodes = pair.far_end.radio.nodes
        nodes[0].firmware.faults.stuck_w = 0.0  # its thermostat is open: it echoes, and draws nothing
        nodes[1].firmware.faults.misread = 0.1  # it takes watts for tenths of a watt
        await until(lambda: sum(pair.reference_w().values()) > 5000.0, 30.0)
        nodes[5].online = False
        figures = pair.service.figures
        assert figures is not None

        def astray() -> set[int]:
            assert figures.decision is not None
            return {one.slave for one in figures.decision.not_following}

        await until(lambda: astray() == {0, 1}, 60.0)
        await until(lambda: figures.snapshot is not None and not figures.snapshot.slaves[5].available, 30.0)
        await asyncio.sleep(2.0)
        shown = status(figures, boottime_s())
        await pair.stop()

    assert "1 of 6 devices does not answer, 2 of 6 devices do not do what" in shown["headline"]["text"]
    assert "All slaves" not in shown["headline"]["text"]
    by_slot = {slave["slot"]: slave for slave in shown["slaves"]}
    assert [by_slot[slot]["deviation"] for slot in range(6)] == [
        "draws_less", "applies_other", None, None, None, None,
    ]  # fmt: skip
    assert by_slot[0]["setpoint_w"] <= by_slot[0]["limit_w"] <= 10
    assert by_slot[5]["setpoint_w"] == 0
    assert by_slot[3]["setpoint_w"] > 1600, "the neighbour of a full boiler takes what it can"
    told = events(pair)
    assert told[("slave_not_following", 0)] == "draws less than it is told"
    assert told[("slave_not_following", 1)] == "does something else than it is told"
    assert told[("slave_silent", 5)] == "does not answer"

    result = CliRunner().invoke(replay, [str(tmp_path / "journal")], standalone_mode=False)
    assert result.return_value == 0, result.output
    assert " 0 different" in result.output


async def test_a_site_of_dead_slaves_is_not_at_its_limit(tmp_path: Path) -> None:
    async with whole(tmp_path) as pair:
        await until(lambda: sum(pair.reference_w().values()) > 5000.0, 30.0)
        for node in pair.far_end.radio.nodes.values():
            node.online = False
        figures = pair.service.figures
        assert figures is not None

        def causes() -> tuple[str, ...]:
            return () if figures.decision is None else figures.decision.verdict.causes

        await until(lambda: "slaves_silent" in causes(), 40.0)
        shown = status(figures, boottime_s())
        assert shown["headline"]["text"].startswith("No device answers")
        assert shown["headline"]["tone"] == "bad"
        for node in pair.far_end.radio.nodes.values():
            node.online = True
        await until(lambda: "slaves_silent" not in causes(), 20.0)
        await until(lambda: sum(pair.reference_w().values()) > 2000.0, 30.0)
        await pair.stop()
    told = events(pair)
    assert {slot for name, slot in told if name == "slave_silent"} == set(range(6))
    assert {slot for name, slot in told if name == "slave_follows_again"} == set(range(6))
