"""What an owner says to the daemon is done, seen, journalled and kept."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from core.decision import Authority
from core.modes import Assignment
from daemon.commands.pause import in_words, instant_of, seconds_of
from daemon.errors import InputError
from daemon.journal.reader import read_journal
from daemon.journal.records import Event
from daemon.monitoring.messages import headline
from daemon.monitoring.telemetry import PauseOrder
from daemon.operators.operator_socket import ask
from daemon.operators.pause import Pause
from tests.support.full_daemon import until, whole

GIVEN = Assignment(Authority.POLICY, 1.0, 7)


async def asked(folder: Path, **request: Any) -> dict[str, Any]:
    return await asyncio.to_thread(ask, folder, request, 20.0)


async def test_a_paused_site_rests_and_says_so_until_it_is_resumed(tmp_path: Path) -> None:
    async with whole(tmp_path, period_s=0.1) as pair:
        await until(lambda: sum(pair.reference_w().values()) > 1000.0, 20.0)
        assert (await asked(tmp_path, command="resume"))["refused"] == "nothing is paused."
        assert "future" in (await asked(tmp_path, command="pause", until_unix_s=1.0))["refused"]
        later_s = time.time() + 3600.0
        assert (await asked(tmp_path, command="pause", until_unix_s=later_s))["paused"] is True
        await until(lambda: sum(pair.reference_w().values()) == 0.0, 20.0)
        figures = pair.service.figures
        assert figures is not None
        assert headline(figures).text.startswith("Paused until ")
        assert Pause.restored(tmp_path).order == PauseOrder(True, later_s)
        assert (await asked(tmp_path, command="resume"))["paused"] is False
        await until(lambda: sum(pair.reference_w().values()) > 1000.0, 30.0)
        await pair.stop()
    events = [one.event for one in read_journal(tmp_path / "journal") if isinstance(one, Event)]
    assert events.index("paused") < events.index("resumed")


def test_a_pause_outlives_a_restart_and_ends_by_itself(tmp_path: Path) -> None:
    Pause.restored(tmp_path).put(PauseOrder(True, 1000.0))
    pause = Pause.restored(tmp_path)
    assert pause.over(GIVEN, 999.0) == Assignment(Authority.REST, 0.0, 7)
    assert pause.over(GIVEN, None).authority is Authority.REST  # no clock yet: it goes on
    assert pause.over(GIVEN, 1000.0) == GIVEN
    assert Pause.restored(tmp_path).over(GIVEN, 1000.0) == GIVEN


def test_without_an_end_it_lasts(tmp_path: Path) -> None:
    Pause.restored(tmp_path).put(PauseOrder(True))
    assert Pause.restored(tmp_path).over(GIVEN, 1e12).authority is Authority.REST


def test_a_damaged_record_pauses_nothing(tmp_path: Path) -> None:
    Pause.restored(tmp_path).put(PauseOrder(True))
    for copy in tmp_path.glob("pause.*"):
        copy.write_bytes(b"nothing")
    assert Pause.restored(tmp_path).over(GIVEN, 0.0) == GIVEN


@pytest.mark.parametrize(("span", "seconds"), [("90min", 5400.0), ("2h", 7200.0), ("14d", 1209600.0)])
def test_spans_are_read(span: str, seconds: float) -> None:
    assert seconds_of(span) == seconds


@pytest.mark.parametrize("span", ["", "0h", "h", "2", "2 h", "-1h", "1w", "99999h"])
def test_what_is_no_span_is_refused_in_words(span: str) -> None:
    with pytest.raises(InputError, match="is no span"):
        seconds_of(span)


def test_a_time_of_day_is_the_next_one() -> None:
    now = datetime(2026, 7, 1, 18, 0, tzinfo=UTC)
    assert instant_of("18:30", now) - now == timedelta(minutes=30)
    assert instant_of("18:00", now) - now == timedelta(days=1)
    assert instant_of("2026-07-03 08:00", now) == datetime(2026, 7, 3, 8, 0, tzinfo=UTC)
    with pytest.raises(InputError, match="is no time"):
        instant_of("soon", now)


def test_what_was_ordered_is_said() -> None:
    assert in_words(None, ZoneInfo("UTC")).endswith("until `sunkeep resume`.")
    assert in_words(0.0, ZoneInfo("Europe/Berlin")).startswith("Paused until 1970-01-01 01:00.")
