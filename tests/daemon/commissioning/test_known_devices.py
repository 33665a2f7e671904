"""What the radio's database and the last drill tell of devices, and who may hold the state folder."""

import json
import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from daemon.commissioning.known_devices import KnownDevice, known_devices
from daemon.commissioning.radio_test_record import RECORD_FILE, DrillResult, SlotResult, keep, last_drill
from daemon.errors import StartError
from daemon.runtime.state_directory import hold_state
from drivers.errors import ConfigError


def drilled(*slots: SlotResult) -> DrillResult:
    return DrillResult("2026-11-25T11:45:00+00:00", 60.0, 32, 0, 1001, 1032, slots)


def test_no_database_and_a_strange_one_are_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing has joined yet"):
        known_devices(tmp_path / "zigbee.db", None)
    assert list(tmp_path.iterdir()) == []
    strange = tmp_path / "strange.db"
    for content in (b"not a database, but long enough to look at " * 40, b""):
        strange.write_bytes(content)
        with pytest.raises(ConfigError, match="cannot be read"):
            known_devices(strange, None)


def test_the_list_is_in_the_order_of_slots_and_knows_what_is_no_slave(tmp_path: Path) -> None:
    file = tmp_path / "zigbee.db"
    with closing(sqlite3.connect(file)) as database:
        database.executescript(
            """
            PRAGMA user_version = 99;
            CREATE TABLE devices_v99 (ieee, nwk, status, last_seen);
            CREATE TABLE node_descriptors_v99 (ieee, logical_type);
            CREATE TABLE clusters_v99 (ieee, endpoint_id, cluster_type, cluster_id);
            CREATE TABLE attributes_cache_v99 (ieee, endpoint_id, cluster_id, attr_id, value);
            INSERT INTO devices_v99 VALUES ('c', 0, 2, 0), ('x', 7, 2, 0), ('y', 6, 2, 1.0), ('z', 5, 0, 0);
            INSERT INTO node_descriptors_v99 VALUES ('c', 0), ('x', 1), ('y', 1);
            INSERT INTO clusters_v99 VALUES ('y', 1, 0, 0xFC57), ('y', 1, 0, 0), ('x', 1, 0, 6);
            INSERT INTO attributes_cache_v99 VALUES ('y', 1, 0, 4, 'Maker'), ('y', 1, 0, 5, 'Model'),
                ('x', 1, 6, 5, 1);
            """
        )
    drill = drilled(
        *(SlotResult(slot, "", 1, 1, None, None, address) for slot, address in ((3, 6), (1, 9), (2, None)))
    )
    plain = {"last_seen_utc": None, "manufacturer": None, "model": None, "is_slave": False, "slot": None}
    assert known_devices(file, drill) == [
        KnownDevice(None, 9, None, None, None, is_slave=True, slot=1),
        KnownDevice("y", 6, "1970-01-01T00:00:01+00:00", "Maker", "Model", is_slave=True, slot=3),
        KnownDevice("z", 5, **plain),  # type: ignore[arg-type]
        KnownDevice("x", 7, **plain),  # type: ignore[arg-type]
    ]
    assert [d.slot for d in known_devices(file, None)] == [None, None, None]
    assert {path.name for path in tmp_path.iterdir()} == {"zigbee.db"}
    with closing(sqlite3.connect(file)) as database:
        for strange in ("'yesterday'", "1e300", "x'00'"):
            database.executescript(f"UPDATE devices_v99 SET last_seen = {strange} WHERE ieee = 'y';")
            with pytest.raises(ConfigError, match="cannot be read"):
                known_devices(file, None)


WRONG_DRILLS: list[dict[str, Any]] = [
    {"slots": 5},
    {"slots": None},
    {"slots": [1]},
    {"slots": ["a"]},
    {"slots": [{"address": 1}]},
    {"at_utc": None},
]
WRONG_SLOTS: list[dict[str, Any]] = [
    {"address": [1]},
    {"address": "9"},
    {"address": 9.5},
    {"address": float("nan")},
    {"address": -3},
    {"address": 65536},
    {"slot": "1"},
    {"slot": True},
    {"slot": None},
    {"slot": 255},
]
WHOLE_DRILL: dict[str, Any] = asdict(drilled(SlotResult(1, "tank", 3, 3, 0.1, 0.2, 9)))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        "null",
        "[" * 100_000,
        "\ufffe\xff",
        *(json.dumps(WHOLE_DRILL | wrong) for wrong in WRONG_DRILLS),
        *(json.dumps(WHOLE_DRILL | {"slots": [WHOLE_DRILL["slots"][0] | wrong]}) for wrong in WRONG_SLOTS),
    ],
)
def test_a_damaged_record_of_a_drill_is_no_record(tmp_path: Path, content: str) -> None:
    (tmp_path / RECORD_FILE).write_text(content)
    assert last_drill(tmp_path) is None


def test_a_whole_record_of_a_drill_is_read_as_it_was_kept(tmp_path: Path) -> None:
    result = drilled(SlotResult(1, "tank", 3, 3, 0.1, 0.2, 9), SlotResult(2, "rod", 3, 0, None, None, None))
    keep(result, tmp_path)
    assert last_drill(tmp_path) == result


def test_the_state_folder_is_held_once(tmp_path: Path) -> None:
    with hold_state(tmp_path), pytest.raises(StartError, match="another sunkeep holds"), hold_state(tmp_path):
        pass
    with hold_state(tmp_path):
        pass
