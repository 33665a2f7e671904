"""What is stored about the devices of the network: the radio's database and the record of the last drill.

Reads only, also while the daemon runs, and without the radio.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from daemon.commissioning.radio_test_record import DrillResult
from drivers.errors import ConfigError
from drivers.zigbee.setpoint_frame import CLUSTER

_QUERY = """
SELECT d.ieee, d.nwk, d.last_seen,
  (SELECT value FROM attributes_cache_vN a
    WHERE a.ieee = d.ieee AND a.cluster_id = 0 AND a.attr_id = :manufacturer),
  (SELECT value FROM attributes_cache_vN a
    WHERE a.ieee = d.ieee AND a.cluster_id = 0 AND a.attr_id = :model),
  EXISTS (SELECT 1 FROM clusters_vN c WHERE c.ieee = d.ieee AND c.cluster_id = :setpoints)
FROM devices_vN d LEFT JOIN node_descriptors_vN n ON n.ieee = d.ieee
WHERE n.logical_type IS NOT :coordinator
"""
"""Names of manufacturer and model are attributes of the Basic cluster (0). The tables of zigpy carry the
version of their layout, N, in their names; the database tells it."""


@dataclass(frozen=True, slots=True)
class KnownDevice:
    """One device. `ieee` is None for an address that only the drill has heard.

    `is_slave`: has the cluster of the setpoint protocol. `slot` is the one it answered for in the last drill,
    None when it did not, or when there was no drill.
    """

    ieee: str | None
    address: int
    last_seen_utc: str | None
    manufacturer: str | None
    model: str | None
    is_slave: bool
    slot: int | None


def known_devices(database: Path, drill: DrillResult | None) -> list[KnownDevice]:
    """Every device that is stored, without the coordinator itself, sorted by slot, then address.

    Args:
        database: of the radio.
        drill: what the last drill found.

    Raises:
        ConfigError: there is no database, or it is not one that this version reads.
    """
    if not database.exists():
        raise ConfigError(
            f"there is no database at {database}: nothing has joined yet. Form a network with "
            "`sunkeep zigbee form`, then let the devices join with `sunkeep zigbee permit`"
        )
    slots = _slots(drill)
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            devices = [_device(row, slots) for row in _rows(connection)]
    except (sqlite3.Error, TypeError, ValueError, OverflowError, OSError) as error:  # SQLite keeps any type
        raise ConfigError(
            f"{database} cannot be read ({error}). It must be the database of this version's radio; run this "
            "as the daemon's user"
        ) from None
    stored = {device.address for device in devices}
    devices += [
        KnownDevice(None, address, None, None, None, is_slave=True, slot=slot)
        for address, slot in slots.items()
        if address not in stored
    ]
    return sorted(devices, key=lambda d: (d.slot is None, d.slot, d.address))


def _rows(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    layout = int(connection.execute("PRAGMA user_version").fetchone()[0])
    parameters = {"manufacturer": 0x0004, "model": 0x0005, "setpoints": CLUSTER, "coordinator": 0}
    return connection.execute(_QUERY.replace("_vN", f"_v{layout}"), parameters).fetchall()


def _device(row: tuple[Any, ...], slots: dict[int, int]) -> KnownDevice:
    ieee, address, last_seen_s, manufacturer, model, is_slave = row
    seen = datetime.fromtimestamp(last_seen_s, UTC).isoformat(timespec="seconds") if last_seen_s > 0 else None
    return KnownDevice(
        str(ieee),
        int(address),
        seen,
        None if manufacturer is None else str(manufacturer),
        None if model is None else str(model),
        bool(is_slave),
        slots.get(int(address)),
    )


def _slots(drill: DrillResult | None) -> dict[int, int]:
    """Which slot answered from which network address in the drill."""
    found = () if drill is None else drill.slots
    return {slot.address: slot.slot for slot in found if slot.address is not None}
