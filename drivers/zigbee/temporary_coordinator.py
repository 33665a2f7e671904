"""A coordinator for one command: opened, used, closed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from zigpy.exceptions import DeliveryError

from drivers.errors import ConfigError, reason
from drivers.zigbee.coordinator import Coordinator
from drivers.zigbee.settings import ZigbeeSettings

TABLE_FULL_TRIES, TABLE_FULL_AGAIN_S = 4, 3.0
"""A network carries 8 broadcasts in 9 s (Silicon Labs, AN1138)."""


@asynccontextmanager
async def temporary_coordinator(settings: ZigbeeSettings, **how: Any) -> AsyncIterator[Coordinator]:
    """A coordinator for one command; `how` as for `Coordinator.start`.

    Raises:
        ConfigError: it cannot be reached, in words that say what to do.
    """
    try:
        app = await _started(settings, **how)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"no coordinator answers at {settings.path} ({reason(error)}). Check the path and the cable, and "
            "that no other program (a running daemon, zigbee2mqtt) uses it"
        ) from error
    try:
        yield app
    finally:
        await app.close()


async def _started(settings: ZigbeeSettings, **how: Any) -> Coordinator:
    """A start broadcasts, which the coordinator refuses right after a command that has filled its table."""
    for _ in range(TABLE_FULL_TRIES):
        try:
            return await Coordinator.start(settings, **how)
        except DeliveryError:
            await asyncio.sleep(TABLE_FULL_AGAIN_S)
    return await Coordinator.start(settings, **how)
