"""Entities of Home Assistant, from the daemon's status document. Pure: documents in, messages out.

Discovery by one retained message per entity, `PREFIX/PLATFORM/NODE/OBJECT/config`, is understood by every
release that knows MQTT discovery (Home Assistant documentation, "MQTT", "Discovery messages").
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import Any, TypeAlias

from daemon.config.gateway_sections import MqttSection

ONLINE, OFFLINE = "online", "offline"
MODES = ("shadow", "ab", "rollout", "production")
AS_CONFIGURED = "as configured"
"""Where nobody said who is served first."""
DAY_S = 86_400.0
Request: TypeAlias = dict[str, Any]
EXPIRES_AFTER_PERIODS = 6
"""Home Assistant calls a value unknown when so many publications are missing."""


@dataclass(frozen=True, slots=True)
class Topics:
    """Where what is published."""

    state: str
    gateway: str
    daemon: str
    pause: str
    boosts: str
    first: str
    holiday: str
    birth: str
    node: str

    @classmethod
    def of(cls, section: MqttSection) -> "Topics":
        """The topics of a configuration. `birth` is where Home Assistant says that it has started."""
        base = section.base_topic
        return cls(
            state=f"{base}/state",
            gateway=f"{base}/gateway",
            daemon=f"{base}/daemon",
            pause=f"{base}/pause/set",
            boosts=f"{base}/boost/+/set",
            first=f"{base}/first/set",
            holiday=f"{base}/holiday/set",
            birth=f"{section.discovery_prefix}/status",
            node=re.sub(r"[^A-Za-z0-9_-]+", "_", base),
        )

    @property
    def orders(self) -> tuple[str, ...]:
        """Where others say something to the site; "+" stands for a slot."""
        return self.pause, self.boosts, self.first, self.holiday

    def boost(self, slot: str) -> str:
        """Where one device is boosted."""
        return self.boosts.replace("+", slot)


@dataclass(frozen=True, slots=True)
class Entity:
    """One thing that Home Assistant shows. `path` leads to its value in the state document."""

    platform: str
    identifier: str
    name: str
    path: str
    options: dict[str, Any] = field(default_factory=dict)


def state(document: dict[str, Any]) -> dict[str, Any]:
    """What is published of a status document: flat, small, null where a value is unknown."""
    energy = document["energy"]["total"]
    boosted = {one["slave"] for one in document["orders"]["boosts"]}
    return {
        "grid_w": document["total"]["grid_w"],
        "exported_w": document["total"]["exported_w"],
        "imported_w": document["total"]["imported_w"],
        "devices_w": document["total"]["placed_w"],
        "exported_wh": energy["exported_wh"],
        "imported_wh": energy["imported_wh"],
        "devices_wh": energy["placed_wh"],
        "headline": document["headline"]["text"],
        "problem": document["headline"]["tone"] == "bad",
        "acting": document["acting"]["who"],
        "why": document["acting"]["why"],
        "state": document["acting"]["state"],
        "causes": document["acting"]["causes"],
        "mode": document["site"]["mode"],
        "paused": bool(document["pause"]["is_on"]),
        "first": _first(document),
        "holiday_days": _holiday_days(document),
        "devices": {
            str(slave["slot"]): {
                "boosted": slave["name"] in boosted,
                "power_w": slave["power_w"],
                "setpoint_w": slave["setpoint_w"],
                "answers": bool(slave["is_heard"]),
            }
            for slave in document["slaves"]
        },
    }


def entities(document: dict[str, Any], section: MqttSection) -> Iterator[Entity]:
    """Every entity of a site."""
    if section.commands == "accepted":
        yield from _orders(document, Topics.of(section))
    yield _power("grid_power", "Grid power", "grid_w")
    yield _power("exported_power", "Exported power", "exported_w")
    yield _power("imported_power", "Imported power", "imported_w")
    yield _power("devices_power", "Power in devices", "devices_w")
    yield _energy("exported_energy", "Exported energy", "exported_wh")
    yield _energy("imported_energy", "Imported energy", "imported_wh")
    yield _energy("devices_energy", "Energy in devices", "devices_wh")
    yield Entity("sensor", "headline", "Summary", "headline")
    yield Entity("sensor", "acting", "Acting", "acting", _diagnostic())
    yield Entity("sensor", "why", "Reason", "why", _diagnostic())
    yield Entity("sensor", "mode", "Mode", "mode", _diagnostic(device_class="enum", options=list(MODES)))
    yield Entity("binary_sensor", "problem", "Problem", "problem", _two_values("problem"))
    for slave in document["slaves"]:
        slot, name = slave["slot"], slave["name"]
        yield _power(f"slot_{slot}_power", f"{name} power", f"devices['{slot}'].power_w")
        yield _power(f"slot_{slot}_setpoint", f"{name} setpoint", f"devices['{slot}'].setpoint_w")
        yield Entity(
            "binary_sensor",
            f"slot_{slot}_answers",
            f"{name} answers",
            f"devices['{slot}'].answers",
            _two_values("connectivity") | _diagnostic(),
        )


def discovery(document: dict[str, Any], section: MqttSection) -> dict[str, str]:
    """The retained discovery messages of a site: topic to payload."""
    topics = Topics.of(section)
    common = {
        "state_topic": topics.state,
        "availability_mode": "all",
        "availability": [{"topic": topics.gateway}, {"topic": topics.daemon}],
        "device": {
            "identifiers": [topics.node],
            "name": document["site"]["name"],
            "manufacturer": "Sunkeep",
            "model": "three-phase surplus controller",
            "sw_version": document["site"]["version"],
        },
        "origin": {"name": "Sunkeep", "sw_version": document["site"]["version"]},
    }
    return {
        discovery_topic(section, entity.platform, entity.identifier): json.dumps(
            common
            | {
                "name": entity.name,
                "unique_id": f"{topics.node}_{entity.identifier}",
                "value_template": f"{{{{ value_json.{entity.path} }}}}",
            }
            | _expiry(entity, section)
            | entity.options
        )
        for entity in entities(document, section)
    }


def discovery_topic(section: MqttSection, platform: str, identifier: str) -> str:
    """Where an entity is announced; "+" for the platform or the identifier finds all."""
    return f"{section.discovery_prefix}/{platform}/{Topics.of(section).node}/{identifier}/config"


def _power(identifier: str, name: str, path: str) -> Entity:
    options = {"device_class": "power", "unit_of_measurement": "W", "state_class": "measurement"}
    return Entity("sensor", identifier, name, path, options)


def _energy(identifier: str, name: str, path: str) -> Entity:
    options = {"device_class": "energy", "unit_of_measurement": "Wh", "state_class": "total_increasing"}
    return Entity("sensor", identifier, name, path, options)


def order_of(
    topic: str, text: str, names: Mapping[str, str], topics: Topics, unix_s: float
) -> Request | None:
    """The request to the daemon that a message asks for; None for what is no order.

    Args:
        names: of the devices, by slot.
    """
    if topic == topics.pause:
        pauses: dict[str, Request] = {
            "ON": {"command": "pause", "until_unix_s": None},
            "OFF": {"command": "resume"},
        }
        return pauses.get(text)
    if topic == topics.first:
        first = [] if text == AS_CONFIGURED else [text]
        return {"command": "priorities", "first": first} if set(first) <= set(names.values()) else None
    if topic == topics.holiday:
        if not re.fullmatch(r"\d{1,3}", text):
            return None
        until_s = unix_s + int(text) * DAY_S
        return (
            {"command": "holiday", "until_unix_s": until_s, "kept": []}
            if int(text)
            else {"command": "end_holiday"}
        )
    name = next((name for slot, name in names.items() if topic == topics.boost(slot)), None)
    if name is None:
        return None
    orders: dict[str, Request] = {
        "ON": {"command": "boost", "slave": name, "until_unix_s": None},
        "OFF": {"command": "end_boost", "slave": name},
    }
    return orders.get(text)


def _first(document: dict[str, Any]) -> str:
    return next(iter(document["orders"]["first"]), AS_CONFIGURED)


def _holiday_days(document: dict[str, Any]) -> int:
    """Days that are left, begun ones too; 0 without a holiday."""
    holiday, local = document["orders"]["holiday"], document["local"]
    if holiday is None or local is None:
        return 0
    left_s: float = holiday["until_unix_s"] - datetime.fromisoformat(local).timestamp()
    return max(1, ceil(left_s / DAY_S))


def _orders(document: dict[str, Any], topics: Topics) -> Iterator[Entity]:
    """What one may say."""
    yield _switch("pause", "Pause", "paused", topics.pause, "mdi:pause-circle")
    for slave in document["slaves"]:
        slot, name = str(slave["slot"]), slave["name"]
        path = f"devices['{slot}'].boosted"
        yield _switch(f"slot_{slot}_boost", f"{name} boost", path, topics.boost(slot), "mdi:fire")
    names = [AS_CONFIGURED, *(slave["name"] for slave in document["slaves"])]
    yield Entity(
        "select", "first", "Served first", "first", {"command_topic": topics.first, "options": names}
    )
    days = {"command_topic": topics.holiday, "min": 0, "max": 365, "unit_of_measurement": "d", "mode": "box"}
    yield Entity("number", "holiday", "Holiday", "holiday_days", days)


def _switch(identifier: str, name: str, path: str, topic: str, icon: str) -> Entity:
    options = {
        "command_topic": topic,
        "payload_on": "ON",
        "payload_off": "OFF",
        "state_on": "True",
        "state_off": "False",
        "icon": icon,
    }
    return Entity("switch", identifier, name, path, options)


def _two_values(device_class: str) -> dict[str, Any]:
    """Templates give Python's words for a boolean."""
    return {"device_class": device_class, "payload_on": "True", "payload_off": "False"}


def _diagnostic(**options: Any) -> dict[str, Any]:
    return {"entity_category": "diagnostic", **options}


def _expiry(entity: Entity, section: MqttSection) -> dict[str, int]:
    has_values = entity.platform in ("sensor", "binary_sensor")
    return {"expire_after": round(EXPIRES_AFTER_PERIODS * section.every_s)} if has_values else {}
