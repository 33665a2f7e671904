"""What Home Assistant is told of a site."""

import json
from datetime import datetime
from typing import Any

import pytest

from daemon.config.gateway_sections import MqttSection
from daemon.gateway.home_assistant import Topics, discovery, order_of, state
from daemon.monitoring.figures import Figures
from daemon.monitoring.status import status
from tests.support.telemetry_feed import ABOUT, SITE, FedHouse, feed

SECTION = MqttSection(host="broker", base_topic="sunkeep/my-house")
UNITS = {"power": "W", "energy": "Wh"}
"""Units that Home Assistant takes for a device class, as far as they are used here (its sensor
documentation)."""
STATE_CLASSES = {"power": "measurement", "energy": "total_increasing"}
REQUIRED = {"name", "unique_id", "state_topic", "value_template", "device", "origin", "availability"}


@pytest.fixture
def document() -> dict[str, Any]:
    figures = Figures(SITE, ABOUT, 1000.0)
    feed(figures, FedHouse(), "sunny", 30)
    return status(figures, 1030.5)


def configs(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {topic: json.loads(text) for topic, text in discovery(document, SECTION).items()}


def value_of(template: str, published: Any) -> Any:
    """What a template of ours gives: a path in `value_json`, with places in quotes and brackets."""
    path = template.removeprefix("{{ value_json.").removesuffix(" }}")
    for part in path.replace("['", ".").replace("']", "").split("."):
        published = published[part]
    return published


def test_every_entity_finds_its_value_in_the_state(document: dict[str, Any]) -> None:
    published = json.loads(json.dumps(state(document), allow_nan=False))
    found = {topic: value_of(one["value_template"], published) for topic, one in configs(document).items()}
    assert found["homeassistant/sensor/sunkeep_my-house/grid_power/config"] == document["total"]["grid_w"]
    assert found["homeassistant/sensor/sunkeep_my-house/slot_4_power/config"] is not None
    assert found["homeassistant/binary_sensor/sunkeep_my-house/slot_2_answers/config"] is True
    assert len(found) == 12 + 3 * len(SITE.slaves)
    assert not [topic for topic, value in found.items() if value is None]


def test_classes_units_and_identifiers_fit(document: dict[str, Any]) -> None:
    found = configs(document)
    for topic, one in found.items():
        assert one.keys() >= REQUIRED, topic
        platform = topic.split("/")[1]
        kind = one.get("device_class")
        if platform == "sensor" and kind in UNITS:
            assert (one["unit_of_measurement"], one["state_class"]) == (UNITS[kind], STATE_CLASSES[kind])
        elif platform == "sensor":
            assert "unit_of_measurement" not in one
            assert kind in (None, "enum")
        else:
            assert kind in ("problem", "connectivity")
            assert (one["payload_on"], one["payload_off"]) == ("True", "False")
    assert len({one["unique_id"] for one in found.values()}) == len(found)
    assert len({json.dumps(one["device"]) for one in found.values()}) == 1


def test_an_unknown_power_is_published_as_unknown() -> None:
    figures = Figures(SITE, ABOUT, 1000.0)
    published = state(status(figures, 1000.0))
    assert published["grid_w"] is None
    assert published["devices"] == {}
    json.dumps(published, allow_nan=False)


@pytest.mark.parametrize(
    ("end", "text", "request_"),
    [
        ("pause/set", "ON", {"command": "pause", "until_unix_s": None}),
        ("pause/set", "OFF", {"command": "resume"}),
        ("boost/3/set", "ON", {"command": "boost", "slave": "boiler", "until_unix_s": None}),
        ("boost/3/set", "OFF", {"command": "end_boost", "slave": "boiler"}),
        ("boost/4/set", "ON", None),
        ("boost/3/set", "full", None),
        ("first/set", "boiler", {"command": "priorities", "first": ["boiler"]}),
        ("first/set", "as configured", {"command": "priorities", "first": []}),
        ("first/set", "sauna", None),
        ("holiday/set", "2", {"command": "holiday", "until_unix_s": 172_900.0, "kept": []}),
        ("holiday/set", "0", {"command": "end_holiday"}),
        ("holiday/set", "-1", None),
        ("holiday/set", "1e9", None),
        ("other/set", "ON", None),
    ],
)
def test_what_others_say_becomes_a_request(end: str, text: str, request_: dict[str, Any] | None) -> None:
    topics = Topics.of(SECTION)
    assert order_of(f"sunkeep/my-house/{end}", text, {"3": "boiler"}, topics, 100.0) == request_


def test_orders_are_entities_only_where_they_are_accepted(document: dict[str, Any]) -> None:
    accepting = SECTION.model_copy(update={"commands": "accepted"})
    more = discovery(document, accepting).keys() - discovery(document, SECTION).keys()
    kinds = sorted(topic.split("/")[1] for topic in more)
    assert kinds == sorted(["number", "select", "switch", *["switch"] * len(document["slaves"])])
    name = document["slaves"][0]["name"]
    end_s = datetime.fromisoformat(document["local"]).timestamp() + 90_000.0
    document["orders"] = {
        "boosts": [{"slave": name}],
        "first": [name],
        "holiday": {"until_unix_s": end_s, "kept": []},
    }
    published = state(document)
    slot = str(document["slaves"][0]["slot"])
    assert published["devices"][slot]["boosted"] is True
    assert (published["first"], published["holiday_days"]) == (name, 2)
