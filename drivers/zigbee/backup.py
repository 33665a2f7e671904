"""The coordinator's network on disk: making it, backing it up, restoring it onto a blank stick."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Any

from zigpy.backups import NetworkBackup

from drivers.errors import ConfigError, Transient, reason
from drivers.zigbee.coordinator import (
    NO_NETWORK,
    OTHER_NETWORK,
    Coordinator,
    NetworkInfo,
)
from drivers.zigbee.settings import ZigbeeSettings
from drivers.zigbee.temporary_coordinator import temporary_coordinator

FRAMES_PER_S_MAX = 10.0
"""More than a coordinator sends: 30 slaves that report every 5 s are acknowledged 6 times a second, setpoints
go out 0.5 times, and it relays a little. Slaves drop every frame whose counter is not beyond the last one."""
COUNTER_MAX = 0xF000_0000
"""Beyond this the 32-bit counter of the network layer must not be moved: a network needs room to live."""


@dataclass(frozen=True, slots=True)
class Formed:
    """The network that a blank coordinator has now, and whether it came from a backup."""

    network: NetworkInfo
    restored: bool


async def form(settings: ZigbeeSettings, backup: NetworkBackup | None = None) -> Formed:
    """Give a blank coordinator a network: a backup, else the newest one of the database, else a new one.

    Raises:
        ConfigError: it has one already, it cannot be reached, or the backup is of another network than the
            database remembers.
    """
    try:
        async with temporary_coordinator(settings) as app:
            network = app.network
    except ConfigError as error:
        if str(error) != NO_NETWORK:
            raise
    else:
        found = f"PAN id 0x{network.pan_id:04x}, channel {network.channel}"
        raise ConfigError(f"this coordinator has a network already: {found}")
    restored = False

    def prepare(app: Coordinator) -> None:
        nonlocal restored
        restored = _offer(app, backup)

    async with temporary_coordinator(settings, auto_form=True, before=prepare) as app:
        if settings.database is not None:
            await app.backups.create_backup()
        return Formed(app.network, restored)


async def back_up(settings: ZigbeeSettings) -> dict[str, Any]:
    """The network and its keys, in the open coordinator backup format.

    Raises:
        ConfigError: there is no network, or no coordinator.
        Transient: the coordinator was lost meanwhile.
    """
    async with temporary_coordinator(settings) as app:
        try:
            backup = await app.backups.create_backup()
        except Exception as error:  # whatever a dying bellows comes up with
            raise Transient(f"the coordinator did not tell its settings: {reason(error)}") from error
        return dict(backup.as_open_coordinator_json())


def read_backup(file: Path) -> NetworkBackup:
    """A backup file, of this program or another that writes the open coordinator backup format.

    Raises:
        ConfigError: it cannot be read, or is no whole backup. The message holds nothing of its content.
    """
    try:
        content = json.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError:
        content = None
    return parsed_backup(content, str(file))


def parsed_backup(content: Any, name: str) -> NetworkBackup:
    """A backup from plain JSON values; `name` is what a message calls it.

    Raises:
        ConfigError: it is no whole backup. The message holds nothing of its content.
    """
    try:
        backup = NetworkBackup.from_dict(content)
        whole = backup.is_complete()
    except Exception:  # noqa: BLE001  # a foreign file breaks zigpy's reader anywhere, and the text may hold keys
        whole = False
    if not whole:
        raise ConfigError(f"{name} is not a whole backup in the open coordinator backup format")
    return backup


def advance_frame_counter(backup: NetworkBackup, now_utc: datetime) -> NetworkBackup:
    """The same network with a frame counter beyond what was sent since the backup was made.

    zigpy adds 10,000 to it when it restores, which a running site uses up within hours.
    """
    key = backup.network_info.network_key
    age_s = max(0.0, (now_utc - backup.backup_time).total_seconds())
    counter = max(key.tx_counter, min(key.tx_counter + ceil(age_s * FRAMES_PER_S_MAX), COUNTER_MAX))
    network_info = backup.network_info.replace(network_key=key.replace(tx_counter=counter))
    return backup.replace(network_info=network_info)


def _offer(app: Coordinator, backup: NetworkBackup | None) -> bool:
    """Make the backup that zigpy restores onto a blank coordinator the right one; False if there is none."""
    known = list(app.backups.backups)
    if backup is not None and not _all_of(_id(backup), known):
        raise ConfigError(f"the backup is of another network than the database: {OTHER_NETWORK}")
    offered = known[-1:] if backup is None else [*known, backup]
    if offered:
        now_utc = datetime.now(UTC)
        moved = (advance_frame_counter(one, now_utc) for one in offered)
        app.backups.add_backup(max(moved, key=lambda one: int(one.network_info.network_key.tx_counter)))
    return bool(offered)


def _id(backup: NetworkBackup) -> Any:
    return backup.network_info.extended_pan_id


def _all_of(network_id: Any, backups: Iterable[NetworkBackup]) -> bool:
    return all(_id(backup) == network_id for backup in backups)
