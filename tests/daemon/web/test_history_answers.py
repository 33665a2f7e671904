"""/history.json: days, months and years as the page shows them, and what it says where there are none."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from aiohttp import ClientSession

from core.decision import State
from daemon.errors import InputError
from daemon.history.account import Account
from daemon.history.database import FILE, HistoryDatabase, HistoryEvent, open_history
from daemon.history.minutes import HistoryMinute
from daemon.history.reading import HistoryReader
from daemon.monitoring.event_words import EVENTS, event_words
from daemon.monitoring.figures import Figures
from daemon.service.event_log import ALARMING
from daemon.system.clock import boottime_s
from daemon.web.history_answers import HistoryAnswers, history_document
from daemon.web.server import serve
from tests.support.telemetry_feed import ABOUT, SITE

BERLIN = ZoneInfo("Europe/Berlin")
BEGIN_S = int(datetime(2026, 5, 31, 20, tzinfo=UTC).timestamp())
"""22:00 on the last day of May by the site's clock."""


@pytest.fixture
def reader(tmp_path: Path) -> HistoryReader:
    """Five hours over midnight, at a month's end: each minute 36 kJ into a boiler and 3.6 kJ exported."""
    database = HistoryDatabase(open_history(tmp_path / FILE), BERLIN, 92 * 86400, 10**8)
    minutes = []
    for number in range(300):
        account = Account(ticks=60, recorded_s=60.0, saved=0.01, spent=0.02, co2_g=3.0)
        account.energy.exported_j, account.energy.exported_without_j = 3600.0, 39600.0
        account.energy.measured_s = 60.0
        account.state_s[State.RL_ACTIVE] = 60.0
        minutes.append(HistoryMinute(BEGIN_S + 60 * number, account, {"boiler": 36000.0}, {"boiler": 60.0}))
    stop = HistoryEvent(BEGIN_S + 60.0, "state", '{"state": "safe_stop", "causes": ["meter_lost"]}')
    database.write(minutes, [stop, HistoryEvent(BEGIN_S + 90.0, "of no interest")])
    database.db.close()
    return HistoryReader(tmp_path / FILE, BERLIN)


@pytest.mark.parametrize(
    ("span", "day", "bars", "used_wh"),
    [
        ("day", date(2026, 5, 31), ["22", "23"], 1200.0),
        ("day", None, ["00", "01", "02"], 1800.0),
        ("month", date(2026, 5, 3), ["2026-05-31"], 1200.0),
        ("year", None, ["2026-05", "2026-06"], 3000.0),
        ("total", None, ["2026"], 3000.0),
        ("day", date(2020, 1, 1), [], 0.0),
    ],
)
def test_bars_and_their_sum(
    reader: HistoryReader, span: str, day: date | None, bars: list[str], used_wh: float
) -> None:
    told = history_document(reader, span, day)
    assert [bar["at"] for bar in told["bars"]] == bars
    assert told["sum"]["used_wh"] == used_wh == sum(bar["used_wh"] for bar in told["bars"])
    assert sum(device["energy_wh"] for device in told["devices"]) == used_wh
    assert told["sum"]["rl_active_s"] == told["sum"]["measured_s"] == 6.0 * used_wh
    assert (told["first_day"], told["last_day"]) == ("2026-05-31", "2026-06-01")


def test_events_are_told_in_words_with_what_to_do(reader: HistoryReader) -> None:
    (event,) = history_document(reader, "month", date(2026, 5, 1))["events"]
    assert event["text"] == "Every device was told 0 W because the meter does not answer"
    assert "cable" in event["advice"]
    assert event["local"] == "2026-05-31T22:01:00+02:00"


def test_every_alarm_has_words() -> None:
    """What somebody has to do something about is never unsaid; words without their value say the rest."""
    assert ALARMING - EVENTS.keys() <= {"acknowledge_refused", "counter_leap_refused"}
    assert event_words("slave_silent", {"slave": "boiler"}) == (
        "boiler does not answer",
        "Look whether it has power.",
    )
    assert event_words("configuration_refused", {})
    assert event_words("unheard of", {}) is None


async def test_the_server_answers_and_refuses_in_a_sentence(reader: HistoryReader, tmp_path: Path) -> None:
    answers = HistoryAnswers(reader, "CHF", False, boottime_s)
    server = await serve(Figures(SITE, ABOUT, 0.0), "127.0.0.1", 0, history=answers)
    async with ClientSession(server.url) as session:
        async with session.get("/history.json?span=month&day=2026-06-30") as answer:
            told = json.loads(await answer.read())
            assert (answer.status, told["currency"], len(told["bars"])) == (200, "CHF", 1)
        for query, words in (("span=week", "one of"), ("day=now", "a date"), ("day=0001-01-01", "a date")):
            async with session.get(f"/history.json?{query}") as answer:
                assert answer.status == 400
                assert words in await answer.text()
        (tmp_path / FILE).unlink()
        async with session.get("/history.json?span=month&day=2026-06-30") as answer:
            assert answer.status == 200  # kept for half a minute: asking again costs nothing
        async with session.get("/history.json?span=year") as answer:
            assert answer.status == 503
            assert "No history can be read" in await answer.text()
    await server.stop()


def test_an_empty_history_says_so(tmp_path: Path) -> None:
    open_history(tmp_path / FILE).close()
    with pytest.raises(InputError, match="empty yet"):
        history_document(HistoryReader(tmp_path / FILE, BERLIN), "day", None)
