"""Orders of the owner as requests to the running daemon: what is accepted, and what is said to the rest.

- ``{"command": "boost", "slave": NAME, "until_unix_s": SECONDS or null}`` gives a device power without a
  surplus until then, at most for a day, or until it takes no more;
- ``{"command": "end_boost", "slave": NAME}`` ends that;
- ``{"command": "priorities", "first": [NAME, ...]}`` serves these before all others, in this order; an empty
  list goes back to the configuration;
- ``{"command": "holiday", "until_unix_s": SECONDS, "kept": [NAME, ...]}`` lets every device rest but those
  that are kept, and ``{"command": "end_holiday"}`` ends that.

Every answer holds all orders in force.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from core.roles import Role
from core.site import Slave
from daemon.monitoring.telemetry import DeviceOrders, HolidayOrder
from daemon.operators.orders import BY_OWNER, OrderBook, plain

COMMANDS = frozenset(("boost", "end_boost", "priorities", "holiday", "end_holiday"))
BOOST_MAX_S = 86_400.0
"""A forgotten boost must not heat from the grid for ever: a boiler of 300 l takes six hours at 3 kW."""
HOLIDAY_MAX_S = 366 * 86_400.0


class OrderRefused(Exception):
    """An order that is not taken. The message says why and what to do."""


@dataclass(slots=True)
class OrderRequests:
    """Answers requests about one site's devices."""

    book: OrderBook
    event: Callable[..., None]
    clock: Callable[[], float] = time.time

    async def answer(self, request: dict[str, Any], user_id: int) -> dict[str, Any]:
        """Do what is asked for.

        Raises:
            OrderRefused: it is not done.
        """
        orders = self.book.orders
        match request:
            case {"command": "boost", "slave": str(name), "until_unix_s": None | float() | int() as until_s}:
                end_s = self._boost_end_s(until_s)
                self._boostable(name)
                await self._put(replace(orders, boosts={**orders.boosts, name: end_s}))
                self.event("boosted", slave=name, until_unix_s=end_s, user_id=user_id)
            case {"command": "end_boost", "slave": str(name)}:
                if name not in orders.boosts:
                    raise OrderRefused(f"{name} is not boosted.")
                left = {other: end for other, end in orders.boosts.items() if other != name}
                await self._put(replace(orders, boosts=left))
                self.event("boost_ended", slave=name, why=BY_OWNER, user_id=user_id)
            case {"command": "priorities", "first": list(names)}:
                first = self._known(names)
                await self._put(replace(orders, first=first))
                self.event("priorities_ordered", first=list(first), user_id=user_id)
            case {"command": "holiday", "until_unix_s": float() | int() as until_s, "kept": list(names)}:
                if not 0.0 < until_s - self.clock() <= HOLIDAY_MAX_S:
                    raise OrderRefused("a holiday ends in the future, and within a year.")
                holiday = HolidayOrder(float(until_s), self._known(names))
                await self._put(replace(orders, holiday=holiday))
                self.event("holiday_ordered", until_unix_s=until_s, kept=list(holiday.kept), user_id=user_id)
            case {"command": "end_holiday"}:
                if orders.holiday is None:
                    raise OrderRefused("there is no holiday.")
                await self._put(replace(orders, holiday=None))
                self.event("holiday_ended", why=BY_OWNER, user_id=user_id)
            case _:
                raise OrderRefused("not a request of this version")
        return plain(self.book.orders)

    def _boost_end_s(self, until_s: float | None) -> float:
        now_s = self.clock()
        if until_s is None:
            return now_s + BOOST_MAX_S
        if not 0.0 < until_s - now_s <= BOOST_MAX_S:
            raise OrderRefused("a boost ends in the future, and within 24 hours.")
        return float(until_s)

    def _boostable(self, name: str) -> None:
        slave = self._slave(name)
        if self.book.site.role is Role.GENERATE:
            raise OrderRefused("devices that feed in cannot be boosted.")
        if not slave.may_draw:
            raise OrderRefused(
                f"{name} may be told nothing but 0 W: nobody has proven that it lets go by itself. "
                "`sunkeep commission` proves it."
            )

    def _known(self, names: list[Any]) -> tuple[str, ...]:
        known = tuple(self._slave(str(name)).name for name in names)
        if len(set(known)) < len(known):
            raise OrderRefused("a device is named twice.")
        return known

    def _slave(self, name: str) -> Slave:
        slaves = self.book.site.slaves
        found = next((slave for slave in slaves if slave.name == name), None)
        if found is None:
            names = ", ".join(slave.name for slave in slaves)
            raise OrderRefused(f"no device is called {name[:40]!r}. There are: {names}.")
        return found

    async def _put(self, orders: DeviceOrders) -> None:
        try:
            await self.book.put(orders)
        except OSError as error:
            raise OrderRefused(
                f"it could not be saved ({error.strerror}). Make room, and try again."
            ) from None
