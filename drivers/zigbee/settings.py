"""What the radio is told: where its coordinator is, and how zigpy and bellows are set up for it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zigpy.config

from drivers.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ZigbeeSettings:
    """Where the coordinator is and who listens behind it.

    `path` is a serial device (use /dev/serial/by-id/...) or ``socket://host:port``. `database` keeps the
    devices and backups of the network; with None nothing survives a restart but what the coordinator
    itself holds. `slots` are those of the commissioned slaves.
    """

    path: str
    slots: tuple[int, ...]
    baudrate: int = 115200
    flow_control: str | None = None
    channel: int = 15
    database: Path | None = None


def stack_config(settings: ZigbeeSettings) -> dict[str, Any]:
    """The configuration of zigpy and bellows."""
    persistent = settings.database is not None
    return {
        zigpy.config.CONF_DEVICE: {
            zigpy.config.CONF_DEVICE_PATH: settings.path,
            zigpy.config.CONF_DEVICE_BAUDRATE: settings.baudrate,
            zigpy.config.CONF_DEVICE_FLOW_CONTROL: settings.flow_control,
        },
        zigpy.config.CONF_DATABASE: str(settings.database) if persistent else None,
        # a thread of its own costs twice the processor time and wins nothing at one frame a second
        "use_thread": False,
        # both would spend broadcasts and unicasts of their own
        zigpy.config.CONF_OTA: {zigpy.config.CONF_OTA_ENABLED: False},
        zigpy.config.CONF_TOPO_SCAN_ENABLED: False,
        zigpy.config.CONF_NWK_BACKUP_ENABLED: persistent,
        zigpy.config.CONF_NWK_VALIDATE_SETTINGS: persistent,
        zigpy.config.CONF_SOURCE_ROUTING: False,
        zigpy.config.CONF_NWK: {zigpy.config.CONF_NWK_CHANNEL: settings.channel},
    }


def protect(database: Path | None) -> None:
    """The database holds the network key in clear: make it the owner's alone before sqlite opens it.

    Raises:
        ConfigError: it cannot be opened.
    """
    if database is None:
        return
    try:
        os.close(os.open(database, os.O_RDWR | os.O_CREAT, 0o600))
        database.chmod(0o600)
    except OSError as error:
        raise ConfigError(f"the database {database} cannot be opened: {error.strerror}") from error
