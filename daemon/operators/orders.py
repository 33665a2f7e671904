"""Orders about single devices: kept, put into every snapshot, ended when their time or purpose is over."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Any

from core.decision import Decision
from core.estimation.following import Deviation
from core.site import Site
from core.snapshot import DeviceOrder, SlaveState
from daemon.monitoring.telemetry import DeviceOrders, HolidayOrder
from daemon.system.log import log
from daemon.system.state_file import StateFile

_VERSION = 1
BY_TIME, BY_FULL, BY_OWNER = "time", "takes_no_more", "owner"
"""Why a boost ended."""


@dataclass(slots=True)
class OrderBook:
    """The orders in force, and where they are kept.

    Args:
        unix_s: the wall clock, None until it is synchronised: then nothing is boosted, for nobody knows when
            it ends, and a holiday goes on.
        event: records the end of an order in journal and log.
    """

    site: Site
    file: StateFile
    unix_s: Callable[[], float | None]
    event: Callable[..., None]
    orders: DeviceOrders = field(default_factory=DeviceOrders)
    _limits_w: dict[str, int | None] = field(default_factory=dict)
    """Of devices that were boosted in the last tick: what they could be told, None for all."""
    _saving: asyncio.Task[None] | None = None

    @classmethod
    def restored(
        cls, directory: Path, site: Site, unix_s: Callable[[], float | None], event: Callable[..., None]
    ) -> "OrderBook":
        """As it was when the daemon ended; a record that nobody can read orders nothing."""
        book = cls(site, StateFile(directory / "orders"), unix_s, event)
        record = book.file.load()
        if record is None:
            if not book.file.is_new():
                log.warning("orders_lost", reason="their record is damaged", remedy="give them again")
            return book
        book.orders = _from_record(record)
        return book

    async def put(self, orders: DeviceOrders) -> None:
        """These count from now on.

        Raises:
            OSError: they could not be saved, and nothing was changed.
        """
        await self._saved()
        await asyncio.to_thread(self.file.save, _to_record(orders))
        self.orders = orders

    def into(self, states: tuple[SlaveState, ...]) -> tuple[SlaveState, ...]:
        """The slaves as the next decision shall take them; ends what is over by time."""
        now_s = self.unix_s()
        self._end_by_time(now_s)
        orders = self.orders
        if not (orders.boosts or orders.first or orders.holiday):
            return states
        names = [slave.name for slave in self.site.slaves]
        places = {name: at - len(orders.first) for at, name in enumerate(orders.first)}
        return tuple(
            replace(state, order=_order_of(name, orders, now_s), priority=places.get(name))
            for name, state in zip(names, states, strict=True)
        )

    def tell(self, states: tuple[SlaveState, ...], decision: Decision) -> None:
        """Take in one tick: a boosted device that is found to take no more ends its boost.

        One that did not follow before its boost is tried again as ever, and ends it when the try is in vain.
        """
        limits_w = {
            one.slave: one.limit_w for one in decision.not_following if one.deviation is Deviation.DRAWS_LESS
        }
        seen: dict[str, int | None] = {}
        for place, (slave, state) in enumerate(zip(self.site.slaves, states, strict=True)):
            if state.order is not DeviceOrder.BOOST or slave.name not in self.orders.boosts:
                continue
            limit_w = seen[slave.name] = limits_w.get(place)
            if slave.name in self._limits_w and limit_w is not None:
                before_w = self._limits_w[slave.name]
                if before_w is None or limit_w < before_w:
                    self._end([slave.name], BY_FULL)
        self._limits_w = {name: limit_w for name, limit_w in seen.items() if name in self.orders.boosts}

    async def close(self) -> None:
        """Wait for what is being saved."""
        await self._saved()

    def _end_by_time(self, now_s: float | None) -> None:
        if now_s is None:
            return
        over = [name for name, until_s in self.orders.boosts.items() if not now_s < until_s]
        if over:
            self._end(over, BY_TIME)
        holiday = self.orders.holiday
        if holiday is not None and not now_s < holiday.until_unix_s:
            self._change(replace(self.orders, holiday=None))
            self.event("holiday_ended", why=BY_TIME)

    def _end(self, names: list[str], why: str) -> None:
        left = {name: until_s for name, until_s in self.orders.boosts.items() if name not in names}
        self._change(replace(self.orders, boosts=left))
        for name in names:
            self.event("boost_ended", slave=name, why=why)

    def _change(self, orders: DeviceOrders) -> None:
        """Beside the tick onto the disk; what a power cut loses of it ends once more."""
        self.orders = orders
        self._saving = asyncio.create_task(self._save(self._saving), name="orders")

    async def _save(self, before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await asyncio.wait([before])
        try:
            await asyncio.to_thread(self.file.save, _to_record(self.orders))
        except OSError as error:
            log.warning("orders_unwritable", reason=error.strerror)

    async def _saved(self) -> None:
        if self._saving is not None:
            await asyncio.wait([self._saving])
            self._saving = None


def _order_of(name: str, orders: DeviceOrders, now_s: float | None) -> DeviceOrder | None:
    """A boost is the younger order of the two, and the shorter one."""
    if name in orders.boosts and now_s is not None:
        return DeviceOrder.BOOST
    holiday = orders.holiday
    return DeviceOrder.REST if holiday is not None and name not in holiday.kept else None


def plain(orders: DeviceOrders) -> dict[str, Any]:
    """All orders as plain values."""
    holiday = orders.holiday
    return {
        "boosts": dict(orders.boosts),
        "first": list(orders.first),
        "holiday": None
        if holiday is None
        else {"until_unix_s": holiday.until_unix_s, "kept": list(holiday.kept)},
    }


def _to_record(orders: DeviceOrders) -> dict[str, Any]:
    return {"schema_version": _VERSION, **plain(orders)}


def _from_record(record: Mapping[str, Any]) -> DeviceOrders:
    """Of a record that this release wrote; of anything else no order."""
    try:
        if record["schema_version"] != _VERSION:
            return DeviceOrders()
        boosts = {str(name): float(until_s) for name, until_s in record["boosts"].items()}
        holiday = record["holiday"]
        return DeviceOrders(
            {name: until_s for name, until_s in boosts.items() if isfinite(until_s)},
            tuple(map(str, record["first"])),
            None
            if holiday is None
            else HolidayOrder(float(holiday["until_unix_s"]), tuple(map(str, holiday["kept"]))),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return DeviceOrders()
