"""Sends notices over whatever the owner has: mail, ntfy, a webhook and all else that apprise speaks."""

import asyncio
import logging
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from daemon.config.gateway_sections import NotifySection
from daemon.config.private_file import read_private
from daemon.errors import StartError
from daemon.gateway.notices import Notice, NoticeMemory, conditions, step
from daemon.gateway.status_client import StatusReading
from daemon.system.log import log

LOOK_EVERY_S = 10.0
SEND_S = 60.0
"""A service that takes longer is given up for this notice."""


class Sender(Protocol):
    """Sends one notice to every address. Gives how many addresses took it, and how many there are."""

    async def __call__(self, notice: Notice) -> tuple[int, int]: ...


@dataclass(frozen=True, slots=True)
class Notifier:
    """Watches a status and sends what is due.

    Args:
        read: the newest status of the daemon.
        clock: any clock that never goes back, in s.
    """

    section: NotifySection
    read: Callable[[], Awaitable[StatusReading]]
    send: Sender
    clock: Callable[[], float]

    async def run(self) -> None:
        """Watch until cancelled."""
        memory = NoticeMemory()
        while True:
            memory = await self.look(memory)
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self, memory: NoticeMemory) -> NoticeMemory:
        """One look, and the notices that follow from it."""
        now = list(conditions(await self.read(), self.section.after_s))
        notices, memory = step(memory, now, self.clock(), self.section.per_day_max)
        for notice in notices:
            took, asked = await self.send(notice)
            say = log.info if took == asked else log.warning
            say("notice_sent", text=notice.body, addresses=asked, reached=took)
        return memory


def read_addresses(section: NotifySection) -> list[str]:
    """The addresses of the owner, one per line; lines that begin with # are remarks.

    Raises:
        StartError: the file cannot be used, holds none, or holds one that nobody understands.
    """
    lines = map(str.strip, read_private(section.addresses_file, "[notify] addresses_file").splitlines())
    addresses = [line for line in lines if line and not line.startswith("#")]
    if not addresses:
        raise StartError(
            f"[notify] addresses_file {section.addresses_file} holds no address. Write one per line."
        )
    return addresses


def sender(addresses: list[str]) -> Sender:
    """What sends to these addresses.

    Raises:
        StartError: apprise is not installed, or does not understand an address.
    """
    try:
        from apprise import Apprise, NotifyType  # noqa: PLC0415 - an extra: not every site sends notices
    except ModuleNotFoundError:
        raise StartError(
            "[notify] needs the package apprise, which is not installed. Run: pip install 'sunkeep[notify]'"
        ) from None
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its lines hold addresses, and they passwords
    services = []
    for number, address in enumerate(addresses, 1):
        with warnings.catch_warnings():  # some services import modules that Python will drop
            warnings.simplefilter("ignore", DeprecationWarning)
            service = Apprise.instantiate(address)
        if service is None:
            raise StartError(
                f"[notify] address {number} ({urlsplit(address).scheme}://...) is not understood. "
                "The forms are listed at https://github.com/caronc/apprise/wiki."
            )
        services.append(service)

    async def send(notice: Notice) -> tuple[int, int]:
        kind = NotifyType.SUCCESS if notice.is_over else NotifyType.WARNING
        took = await asyncio.gather(*(one_took(service, notice, kind) for service in services))
        return sum(took), len(services)

    async def one_took(service: object, notice: Notice, kind: NotifyType) -> bool:
        every = Apprise()
        every.add(service)  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(SEND_S):
                return bool(await every.async_notify(body=notice.body, title=notice.title, notify_type=kind))
        except TimeoutError:
            return False

    return send
