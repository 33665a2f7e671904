"""Orders about devices: taken, kept over a restart, carried out by the daemon, ended, journalled."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from core.estimation.following import Deviation, NotFollowing
from core.roles import Role
from core.site import Site, Slave
from core.snapshot import DeviceOrder, SlaveState
from daemon.commands.boost import boost
from daemon.commands.engineering.replay import replay
from daemon.commands.holiday import holiday
from daemon.commands.priorities import priorities
from daemon.commands.status import _ordered
from daemon.commissioning.embedded_site import CONFIG_FILE
from daemon.journal.reader import read_journal
from daemon.journal.records import Event
from daemon.monitoring.messages import headline
from daemon.monitoring.status import document
from daemon.monitoring.telemetry import DeviceOrders, HolidayOrder
from daemon.operators.order_requests import BOOST_MAX_S, OrderRefused, OrderRequests
from daemon.operators.orders import OrderBook
from tests.support.full_daemon import until, whole
from tests.support.telemetry_feed import decision

SITE = Site((Slave(0, "boiler", 0, 3000), Slave(1, "heater", 1, 2000), Slave(2, "car", 2, 3680, 1380)))
STATES = (SlaveState(),) * 3
NOW_S = 1_780_000_000.0


class Owner:
    """A book with a clock of its own, and what was recorded of it."""

    def __init__(self, folder: Path, site: Site = SITE) -> None:
        self.now_s: float | None = NOW_S
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.book = OrderBook.restored(folder, site, lambda: self.now_s, self.note)
        self.requests = OrderRequests(self.book, self.note, lambda: self.now_s or NOW_S)

    def note(self, name: str, **detail: Any) -> None:
        self.events.append((name, detail))

    async def say(self, **request: Any) -> dict[str, Any]:
        return await self.requests.answer(request, 1000)

    def orders(self) -> list[DeviceOrder | None]:
        return [state.order for state in self.book.into(STATES)]

    def live(self, *not_following: NotFollowing) -> None:
        """One tick."""
        states = self.book.into(STATES)
        self.book.tell(states, decision(not_following=not_following))


def full(limit_w: int, slave: int = 0) -> NotFollowing:
    return NotFollowing(slave, Deviation.DRAWS_LESS, limit_w)


async def test_a_boost_outlives_a_restart_and_ends_by_its_time(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    answer = await owner.say(command="boost", slave="boiler", until_unix_s=NOW_S + 60.0)
    assert answer["boosts"] == {"boiler": NOW_S + 60.0}
    again = Owner(tmp_path)
    assert again.orders() == [DeviceOrder.BOOST, None, None]
    again.now_s = None  # nobody knows when it would end
    assert again.orders() == [None, None, None]
    again.now_s = NOW_S + 60.0
    assert again.orders() == [None, None, None]
    assert again.events == [("boost_ended", {"slave": "boiler", "why": "time"})]
    await again.book.close()
    assert Owner(tmp_path).book.orders == DeviceOrders()


async def test_without_a_time_it_ends_when_the_device_takes_no_more(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    answer = await owner.say(command="boost", slave="boiler", until_unix_s=None)
    assert answer["boosts"] == {"boiler": NOW_S + BOOST_MAX_S}
    owner.live()
    owner.live(full(100, slave=1))  # another device
    assert owner.orders()[0] is DeviceOrder.BOOST
    owner.live(full(20))
    assert owner.orders()[0] is None
    assert owner.events[-1] == ("boost_ended", {"slave": "boiler", "why": "takes_no_more"})
    await owner.book.close()


async def test_one_that_was_full_before_is_tried_before_it_is_given_up(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    await owner.say(command="boost", slave="boiler", until_unix_s=None)
    for limit_w in (20, 20, 420, 420):  # found before the boost; then tried with a little more
        owner.live(full(limit_w))
    assert owner.orders()[0] is DeviceOrder.BOOST
    owner.live(full(20))
    assert owner.orders()[0] is None
    await owner.book.close()


async def test_a_holiday_rests_all_but_the_kept_and_a_boost_counts_more(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    await owner.say(command="holiday", until_unix_s=NOW_S + 86_400.0, kept=["car"])
    assert owner.orders() == [DeviceOrder.REST, DeviceOrder.REST, None]
    owner.now_s = None
    assert owner.orders() == [DeviceOrder.REST, DeviceOrder.REST, None]
    owner.now_s = NOW_S
    await owner.say(command="boost", slave="heater", until_unix_s=None)
    assert owner.orders() == [DeviceOrder.REST, DeviceOrder.BOOST, None]
    owner.now_s = NOW_S + 86_400.0
    assert owner.orders() == [None, None, None]
    assert {name for name, _ in owner.events} >= {"holiday_ordered", "holiday_ended", "boost_ended"}
    await owner.book.close()


async def test_who_is_named_is_served_before_all_others(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    await owner.say(command="priorities", first=["car", "boiler"])
    assert [state.priority for state in owner.book.into(STATES)] == [-1, None, -2]
    assert Owner(tmp_path).book.orders.first == ("car", "boiler")
    await owner.say(command="priorities", first=[])
    assert owner.book.into(STATES) is STATES


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({"command": "boost", "slave": "sauna", "until_unix_s": None}, "no device is called 'sauna'"),
        ({"command": "boost", "slave": "boiler", "until_unix_s": NOW_S}, "in the future"),
        ({"command": "boost", "slave": "boiler", "until_unix_s": NOW_S + 86_401.0}, "within 24 hours"),
        ({"command": "boost", "slave": "boiler", "until_unix_s": float("nan")}, "in the future"),
        ({"command": "boost", "slave": "boiler"}, "not a request"),
        ({"command": "end_boost", "slave": "boiler"}, "is not boosted"),
        ({"command": "holiday", "until_unix_s": NOW_S - 1.0, "kept": []}, "in the future"),
        ({"command": "holiday", "until_unix_s": NOW_S + 9.0, "kept": ["x"]}, "no device is called"),
        ({"command": "end_holiday"}, "no holiday"),
        ({"command": "priorities", "first": ["car", "car"]}, "named twice"),
        ({"command": "priorities", "first": [3]}, "no device is called"),
    ],
)
async def test_what_cannot_be_done_is_refused_in_words(
    tmp_path: Path, request_: dict[str, Any], why: str
) -> None:
    owner = Owner(tmp_path)
    with pytest.raises(OrderRefused, match=why):
        await owner.requests.answer(request_, 0)
    assert owner.book.orders == DeviceOrders()
    assert not owner.events


async def test_who_may_not_draw_or_feeds_in_is_not_boosted(tmp_path: Path) -> None:
    unproven = Site((replace(SITE.slaves[0], may_draw=False),))
    with pytest.raises(OrderRefused, match="sunkeep commission"):
        await Owner(tmp_path, unproven).say(command="boost", slave="boiler", until_unix_s=None)
    with pytest.raises(OrderRefused, match="feed in"):
        await Owner(tmp_path, replace(SITE, role=Role.GENERATE)).say(
            command="boost", slave="boiler", until_unix_s=None
        )


async def test_a_damaged_record_orders_nothing_and_a_full_disk_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Owner(tmp_path).say(command="boost", slave="boiler", until_unix_s=None)
    for copy in tmp_path.glob("orders.*"):
        copy.write_bytes(b"nothing")
    owner = Owner(tmp_path)
    assert owner.book.orders == DeviceOrders()

    def refuse(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(owner.book.file, "save", refuse)
    with pytest.raises(OrderRefused, match="No space left"):
        await owner.say(command="priorities", first=["car"])
    assert owner.book.orders == DeviceOrders()


async def test_a_device_that_was_renamed_is_left_alone(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    owner.book.orders = DeviceOrders({"gone": NOW_S + 60.0}, ("gone",), HolidayOrder(NOW_S + 60.0, ("gone",)))
    assert owner.orders() == [DeviceOrder.REST] * 3
    owner.live()
    assert [state.priority for state in owner.book.into(STATES)] == [None] * 3


async def test_the_running_daemon_does_what_it_is_told_and_its_journal_replays(tmp_path: Path) -> None:
    """At night, on real wires."""

    async def command(what: click.Command, *arguments: str) -> str:
        config = ["--config", str(tmp_path / CONFIG_FILE)]
        done = await asyncio.to_thread(CliRunner().invoke, what, [*arguments, *config])
        return done.output or str(done.exception)

    async with whole(tmp_path, period_s=0.1, start_s=0.0) as pair:
        await until(lambda: pair.service.figures and pair.service.figures.ticks > 20, 20.0)
        figures = pair.service.figures
        assert figures is not None
        slave = figures.site.slaves[2]
        assert "at the latest until" in await command(boost, slave.name, "--for", "2h")
        await until(lambda: pair.reference_w()[2] > 0.9 * slave.max_w, 30.0)
        assert sum(w > 0.0 for w in pair.reference_w().values()) == 1
        assert headline(figures).text.startswith(f"Boosted: {slave.name}; ")
        (line,) = _ordered(document(figures, 0.0)["orders"])
        assert line.startswith(f"boosted  {slave.name} gets ")
        assert "no device is called" in await command(boost, "sauna")
        assert "usual again" in await command(boost, slave.name, "--end")
        await until(lambda: sum(pair.reference_w().values()) == 0.0, 30.0)
        assert f"Served first: {slave.name}." in await command(priorities, slave.name)
        end = f"{datetime.now().astimezone() + timedelta(days=9):%Y-%m-%d}"
        assert f"{slave.name} goes on" in await command(holiday, "--until", end, "--keep", slave.name)
        ticks = figures.ticks
        await until(lambda: figures.ticks > ticks + 2, 20.0)
        said = _ordered(document(figures, 0.0)["orders"])
        assert said == [f"first    {slave.name}", f"holiday  until {end} 00:00, but for {slave.name}"]
        assert "The holiday is over" in await command(holiday, "--end")
        await pair.stop()
    done = CliRunner().invoke(replay, [str(tmp_path / "journal"), "--json"])
    assert '"different": 0' in done.output
    events = [one.event for one in read_journal(tmp_path / "journal") if isinstance(one, Event)]
    wanted = ["boosted", "boost_ended", "priorities_ordered", "holiday_ordered", "holiday_ended"]
    assert [one for one in events if one in wanted] == wanted
    orders = {s.order for tick in pair.ticks() for s in tick.snapshot.slaves}
    assert orders == {None, DeviceOrder.BOOST, DeviceOrder.REST}
