"""A coordinator for one command: opened, used, closed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from drivers.errors import ConfigError, reason
from drivers.zigbee.coordinator import Coordinator
from drivers.zigbee.settings import ZigbeeSettings


@asynccontextmanager
async def temporary_coordinator(settings: ZigbeeSettings, **how: Any) -> AsyncIterator[Coordinator]:
    """A coordinator for one command; `how` as for `Coordinator.start`.

    Raises:
        ConfigError: it cannot be reached, in words that say what to do.
    """
    try:
        app = await Coordinator.start(settings, **how)
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
