"""The slave's firmware against the published protocol."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.radio.slave_firmware import Faults, Firmware, Ignored, Status
from tests.support.radio_nodes import KEY, frame_payload, read_report

NETWORK = bytes.fromhex("c3b2a11c004b1200")
MAX_W = 3000
VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "docs" / "develop" / "setpoint-vectors.json").read_text()
)
VECTOR_KEY = bytes.fromhex(VECTORS["site_key"])
VECTOR_NETWORK = bytes.fromhex(VECTORS["network_id"])


def slave(slot: int = 1, **more: Any) -> Firmware:
    return Firmware(slot, KEY, MAX_W, **more)


def told(setpoint_w: int, counter: int = 1, at_s: float = 0.0, **more: Any) -> Firmware:
    """A slave that has accepted one frame."""
    firmware = slave()
    assert firmware.hear(frame_payload(counter, [0, setpoint_w, 0], NETWORK, **more), NETWORK, at_s) is None
    return firmware


@pytest.mark.parametrize("vector", VECTORS["frames"], ids=lambda v: v["name"])
def test_applies_the_published_frames(vector: dict[str, Any]) -> None:
    for index, setpoint_w in enumerate(vector["setpoints_w"]):
        firmware = Firmware(vector["base"] + index, VECTOR_KEY, 0x7FFF)
        assert firmware.hear(bytes.fromhex(vector["payload"]), VECTOR_NETWORK, 0.0) is None
        assert firmware.counter == vector["counter"]
        assert firmware.target_w(0.0) == (0 if vector["safe_release"] else setpoint_w)
        if vector["report"]:
            assert firmware.wants_report(0.0)


@pytest.mark.parametrize("vector", VECTORS["rejected_frames"], ids=lambda v: v["reason"])
def test_ignores_the_published_bad_frames(vector: dict[str, Any]) -> None:
    payload = bytes.fromhex(vector["payload"])
    base = payload[6] if len(payload) > 6 else 0
    reasons = [
        Firmware(base + i, VECTOR_KEY, 100).hear(payload, VECTOR_NETWORK, 0.0)
        for i in range(2)
        if base + i < 256
    ]
    assert any(reasons)  # a negative setpoint concerns only the slave it is for
    if "negative" not in vector["reason"]:
        assert all(reasons)


@pytest.mark.parametrize("vector", VECTORS["reports"], ids=lambda v: v["name"])
def test_reports_as_published(vector: dict[str, Any]) -> None:
    firmware = Firmware(vector["slot"], VECTOR_KEY, 0x7FFF)
    flags = 0x11 if vector["state"] == 2 else 0x10
    setpoint_w = vector["applied_w"]
    if vector["state"] != 3:
        payload = frame_payload(
            vector["counter"], [setpoint_w], VECTOR_NETWORK, key=VECTOR_KEY, flags=flags, base=vector["slot"]
        )
        assert firmware.hear(payload, VECTOR_NETWORK, 0.0) is None
    at_s = 20.0 if vector["state"] == 1 else 1.0
    assert firmware.report(at_s, vector["power_w"], VECTOR_NETWORK).hex() == vector["attributes"]


def test_each_rule_has_its_reason() -> None:
    def why(payload: bytes, **more: Any) -> Ignored | None:
        return slave(**more).hear(payload, NETWORK, 0.0)

    assert why(b"") is Ignored.LENGTH
    assert why(frame_payload(1, [], NETWORK)) is Ignored.LENGTH
    assert why(frame_payload(1, [1] * 31, NETWORK)) is Ignored.LENGTH
    assert why(frame_payload(1, [1, 1], NETWORK) + b"\0") is Ignored.LENGTH
    assert why(frame_payload(1, [1, 1], NETWORK, flags=0x20)) is Ignored.VERSION
    assert why(frame_payload(1, [1, 1], NETWORK, flags=0x14)) is Ignored.RESERVED
    assert why(frame_payload(1, [1, 1], NETWORK, flags=0x18)) is Ignored.RESERVED
    assert why(frame_payload(1, [1, 1], NETWORK, key=bytes(32))) is Ignored.TAG
    assert why(frame_payload(1, [1, 1], bytes(8))) is Ignored.TAG
    assert why(frame_payload(1, [1, 1], NETWORK), counter=1) is Ignored.COUNTER
    assert why(frame_payload(1, [1, 1], NETWORK, ttl_s=0)) is Ignored.TIME_TO_LIVE
    assert why(frame_payload(1, [1, 1], NETWORK, ttl_s=61)) is Ignored.TIME_TO_LIVE
    assert why(frame_payload(1, [1, 1], NETWORK, base=2)) is Ignored.SLOT
    assert why(frame_payload(1, [1], NETWORK)) is Ignored.SLOT
    assert why(frame_payload(1, [1, -1], NETWORK)) is Ignored.SETPOINT
    assert why(frame_payload(1, [-1, 1], NETWORK)) is None


@given(st.lists(st.integers(0, 0x7FFF), min_size=2, max_size=30), st.data())
def test_any_flipped_bit_is_ignored(setpoints: list[int], data: st.DataObject) -> None:
    payload = bytearray(frame_payload(5, setpoints, NETWORK))
    bit = data.draw(st.integers(0, 8 * len(payload) - 1))
    payload[bit // 8] ^= 1 << bit % 8
    firmware = slave()
    assert firmware.hear(bytes(payload), NETWORK, 0.0) is not None
    assert firmware.counter is None
    assert firmware.status(0.0) is Status.RESTING_SINCE_START


@given(st.binary(max_size=90))
def test_noise_is_ignored(payload: bytes) -> None:
    firmware = slave()
    assert firmware.hear(payload, NETWORK, 0.0) is not None
    assert sum(firmware.ignored.values()) == 1


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF))
def test_only_greater_counters_are_accepted(first: int, second: int) -> None:
    firmware = told(500, counter=first)
    reason = firmware.hear(frame_payload(second, [0, 900], NETWORK), NETWORK, 0.0)
    assert reason is (None if second > first else Ignored.COUNTER)
    firmware.restart()
    reason = firmware.hear(frame_payload(first, [0, 900], NETWORK), NETWORK, 0.0)
    assert reason is Ignored.COUNTER  # also after a loss of power


@given(st.integers(1, 60), st.floats(0.0, 59.9))
def test_an_ignored_frame_does_not_feed_the_watchdog(ttl_s: int, at_s: float) -> None:
    firmware = told(1000, ttl_s=ttl_s)
    assert firmware.hear(frame_payload(1, [0, 1000], NETWORK), NETWORK, at_s) is Ignored.COUNTER
    assert firmware.status(ttl_s - 0.001) is Status.FOLLOWING
    assert firmware.status(float(ttl_s)) is Status.RESTING_TIME_TO_LIVE
    assert firmware.setpoint_w(ttl_s + MAX_W / 2500.0) == 0.0


_STEPS = st.lists(
    st.tuples(st.floats(0.0, 8.0), st.integers(0, 0x7FFF), st.booleans(), st.integers(1, 60)),
    min_size=1,
    max_size=12,
)


@given(_STEPS)
def test_ramps_are_bounded_and_the_rating_is_kept(steps: list[tuple[float, int, bool, int]]) -> None:
    firmware, at_s, before_w = slave(), 0.0, 0.0
    for counter, (wait_s, setpoint_w, release, ttl_s) in enumerate(steps, start=1):
        for _ in range(4):
            at_s += wait_s / 4
            now_w = firmware.setpoint_w(at_s)
            assert 0.0 <= now_w <= MAX_W
            resting = firmware.status(at_s) is not Status.FOLLOWING
            assert now_w - before_w <= (0.0 if resting and wait_s == 0.0 else 1000.0 * wait_s / 4) + 1e-6
            assert before_w - now_w <= 2500.0 * wait_s / 4 + 1e-6
            before_w = now_w
        frame = frame_payload(counter, [0, setpoint_w], NETWORK, flags=0x11 if release else 0x10, ttl_s=ttl_s)
        assert firmware.hear(frame, NETWORK, at_s) is None
        assert firmware.setpoint_w(at_s) == pytest.approx(before_w)


@given(st.integers(0, 0x7FFF), st.integers(1, 60))
def test_silence_leads_to_rest(setpoint_w: int, ttl_s: int) -> None:
    firmware = told(setpoint_w, ttl_s=ttl_s)
    reached_w = min(setpoint_w, MAX_W, 1000.0 * ttl_s)
    assert firmware.setpoint_w(ttl_s) == pytest.approx(reached_w)
    assert firmware.setpoint_w(ttl_s + 0.1) == pytest.approx(max(0.0, reached_w - 250.0))
    assert firmware.setpoint_w(ttl_s + reached_w / 2500.0 + 1e-6) == 0.0


def test_follows_with_1000_w_per_s_both_ways() -> None:
    firmware = told(2000)
    assert firmware.setpoint_w(1.5) == 1500.0
    assert firmware.setpoint_w(2.5) == 2000.0
    firmware.hear(frame_payload(2, [0, 500], NETWORK), NETWORK, 3.0)
    assert firmware.setpoint_w(4.0) == 1000.0
    assert firmware.setpoint_w(5.0) == 500.0


def test_safe_release_goes_to_rest_fast_whatever_the_field_says() -> None:
    firmware = told(2500)
    firmware.hear(frame_payload(2, [0, 2500], NETWORK, flags=0x11), NETWORK, 3.0)
    assert firmware.setpoint_w(3.5) == 1250.0
    assert firmware.setpoint_w(4.0) == 0.0
    assert firmware.status(100.0) is Status.RESTING_RELEASED
    assert firmware.deadline_s is None


def test_reports_when_asked_and_when_something_changed() -> None:
    firmware = told(700)
    assert firmware.wants_report(0.0)
    payload = firmware.report(0.0, 123.4, NETWORK)
    report = read_report(bytes.fromhex("1cf1ff010a") + payload, NETWORK)
    assert report == {"slot": 1, "counter": 1, "applied_w": 700, "power_w": 123, "status": 0}
    assert not firmware.wants_report(1.0)
    firmware.hear(frame_payload(2, [9, 700], NETWORK), NETWORK, 1.0)
    assert not firmware.wants_report(1.0)
    firmware.hear(frame_payload(3, [9, 700], NETWORK, flags=0x12), NETWORK, 1.0)
    assert firmware.wants_report(1.0)
    firmware.report(1.0, 0.0, NETWORK)
    assert not firmware.wants_report(15.9)
    assert firmware.wants_report(16.0)  # time to live has run out


@pytest.mark.parametrize("power_w", [None, float("nan"), float("inf")])
def test_says_that_it_does_not_measure(power_w: float | None) -> None:
    report = read_report(bytes.fromhex("1cf1ff010a") + slave().report(0.0, power_w, NETWORK), NETWORK)
    assert report["power_w"] == -0x8000


def test_faults() -> None:
    frame = frame_payload(1, [0, 1000], NETWORK)
    scaled, deaf, stuck = (
        slave(faults=faults) for faults in (Faults(scale=10.0), Faults(watchdog=False), Faults(stuck_w=42.0))
    )
    for firmware in (scaled, deaf, stuck):
        assert firmware.hear(frame, NETWORK, 0.0) is None
    assert scaled.setpoint_w(2.0) == 10000.0
    assert deaf.setpoint_w(1000.0) == 1000.0
    assert deaf.status(1000.0) is Status.FOLLOWING
    assert stuck.setpoint_w(2.0) == 42.0


@pytest.mark.parametrize(
    "wrong", [(-1, KEY, 1), (256, KEY, 1), (0, KEY[:31], 1), (0, KEY, -1), (0, KEY, 0x8000)]
)
def test_refuses_what_no_slave_has(wrong: tuple[int, bytes, int]) -> None:
    with pytest.raises(ValueError, match="slot must be"):
        Firmware(*wrong)
