"""Minutes, hours and days: exact sums, the same from journals, nothing lost but the last minute."""

import sqlite3
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from core.decision import State
from core.roles import Role
from core.snapshot import SlaveState
from daemon.config.tariff_section import TariffSection
from daemon.errors import InputError
from daemon.history.account import Account
from daemon.history.columns import COLUMNS, to_account, to_row
from daemon.history.database import (
    BACKUP,
    FILE,
    LEVELS,
    HistoryDatabase,
    HistoryEvent,
    HistoryUnusable,
    open_history,
)
from daemon.history.filling import HistoryFilling
from daemon.history.minutes import HistoryMinute, MinuteBook
from daemon.history.reading import HistoryReader
from daemon.history.recorder import HistoryRecorder
from daemon.history.tariff import TimeOfUse
from daemon.monitoring.figures import Figures
from daemon.monitoring.telemetry import Cost
from daemon.report.books import JournalAccounting
from tests.daemon.report.accounts import MIDNIGHT_S, booked, tick, values, with_verdict
from tests.daemon.report.journals import configure, start_of
from tests.support.telemetry_feed import ABOUT, SITE, snapshot

BERLIN = ZoneInfo("Europe/Berlin")
TARIFF = TimeOfUse.of(TariffSection(co2_g_per_kwh=400.0))
DAY_S = 86400


def minute(at_s: float, **slaves_j: float) -> HistoryMinute:
    """A minute with a bit of everything in it."""
    account = Account(ticks=60, recorded_s=60.0, saved=0.0123, reachable_j=7.0)
    account.energy.exported_j, account.energy.measured_s = 400.4, 60.0
    account.state_s[State.RL_ACTIVE] = 60.0
    account.spell(State.SAFE_STOP, "meter_lost").times = 1
    return HistoryMinute(int(at_s), account, dict(slaves_j), dict.fromkeys(slaves_j, 60.0))


@pytest.fixture
def database(tmp_path: Path) -> HistoryDatabase:
    return HistoryDatabase(open_history(tmp_path / FILE), BERLIN, 92 * DAY_S, 10**8)


def reader(database: HistoryDatabase, tmp_path: Path) -> HistoryReader:
    return HistoryReader(tmp_path / FILE, database.zone)


def test_a_row_holds_every_number_of_an_account() -> None:
    """A field that is added and forgotten here would be lost in silence."""
    account = Account()
    names = [name for name in values(account) if " " not in name]
    for number, name in enumerate(names, 1):
        setattr(account, name, number)
    for number, name in enumerate(account.energy.__slots__, 100):
        setattr(account.energy, name, float(number))
    for number, name in enumerate(account.counts.__slots__, 200):
        setattr(account.counts, name, number)
    for number, state in enumerate(State, 300):
        account.state_s[state] = float(number)
    account.saved, account.spent, account.earned, account.co2_g = 1.5, -2.5, 3.25, 4.5
    again = to_account(to_row(account))
    lost = {name for name, value in values(account).items() if values(again)[name] != value}
    assert lost == {"unrecorded_s", "unsynchronised_s"}  # told by what is absent; such ticks are not kept
    assert (again.saved, again.spent, again.earned, again.co2_g) == (1.5, -2.5, 3.25, 4.5)
    assert len(set(COLUMNS)) == len(COLUMNS)


def test_minutes_add_up_to_hours_and_days_exactly(database: HistoryDatabase, tmp_path: Path) -> None:
    """Over the end of summer time, whose day has 25 hours, by the site's clock."""
    begin_s = datetime(2026, 10, 24, 22, tzinfo=UTC).timestamp()
    database.write(minute(begin_s + 60 * n, boiler=600.6) for n in range(25 * 60 + 1))
    told = reader(database, tmp_path)
    days = told.days()
    assert list(days) == [date(2026, 10, 25), date(2026, 10, 26)]
    assert days[date(2026, 10, 25)].recorded_s == 25 * 3600.0
    assert days[date(2026, 10, 25)].causes[(State.SAFE_STOP, "meter_lost")].times == 25 * 60
    for level in LEVELS:
        accounts = [account for _, account in told.accounts(level, 0, 2e9)]
        assert sum(account.energy.exported_j for account in accounts) == 400.0 * (25 * 60 + 1)
        assert sum(account.saved for account in accounts) == pytest.approx(0.0123 * (25 * 60 + 1))
        assert sum(e.energy_j for _, e in told.slaves(level, 0, 2e9)["boiler"]) == 601 * (25 * 60 + 1)
    quarters = told.accounts("minute", begin_s, begin_s + 25 * 3600, step_s=900)
    assert (len(quarters), quarters[1][0]) == (100, begin_s + 900)
    assert {account.recorded_s for _, account in quarters} == {900.0}


def test_what_the_daemon_lives_is_what_its_journal_tells(tmp_path: Path) -> None:
    """The same ticks through the recorder and through the filling from journals: the same rows."""
    now_s = MIDNIGHT_S + 3000.0
    lived, told = tmp_path / "lived", tmp_path / "told"
    lived.mkdir()
    told.mkdir()
    start = start_of(configure(tmp_path), MIDNIGHT_S)
    ticks = [tick(MIDNIGHT_S + n, 10.0 + n, n) for n in range(200)]
    ticks[70:80] = [with_verdict(one, State.SAFE_STOP, "meter_lost") for one in ticks[70:80]]
    filled = HistoryDatabase(open_history(told / FILE), BERLIN, 92 * DAY_S, 10**8)
    for _ in range(2):  # again changes nothing
        filling = HistoryFilling(filled, lambda: now_s)
        book = MinuteBook(BERLIN, TARIFF, filling.take)
        books = JournalAccounting(BERLIN, Role.ABSORB, retold=book.take)
        books.take(start)
        for one in ticks:
            books.take(one)
        book.close()
        filling.flush()
    recorder = HistoryRecorder(lived / FILE, BERLIN, TARIFF, 92 * DAY_S, 10**8)
    recorder.start()
    figures = Figures(booked((start, ticks[0]))._life.figures.site, ABOUT, 0.0)  # type: ignore[union-attr]
    for one in ticks:
        figures.update(one.snapshot, one.decision, cost=Cost(), local=None)
        recorder.take(one, figures)
    recorder.stop()
    (at_lived,), (at_told,) = (
        HistoryReader(folder / FILE, BERLIN).days().values() for folder in (lived, told)
    )
    assert values(at_lived) == values(at_told)
    assert at_told.ticks == 200
    assert at_told.causes[(State.SAFE_STOP, "meter_lost")].lasted_s == 10.0
    assert at_told.energy.exported_j == pytest.approx(
        values(booked((start, *ticks)).total())["energy exported_j"], abs=2
    )
    states = [event.detail["state"] for event in HistoryReader(lived / FILE, BERLIN).events(0, 2e9)]
    assert states == [ticks[0].verdict.state.value, "safe_stop", ticks[0].verdict.state.value]


def test_a_kill_at_any_moment_loses_no_minute_that_was_over(tmp_path: Path) -> None:
    """The writer is gone without closing: what another connection reads is all that was given."""
    database = HistoryDatabase(open_history(tmp_path / FILE), BERLIN, 92 * DAY_S, 10**8)
    database.write([minute(MIDNIGHT_S)], [HistoryEvent(MIDNIGHT_S, "started")])
    for suffix in ("", "-wal"):  # what a power cut leaves: the files as they are, no clean end
        (tmp_path / f"copy.db{suffix}").write_bytes((tmp_path / f"{FILE}{suffix}").read_bytes())
    told = HistoryReader(tmp_path / "copy.db", BERLIN)
    assert [account.ticks for _, account in told.accounts("minute", 0, 2e9)] == [60]
    assert [event.name for event in told.events(0, 2e9)] == ["started"]


@pytest.mark.parametrize("damage", [b"no database at all", b"SQLite format 3\0" + bytes(range(256)) * 20])
@pytest.mark.parametrize("backed_up", [False, True])
def test_a_damaged_file_is_put_aside_and_the_history_goes_on(
    tmp_path: Path, damage: bytes, backed_up: bool
) -> None:
    file = tmp_path / FILE
    if backed_up:
        before = HistoryDatabase(open_history(file), BERLIN, 92 * DAY_S, 10**8)
        before.write([minute(MIDNIGHT_S)])
        before.backup(tmp_path / BACKUP)
        before.db.close()
        for suffix in ("-wal", "-shm"):
            (tmp_path / f"{FILE}{suffix}").unlink(missing_ok=True)
    file.write_bytes(damage)
    recorder = HistoryRecorder(file, BERLIN, TARIFF, 92 * DAY_S, 10**8)
    recorder.start()
    figures = Figures(SITE, ABOUT, 0.0)
    for number in range(61):
        one = tick(MIDNIGHT_S + 60 + number, 10.0 + number, number)
        recorder.take(one, figures)
    recorder.stop()
    told = HistoryReader(file, BERLIN)
    (aside,) = tmp_path.glob(f"{FILE}.damaged-*Z")
    assert aside.read_bytes() == damage
    assert len(told.accounts("minute", 0, 2e9)) == 2 + backed_up
    (event,) = [event for event in told.events(0, 2e9) if event.name == "history_damaged"]
    assert event.detail["begun"] == ("from the last backup" if backed_up else "anew")


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    db = open_history(tmp_path / FILE)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(HistoryUnusable, match="newer Sunkeep"):
        open_history(tmp_path / FILE)
    with pytest.raises(InputError, match="another version"):
        HistoryReader(tmp_path / FILE, BERLIN).days()


def test_a_folder_that_refuses_costs_nothing_but_the_history(tmp_path: Path) -> None:
    recorder = HistoryRecorder(tmp_path / "absent" / FILE, BERLIN, TARIFF, 92 * DAY_S, 10**8)
    recorder.start()
    figures = Figures(SITE, ABOUT, 0.0)
    for number in range(61):
        recorder.take(tick(MIDNIGHT_S + number, 10.0 + number, number), figures)
    recorder.stop()
    assert recorder.waiting == 2
    assert not recorder.is_failed


def test_a_fault_of_the_history_never_reaches_the_tick(tmp_path: Path) -> None:
    recorder = HistoryRecorder(tmp_path / FILE, BERLIN, TARIFF, 92 * DAY_S, 10**8)
    recorder.take(None, None)  # type: ignore[arg-type]
    assert recorder.is_failed
    recorder.stop()


def test_old_minutes_go_and_days_stay(database: HistoryDatabase, tmp_path: Path) -> None:
    now_s = MIDNIGHT_S + 200 * DAY_S
    database.write(minute(MIDNIGHT_S + DAY_S * day) for day in range(200))
    database.prune()
    assert [database.count(level)[0] for level in LEVELS] == [93, 200, 200]
    filling = HistoryFilling(database, lambda: now_s)
    filling.take(minute(MIDNIGHT_S + 60.0))  # forgotten, and known by its hour
    filling.flush()
    assert (filling.added, database.count("minute")[0]) == (0, 93)


def test_the_size_is_bounded_by_forgetting_the_oldest_minutes(tmp_path: Path) -> None:
    database = HistoryDatabase(open_history(tmp_path / FILE), BERLIN, 3660 * DAY_S, 250_000)
    slaves = {f"slave {n}": 100.0 for n in range(9)}
    database.write(minute(MIDNIGHT_S + 60 * n, **slaves) for n in range(1440))
    assert database.used_bytes() > 250_000
    database.prune()
    assert database.used_bytes() <= 250_000
    count, _, last = database.count("minute")
    assert 0 < count < 1440
    assert last == MIDNIGHT_S + 60 * (1440 - 1)
    assert sum(account.ticks for account in reader(database, tmp_path).days().values()) == 60 * 1440


def test_a_backup_is_whole_while_the_history_is_written(database: HistoryDatabase, tmp_path: Path) -> None:
    database.write([minute(MIDNIGHT_S)])
    database.backup(tmp_path / "copy.db")
    database.write([minute(MIDNIGHT_S + 60)])
    copy = sqlite3.connect(tmp_path / "copy.db")
    assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert copy.execute("SELECT count(*) FROM minute").fetchone() == (1,)
    copy.close()
    assert (tmp_path / "copy.db").stat().st_mode & 0o077 == 0


def test_ticks_before_the_clock_was_set_are_in_no_minute() -> None:
    given: list[HistoryMinute] = []
    book = MinuteBook(BERLIN, TARIFF, given.append)
    figures = Figures(SITE, ABOUT, 0.0)
    unset = snapshot(9.0, (0.0, 0.0, 0.0), hour=None, slaves=(SlaveState(),) * 9)
    book.take(tick(MIDNIGHT_S, 9.0, snapshot=unset), figures)
    book.take(tick(MIDNIGHT_S + 1, 10.0), figures)
    book.close()
    assert [one.account.ticks for one in given] == [1]


WINDOWS = TimeOfUse.of(
    TariffSection.model_validate(
        {
            "price_per_kwh": 0.4,
            "windows": [
                {"weekdays": ["mon"], "start": "22:00", "end": "06:00", "price_per_kwh": 0.2},
                {"start": "11:00", "end": "15:00", "price_per_kwh": 0.1, "feed_in_per_kwh": -0.05},
            ],
        }
    )
)


@pytest.mark.parametrize(
    ("local", "price", "feed_in"),
    [
        (datetime(2026, 6, 1, 21, 59, tzinfo=BERLIN), 0.4, 0.08),  # a Monday
        (datetime(2026, 6, 1, 22, 0, tzinfo=BERLIN), 0.2, 0.08),
        (datetime(2026, 6, 2, 5, 59, tzinfo=BERLIN), 0.2, 0.08),  # Tuesday, of Monday's night
        (datetime(2026, 6, 2, 6, 0, tzinfo=BERLIN), 0.4, 0.08),
        (datetime(2026, 6, 2, 23, 0, tzinfo=BERLIN), 0.4, 0.08),
        (datetime(2026, 6, 3, 12, 0, tzinfo=BERLIN), 0.1, -0.05),
        (datetime(2026, 6, 1, 3, 0, tzinfo=BERLIN), 0.4, 0.08),  # Monday before its own night
    ],
)
def test_prices_by_the_hour(local: datetime, price: float, feed_in: float) -> None:
    tariff = WINDOWS.at(local)
    assert (tariff.price_per_kwh, tariff.feed_in_per_kwh) == (price, feed_in)


def test_money_is_that_of_its_moment() -> None:
    account, energy = Account(), Account().energy
    energy.exported_j, energy.exported_without_j, energy.imported_j, energy.imported_without_j = (
        3.6e6, 10.8e6, 3.6e6, 3.6e6,
    )  # fmt: skip
    TARIFF.otherwise.book(account, energy, Role.ABSORB)
    assert account.saved == pytest.approx(2 * (0.30 - 0.08))
    assert account.spent == pytest.approx(0.30)
    assert account.earned == pytest.approx(0.08)
    assert account.co2_g == pytest.approx(800.0)
